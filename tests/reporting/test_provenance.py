import json
from typing import Any

from ctcd.reporting.provenance import describe_runs

MADE_BY: dict[str, Any] = {
    "commit": "0123abcd",
    "is_modified": False,
    "versions": {"ctcd": "1.0", "torch": "2.13.0"},
    "python": "3.11.9",
    "platform": "Linux-6",
    "processor": "Some CPU",
    "device": "cpu",
    "precision": "float32",
    "started": "2026-01-02T03:04:05+00:00",
}
IDENTITY: dict[str, Any] = {"seed": 1, "steps": 20, "learning_rate": 0.001, "source": None, "data": "abc123"}
DATA = {"source": "package documentation", "fingerprint": "abc123"}


def record(
    variant: str, roles: tuple[str, ...], seed: int = 1, made_by: Any = None, without: str = "", **identity: Any
) -> dict[str, Any]:
    made = {name: value for name, value in {**MADE_BY, **(made_by or {})}.items() if name != without}
    return {
        "run": f"{variant}{roles}{seed}",
        "variant": variant,
        "pretraining_seed": seed,
        "roles": list(roles),
        "identity": {**IDENTITY, "seed": seed, **identity},
        "source": None,
        "data": DATA,
        "made_by": made,
    }


BOTH = ("teacher", "student")


def test_every_fact_is_that_of_the_records() -> None:
    found = describe_runs([record("ctcd", BOTH, 1), record("ctcd", BOTH, 2)])
    assert found["runs"] == 2
    assert found["facts"] == {
        "Commit": ["0123abcd"],
        "Device": ["Some CPU"],
        "Precision": ["float32"],
        "System": ["Linux-6"],
        "Python": ["3.11.9"],
        "Packages": ["ctcd 1.0, torch 2.13.0"],
        "Corpus": ["package documentation (abc123)"],
        "Pre-training seeds": ["1", "2"],
        "Started": ["2026-01-02T03:04:05+00:00"],
    }


def test_it_is_plain_json() -> None:
    found = describe_runs([record("ctcd", BOTH, 1), record("standalone", ("teacher",), 2, steps=30)])
    assert json.loads(json.dumps(found)) == found


def test_trainings_of_different_code_and_machines_name_each_once() -> None:
    changed = {"is_modified": True, "device": "Some GPU", "precision": "bfloat16", "started": "2026-01-05T00:00:00"}
    records = [record("ctcd", BOTH, 2, changed), record("ctcd", BOTH, 1), record("standalone", ("teacher",), 1)]
    facts = describe_runs(records)["facts"]
    assert facts["Commit"] == ["0123abcd with uncommitted changes", "0123abcd"]
    assert facts["Device"] == ["Some GPU", "Some CPU"]
    assert facts["Precision"] == ["bfloat16", "float32"]
    assert facts["Started"] == ["2026-01-02T03:04:05+00:00", "to 2026-01-05T00:00:00"]


def test_code_that_no_repository_tracks_has_no_commit() -> None:
    records = [record("ctcd", BOTH, without="commit")]
    assert describe_runs(records)["facts"]["Commit"] == []


def test_settings_are_those_that_all_trainings_have_and_the_others_are_named_by_training() -> None:
    found = describe_runs(
        [
            record("ctcd", BOTH, 1, temperature=2.0),
            record("ctcd", BOTH, 2, temperature=2.0),
            record("standalone", ("teacher",), 1, steps=33),
            record("standalone", ("student",), 1),
        ]
    )
    assert found["settings"] == {"learning_rate": 0.001, "source": None, "data": "abc123", "temperature": 2.0}
    assert found["differences"] == {"steps": {"ctcd": 20, "standalone teacher": 33, "standalone student": 20}}


def test_seeds_are_a_fact_and_no_difference() -> None:
    found = describe_runs([record("ctcd", BOTH, 1), record("ctcd", BOTH, 2)])
    assert found["differences"] == {}
    assert "seed" not in found["settings"]


def test_settings_that_differ_between_the_seeds_of_one_training_are_not_hidden() -> None:
    found = describe_runs([record("ctcd", BOTH, 1, data="aa"), record("ctcd", BOTH, 2, data="bb")])
    assert "data" not in found["settings"]
    assert found["differences"] == {"data": {"ctcd, seed 1": "aa", "ctcd, seed 2": "bb"}}


def test_a_frozen_teacher_has_its_name_although_that_of_each_seed_is_another_run() -> None:
    def of_seeds(*seeds: int) -> list[dict[str, Any]]:
        teachers = [record("standalone", ("teacher",), seed) for seed in seeds]
        sources = [f"{teacher['run']}/teacher" for teacher in teachers]
        students = [
            record("one_way", ("student",), seed, source=source) for seed, source in zip(seeds, sources, strict=True)
        ]
        return [*teachers, *students]

    differences = describe_runs(of_seeds(1, 2))["differences"]
    assert differences == {"source": {"standalone teacher": None, "one_way student": "standalone teacher"}}
    assert describe_runs(of_seeds(3))["differences"] == differences
