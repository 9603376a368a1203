"""Captured steps do what the steps themselves do; all of it needs a CUDA device."""

import pytest
import torch

from ctcd.engine.cuda_graphs import CapturedStep

pytestmark = pytest.mark.gpu
CUDA = torch.device("cuda")


@pytest.mark.parametrize("warm_up_once", [False, True])
def test_every_call_is_one_step_on_its_own_inputs(warm_up_once: bool) -> None:
    total = torch.zeros((), device=CUDA, dtype=torch.int64)
    captured = CapturedStep(lambda size, inputs, factor: total.add_(inputs.sum() * factor), warm_up_once)
    for number in range(5):
        for size in (2, 4):
            captured(size, torch.full((size,), number, device=CUDA), torch.full((), 3, device=CUDA))
    assert total.item() == 3 * (4 + 2) * sum(range(5))


def test_it_returns_what_the_function_returns() -> None:
    captured = CapturedStep(lambda _, inputs: {"doubled": 2 * inputs})
    results = [captured(None, torch.full((), number, device=CUDA))["doubled"].item() for number in range(5)]
    assert results == [0, 2, 4, 6, 8]


def test_dropout_is_drawn_anew_at_every_replay() -> None:
    captured = CapturedStep(lambda _: torch.dropout(torch.ones(64, device=CUDA), 0.5, True))
    assert len({tuple(captured(None).tolist()) for _ in range(5)}) == 5


def test_a_seed_set_before_a_replay_decides_its_dropout() -> None:
    captured = CapturedStep(lambda _: torch.dropout(torch.ones(64, device=CUDA), 0.5, True))
    drawn = []
    for seed in (1, 2, 3, 2, 3):
        torch.manual_seed(seed)
        drawn.append(captured(None).tolist())
    assert drawn[1:3] == drawn[3:5]
    assert drawn[1] != drawn[2]


def test_a_step_that_waits_for_the_device_is_not_captured(caplog) -> None:
    caplog.set_level("INFO")
    drawn = []
    captured = CapturedStep(lambda _: drawn.append(torch.rand((), device=CUDA).item()))
    for _ in range(4):
        captured(None)
    assert len(set(drawn)) >= 3  # the interrupted capture may have its number drawn again
    assert "cannot be captured" in caplog.text
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
