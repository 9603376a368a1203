import numpy as np
import pandas as pd
import pytest

from ctcd.reporting.figures import LONGEST_CURVE, loss_curves, score_bars, score_differences
from ctcd.reporting.statistics import compare as compare_pairs

PAIRS = [
    ("ctcd student", "standalone teacher"),
    ("ctcd student", "standalone student"),
    ("ctcd teacher", "standalone teacher"),
    ("ctcd student", "untrained student"),
]


def compare(scores: pd.DataFrame) -> pd.DataFrame:
    return compare_pairs(scores, PAIRS, 0.95, "pretraining_seed")


def test_bars_show_the_comparison_with_its_intervals(study_scores: pd.DataFrame) -> None:
    comparison = compare(study_scores)
    bars = {trace.name: trace for trace in score_bars(comparison).data}
    rows = comparison[comparison["quantity"] == "ctcd student"]
    assert list(bars["ctcd student"].y) == pytest.approx(rows["mean"].tolist())
    assert list(bars["ctcd student"].error_y.array) == pytest.approx(((rows["high"] - rows["low"]) / 2).tolist())


def test_majority_class_is_a_line_and_not_a_bar(study_scores: pd.DataFrame) -> None:
    traces = {trace.name: trace for trace in score_bars(compare(study_scores)).data}
    assert traces["majority class"].type == "scatter"
    assert [value for value in traces["majority class"].y if value is not None] == pytest.approx(
        [50, 50, 20, 20, 35, 35]
    )


def test_colour_says_the_variant_and_pattern_the_role(study_scores: pd.DataFrame) -> None:
    bars = {trace.name: trace.marker for trace in score_bars(compare(study_scores)).data}
    assert bars["ctcd teacher"].color == bars["ctcd student"].color != bars["standalone student"].color
    assert bars["ctcd teacher"].pattern.shape != bars["ctcd student"].pattern.shape
    assert bars["ctcd student"].pattern.shape == bars["standalone student"].pattern.shape


def test_dots_are_filled_where_the_interval_excludes_zero(study_scores: pd.DataFrame) -> None:
    comparison = compare(study_scores)
    figure = score_differences(comparison)
    against_teacher, _, teachers = figure.data
    assert set(against_teacher.marker.symbol) == {"circle"}
    assert set(teachers.marker.symbol) == {"circle-open"}
    claim = comparison[comparison["quantity"] == "ctcd student - standalone teacher"]
    assert list(against_teacher.x) == pytest.approx(claim["mean"].tolist()[::-1])


def test_differences_of_a_study_without_any_are_an_empty_figure(study_scores: pd.DataFrame) -> None:
    only_ctcd = study_scores[study_scores["variant"] == "ctcd"]
    assert len(score_differences(compare(only_ctcd)).data) == 0


def test_gains_over_random_weights_are_no_differences_of_methods(study_scores: pd.DataFrame) -> None:
    titles = [note.text for note in score_differences(compare(study_scores)).layout.annotations]
    assert titles == [
        "ctcd student − standalone teacher",
        "ctcd student − standalone student",
        "ctcd teacher − standalone teacher",
    ]


def test_with_one_seed_every_dot_is_open_and_without_a_line(make_scores) -> None:
    scores = make_scores({("standalone", "teacher"): {"topic": [50]}, ("ctcd", "student"): {"topic": [90]}})
    (dots,) = score_differences(compare(scores)).data
    assert set(dots.marker.symbol) == {"circle-open"}
    assert np.isnan(list(dots.error_x.array)).all()
    assert list(dots.x) == pytest.approx([40, 40])


def test_loss_curves_have_each_trained_model_once_in_the_legend(study_history: pd.DataFrame) -> None:
    figure = loss_curves(study_history, {None: 6.5})
    listed = [trace.name for trace in figure.data if trace.showlegend is not False]
    assert sorted(listed) == sorted(
        ["standalone teacher", "standalone student", "ctcd teacher", "ctcd student", "unigram entropy"]
    )
    entropy = next(trace for trace in figure.data if trace.name == "unigram entropy")
    assert set(entropy.y) == {6.5}


def test_held_out_curves_are_means_over_seeds_and_run_over_tokens(study_history: pd.DataFrame) -> None:
    held_out = next(trace for trace in loss_curves(study_history, {None: 6.5}).data if trace.name == "ctcd student")
    assert list(held_out.x) == [0, 20_000]
    assert list(held_out.y) == pytest.approx([8.0, 4.25])  # on the sample, and not the 4.2 of the end


def test_every_seed_has_a_thin_line_under_the_mean(study_history: pd.DataFrame) -> None:
    traces = [
        trace
        for trace in loss_curves(study_history, {None: 6.5}).data
        if trace.legendgroup == "ctcd student" and trace.yaxis == "y"
    ]
    thin = [trace for trace in traces if trace.line.width < 1]
    assert [trace.y[-1] for trace in thin] == pytest.approx([4.24, 4.25, 4.26])
    assert not any(trace.showlegend for trace in thin)
    assert len(traces) == len(thin) + 1


def test_one_seed_has_one_line(study_history: pd.DataFrame) -> None:
    figure = loss_curves(study_history[study_history["pretraining_seed"] == 2], {None: 6.5})
    assert len([trace for trace in figure.data if trace.legendgroup == "ctcd student" and trace.yaxis == "y"]) == 1


def test_a_soft_loss_that_was_not_computed_is_not_drawn(study_history: pd.DataFrame) -> None:
    soft = [trace.name for trace in loss_curves(study_history, {None: 6.5}).data if trace.yaxis == "y3"]
    assert [name for name in soft if name] == ["ctcd teacher", "ctcd student"]


def test_without_any_soft_loss_there_is_no_panel_for_it(study_history: pd.DataFrame) -> None:
    figure = loss_curves(study_history[study_history["variant"] == "standalone"], {None: 6.5})
    assert {trace.yaxis for trace in figure.data} == {"y", "y2"}


def test_axes_show_every_loss_if_none_is_below_the_unigram_entropy(study_history: pd.DataFrame) -> None:
    assert loss_curves(study_history, {None: 6.5}).layout.yaxis.range[1] < 8
    assert loss_curves(study_history, {None: 3.0}).layout.yaxis.range is None


def test_long_curves_are_averaged_and_not_cut() -> None:
    steps = np.arange(1, 10 * LONGEST_CURVE + 1)
    columns = {"step": steps, "tokens": steps, "metric": "hard_loss", "value": steps}
    history = pd.DataFrame({"variant": "ctcd", "role": "teacher", "pretraining_seed": 1, **columns})
    curve = next(trace for trace in loss_curves(history, {None: 6.5}).data if trace.name == "ctcd teacher")
    assert len(curve.y) == LONGEST_CURVE
    assert curve.y[0] == pytest.approx(5.5)
    assert np.mean(curve.y) == pytest.approx(steps.mean())


def test_variants_without_a_colour_of_their_own_differ(study_scores: pd.DataFrame) -> None:
    names = {"standalone": "one_way", "ctcd": "reverse"}
    renamed = study_scores.assign(variant=study_scores["variant"].replace(names))
    bars = {trace.name: trace.marker.color for trace in score_bars(compare(renamed)).data if trace.type == "bar"}
    assert len({bars["one_way student"], bars["reverse student"], bars["untrained student"]}) == 3
