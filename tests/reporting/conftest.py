from collections.abc import Callable, Mapping, Sequence

import pandas as pd
import pytest

from ctcd.reporting.tables import collect_histories, collect_scores

MakeScores = Callable[..., pd.DataFrame]


@pytest.fixture
def make_scores() -> MakeScores:
    """Scores from points: {(variant, role): {task: a value per seed}}, one metric and one split per task."""

    def make(
        points: Mapping[tuple[str, str], Mapping[str, Sequence[float]]], majority: Mapping[str, float] | None = None
    ) -> pd.DataFrame:
        def table(tasks: Mapping[str, Sequence[float]]) -> pd.DataFrame:
            rows = [
                (task, "validation", seed, "accuracy", value / 100, 400, False)
                for task, values in tasks.items()
                for seed, value in enumerate(values)
            ]
            return pd.DataFrame(rows, columns=["task", "split", "seed", "metric", "value", "examples", "is_partial"])

        floor = None if majority is None else table({task: [value] for task, value in majority.items()})
        return collect_scores([table(tasks) for tasks in points.values()], list(points), floor)

    return make


@pytest.fixture
def study_scores(make_scores: MakeScores) -> pd.DataFrame:
    """Two tasks, three seeds: the ctcd student loses to the teacher and beats the student; the teachers are level."""
    return make_scores(
        {
            ("untrained", "teacher"): {"word_order": [50, 51, 52], "topic": [40, 41, 42]},
            ("untrained", "student"): {"word_order": [49, 50, 51], "topic": [39, 40, 41]},
            ("standalone", "teacher"): {"word_order": [70.0, 71.0, 72.0], "topic": [60.1, 61.0, 61.9]},
            ("standalone", "student"): {"word_order": [60.0, 61.1, 62.0], "topic": [50, 51, 52]},
            ("ctcd", "teacher"): {"word_order": [71, 70, 72], "topic": [61, 60, 62]},
            ("ctcd", "student"): {"word_order": [65, 66, 67.1], "topic": [55, 56, 57]},
        },
        majority={"word_order": 50, "topic": 20},
    )


@pytest.fixture
def study_history() -> pd.DataFrame:
    """Two variants, two evaluations; the standalone pair has no soft loss."""

    def table(teacher: float, student: float, soft: float) -> pd.DataFrame:
        rows = [
            (step, 1000 * step, role, metric, value)
            for role, loss in (("teacher", teacher), ("student", student))
            for step, metric, value in [
                (0, "heldout_loss", 8.0),
                (0, "heldout_accuracy", 0.0),
                (10, "hard_loss", loss + 0.2),
                (10, "soft_loss", soft),
                (20, "hard_loss", loss + 0.1),
                (20, "soft_loss", soft / 2),
                (20, "heldout_loss", loss),
                (20, "heldout_accuracy", 0.3),
            ]
        ]
        rows.append((20, 20_000, "pair", "tokens_per_second", 1e4))
        return pd.DataFrame(rows, columns=["step", "tokens", "role", "metric", "value"])

    return collect_histories([table(4.0, 4.4, 0.0), table(3.9, 4.2, 0.2)], ["standalone", "ctcd"])
