import pytest

from ctcd.distillation.methods import METHODS, Weights, weights_of
from ctcd.errors import InputError


def test_ctcd_has_the_weights_of_the_paper() -> None:
    assert weights_of("ctcd") == Weights(teacher_hard=1, teacher_soft=1, student_hard=1, student_soft=4)


def test_standalone_has_hard_losses_only() -> None:
    assert weights_of("standalone") == Weights(teacher_hard=1, teacher_soft=0, student_hard=1, student_soft=0)


def test_an_unknown_method_names_the_known_ones() -> None:
    with pytest.raises(InputError, match=f"choose one of {', '.join(METHODS)}"):
        weights_of("ctdc")
