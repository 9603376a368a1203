from dataclasses import replace

import numpy as np
import pytest

from ctcd.finetuning.encoding import TextEncoding, tokenize_task
from ctcd.finetuning.finetune import Predictions, TaskSettings
from ctcd.finetuning.jobs import Failed, Job, run_jobs
from ctcd.finetuning.search import SELECTION, divide_training, search_settings
from ctcd.finetuning.settings import SearchParameters


@pytest.fixture
def job(suite, word_task, tokenizer, make_model, make_settings, execution):
    tokenized = tokenize_task(suite.read(word_task), TextEncoding(tokenizer, 32, True))
    training = TaskSettings.of(word_task, make_settings(), 32, 100)
    return Job(make_model("bert"), tokenized, training, 0, execution, ("validation",))


def test_the_training_examples_are_divided_and_the_reported_ones_are_not_touched(job):
    whole = job.tokenized
    divided = divide_training(whole, 0.25)
    assert set(divided.splits) == {"train", SELECTION}
    assert len(divided.splits[SELECTION]) == round(len(whole.splits["train"]) / 4)

    def rows(split):
        return sorted(
            split.token_ids[start:end].tobytes() for start, end in zip(split.starts, split.starts[1:], strict=False)
        )

    assert sorted(rows(divided.splits["train"]) + rows(divided.splits[SELECTION])) == rows(whole.splits["train"])
    assert divided.fingerprint != whole.fingerprint
    assert (
        divide_training(whole, 0.25).splits[SELECTION].token_ids.tolist()
        == divided.splits[SELECTION].token_ids.tolist()
    )


def test_the_best_candidate_on_the_examples_left_out_is_chosen(job):
    search = SearchParameters(learning_rates=[1e-3, 2e-3], epochs=[1, 2])

    def run(jobs):
        for each in reversed(jobs):  # whichever is finished first
            labels = each.tokenized.splits[SELECTION].labels
            is_best = (each.training.learning_rate, each.training.epochs) == (2e-3, 1)
            yield each, {SELECTION: Predictions(labels if is_best else 1 - labels, np.ones(len(labels)))}

    chosen, table = search_settings([job], search, run)
    assert chosen == {"contains_is": replace(job.training, learning_rate=2e-3, epochs=1)}
    assert table[["learning_rate", "epochs", "value", "is_chosen"]].to_numpy().tolist() == [
        [1e-3, 1, 0.0, False],
        [1e-3, 2, 0.0, False],
        [2e-3, 1, 1.0, True],
        [2e-3, 2, 0.0, False],
    ]


def test_a_candidate_that_diverges_is_out(job):
    search = SearchParameters(learning_rates=[1e30, 2e-3])
    chosen, table = search_settings([job], search, lambda jobs: run_jobs(jobs, 1))
    assert chosen["contains_is"].learning_rate == 2e-3
    assert table["value"].isna().tolist() == [True, False]


def test_without_a_grid_nothing_is_run_and_the_usual_settings_stay(job):
    chosen, table = search_settings([job], SearchParameters(), lambda jobs: [pytest.fail("ran") for _ in jobs])
    assert chosen == {"contains_is": job.training}
    assert table.empty


def test_where_all_candidates_fail_one_is_kept_so_that_the_failure_shows(job):
    search = SearchParameters(epochs=[1, 2])
    chosen, _ = search_settings([job], search, lambda jobs: [(each, Failed("no")) for each in jobs])
    assert chosen["contains_is"].epochs == 1
