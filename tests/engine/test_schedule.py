import pytest

from ctcd.engine.schedule import SCHEDULES, learning_rate_factor, soft_weight_factor
from ctcd.pretraining.settings import SoftWeightsParameters


def test_warm_up_then_decay_by_hand() -> None:
    factors = [learning_rate_factor(done / 10, 0.2) for done in range(11)]
    assert factors == pytest.approx([0, 0.5, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8, 0])


def test_without_warm_up_training_starts_at_the_peak_rate() -> None:
    assert learning_rate_factor(0.0, 0.0) == 1.0


def test_schedules_start_at_the_peak_and_end_where_they_should() -> None:
    def at(done: float, schedule: str) -> float:
        return learning_rate_factor(done, 0.0, schedule)

    assert [at(0.5, name) for name in ("linear", "cosine", "constant")] == pytest.approx([0.5, 0.5, 1.0])
    assert at(0.25, "cosine") == pytest.approx(0.5 + 0.5**1.5)
    assert all(at(0.0, name) == 1.0 for name in SCHEDULES)
    assert [at(1.0, name) for name in ("linear", "cosine", "constant")] == pytest.approx([0.0, 0.0, 1.0])


def test_soft_weights_are_constant_unless_asked() -> None:
    assert {soft_weight_factor(done / 10, SoftWeightsParameters()) for done in range(11)} == {1.0}


def test_soft_weights_rise_from_zero_and_then_go_to_their_final_factor() -> None:
    settings = SoftWeightsParameters(warmup_share=0.2, final_factor=0.25)
    factors = [soft_weight_factor(done / 10, settings) for done in range(11)]
    assert factors[:3] == pytest.approx([0.0, 0.5, 1.0])
    assert factors[2:] == pytest.approx([1 - 0.75 * done / 8 for done in range(9)])
