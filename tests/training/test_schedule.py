import pytest

from ctcd.training.schedule import learning_rate_factor


def test_warm_up_then_decay_by_hand() -> None:
    factors = [learning_rate_factor(step, 10, 0.2) for step in range(10)]
    assert factors == pytest.approx([0.5, 1.0, 1.0, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8])


def test_without_warm_up_the_first_step_has_the_peak_rate() -> None:
    assert learning_rate_factor(0, 10, 0.0) == 1.0
