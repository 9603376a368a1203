"""What happened during a training: one row per step, model and quantity."""

from dataclasses import dataclass, field

import pandas as pd
import torch
from torch import Tensor

from ctcd.distillation.losses import Losses

COLUMNS = ["step", "tokens", "role", "metric", "value"]


@dataclass
class History:
    """Rows (step, tokens, role, metric, value); losses in nats, averaged since the row before."""

    rows: list[list[int | str | float]] = field(default_factory=list)
    waiting: list[Tensor] = field(default_factory=list)

    def collect(self, losses: Losses, teacher_norm: Tensor, student_norm: Tensor) -> None:
        """Keep a step's figures on their device; nothing waits for them."""
        self.waiting.append(torch.stack((*losses[1:], teacher_norm, student_norm)))

    def flush(self, step: int, tokens: int, learning_rate: float, tokens_per_second: float) -> dict[str, float]:
        """Add rows of what was collected; returns the means by name."""
        means = torch.stack(self.waiting).mean(0).tolist()
        self.waiting.clear()
        names = ("hard_loss", "soft_loss", "hard_loss", "soft_loss", "gradient_norm", "gradient_norm")
        roles = ("teacher", "teacher", "student", "student", "teacher", "student")
        for role, name, value in zip(roles, names, means, strict=True):
            self.add(step, tokens, role, name, value)
        self.add(step, tokens, "pair", "learning_rate", learning_rate)
        self.add(step, tokens, "pair", "tokens_per_second", tokens_per_second)
        return {f"{role}_{name}": value for role, name, value in zip(roles, names, means, strict=True)}

    def add(self, step: int, tokens: int, role: str, metric: str, value: float) -> None:
        """Add one row."""
        self.rows.append([step, tokens, role, metric, value])

    def table(self) -> pd.DataFrame:
        """All rows."""
        return pd.DataFrame(self.rows, columns=COLUMNS)
