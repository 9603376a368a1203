import numpy as np
import pandas as pd
import pytest

from ctcd.errors import InputError
from ctcd.reporting.bootstrap import RESAMPLES, bootstrap_differences
from ctcd.reporting.statistics import MEAN_OVER_TASKS
from ctcd.tasks.metrics import METRICS, resampled


@pytest.mark.parametrize("metric", METRICS)
def test_a_resampled_metric_is_the_metric_of_the_examples_drawn(metric):
    random = np.random.default_rng(3)
    if METRICS[metric].for_numbers:
        labels = random.integers(0, 11, 80) / 2  # ties
        predictions = np.round(labels + random.normal(0, 2, 80), 1)
    else:
        labels = random.integers(0, 2 if metric == "f1" else 5, 80).astype(float)
        predictions = np.where(random.random(80) < 0.6, labels, random.integers(0, 2 if metric == "f1" else 5, 80))
    drawn = random.integers(0, 80, (20, 80))
    counts = np.stack([np.bincount(row, minlength=80) for row in drawn]).astype(float)
    expected = [METRICS[metric](labels[row], predictions[row]) for row in drawn]
    assert resampled(metric, labels, predictions, counts) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("metric", ["matthews", "pearson", "spearman", "f1"])
def test_constant_predictions_score_as_they_do_elsewhere(metric):
    labels, predictions = np.array([0.0, 1.0, 1.0, 0.0]), np.zeros(4)
    assert resampled(metric, labels, predictions, np.ones((1, 4))) == [0.0]


def table(task, right_shares, examples=400, first_seed=0, finetunings=1, split="validation"):
    """Predictions that are right on a share of the examples, one share per pre-training seed."""
    labels = np.arange(examples) % 2
    tables = []
    for pretraining_seed, share in enumerate(right_shares, start=first_seed):
        for seed in range(finetunings):
            is_right = np.random.default_rng([pretraining_seed, seed]).permutation(examples) < share * examples
            tables.append(
                pd.DataFrame(
                    {
                        "task": task,
                        "split": split,
                        "pretraining_seed": pretraining_seed,
                        "seed": seed,
                        "example": range(examples),
                        "label": labels.astype(float),
                        "prediction": np.where(is_right, labels, 1 - labels).astype(float),
                    }
                )
            )
    return pd.concat(tables, ignore_index=True)


def difference(model, reference, tasks=("rte",), metrics=("accuracy",), unit="pretraining_seed", confidence=0.95):
    predictions = {"ours": model, "theirs": reference}
    return bootstrap_differences(predictions, dict.fromkeys(tasks, metrics), [("ours", "theirs")], confidence, unit)


def width(found):
    row = found.iloc[0]
    return row["high"] - row["low"]


def test_the_difference_is_the_observed_one_and_lies_in_its_interval():
    row = difference(table("rte", [0.8, 0.8]), table("rte", [0.7, 0.7])).iloc[0]
    assert row["difference"] == pytest.approx(10)
    assert 0 < row["low"] < 10 < row["high"]
    assert row["better"] > 0.99
    assert (row["seeds"], row["examples"], row["confidence"]) == (2, 400, 0.95)


def test_a_model_is_level_with_itself():
    model = table("rte", [0.8, 0.6])
    row = difference(model, model).iloc[0]
    assert row[["difference", "low", "high", "better"]].tolist() == [0, 0, 0, 0.5]


def test_one_seed_has_the_interval_of_the_examples_alone():
    """Of a difference of two paired proportions, the interval has a formula."""
    model, reference = table("rte", [0.8]), table("rte", [0.7])
    gain = (model["label"] == model["prediction"]).astype(float) - (reference["label"] == reference["prediction"])
    half = 100 * 1.96 * gain.std() / np.sqrt(len(gain))
    assert width(difference(model, reference)) / 2 == pytest.approx(half, rel=0.1)


def test_many_examples_leave_the_interval_of_the_seeds_alone():
    """Of two seeds with gains of 40 and 0 points, draws are 0, 20 or 40: a quarter, a half, a quarter."""
    row = difference(table("rte", [0.9, 0.5], 5_000), table("rte", [0.5, 0.5], 5_000), confidence=0.4).iloc[0]
    assert row["difference"] == pytest.approx(20)
    assert (row["low"], row["high"]) == pytest.approx((20, 20), abs=2)
    row = difference(table("rte", [0.9, 0.5], 5_000), table("rte", [0.5, 0.5], 5_000)).iloc[0]
    assert (row["low"], row["high"]) == pytest.approx((0, 40), abs=3)


def test_pretraining_seeds_that_differ_widen_the_interval():
    reference = table("rte", [0.7, 0.7])
    even, uneven = (difference(table("rte", shares), reference) for shares in ([0.7, 0.7], [0.9, 0.5]))
    assert width(uneven) > 2 * width(even)


def test_fine_tuning_seeds_of_one_pretraining_are_averaged_and_not_drawn():
    """Were they drawn, fine-tunings that differ would widen the interval as much as pre-trainings that differ."""
    reference = table("rte", [0.7], finetunings=2)
    model = table("rte", [0.7], finetunings=2)
    second = model["seed"] == 1
    worse = model.copy()
    worse.loc[second, "prediction"] = worse.loc[second, "label"]
    row = difference(worse, reference).iloc[0]
    assert row["seeds"] == 1
    assert row["difference"] == pytest.approx(15)
    right = [
        (rows["label"] == rows["prediction"]).groupby(rows["example"]).mean().to_numpy() for rows in (worse, reference)
    ]
    half = 100 * 1.96 * (right[0] - right[1]).std() / np.sqrt(400)
    assert (row["high"] - row["low"]) / 2 == pytest.approx(half, rel=0.1)


def test_fine_tuning_seeds_are_drawn_for_models_that_somebody_gives():
    def given(shares):
        model = table("rte", shares)
        return model.assign(seed=model["pretraining_seed"]).drop(columns="pretraining_seed")

    reference = given([0.7, 0.7])
    even, uneven = (difference(given(shares), reference, unit="seed") for shares in ([0.7, 0.7], [0.9, 0.5]))
    assert uneven["seeds"].item() == 2
    assert width(uneven) > 2 * width(even)


def test_splits_count_alike_whatever_their_size():
    model = pd.concat([table("mnli", [0.9], 400), table("mnli", [0.5], 100, split="mismatched")])
    reference = pd.concat([table("mnli", [0.7], 400), table("mnli", [0.5], 100, split="mismatched")])
    row = difference(model, reference, tasks=("mnli",)).iloc[0]
    assert row["difference"] == pytest.approx((20 + 0) / 2)
    assert row["examples"] == 500


def test_the_mean_over_tasks_comes_last_and_only_common_tasks_and_seeds_count():
    model = pd.concat([table("rte", [0.8, 0.8]), table("cola", [0.6, 0.6]), table("wnli", [0.5])])
    reference = pd.concat([table("rte", [0.7]), table("cola", [0.6, 0.6])])
    found = difference(model, reference, tasks=("rte", "cola", "wnli"))
    assert found["task"].tolist() == ["rte", "cola", MEAN_OVER_TASKS]
    assert found["difference"].tolist() == pytest.approx([10, 0, 5])
    assert found["seeds"].tolist() == [1, 2, 1]


def test_a_drawn_seed_is_drawn_for_all_tasks_at_once():
    """What a seed gains on one task and loses on the other leaves the mean where it is."""
    model = pd.concat([table("rte", [0.9, 0.5], 5_000), table("cola", [0.5, 0.9], 5_000)])
    reference = pd.concat([table("rte", [0.5, 0.5], 5_000), table("cola", [0.5, 0.5], 5_000)])
    found = difference(model, reference, tasks=("rte", "cola")).set_index("task")
    assert (found["high"] - found["low"])["rte"] > 35
    assert (found["high"] - found["low"])[MEAN_OVER_TASKS] < 5


def f1(labels, predictions):
    return 2 * (labels * predictions).sum() / (labels + predictions).sum()


def test_the_interval_is_that_of_a_plain_loop():
    """Another program with other random numbers: two seeds, f1, both drawn one resample after another."""
    model, reference = table("rte", [0.85, 0.7]), table("rte", [0.7, 0.65])
    sides = [
        [rows[["label", "prediction"]].to_numpy() for _, rows in side.groupby("pretraining_seed")]
        for side in (model, reference)
    ]
    random = np.random.default_rng(5)
    drawn = []
    for _ in range(RESAMPLES):
        examples = random.integers(0, 400, 400)
        scores = [[f1(*each[examples].T) for each in side] for side in sides]
        drawn.append(100 * np.mean([scores[0][seed] - scores[1][seed] for seed in random.integers(0, 2, 2)]))
    row = difference(model, reference, metrics=("f1",)).iloc[0]
    assert (row["low"], row["high"]) == pytest.approx(tuple(np.percentile(drawn, [2.5, 97.5])), abs=1)
    assert row["difference"] == pytest.approx(np.mean(drawn), abs=0.5)


def test_models_without_a_common_seed_have_no_row():
    found = difference(table("rte", [0.8, 0.8]), table("rte", [0.7], first_seed=5))
    assert found.empty
    assert {"difference", "low", "high", "seeds"} <= set(found.columns)


def test_a_task_without_a_common_seed_is_left_out_of_the_mean():
    model = pd.concat([table(task, [0.8]) for task in ("rte", "cola", "sst2")])
    reference = pd.concat([table("rte", [0.7]), table("cola", [0.7]), table("sst2", [0.1], first_seed=5)])
    found = difference(model, reference, tasks=("rte", "cola", "sst2"))
    assert found["task"].tolist() == ["rte", "cola", MEAN_OVER_TASKS]
    assert found["difference"].tolist() == pytest.approx([10, 10, 10])


def test_a_pair_whose_model_is_not_there_has_no_row():
    found = bootstrap_differences(
        {"ours": table("rte", [0.8])}, {"rte": ["accuracy"]}, [("ours", "theirs")], 0.95, "pretraining_seed"
    )
    assert found.empty


def fewer(reference):
    return reference[reference["example"] < 399]


def others(reference):
    return reference.assign(example=reference["example"] + 1)


def other_labels(reference):
    return reference.assign(label=1 - reference["label"])


@pytest.mark.parametrize("change", [fewer, others, other_labels])
def test_predictions_of_different_examples_are_refused(change):
    """Paired by place, they would be compared with one another."""
    model = pd.concat([table("cola", [0.8]), table("rte", [0.8])])
    reference = pd.concat([table("cola", [0.8]), change(table("rte", [0.7]))])
    with pytest.raises(InputError) as error:
        difference(model, reference, tasks=("cola", "rte"))
    assert all(name in str(error.value) for name in ("'ours'", "'theirs'", "'rte'"))
    assert "cola" not in str(error.value)


def test_a_model_of_which_two_seeds_predicted_different_examples_is_refused():
    model = table("rte", [0.8, 0.8])
    is_other = (model["pretraining_seed"] == 1) & (model["example"] == 399)
    with pytest.raises(InputError, match="'rte'"):
        difference(model[~is_other], table("rte", [0.7, 0.7]))


def test_the_order_of_rows_does_not_matter():
    model, reference = table("rte", [0.8, 0.7]), table("rte", [0.7, 0.6])
    shuffled = model.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(difference(shuffled, reference), difference(model, reference))


def test_the_same_call_gives_the_same_intervals():
    model, reference = table("rte", [0.8, 0.7]), table("rte", [0.7, 0.6])
    pd.testing.assert_frame_equal(difference(model, reference), difference(model, reference))
