"""What happened during a training: one row per step, model and quantity."""

from dataclasses import dataclass, field

import pandas as pd
import torch
from torch import Tensor

COLUMNS = ["step", "tokens", "role", "metric", "value"]


@dataclass
class History:
    """Rows (step, tokens, role, metric, value); losses in nats, averaged since the row before."""

    rows: list[list[int | str | float]] = field(default_factory=list)
    waiting: list[Tensor] = field(default_factory=list)
    names: list[tuple[str, str]] = field(default_factory=list)

    def collect(self, quantities: dict[tuple[str, str], Tensor]) -> None:
        """Keep a step's figures, by role and metric, on their device; nothing waits for them."""
        self.names = list(quantities)
        self.waiting.append(torch.stack(list(quantities.values())))

    def flush(self, step: int, tokens: int, learning_rate: float, tokens_per_second: float) -> dict[str, float]:
        """Add rows of what was collected; returns the means by name."""
        means = dict(zip(self.names, torch.stack(self.waiting).mean(0).tolist(), strict=True))
        self.waiting.clear()
        for (role, name), value in means.items():
            self.add(step, tokens, role, name, value)
        self.add(step, tokens, "pair", "learning_rate", learning_rate)
        self.add(step, tokens, "pair", "tokens_per_second", tokens_per_second)
        return {f"{role}_{name}": value for (role, name), value in means.items()}

    def add(self, step: int, tokens: int, role: str, metric: str, value: float) -> None:
        """Add one row."""
        self.rows.append([step, tokens, role, metric, value])

    def has(self, step: int, metric: str) -> bool:
        """Whether there is a row of a metric at a step."""
        return any(row[0] == step and row[3] == metric for row in self.rows)

    def table(self) -> pd.DataFrame:
        """All rows."""
        return pd.DataFrame(self.rows, columns=COLUMNS)
