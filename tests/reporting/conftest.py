from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import pytest

from ctcd.reporting.minimal_pairs import ACCURACY
from ctcd.reporting.tables import collect_histories, collect_scores, final_losses

Points = Mapping[str, Sequence[float | Sequence[float]]]
MakeScores = Callable[..., pd.DataFrame]
MakeLosses = Callable[..., pd.DataFrame]


def score_table(role: str, tasks: Points) -> pd.DataFrame:
    """One metric and one split per task; a value per pre-training seed (from 1), or values per fine-tuning seed."""
    rows = [
        (role, pretraining_seed, task, "validation", seed, "accuracy", value / 100, 400, False)
        for task, by_seed in tasks.items()
        for pretraining_seed, values in enumerate(by_seed, start=1)
        for seed, value in enumerate(np.atleast_1d(values))
    ]
    names = ["role", "pretraining_seed", "task", "split", "seed", "metric", "value", "examples", "is_partial"]
    return pd.DataFrame(rows, columns=names)


def pair_rows(role: str, accuracy: Mapping[tuple[str, str, str], float]) -> pd.DataFrame:
    """Accuracy on paradigms, each of 200 pairs of which 150 are of equal length, with three seeds."""
    rows = [
        (f"run-{seed}", seed, role, *paradigm, 200, value + (seed - 2) / 100, 150, value)
        for seed in (1, 2, 3)
        for paradigm, value in accuracy.items()
    ]
    return pd.DataFrame(rows, columns=["run", "pretraining_seed", "role", *ACCURACY])


@pytest.fixture
def study_pairs() -> dict[str, pd.DataFrame]:
    """Two sets, by variant; one has two phenomena with three paradigms, the other is one paradigm."""
    one, two, three = ("zorro", "verbs", "be"), ("zorro", "verbs", "do"), ("zorro", "words", "order")
    own = ("own", "own", "own")
    return {
        "standalone": pair_rows("teacher", {one: 0.6, two: 0.7, three: 0.8, own: 0.5}),
        "ctcd": pair_rows("student", {one: 0.7, two: 0.8, three: 0.9, own: 0.6}),
    }


@pytest.fixture
def make_scores() -> MakeScores:
    """Scores from points: {(variant, role): {task: a value per pre-training seed, or values per fine-tuning seed}}.

    A model without a role is one that somebody gives: its values are per fine-tuning seed.
    """

    def make(points: Mapping[tuple[str, str], Points], majority: Mapping[str, float] | None = None) -> pd.DataFrame:
        tables: dict[str, pd.DataFrame] = {}
        for (variant, role), tasks in points.items():
            table = score_table(role, tasks)
            if not role:
                table = table.assign(seed=table["pretraining_seed"] - 1).drop(columns=["role", "pretraining_seed"])
            tables[variant] = pd.concat([tables[variant], table]) if variant in tables else table
        if majority is None:
            return collect_scores(tables)
        floor = score_table("", {task: [value] for task, value in majority.items()})
        return collect_scores(tables, floor.drop(columns=["role", "pretraining_seed"]))

    return make


@pytest.fixture
def make_losses() -> MakeLosses:
    """Held-out losses from {model: a value per pre-training seed, from 1}."""

    def make(nats: Mapping[str, Sequence[float]]) -> pd.DataFrame:
        rows = [
            (model, seed, 20, 20_000, value, 0.01, 0.3, 4_930_000)
            for model, values in nats.items()
            for seed, value in enumerate(values, start=1)
        ]
        measured = ["heldout_loss", "heldout_loss_error", "heldout_accuracy", "parameters"]
        return pd.DataFrame(rows, columns=["model", "pretraining_seed", "steps", "tokens", *measured])

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
    """Three variants, three seeds. Random weights have one measurement; the standalone pair has no soft loss."""

    def table(teacher: float, student: float, soft: float) -> pd.DataFrame:
        rows = [
            (seed, step, 1000 * step, role, metric, value)
            for seed, more in ((1, -0.01), (2, 0.0), (3, 0.01))
            for role, loss, size in (("teacher", teacher + more, 7_000_000), ("student", student + more, 4_930_000))
            for step, metric, value in [
                (0, "parameters", size),
                (0, "sampled_heldout_loss", 8.0),
                (10, "hard_loss", loss + 0.2),
                (10, "soft_loss", soft),
                (20, "hard_loss", loss + 0.1),
                (20, "soft_loss", soft / 2),
                (20, "sampled_heldout_loss", loss + 0.05),
                (20, "heldout_loss", loss),
                (20, "heldout_loss_error", 0.012),
                (20, "heldout_accuracy", 0.3),
                (20, "tokens_per_second", 1e4),
            ]
        ]
        return pd.DataFrame(rows, columns=["pretraining_seed", "step", "tokens", "role", "metric", "value"])

    untrained = table(8.0, 8.1, 0.0)
    measured = untrained["metric"].isin(["heldout_loss", "heldout_loss_error", "heldout_accuracy", "parameters"])
    untrained = untrained[measured].assign(step=0, tokens=0)
    trained = {"standalone": table(4.0, 4.4, 0.0), "ctcd": table(3.9, 4.2, 0.2)}
    return collect_histories({"untrained": untrained, **trained})


@pytest.fixture
def study_losses(study_history: pd.DataFrame) -> pd.DataFrame:
    return final_losses(study_history)
