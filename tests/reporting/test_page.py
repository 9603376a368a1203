import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pandas as pd
import pytest
from plotly.offline import get_plotlyjs

from ctcd.reporting.figures import loss_curves, score_bars, score_differences
from ctcd.reporting.page import render_report
from ctcd.reporting.statistics import compare
from ctcd.reporting.tables import heldout_losses
from ctcd.reporting.verdicts import verdicts

Make = Callable[..., pd.DataFrame]
HOSTILE = "<script>alert('a & b')</script>"
COUNTS = {"documents": 1234, "words": 50_000, "characters": 300_000, "tokens": 70_000, "sequences": 500}
CORPUS: dict[str, Any] = {
    "source": "package documentation",
    "splits": {"train": COUNTS, "heldout": dict.fromkeys(COUNTS, 7)},
    "sequence_length": 64,
    "vocabulary_size": 8192,
    "unknown_rate": 0.00025,
    "unigram_entropy": 6.5,
    "fingerprint": "abc123",
    "tokenizer_fingerprint": "def456",
    "sample": {"source": "numpy", "raw": "Return an array.", "tokens": ["return", "an", "array", "."]},
}
PROVENANCE: dict[str, Any] = {
    "time": "2026-01-02T03:04:05+00:00",
    "commit": "0123abcd",
    "dirty": True,
    "versions": {"torch": "2.13.0"},
    "python": "3.11.9",
    "platform": "Linux",
    "processor": "Some CPU",
    "cores": 2,
    "memory_bytes": 8 * 2**30,
    "accelerators": [],
    "parameters": {"pretraining": {"steps": 20, "seed": 1}},
}


class Elements(HTMLParser):
    """Collects tags, attributes that load things, and what a reader sees."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.loads += [f"{tag} {name}={value}" for name, value in attributes if name in ("src", "href", "srcset")]
        if tag == "link":
            self.loads.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        place = self.open[-1] if self.open else ""
        if place == "script":
            self.scripts.append(data)
        elif place == "style":
            self.styles.append(data)
        else:
            self.text += data


def render(
    scores: pd.DataFrame,
    history: pd.DataFrame,
    corpus: dict[str, Any] = CORPUS,
    provenance: dict[str, Any] = PROVENANCE,
    title: str = "A study",
) -> str:
    bootstrap = pd.DataFrame(
        [("mean over tasks", "ctcd student", "standalone teacher", -4.5, -8.75, -0.25)],
        columns=["task", "model", "reference", "difference", "low", "high"],
    )
    comparison, losses = compare(scores, 0.95), heldout_losses(history, 6.5, {"ctcd student": 4_930_000})
    return render_report(
        scores=scores,
        comparison=comparison,
        bootstrap=bootstrap,
        losses=losses,
        verdicts=verdicts(comparison, losses),
        differences_figure=score_differences(comparison),
        scores_figure=score_bars(comparison),
        losses_figure=loss_curves(history, 6.5),
        corpus=corpus,
        provenance=provenance,
        title=title,
    )


def words(html: str) -> str:
    return re.sub(r"\s+", " ", Elements(html).text)


def test_page_loads_nothing_from_anywhere(study_scores: pd.DataFrame, study_history: pd.DataFrame) -> None:
    elements = Elements(render(study_scores, study_history))
    assert elements.loads == []
    assert not re.search(r"@import|url\(|https?:", "".join(elements.styles))
    ours = [script for script in elements.scripts if script != get_plotlyjs()]
    assert len(ours) == len(elements.scripts) - 1
    assert not re.search(r"https?:|fetch\(|import", "".join(ours))


def test_every_figure_is_drawn_in_its_place(study_scores: pd.DataFrame, study_history: pd.DataFrame) -> None:
    html = render(study_scores, study_history)
    for name in ("differences-figure", "scores-figure", "losses-figure"):
        assert html.count(f'<div id="{name}"') == 1


def test_the_claim_comes_before_anything_else(study_scores: pd.DataFrame, study_history: pd.DataFrame) -> None:
    text = words(render(study_scores, study_history))
    positions = [
        text.index(part)
        for part in (
            "The paper’s claim: contradicted",
            "The ctcd student loses to the standalone teacher by 4.98 points",
            "Intervals cover the fine-tuning seeds only.",
            "Figures",
            "Gains over random weights",
            "Held-out losses",
            "Corpus",
            "How to read this",
            "Provenance",
        )
    ]
    assert positions == sorted(positions)


def test_numbers_of_the_tables_are_on_the_page(study_scores: pd.DataFrame, study_history: pd.DataFrame) -> None:
    text = words(render(study_scores, study_history))
    for part in (
        "61.0 ±2.5",
        "66.0 ±2.6",
        "−4.98",
        "−5.17 to −4.79",
        "4.9 M",
        "4.200",
        "2.300",
        "train 1,234, held-out 7",
    ):
        assert part in text
    for part in ("0.025", "0123abcd with uncommitted changes", "2026-01-02 03:04 UTC", "8.0 GiB", "torch 2.13.0"):
        assert part in text
    assert '"steps": 20' in text


def test_everything_from_data_is_escaped(study_scores: pd.DataFrame, study_history: pd.DataFrame) -> None:
    corpus = {**CORPUS, "source": HOSTILE, "sample": {"source": HOSTILE, "raw": HOSTILE, "tokens": [HOSTILE, "<b>"]}}
    provenance = {**PROVENANCE, "processor": HOSTILE, "parameters": {HOSTILE: HOSTILE}}
    rename = {"ctcd": HOSTILE}
    html = render(
        study_scores.assign(
            variant=study_scores["variant"].replace(rename), task=study_scores["task"].replace({"topic": HOSTILE})
        ),
        study_history.assign(variant=study_history["variant"].replace(rename)),
        corpus,
        provenance,
        HOSTILE,
    )
    assert HOSTILE not in html
    plain = Elements(render(study_scores, study_history))
    assert len(Elements(html).scripts) == len(plain.scripts)
    assert "alert('a & b')" in words(html)


def test_one_seed_is_reported_without_intervals(make_scores: Make, study_history: pd.DataFrame) -> None:
    scores = make_scores({("standalone", "teacher"): {"topic": [61]}, ("ctcd", "student"): {"topic": [60]}})
    text = words(render(scores, study_history))
    assert "one fine-tuning seed has no interval and decides nothing" in text
    assert not re.search(r"\bnan\b", text.lower())
    assert "over 1 fine-tuning seed." in text


def test_a_study_without_standalone_has_no_table_of_differences(
    study_scores: pd.DataFrame, study_history: pd.DataFrame
) -> None:
    html = render(study_scores[study_scores["variant"] != "standalone"], study_history)
    assert "The paper’s claim: not tested" in words(html)
    assert 'id="differences-figure"' not in html


def test_missing_seeds_are_listed(study_scores: pd.DataFrame, study_history: pd.DataFrame) -> None:
    dropped = (study_scores["variant"] == "ctcd") & (study_scores["seed"] == 2) & (study_scores["task"] == "topic")
    text = words(render(study_scores[~dropped], study_history))
    assert "ctcd student on topic: 2 seeds" in text
    assert "ctcd student on word order" not in text


def test_corpus_without_a_sample_and_code_without_a_commit_are_left_out(
    study_scores: pd.DataFrame, study_history: pd.DataFrame
) -> None:
    outside = {key: value for key, value in PROVENANCE.items() if key not in ("commit", "dirty")}
    text = words(render(study_scores, study_history, {**CORPUS, "sample": {}}, outside))
    assert "as it was written" not in text
    assert "Commit" not in text


@pytest.mark.parametrize("examples", [100, 2500])
def test_reader_is_told_the_error_of_a_finite_task(
    study_scores: pd.DataFrame, study_history: pd.DataFrame, examples: int
) -> None:
    # The standard error of an accuracy of one half is 50 points over the root of the number of examples.
    text = words(render(study_scores.assign(examples=examples), study_history))
    assert f"up to {50 / examples**0.5:.1f} points on the smallest task" in text


def test_the_interval_over_examples_and_seeds_stands_beside_the_one_over_seeds(
    study_scores: pd.DataFrame, study_history: pd.DataFrame
) -> None:
    assert "−8.75 to −0.25" in words(render(study_scores, study_history))


def test_partial_tasks_and_both_means_are_in_the_table_of_tasks(make_scores: Make, study_history: pd.DataFrame) -> None:
    scores = make_scores({("ctcd", "student"): {"qqp": [60, 61], "wnli": [50, 51], "rte": [52, 53]}})
    page = words(render(scores.assign(is_partial=scores["task"] == "qqp"), study_history))
    assert page.count("a part of the published data") == 1
    assert "mean over tasks mean without wnli" in page
