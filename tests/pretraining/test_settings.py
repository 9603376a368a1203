"""What a variant may change of what all variants share."""

import pytest
from pydantic import ValidationError

from ctcd.lineage.settings import deep_merge
from ctcd.pretraining.settings import SharedPretraining, VariantParameters


def variant(**differences) -> VariantParameters:
    return VariantParameters.model_validate({"name": "mine", "method": "ctcd", **differences})


def test_a_variant_without_differences_has_the_shared_settings_and_the_seed(shared_pretraining) -> None:
    settings = variant().settings(shared_pretraining, seed=7)
    assert settings.model_dump() == shared_pretraining.model_dump(exclude={"seeds"}) | {"seed": 7}


def test_a_difference_in_a_part_keeps_the_rest_of_it(shared_pretraining) -> None:
    settings = variant(student={"layers": 3}, optimiser={"weight_decay": 0.5}).settings(shared_pretraining, seed=1)
    assert settings.student == shared_pretraining.student.model_copy(update={"layers": 3})
    assert settings.optimiser == shared_pretraining.optimiser.model_copy(update={"weight_decay": 0.5})


def test_a_whole_budget_of_its_own_takes_the_place_of_the_shared_one_and_a_factor_does_not(shared_pretraining) -> None:
    shared = shared_pretraining.model_copy(update={"tokens": 1000})
    assert variant(epochs=2).settings(shared, seed=1).tokens is None
    half = variant(budget=0.5).settings(shared, seed=1)
    assert (half.tokens, half.budget) == (1000, 0.5)


@pytest.mark.parametrize(
    ("differences", "name"),
    [
        ({"temprature": 2}, "temprature"),
        ({"student": {"layer": 2}}, "student.layer"),
        ({"student": {"layers": 0}}, "student.layers"),
        ({"tokens": 5, "minutes": 1}, ""),
        ({"seed": 3}, "seed"),  # a variant of its own seed would be compared with others unpaired
        ({"seeds": [3]}, "seeds"),
    ],
)
def test_what_a_variant_may_not_change_is_refused_by_name(differences, name: str, shared_pretraining) -> None:
    with pytest.raises(ValidationError) as raised:
        variant(**differences).settings(shared_pretraining, seed=1)
    assert ".".join(map(str, raised.value.errors()[0]["loc"])) == name


def test_a_weight_that_no_method_has_is_refused() -> None:
    with pytest.raises(ValidationError, match="student_softt"):
        variant(weights={"student_softt": 1})


def test_seeds_are_some_and_different_and_may_stand_on_the_command_line(shared_pretraining) -> None:
    def seeds(value) -> list[int]:
        return SharedPretraining.model_validate(shared_pretraining.model_dump() | {"seeds": value}).seeds

    assert seeds("3+4") == [3, 4]
    assert seeds(5) == [5]
    with pytest.raises(ValidationError, match="one seed stands there twice"):
        seeds([1, 1])
    with pytest.raises(ValidationError, match="at least 1"):
        seeds([])


def test_a_merge_changes_neither_of_its_sides() -> None:
    values, changes = {"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 5}, "d": {"e": 4}}
    assert deep_merge(values, changes) == {"a": {"b": 5, "c": 2}, "d": {"e": 4}}
    assert (values, changes) == ({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 5}, "d": {"e": 4}})
