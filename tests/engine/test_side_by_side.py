import threading

import pytest
import torch

from ctcd.engine.side_by_side import SideBySide


def test_both_run_at_the_same_time_on_a_cpu() -> None:
    meeting = threading.Barrier(2, timeout=10)

    def meet() -> int:
        return meeting.wait()  # only passes if the other one is running too

    with SideBySide(in_threads=True) as both:
        assert sorted(both(meet, meet)) == [0, 1]


def test_with_dropout_they_run_in_turn() -> None:
    order: list[str] = []
    with SideBySide(in_threads=False) as both:
        both(lambda: order.append("teacher"), lambda: order.append("student"))
    assert order == ["teacher", "student"]


@pytest.mark.parametrize("failing", [0, 1])
def test_an_error_of_either_is_raised(failing: int) -> None:
    def fail() -> None:
        raise ValueError("no")

    calls = [lambda: None, lambda: None]
    calls[failing] = fail
    with pytest.raises(ValueError, match="no"), SideBySide(in_threads=True) as both:
        both(*calls)


def test_the_number_of_threads_is_as_before_afterwards() -> None:
    before = torch.get_num_threads()
    with SideBySide(in_threads=True):
        assert torch.get_num_threads() == max(1, before // 2)
    assert torch.get_num_threads() == before
