"""Models of other settings than the present ones are refused, with the first difference."""

import json
from typing import Any

import pytest

from ctcd.errors import InputError
from ctcd.pretraining import plan as plan_module
from ctcd.pretraining.check import check_records, check_scores
from ctcd.pretraining.plan import PlannedRun, plan_variants
from ctcd.pretraining.settings import SharedPretraining, VariantParameters

CORPUS: dict[str, Any] = {
    "vocabulary_size": 600,
    "sequence_length": 32,
    "splits": {"train": {"sequences": 1000}},
    "fingerprint": "f00d",
}
STANDALONE = {"method": "standalone"}


def plans(
    shared: SharedPretraining,
    name: str,
    corpus: dict[str, Any] = CORPUS,
    teacher: dict[str, Any] = STANDALONE,
    **own: Any,
) -> list[PlannedRun]:
    """The trainings of a variant, which may learn from the teacher of another one."""
    declared = {"teacher_of_all": teacher, name: {"method": name} | own}
    variants = {each: VariantParameters.model_validate({"name": each, **body}) for each, body in declared.items()}
    sources = {name: "teacher_of_all" if declared[name]["method"] == "one_way" else None, "teacher_of_all": None}
    return plan_variants(variants, sources, shared, corpus)[name]


def records(planned: list[PlannedRun]) -> list[dict[str, Any]]:
    """What the store of runs has of finished trainings, as it comes back from a JSON file."""
    found = [{"run": plan.id, "roles": plan.method.trained, "identity": plan.identity} for plan in planned]
    return json.loads(json.dumps(found))


@pytest.mark.parametrize("name", ["ctcd", "standalone", "one_way", "self_distillation"])
def test_models_of_the_present_settings_are_accepted(name: str, shared_pretraining: SharedPretraining) -> None:
    planned = plans(shared_pretraining, name)
    check_records(name, records(planned), planned)


def refusal(name: str, made: list[PlannedRun], wanted: list[PlannedRun]) -> str:
    with pytest.raises(InputError) as raised:
        check_records(name, records(made), wanted)
    sentence = str(raised.value)
    assert f"'{name}'" in sentence
    assert "\n" not in sentence
    return sentence


def test_another_setting_is_named_with_both_values_and_the_way_back(shared_pretraining: SharedPretraining) -> None:
    longer = shared_pretraining.model_copy(update={"steps": 12})
    assert refusal("ctcd", plans(shared_pretraining, "ctcd"), plans(longer, "ctcd")) == (
        "The models of 'ctcd' were trained with pretraining.steps = 6 and this run has 12: run a study with 'ctcd', or "
        "give --params pretraining.steps=6."
    )


def test_a_setting_of_one_of_two_models_is_named(shared_pretraining: SharedPretraining) -> None:
    student = shared_pretraining.student.model_copy(update={"layers": 3})
    deeper = shared_pretraining.model_copy(update={"student": student})
    sentence = refusal("standalone", plans(shared_pretraining, "standalone"), plans(deeper, "standalone"))
    assert "pretraining.student.layers = 1 and this run has 3" in sentence


def test_a_setting_that_the_variant_has_of_its_own_is_named_as_the_variants(
    shared_pretraining: SharedPretraining,
) -> None:
    made, wanted = (plans(shared_pretraining, "ctcd", weights={"student_soft": soft}) for soft in (4, 2))
    sentence = refusal("ctcd", made, wanted)
    assert "variants.ctcd.weights.student_soft = 4.0 and this run has 2.0" in sentence
    assert sentence.endswith("--params variants.ctcd.weights.student_soft=4.0.")


def test_other_seeds_are_named(shared_pretraining: SharedPretraining) -> None:
    other = shared_pretraining.model_copy(update={"seeds": [2, 3]})
    assert refusal("ctcd", plans(shared_pretraining, "ctcd"), plans(other, "ctcd")) == (
        "The models of 'ctcd' have the seeds 1, 2 and this run has 2, 3: run a study with 'ctcd', or give --params "
        "pretraining.seeds=1+2."
    )


def test_another_corpus_is_named(shared_pretraining: SharedPretraining) -> None:
    wanted = plans(shared_pretraining, "ctcd", CORPUS | {"fingerprint": "beef"})
    assert "on another corpus (f00d) than the present one (beef)" in refusal(
        "ctcd", plans(shared_pretraining, "ctcd"), wanted
    )


def test_another_source_is_named(shared_pretraining: SharedPretraining) -> None:
    wanted = plans(shared_pretraining, "one_way", teacher=STANDALONE | {"temperature": 1, "label_smoothing": 0.1})
    assert "by another frozen model than the present one" in refusal(
        "one_way", plans(shared_pretraining, "one_way"), wanted
    )


def test_a_given_source_is_taken_as_it_was(shared_pretraining: SharedPretraining) -> None:
    """Which model the user named for it is not known to a run that only writes the report."""
    planned = plans(shared_pretraining, "one_way")
    found = records(planned)
    for record in found:
        record["identity"]["source"] = "given/c0ffee"
    check_records("one_way", found, planned)


def test_another_version_of_the_training_is_named(
    shared_pretraining: SharedPretraining, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, planned = records(plans(shared_pretraining, "ctcd")), plans(shared_pretraining, "ctcd")
    monkeypatch.setattr(plan_module, "TRAINING_VERSION", 99)
    with pytest.raises(InputError, match=r"'ctcd' were trained by version 1 of the training, this is version 99"):
        check_records("ctcd", found, planned)


@pytest.mark.parametrize("method", ["one_way_online", "self_distillation", "student_alone"])
def test_another_method_is_named(method: str, shared_pretraining: SharedPretraining) -> None:
    made = plans(shared_pretraining, "mine", method=method)
    sentence = refusal("mine", made, plans(shared_pretraining, "mine", method="ctcd"))
    assert "method" in sentence or "weights" in sentence


def test_scores_of_other_models_are_refused(shared_pretraining: SharedPretraining) -> None:
    found = records(plans(shared_pretraining, "standalone"))
    runs = [record["run"] for record in found]
    check_scores("standalone", found, [*runs, *runs])
    for others in (runs[1:], [*runs, "f00d"], []):
        with pytest.raises(InputError, match="scores of 'standalone' are of other models than its present ones"):
            check_scores("standalone", found, others)
    with pytest.raises(InputError, match="The minimal pairs of 'standalone' are of other models"):
        check_scores("standalone", found, [], "minimal pairs")
