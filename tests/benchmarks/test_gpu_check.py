"""What `benchmarks/gpu check` finds, on the CPU."""

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    for folder in (BENCHMARKS, BENCHMARKS / "gpu"):
        monkeypatch.syspath_prepend(str(folder))
    module = importlib.import_module("check")
    monkeypatch.setattr(module, "record", lambda *_: tmp_path)
    return module


def test_a_right_device_passes(check: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert check.check("cpu", "tiny", False, 1) == 0
    assert "WRONG" not in capsys.readouterr().out


@pytest.mark.parametrize("factor", [1.001, float("nan")])
def test_a_loss_that_is_wrong_on_the_device_is_found(
    factor: float, check: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = check.distillation_losses

    def wrong(teacher: torch.Tensor, *arguments: Any) -> Any:
        losses = right(teacher, *arguments)
        return losses._replace(total=losses.total * factor) if teacher.dtype == torch.float32 else losses

    monkeypatch.setattr(check, "distillation_losses", wrong)
    assert check.check("cpu", "tiny", False, 1) == 1
    printed = capsys.readouterr().out.splitlines()
    marked = [line for line in printed if line.endswith("WRONG")]
    assert [line.split("  ")[1] for line in marked] == ["four losses, float32", "their gradients, float32"]


def test_a_training_step_that_is_wrong_on_the_device_is_found(
    check: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_losses = check._first_losses

    def wrong(shape: Any, execution: Any) -> torch.Tensor:
        losses = first_losses(shape, execution)
        if execution.bfloat16:
            losses[-1, 3] *= 1.2  # the student's soft loss of the last step
        return losses

    monkeypatch.setattr(check, "_first_losses", wrong)
    assert check.check("cpu", "tiny", False, 1) == 1
