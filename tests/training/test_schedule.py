import pytest

from ctcd.parameters import SoftWeightsParameters
from ctcd.training.schedule import SCHEDULES, learning_rate_factor, soft_weight_factor


def test_warm_up_then_decay_by_hand() -> None:
    factors = [learning_rate_factor(step, 10, 0.2) for step in range(10)]
    assert factors == pytest.approx([0.5, 1.0, 1.0, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8])


def test_without_warm_up_the_first_step_has_the_peak_rate() -> None:
    assert learning_rate_factor(0, 10, 0.0) == 1.0


def test_schedules_start_at_the_peak_and_end_where_they_should() -> None:
    def at(step: int, schedule: str) -> float:
        return learning_rate_factor(step, 100, 0.0, schedule)

    assert [at(50, name) for name in ("linear", "cosine", "constant")] == pytest.approx([0.5, 0.5, 1.0])
    assert at(25, "cosine") == pytest.approx(0.5 + 0.5**1.5)
    assert all(at(0, name) == 1.0 for name in SCHEDULES)
    assert at(99, "cosine") < 0.001


def test_soft_weights_are_constant_unless_asked() -> None:
    assert {soft_weight_factor(step, 10, SoftWeightsParameters()) for step in range(10)} == {1.0}


def test_soft_weights_rise_from_zero_and_then_go_to_their_final_factor() -> None:
    settings = SoftWeightsParameters(warmup_share=0.2, final_factor=0.25)
    factors = [soft_weight_factor(step, 10, settings) for step in range(10)]
    assert factors[:3] == pytest.approx([0.0, 0.5, 1.0])
    assert factors[3:] == pytest.approx([1 - 0.75 * done / 8 for done in range(1, 8)])
    assert soft_weight_factor(10, 10, settings) == pytest.approx(0.25)
