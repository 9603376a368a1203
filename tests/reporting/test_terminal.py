import re
from collections.abc import Callable

import pandas as pd

from ctcd.reporting.bootstrap import COLUMNS as BOOTSTRAP_COLUMNS
from ctcd.reporting.claims import check_claims, claimed_pairs
from ctcd.reporting.measurements import collect_measurements
from ctcd.reporting.minimal_pairs import SUMMARY_COLUMNS, collect_minimal_pairs, summarise_minimal_pairs
from ctcd.reporting.robustness import RobustnessTable
from ctcd.reporting.statistics import compare
from ctcd.reporting.tables import SCORE_COLUMNS
from ctcd.reporting.terminal import pairs_text, scores_text, study_text
from ctcd.studies.study import Claim

Make = Callable[..., pd.DataFrame]
CLAIMS = (
    Claim(better="ctcd student", than="standalone teacher", primary=True),
    Claim(better="ctcd student", than="standalone student"),
    Claim(better="ctcd teacher", than="standalone teacher"),
    Claim(better="ctcd student", than="standalone teacher", on="heldout_loss"),
)


def text_of(scores: pd.DataFrame, losses: pd.DataFrame, claims: tuple[Claim, ...] = CLAIMS, width: int = 100) -> str:
    table = check_claims(claims, collect_measurements(scores, losses), pd.DataFrame(columns=BOOTSTRAP_COLUMNS), 0.95)
    comparison = compare(scores, claimed_pairs(claims), 0.95, "pretraining_seed")
    return study_text(table, comparison, losses, width=width)


def test_a_claim_on_another_measure_names_it() -> None:
    rows = [
        (model, seed, "calibration_error", part, value + seed)
        for model, value in (("ctcd student", 3.0), ("standalone student", 5.0))
        for seed in (1, 2)
        for part in ("all", "rte")
    ]
    measurements = pd.DataFrame(rows, columns=["model", "pretraining_seed", "measure", "part", "value"])
    pair = {"better": "ctcd student", "than": "standalone student", "on": "calibration_error"}
    claims = check_claims(
        [Claim(**pair), Claim(**pair, part="rte")], measurements, pd.DataFrame(columns=BOOTSTRAP_COLUMNS), 0.95
    )
    scores = pd.DataFrame(
        [("ctcd", "student", 1, "rte", "validation", 0, "accuracy", 0.5, 10, False)], columns=SCORE_COLUMNS
    )
    comparison = compare(scores, [], 0.95, "pretraining_seed")
    lines = study_text(claims, comparison, pd.DataFrame()).splitlines()
    assert "points, calibration error  +2.00" in lines[1]
    assert "points, calibration error, rte  +2.00" in lines[2]


def test_robustness_is_a_table_of_its_own() -> None:
    table = RobustnessTable(["typos", "calibration error"], [("ctcd student", ["60.0 ±1.0", "5.0"])])
    scores = pd.DataFrame(
        [("ctcd", "student", 1, "rte", "validation", 0, "accuracy", 0.5, 10, False)], columns=SCORE_COLUMNS
    )
    comparison = compare(scores, [], 0.95, "pretraining_seed")
    text = study_text(pd.DataFrame(), comparison, pd.DataFrame(), table)
    assert text.splitlines()[-4:] == [
        "Perturbed text, and calibration on unchanged text, in points",
        "                         calibration",
        "                  typos        error",
        "ctcd student  60.0 ±1.0          5.0",
    ]


def test_losses_by_source_and_perplexities_are_shown_where_there_are_some(
    study_scores: pd.DataFrame, study_losses: pd.DataFrame
) -> None:
    by_source = study_losses.assign(**{"heldout_loss/de": 5.0, "heldout_loss/en": 3.0})
    text = text_of(study_scores, by_source.assign(heldout_perplexity=54.6))
    assert "accuracy  perplexity\n" in text
    assert text.endswith("ctcd student        5.000  3.000")


def test_a_study_as_text(study_scores: pd.DataFrame, study_losses: pd.DataFrame) -> None:
    assert text_of(study_scores, study_losses) == "\n".join(
        [
            "Differences, paired over 3 pre-training seeds, with 95 % intervals; more is better for the first-named",
            "ctcd student - standalone teacher †  points   -4.98    -5.17 to -4.79      worse",
            "ctcd student - standalone student    points   +5.00    +4.88 to +5.12     better",
            "ctcd student - standalone teacher      nats  -0.200  -0.200 to -0.200      worse",
            "ctcd teacher - standalone teacher    points    0.00    -2.42 to +2.42  undecided",
            "† the study's primary claim; verdicts, not intervals, are corrected for 4 claims",
            "",
            "Scores in points (mean ± half the 95 % interval over 3 pre-training seeds)",
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
            "Held-out loss in nats: mean, spread over 3 pre-training seeds, error over text",
            "                     loss  spread  error  accuracy",
            "untrained teacher   8.000   0.010  0.012    30.0 %",
            "untrained student   8.100   0.010  0.012    30.0 %",
            "standalone teacher  4.000   0.010  0.012    30.0 %",
            "standalone student  4.400   0.010  0.012    30.0 %",
            "ctcd teacher        3.900   0.010  0.012    30.0 %",
            "ctcd student        4.200   0.010  0.012    30.0 %",
        ]
    )


def test_a_study_without_fine_tuning_has_losses_and_no_scores(
    study_scores: pd.DataFrame, study_losses: pd.DataFrame
) -> None:
    text = text_of(study_scores[:0], study_losses)
    assert "points     –" in re.sub(" +–", "     –", text)
    assert "Held-out loss in nats" in text
    assert "Scores in points" not in text


def test_many_tasks_stay_within_the_width(make_scores: Make, study_losses: pd.DataFrame) -> None:
    tasks = {f"task_number_{number}": [50.0 + number, 60.0] for number in range(14)}
    scores = make_scores({("standalone", "teacher"): tasks, ("ctcd", "student"): tasks})
    text = text_of(scores, study_losses, claims=(), width=80)
    assert max(len(line) for line in text.splitlines()) <= 80
    assert text.count("ctcd student   ") >= 2
    assert [number for number in range(14) if f" {number}" not in text] == []


def test_with_one_seed_nothing_is_called_better_or_worse(make_scores: Make, make_losses: Make) -> None:
    scores = make_scores({("standalone", "teacher"): {"topic": [[61, 62]]}, ("ctcd", "student"): {"topic": [[60, 60]]}})
    losses = make_losses({"standalone teacher": [4.0], "ctcd student": [4.2]})
    text = text_of(scores, losses, (CLAIMS[0], CLAIMS[3]))
    assert "Scores in points (1 pre-training seed, so no interval)" in text
    assert "±" not in text
    rows = [line for line in text.splitlines() if line.startswith("ctcd student - standalone teacher")]
    assert [re.split(r" {2,}", line)[1:] for line in rows] == [
        ["points", "-1.50", "–", "one pre-training: decides nothing"],
        ["nats", "-0.200", "–", "one pre-training: decides nothing"],
    ]
    assert not re.search(r"(better|worse)$", text, re.MULTILINE)
    assert "nan" not in text


def test_without_claims_and_losses_the_scores_stand_alone(make_scores: Make, study_losses: pd.DataFrame) -> None:
    text = text_of(make_scores({("ctcd", "student"): {"topic": [60, 61]}}), study_losses[:0], claims=())
    assert text.startswith("Scores in points")
    assert "Held-out" not in text
    assert "Differences" not in text


def test_a_task_on_a_part_of_its_data_is_marked(make_scores: Make) -> None:
    scores = make_scores({("own", ""): {"qqp": [60, 61], "rte": [52, 53]}})
    text = scores_text(compare(scores.assign(is_partial=scores["task"] == "qqp"), [], 0.95, "seed"), "seed")
    assert "qqp*" in text
    assert "rte*" not in text
    assert text.endswith("* on a part of the published data")
    assert "over 2 fine-tuning seeds" in text


def test_minimal_pairs_as_text(study_pairs) -> None:
    assert pairs_text(summarise_minimal_pairs(collect_minimal_pairs(study_pairs, {}))) == "\n".join(
        [
            "Minimal pairs, accuracy in points; chance is 50, the error is that of the pairs",
            "                    zorro   own",
            "standalone teacher   70.0  50.0",
            "ctcd student         80.0  60.0",
            "standard error        1.8   3.5",
        ]
    )
    assert pairs_text(pd.DataFrame(columns=SUMMARY_COLUMNS)) == ""
