import re
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from typing import Any

import pandas as pd
import pytest
from plotly.offline import get_plotlyjs

from ctcd.reporting.claims import check_claims, claimed_pairs
from ctcd.reporting.figures import loss_curves, score_bars, score_differences
from ctcd.reporting.findings import find_controls
from ctcd.reporting.measurements import collect_measurements
from ctcd.reporting.minimal_pairs import SUMMARY_COLUMNS, collect_minimal_pairs, summarise_minimal_pairs
from ctcd.reporting.page import render_report
from ctcd.reporting.statistics import compare, gains_over_random_weights
from ctcd.reporting.tables import final_losses, model_names
from ctcd.studies.study import Claim

Make = Callable[..., pd.DataFrame]
NO_PAIRS = pd.DataFrame(columns=SUMMARY_COLUMNS)
HOSTILE = "<script>alert('a & b')</script>"
COUNTS = {"documents": 1234, "words": 50_000, "characters": 300_000, "tokens": 70_000, "sequences": 500}
CORPUS: dict[str, Any] = {
    "source": "package documentation",
    "splits": {"train": COUNTS, "heldout": dict.fromkeys(COUNTS, 7)},
    "sequence_length": 64,
    "vocabulary_size": 8192,
    "duplicates": {"exact_duplicate": {"documents": 2, "characters": 10}, "near_duplicate": dict.fromkeys(COUNTS, 0)},
    "unknown_rate": 0.00025,
    "unigram_entropy": 6.5,
    "fingerprint": "abc123",
    "tokenizer_fingerprint": "def456",
    "sample": {
        "topic": "numpy",
        "raw": "Return an array.",
        "tokens": ["return", "an", "array", "."],
        "decoded": "return an array.",
    },
}
PROVENANCE: dict[str, Any] = {
    "runs": 15,
    "facts": {
        "Commit": ["0123abcd with uncommitted changes", "4567cdef"],
        "Device": ["Some CPU"],
        "Packages": ["torch 2.13.0, numpy 2.0.0"],
        "Started": ["2026-01-02T03:04:05+00:00"],
    },
    "settings": {"steps": 20, "student.layers": 2},
    "differences": {"temperature": {"ctcd": 2.0, "one_way student": 2.0, "standalone student": 1.0}},
}
CLAIMS = (
    Claim(better="ctcd student", than="standalone teacher", primary=True, paper=1.66),
    Claim(better="ctcd student", than="standalone student"),
    Claim(better="ctcd teacher", than="standalone teacher"),
    Claim(better="ctcd student", than="standalone teacher", on="heldout_loss"),
)


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
    claims: tuple[Claim, ...] = CLAIMS,
    corpus: dict[str, Any] = CORPUS,
    provenance: dict[str, Any] = PROVENANCE,
    question: str = "Is it better?",
    others: Sequence[pd.DataFrame] = (),
    minimal_pairs: pd.DataFrame = NO_PAIRS,
) -> str:
    bootstrap = pd.DataFrame(
        [("mean over tasks", "ctcd student", "standalone teacher", -4.5, -8.75, -0.25)],
        columns=["task", "model", "reference", "difference", "low", "high"],
    )
    pairs = [*claimed_pairs(claims), *gains_over_random_weights(list(model_names(scores).unique()))]
    comparison, losses = compare(scores, pairs, 0.95, "pretraining_seed"), final_losses(history)
    return render_report(
        question=question,
        claims=check_claims(claims, collect_measurements(scores, losses, *others), bootstrap, 0.95),
        controls=find_controls(comparison, losses, dict.fromkeys(history["variant"], corpus["unigram_entropy"])),
        scores=scores,
        comparison=comparison,
        losses=losses,
        minimal_pairs=minimal_pairs,
        measurements=collect_measurements(scores, losses, *others),
        figures={
            "differences": score_differences(comparison),
            "scores": score_bars(comparison),
            "losses": loss_curves(history, {None: 6.5}),
        },
        corpora={None: corpus},
        provenance=provenance,
        confidence=0.95,
    )


def words(html: str) -> str:
    """What a reader sees, cells of tables apart."""
    return re.sub(r"\s+", " ", Elements(re.sub("(?=</t[dh]>|<span)", " ", html)).text)


def test_a_study_without_fine_tuning_shows_losses_and_no_scores(
    study_scores: pd.DataFrame, study_history: pd.DataFrame
) -> None:
    text = words(render(study_scores[:0], study_history))
    assert "Held-out loss" in text
    assert "ctcd student 4.200" in text
    for absent in ("Scores per task", "Mean over", "Bars are means", "standard error of up to"):
        assert absent not in text


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


def test_losses_by_source_stand_in_a_table(study_scores: pd.DataFrame, study_history: pd.DataFrame) -> None:
    losses = study_history[study_history["metric"] == "heldout_loss"]
    more = [losses.assign(metric=f"heldout_loss/{name}", value=losses["value"] + 1) for name in ("de", "fr")]
    text = words(render(study_scores, pd.concat([study_history, *more], ignore_index=True)))
    assert "Held-out loss by source nats per token de fr" in text
    assert "ctcd student 5.200 5.200" in text
    assert "by source" not in words(render(study_scores, study_history))


def test_repetitions_are_counted(study_scores: pd.DataFrame, study_history: pd.DataFrame) -> None:
    text = Elements(render(study_scores, study_history)).text
    assert re.search(r"Left out as repetitions\s*2 exact duplicates, 0 near duplicates", text)


def test_what_is_decided_comes_before_anything_else(study_scores: pd.DataFrame, study_history: pd.DataFrame) -> None:
    text = words(render(study_scores, study_history))
    positions = [
        text.index(part)
        for part in (
            "Is it better? Every variant was trained with 3 pre-training seeds: 1, 2, 3.",
            "worse · primary claim The ctcd student is worse than the standalone teacher by 4.98 points",
            "better The ctcd student is better than the standalone student by 5.00 points",
            "worse The ctcd student is worse than the standalone teacher by 0.200 nats",
            "undecided The ctcd teacher is 0.00 points",
            "yes Do the tasks need pre-training?",
            "Figures",
            "Scores per task",
            "Gains over random weights",
            "Seed by seed",
            "Corpus",
            "How to read this",
            "Provenance",
        )
    ]
    assert positions == sorted(positions)


def test_an_undecided_primary_claim_stands_out_behind_what_is_decided(
    study_scores: pd.DataFrame, study_history: pd.DataFrame
) -> None:
    claims = (CLAIMS[1], CLAIMS[2].model_copy(update={"primary": True}))
    text = words(render(study_scores, study_history, claims))
    assert text.index("better The ctcd student is") < text.index("undecided · primary claim The ctcd teacher is")


def test_numbers_of_the_tables_are_on_the_page(study_scores: pd.DataFrame, study_history: pd.DataFrame) -> None:
    text = words(render(study_scores, study_history))
    for part in (
        "61.0 ±2.5",
        "66.0 ±2.6",
        "−4.98",
        "−5.17 to −4.79",
        "+1.66",
        "4.93 M",
        "4.200",
        "ctcd student 3 4.210 62.0",  # seed by seed
        "word frequencies alone 6.500",
        "train 1,234, held-out 7",
        "0.025",
    ):
        assert part in text
    for part in (
        "Read from the records of the 15 trainings",
        "0123abcd with uncommitted changes; 4567cdef",
        "torch 2.13.0, numpy 2.0.0",
        "2026-01-02T03:04:05+00:00",
        "2.0: ctcd, one_way student",
        "1.0: standalone student",
        '"steps": 20',
    ):
        assert part in text
    assert not re.search(r"\bnan\b", text.lower())


def test_everything_from_data_is_escaped(study_scores: pd.DataFrame, study_history: pd.DataFrame) -> None:
    sample = {"topic": HOSTILE, "raw": HOSTILE, "tokens": [HOSTILE, "<b>"], "decoded": HOSTILE}
    corpus = {**CORPUS, "source": HOSTILE, "sample": sample}
    provenance = {
        "runs": 1,
        "facts": {HOSTILE: [HOSTILE]},
        "settings": {HOSTILE: HOSTILE},
        "differences": {HOSTILE: {HOSTILE: HOSTILE, "b": 1}},
    }
    rename = {"ctcd": HOSTILE}
    scores = study_scores.assign(
        variant=study_scores["variant"].replace(rename), task=study_scores["task"].replace({"topic": HOSTILE})
    )
    history = study_history.assign(variant=study_history["variant"].replace(rename))
    claims = (Claim(better=f"{HOSTILE} student", than="standalone teacher", primary=True), CLAIMS[0])
    html = render(scores, history, claims, corpus, provenance, HOSTILE)
    assert HOSTILE not in html
    plain = Elements(render(study_scores, study_history))
    assert len(Elements(html).scripts) == len(plain.scripts)
    assert "alert('a & b')" in words(html)


@pytest.fixture
def one_seed(make_scores: Make, study_history: pd.DataFrame) -> str:
    """The page of a study with one pre-training seed: a huge difference, and many fine-tunings."""
    models = {("standalone", "teacher"): [[61, 61.1, 61.2]], ("ctcd", "student"): [[90, 90.1, 90.2]]}
    scores = make_scores(
        {model: {"topic": values} for model, values in models.items()} | {("untrained", "student"): {"topic": [[50]]}}
    )
    return render(scores, study_history[study_history["pretraining_seed"] == 1])


def test_one_seed_is_reported_without_intervals(one_seed: str) -> None:
    text = words(one_seed)
    assert "Every variant was trained with 1 pre-training seed: 1." in text
    assert "With one seed there is no interval, and nothing is decided." in text
    assert "over 1 pre-training seed." in text
    assert "+29.00 points on the mean over tasks in one pre-training, which decides nothing" in text
    assert not re.search(r"\bnan\b", text.lower())
    assert not re.search(r"\d ±\d", text)


def test_with_one_seed_nothing_is_called_better_or_worse(one_seed: str) -> None:
    styled = set(re.findall(r'class="([^"]*)"', one_seed))
    assert not {name for names in styled for name in names.split()} & {"better", "worse"}
    said = re.findall(r"[^.]*\b(?:better|worse)\b[^.]*\.", words(one_seed).replace("Is it better?", ""))
    # Two sentences say how to read a difference, whatever came out.
    assert [re.sub(r"^.*(?=A difference|Right of)", "", sentence).strip() for sentence in said] == [
        "A difference above zero says that the first-named model is better.",
        "Right of zero the first-named model is better.",
    ]


def test_what_was_not_measured_is_said(study_scores: pd.DataFrame, study_history: pd.DataFrame) -> None:
    text = words(render(study_scores[study_scores["variant"] != "standalone"], study_history))
    assert "not measured · primary claim No pre-training seed has measured both the ctcd student and the" in text


def test_a_study_without_claims_has_no_headline_and_no_table_of_them(
    study_scores: pd.DataFrame, study_history: pd.DataFrame
) -> None:
    html = render(study_scores, study_history, ())
    assert 'id="differences-figure"' not in html
    assert 'class="verdict' not in html
    assert "Measured by" not in words(html)


def test_missing_seeds_are_listed(study_scores: pd.DataFrame, study_history: pd.DataFrame) -> None:
    is_dropped = (
        (study_scores["variant"] == "ctcd")
        & (study_scores["pretraining_seed"] == 2)
        & (study_scores["task"] == "topic")
    )
    text = words(render(study_scores[~is_dropped], study_history))
    assert "ctcd student on topic: 2 seeds" in text
    assert "ctcd student on word order" not in text


def test_corpus_without_a_sample_and_code_without_a_commit_are_left_out(
    study_scores: pd.DataFrame, study_history: pd.DataFrame
) -> None:
    outside = {**PROVENANCE, "facts": {**PROVENANCE["facts"], "Commit": []}, "differences": {}}
    text = words(render(study_scores, study_history, corpus={**CORPUS, "sample": {}}, provenance=outside))
    assert "as it was written" not in text
    assert "Commit" not in text
    assert "in which the trainings differ" not in text


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
    assert "−5.17 to −4.79 −8.75 to −0.25" in words(render(study_scores, study_history))


def test_perturbed_text_has_a_table_where_it_was_predicted(
    study_scores: pd.DataFrame, study_history: pd.DataFrame
) -> None:
    assert "Perturbed text" not in Elements(render(study_scores, study_history)).text
    rows = [
        ("ctcd student", seed, measure, part, 61.5)
        for seed in (1, 2)
        for measure, part in (("robustness", "typos"), ("robustness", "all"), ("calibration_error", "all"))
    ]
    others = pd.DataFrame(rows, columns=["model", "pretraining_seed", "measure", "part", "value"])
    text = Elements(render(study_scores, study_history, others=[others])).text
    assert "Perturbed text, and calibration" in text
    assert "61.5 ±0.0" in text


def test_partial_tasks_and_both_means_are_in_the_table_of_tasks(make_scores: Make, study_history: pd.DataFrame) -> None:
    scores = make_scores({("ctcd", "student"): {"qqp": [60, 61], "wnli": [50, 51], "rte": [52, 53]}})
    page = words(render(scores.assign(is_partial=scores["task"] == "qqp"), study_history))
    assert page.count("a part of the published data") == 1
    assert "mean over tasks mean without wnli" in page


def test_minimal_pairs_have_a_table_for_each_set(study_scores, study_history, study_pairs) -> None:
    published = pd.DataFrame({"paradigm": ["be", "do"], "lstm": [0.8, 0.9]})
    collected = collect_minimal_pairs(study_pairs, {"zorro": published})
    text = words(render(study_scores, study_history, minimal_pairs=summarise_minimal_pairs(collected)))
    assert "zorro, 600 pairs standalone teacher ctcd student lstm (published)" in text
    assert "mean over 3 paradigms 70.0 80.0 85.0" in text
    assert "pairs of equal length (75 %) 70.0 80.0 –" in text
    assert "verbs 65.0 75.0 85.0" in text
    assert "words 80.0 90.0 –" in text
    assert "own, 200 pairs standalone teacher ctcd student mean over 1 paradigm 50.0 60.0" in text
    assert "Minimal pairs" not in words(render(study_scores, study_history))
