"""What a study's report says, against what the run has kept, in the environment `test`."""

import json
from pathlib import Path

import pandas as pd
import pytest

from ctcd.reporting.measurements import seed_by_seed

DATA = Path("data/test")
CLAIM = ("ctcd student", "standalone teacher")


def newest(project: Path, path: str) -> Path:
    return max((project / DATA / path).glob(f"*/{Path(path).name}"))


def records(project: Path) -> list[dict]:
    return [
        record
        for variant in ("untrained", "standalone", "ctcd")
        for record in json.loads(newest(project, f"07_model_output/{variant}/runs.json").read_text())
    ]


def claims(project: Path) -> pd.DataFrame:
    table = pd.read_csv(newest(project, "08_reporting/ctcd/claims.csv"))
    return table.set_index(["model", "reference", "on"])


def test_the_claims_of_scores_are_differences_of_means_over_fine_tunings_and_tasks(project: Path) -> None:
    def value(variant: str, role: str, seed: int) -> float:
        scores = pd.read_csv(newest(project, f"07_model_output/{variant}/scores.csv"))
        rows = scores[(scores["role"] == role) & (scores["pretraining_seed"] == seed)]
        assert len(rows) == 2 * 2  # tasks x fine-tunings, of one metric and split
        return float(rows["value"].mean())

    found = claims(project).loc[(*CLAIM, "scores")]
    by_seed = [100 * (value("ctcd", "student", seed) - value("standalone", "teacher", seed)) for seed in (1, 2)]
    assert found["difference"] == pytest.approx(sum(by_seed) / 2)
    assert found["seeds"] == 2


def test_the_claims_of_losses_are_differences_at_the_end_on_all_held_out_text(project: Path) -> None:
    def value(variant: str, role: str, seed: int) -> float:
        history = pd.read_parquet(newest(project, f"07_model_output/{variant}/history.parquet"))
        rows = history[(history["metric"] == "heldout_loss") & (history["role"] == role)]
        return float(rows.loc[rows["pretraining_seed"] == seed, "value"].item())

    found = claims(project).loc[("ctcd student", "standalone student", "heldout_loss")]
    by_seed = [value("standalone", "student", seed) - value("ctcd", "student", seed) for seed in (1, 2)]
    assert found["difference"] == pytest.approx(sum(by_seed) / 2)
    table = seed_by_seed(pd.read_csv(newest(project, "08_reporting/ctcd/measurements.csv")))
    table = table.set_index(["model", "pretraining_seed"])
    assert table.at[("ctcd student", 2), "heldout_loss"] == pytest.approx(value("ctcd", "student", 2))


def test_every_claim_of_the_study_is_answered_on_the_page_and_in_the_terminal(project: Path) -> None:
    table = claims(project)
    assert len(table) == 4
    page = newest(project, "08_reporting/ctcd/report.html").read_text()
    summary = newest(project, "08_reporting/ctcd/summary.txt").read_text()
    for (model, reference, _), row in table.iterrows():
        assert row["verdict"] in ("better", "worse", "undecided")
        assert row["sentence"].split(" (")[0].replace("'", "&#39;") in page
        assert f"{model} - {reference}" in summary


def test_provenance_is_what_the_records_of_the_trainings_say(project: Path) -> None:
    found = json.loads(newest(project, "08_reporting/ctcd/provenance.json").read_text())
    kept = records(project)
    assert found["runs"] == len(kept) == 2 * (2 + 2 + 1)  # seeds x (untrained + standalone + ctcd)
    facts = found["facts"]
    for name, key in (("Precision", "precision"), ("System", "platform"), ("Python", "python")):
        assert set(facts[name]) == {record["made_by"][key] for record in kept}
    for record in kept:
        made_by, data = record["made_by"], record["data"]
        for package, version in made_by["versions"].items():
            assert any(f"{package} {version}" in packages for packages in facts["Packages"])
        assert facts["Corpus"] == [f"{data['source']} ({data['fingerprint']})"]
    started = sorted(record["made_by"]["started"] for record in kept)
    assert facts["Started"][0] == started[0]
    assert facts["Started"][-1].endswith(started[-1])
    assert facts["Pre-training seeds"] == ["1", "2"]
    for name, value in found["settings"].items():
        assert all(record["identity"].get(name, value) == value for record in kept), name
    for name, values in found["differences"].items():
        assert {str(value) for value in values.values()} == {
            str(record["identity"][name]) for record in kept if name in record["identity"]
        }, name


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        (
            "pretraining.steps=999",
            "The models of 'standalone' were trained with pretraining.steps = 20 and this run has 999: run a study "
            "with 'standalone', or give --params pretraining.steps=20.",
        ),
        (
            "pretraining.seeds=1",
            "The models of 'untrained' have the seeds 1, 2 and this run has 1: run a study with 'untrained', or give "
            "--params pretraining.seeds=1+2.",
        ),
        (
            "variants.ctcd.weights.student_soft=7",
            "The models of 'ctcd' were trained with variants.ctcd.weights.student_soft = 4.0 and this run has 7.0: run "
            "a study with 'ctcd', or give --params variants.ctcd.weights.student_soft=4.0.",
        ),
    ],
)
def test_models_that_the_present_settings_would_not_train_are_refused_in_one_sentence(
    parameters: str, sentence: str, project: Path, kedro
) -> None:
    before = sorted((project / DATA / "08_reporting/ctcd").rglob("*"))
    result = kedro("run", "--pipelines=report", "--env=test", f"--params={parameters}")
    assert result.returncode == 1
    assert result.stderr.strip().splitlines()[-1] == f"Error: {sentence}"
    assert "Traceback" not in result.stderr
    assert sorted((project / DATA / "08_reporting/ctcd").rglob("*")) == before


def test_minimal_pairs_of_every_model_are_measured_seed_by_seed_and_are_of_its_runs(project: Path) -> None:
    measured = pd.read_csv(newest(project, "08_reporting/ctcd/measurements.csv"))
    pairs = measured[measured["measure"] == "minimal_pairs"]
    assert pairs.groupby("part").size().to_dict() == dict.fromkeys(
        ["all", "heldout_text", "heldout_text/two_words_exchanged", "heldout_text/word_replaced"], 6 * 2
    )
    table = pd.read_csv(newest(project, "07_model_output/ctcd/minimal_pairs.csv"))
    assert set(table["run"]) == {record["run"] for record in records(project) if record["variant"] == "ctcd"}
    of_student = table[(table["role"] == "student") & (table["pretraining_seed"] == 1)]
    row = pairs[(pairs["model"] == "ctcd student") & (pairs["pretraining_seed"] == 1) & (pairs["part"] == "all")]
    assert row["value"].tolist() == pytest.approx([100 * of_student["accuracy"].mean()])
    assert "Minimal pairs" in newest(project, "08_reporting/ctcd/summary.txt").read_text()
    kept = list((project / DATA / "07_model_output/minimal_pair_results").glob("*.safetensors"))
    assert len(kept) >= 6 * 2  # other tests may have scored other models


def test_a_study_answers_without_fine_tuning(copied_project, run_kedro) -> None:
    project = copied_project("01_raw", "03_primary", "05_model_input", "06_models")
    result = run_kedro(project)("run", "--env=test", "--params=finetuning.suite=none")
    assert result.returncode == 0, result.stderr
    assert "pre-training ahead" not in result.stderr
    found = claims(project)
    assert found["verdict"].to_dict()[(*CLAIM, "scores")] == "not measured"
    assert found.loc[("ctcd student", "standalone student", "heldout_loss"), "seeds"] == 2
