from collections.abc import Callable

import pandas as pd

from ctcd.reporting.statistics import compare
from ctcd.reporting.tables import heldout_losses
from ctcd.reporting.terminal import comparison_text, scores_text

Make = Callable[..., pd.DataFrame]


def test_default_study_as_text(study_scores: pd.DataFrame, study_history: pd.DataFrame) -> None:
    text = comparison_text(compare(study_scores, 0.95), heldout_losses(study_history, 6.5))
    assert text == "\n".join(
        [
            "Scores in points (mean ± half the 95 % interval over 3 fine-tuning seeds)",
            "                                           mean over",
            "                    word order      topic      tasks",
            "majority class            50.0       20.0       35.0",
            "untrained teacher    51.0 ±2.5  41.0 ±2.5  46.0 ±2.5",
            "untrained student    50.0 ±2.5  40.0 ±2.5  45.0 ±2.5",
            "standalone teacher   71.0 ±2.5  61.0 ±2.2  66.0 ±2.4",
            "standalone student   61.0 ±2.5  51.0 ±2.5  56.0 ±2.5",
            "ctcd teacher         71.0 ±2.5  61.0 ±2.5  66.0 ±2.5",
            "ctcd student         66.0 ±2.6  56.0 ±2.5  61.0 ±2.5",
            "",
            "Differences of the mean over tasks, paired by seed, with 95 % intervals",
            "ctcd student - standalone teacher  -4.98  -5.17 to -4.79      worse",
            "ctcd student - standalone student  +5.00  +4.88 to +5.12     better",
            "ctcd teacher - standalone teacher   0.00  -2.42 to +2.42  undecided",
            "",
            "Held-out loss on predicted words in nats, one pre-training run each",
            "                     loss  unigram entropy  below it by  accuracy",
            "standalone teacher  4.000            6.500        2.500    30.0 %",
            "standalone student  4.400            6.500        2.100    30.0 %",
            "ctcd teacher        3.900            6.500        2.600    30.0 %",
            "ctcd student        4.200            6.500        2.300    30.0 %",
        ]
    )


def test_many_tasks_stay_within_the_width(make_scores: Make, study_history: pd.DataFrame) -> None:
    tasks = {f"task_number_{number}": [50.0 + number, 60.0] for number in range(14)}
    scores = make_scores({("standalone", "teacher"): tasks, ("ctcd", "student"): tasks})
    text = comparison_text(compare(scores, 0.95), heldout_losses(study_history, 6.5), width=80)
    assert max(len(line) for line in text.splitlines()) <= 80
    assert text.count("ctcd student   ") >= 2
    assert [number for number in range(14) if f" {number}" not in text] == []


def test_one_seed_says_that_there_is_no_interval(make_scores: Make) -> None:
    models = {("standalone", "teacher"): {"topic": [61]}, ("ctcd", "student"): {"topic": [60]}}
    empty = heldout_losses(pd.DataFrame(columns=["variant", "step", "tokens", "role", "metric", "value"]), 6.5)
    text = comparison_text(compare(make_scores(models), 0.95), empty)
    assert "one fine-tuning seed, so no interval" in text
    assert "±" not in text
    assert "ctcd student - standalone teacher  -1.00  –  undecided" in text
    assert "Held-out" not in text


def test_a_task_on_a_part_of_its_data_is_marked(make_scores: Make) -> None:
    scores = make_scores({("own", ""): {"qqp": [60, 61], "rte": [52, 53]}})
    text = scores_text(compare(scores.assign(is_partial=scores["task"] == "qqp"), 0.95))
    assert "qqp*" in text
    assert "rte*" not in text
    assert text.endswith("* on a part of the published data")
