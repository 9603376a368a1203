import pytest

from ctcd.distillation.methods import METHODS, Weights, find_method
from ctcd.errors import InputError


def test_ctcd_has_the_weights_of_the_paper() -> None:
    assert find_method("ctcd").weights == Weights(teacher_hard=1, teacher_soft=1, student_hard=1, student_soft=4)


def test_standalone_has_hard_losses_only() -> None:
    assert find_method("standalone").weights == Weights(teacher_hard=1, teacher_soft=0, student_hard=1, student_soft=0)


def test_an_unknown_method_names_the_known_ones() -> None:
    with pytest.raises(InputError, match=f"choose one of {', '.join(METHODS)}"):
        find_method("ctdc")


def test_single_weights_can_be_replaced() -> None:
    assert find_method("ctcd", {"student_soft": 2.0}).weights == Weights(1, 1, 1, 2.0)
    assert METHODS["ctcd"].weights.student_soft == 4


@pytest.mark.parametrize(("name", "weight"), [("one_way", "teacher_hard"), ("reverse", "student_soft")])
def test_a_weight_of_a_model_that_is_not_trained_is_refused(name: str, weight: str) -> None:
    with pytest.raises(InputError, match=f"'{name}' does not train the .*: remove its weight '{weight}'"):
        find_method(name, {weight: 1.0})


def test_only_methods_with_a_ready_model_train_one_role() -> None:
    assert find_method("one_way").trained == ("student",)
    assert find_method("reverse").trained == ("teacher",)
    assert all(method.trained == ("teacher", "student") for method in METHODS.values() if method.frozen is None)


@pytest.mark.parametrize(
    ("name", "weights", "role"),
    [("standalone", {"student_hard": 0}, "student"), ("ctcd", {"teacher_hard": 0, "teacher_soft": 0}, "teacher")],
)
def test_a_model_with_nothing_to_learn_from_is_refused(name: str, weights: dict, role: str) -> None:
    with pytest.raises(InputError, match=f"would train the {role} with both weights 0"):
        find_method(name, weights)
