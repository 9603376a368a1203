import pytest

from ctcd.engine.schedule import SCHEDULES, learning_rate_factor


def test_warm_up_then_decay_by_hand() -> None:
    factors = [learning_rate_factor(done / 10, 0.2) for done in range(11)]
    assert factors == pytest.approx([0, 0.5, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8, 0])


def test_warm_up_plateau_and_decay_by_hand() -> None:
    factors = [learning_rate_factor(done / 10, 0.2, "linear", 0.4) for done in range(11)]
    assert factors == pytest.approx([0, 0.5, 1, 1, 1, 1, 1, 3 / 4, 2 / 4, 1 / 4, 0])


def test_a_decay_that_is_longer_than_what_the_warm_up_leaves_begins_with_its_end() -> None:
    for done in range(11):
        assert learning_rate_factor(done / 10, 0.5, "linear", 0.8) == learning_rate_factor(done / 10, 0.5)


def test_without_warm_up_training_starts_at_the_peak_rate() -> None:
    assert learning_rate_factor(0.0, 0.0) == 1.0


def test_schedules_start_at_the_peak_and_end_where_they_should() -> None:
    def at(done: float, schedule: str) -> float:
        return learning_rate_factor(done, 0.0, schedule)

    assert [at(0.5, name) for name in ("linear", "cosine", "constant")] == pytest.approx([0.5, 0.5, 1.0])
    assert at(0.25, "cosine") == pytest.approx(0.5 + 0.5**1.5)
    assert all(at(0.0, name) == 1.0 for name in SCHEDULES)
    assert [at(1.0, name) for name in ("linear", "cosine", "constant")] == pytest.approx([0.0, 0.0, 1.0])
