from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskedLM

from ctcd.errors import InputError
from ctcd.finetuning import augmentation, scoring
from ctcd.finetuning.augmentation import CANDIDATES, augment_training
from ctcd.finetuning.scoring import score_model
from ctcd.finetuning.search import SELECTION
from ctcd.finetuning.settings import AugmentationParameters
from ctcd.modeling.architecture import build_model
from ctcd.modeling.model_folder import ModelFolder
from ctcd.modeling.settings import ModelParameters

TWO = AugmentationParameters(copies=2, share=0.3)


@pytest.fixture
def augmented(tokenize, word_task, make_model, execution, stores):
    """The task as it was, and with two copies."""
    plain = tokenize(word_task)
    return plain, augment_training(plain, make_model("bert"), TWO, execution, stores.tokens)


def test_copies_stand_behind_the_examples_with_their_lengths_and_labels(augmented):
    plain, more = (each.splits["train"] for each in augmented)
    assert len(more) == 3 * len(plain)
    assert np.array_equal(more.lengths, np.tile(plain.lengths, 3))
    assert np.array_equal(more.labels, np.tile(plain.labels, 3))
    assert np.array_equal(more.token_types, np.tile(plain.token_types, 3))
    assert np.array_equal(more.token_ids[: len(plain.token_ids)], plain.token_ids)


def test_a_share_of_the_tokens_is_replaced_and_special_ones_stay(augmented, tokenizer):
    plain, more = (each.splits["train"].token_ids for each in augmented)
    copies = more[len(plain) :].reshape(2, -1)
    is_special = np.isin(plain, tokenizer.all_special_ids)
    assert np.array_equal(copies[:, is_special], np.tile(plain[is_special], (2, 1)))
    assert not np.isin(copies[:, ~is_special], tokenizer.all_special_ids).any()
    assert (copies != plain)[:, ~is_special].mean() == pytest.approx(0.3, abs=0.03)
    assert not np.array_equal(copies[0], copies[1])


def test_what_is_proposed_is_among_the_models_likeliest_tokens(augmented, make_model, tokenizer):
    plain, more = (each.splits["train"] for each in augmented)
    model = AutoModelForMaskedLM.from_pretrained(make_model("bert").folder).eval()
    for example in range(5):
        before = plain.token_ids[plain.starts[example] : plain.starts[example + 1]]
        place = len(plain) + example
        after = more.token_ids[more.starts[place] : more.starts[place + 1]]
        (changed,) = np.nonzero(before != after)
        masked = torch.tensor(np.where(before != after, tokenizer.mask_token_id, before)).long()
        with torch.no_grad():
            logits = model(masked[None]).logits[0]
        for position in changed:
            allowed = logits[position].clone()
            allowed[[*tokenizer.all_special_ids, int(before[position])]] = -torch.inf
            assert after[position] in allowed.topk(CANDIDATES + 1).indices  # ties and rounding aside


def test_the_same_copies_are_made_again_and_kept(augmented, make_model, execution, stores, tmp_path, monkeypatch):
    plain, more = augmented
    again = augment_training(plain, make_model("bert"), TWO, execution, type(stores.tokens)(tmp_path / "other"))
    assert np.array_equal(again.splits["train"].token_ids, more.splits["train"].token_ids)
    monkeypatch.delattr(augmentation, "_replaced_tokens")
    kept = augment_training(plain, make_model("bert"), TWO, execution, stores.tokens)
    assert np.array_equal(kept.splits["train"].token_ids, more.splits["train"].token_ids)


def test_only_training_changes_and_the_task_has_another_identity(augmented):
    plain, more = augmented
    assert more.splits["validation"] is plain.splits["validation"]
    assert more.fingerprint != plain.fingerprint


def test_without_copies_nothing_happens(tokenize, word_task, make_model, execution, stores):
    plain = tokenize(word_task)
    assert augment_training(plain, make_model("bert"), AugmentationParameters(), execution, stores.tokens) is plain


def test_random_weights_propose_the_same_every_time(tokenize, pair_task, make_model, execution, stores, tmp_path):
    model, plain = make_model("bert").with_random_weights(), tokenize(pair_task)
    first = augment_training(plain, model, TWO, execution, stores.tokens)
    again = augment_training(plain, model, TWO, execution, type(stores.tokens)(tmp_path / "other"))
    assert np.array_equal(first.splits["train"].token_ids, again.splits["train"].token_ids)


@pytest.fixture
def causal_model(tokenizer, tmp_path):
    shape = ModelParameters(architecture="gpt2", layers=1, width=32, heads=2, feed_forward=64)
    build_model(shape, tokenizer, 32, 0, "student").save_pretrained(tmp_path / "gpt2")
    tokenizer.save_pretrained(tmp_path / "gpt2")
    return ModelFolder(tmp_path / "gpt2")


def test_a_model_that_is_no_masked_one_is_refused(tokenize, word_task, causal_model, execution, stores):
    with pytest.raises(InputError, match="is no masked language model, which finetuning.augmentation needs"):
        augment_training(tokenize(word_task), causal_model, TWO, execution, stores.tokens)


def test_it_is_refused_before_any_search_for_settings(
    causal_model, suite, word_task, make_settings, execution, stores, monkeypatch
):
    monkeypatch.setattr(scoring, "search_settings", None)  # it must not be called
    settings = make_settings(search={"learning_rates": [1e-3, 2e-3]}, augmentation={"copies": 2})
    with pytest.raises(InputError, match="is no masked language model"):
        score_model(causal_model, suite, [word_task], settings, execution, stores)


def test_the_search_for_settings_sees_no_copies(
    make_model, suite, pair_task, make_settings, execution, stores, monkeypatch
):
    run, sizes = scoring.run_durably, []

    def counted(jobs, **arguments):
        sizes.extend((SELECTION in job.tokenized.splits, len(job.tokenized.splits["train"])) for job in jobs)
        return run(jobs, **arguments)

    monkeypatch.setattr(scoring, "run_durably", counted)
    search = {"learning_rates": [1e-3, 2e-3], "share": 0.25}
    settings = make_settings(search=search, augmentation={"copies": 2})
    score_model(make_model("bert"), suite, [replace(pair_task)], settings, execution, stores)
    examples = len(suite.read(pair_task).frames["train"])
    assert sizes == [(True, round(0.75 * examples))] * 2 + [(False, 3 * examples)]
