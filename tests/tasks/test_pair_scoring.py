"""Accuracy on minimal pairs: ties, a constant model, lengths, what is kept, and an independent implementation."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from ctcd.lineage.array_store import ArrayStore
from ctcd.modeling.architecture import build_model
from ctcd.modeling.model_folder import ModelFolder
from ctcd.modeling.settings import ModelParameters
from ctcd.tasks import pair_scoring
from ctcd.tasks.made_pairs import make_pairs
from ctcd.tasks.pair_scoring import NoLanguageModelError, accuracy_by_paradigm, load_language_model, score_pairs
from ctcd.tasks.settings import MinimalPairsParameters


@pytest.fixture(scope="module")
def pairs(documents) -> pd.DataFrame:
    settings = MinimalPairsParameters(sets=["heldout_text"], pairs_per_paradigm=None, examples=12, seed=1)
    return make_pairs(documents, settings)


@pytest.fixture
def results(tmp_path) -> ArrayStore:
    return ArrayStore(tmp_path / "results")


def save_model(folder, tokenizer, architecture: str, factor: float, length: int = 96) -> ModelFolder:
    """A model with random weights times a factor: with 0 it is constant."""
    shape = ModelParameters(architecture=architecture, layers=2, width=32, heads=2, feed_forward=48)
    model = build_model(shape, tokenizer, length, 1, "student")
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(factor)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return ModelFolder(folder)


@pytest.mark.parametrize("architecture", ["bert", "modernbert", "gpt2"])
def test_a_constant_model_is_exactly_at_chance_where_lengths_are_equal(
    tmp_path, tokenizer, architecture, pairs, execution, results
) -> None:
    model = save_model(tmp_path / "model", tokenizer, architecture, 0.0)
    table = score_pairs(model, {"heldout_text": pairs}, execution, results)
    assert table["equal_length_accuracy"].tolist() == [0.5, 0.5]
    assert (table["equal_length_pairs"] > 0).all()
    exchanged = table.set_index("paradigm").loc["two_words_exchanged"]
    assert exchanged["equal_length_pairs"] == exchanged["pairs"] == 12
    assert exchanged["accuracy"] == 0.5


def test_accuracy_is_the_share_of_better_good_sentences_and_half_of_the_ties() -> None:
    pairs = pd.DataFrame({"set": "s", "phenomenon": ["p", "p", "p", "p", "q"], "paradigm": ["a", "a", "a", "a", "b"]})
    likelihoods = np.array([[-1.0, -2.0], [-20.0, -20.0 * (1 + 1e-7)], [-3.0, -2.0], [np.nan, -1.0], [-1.0, -5.0]])
    tokens = np.array([[2, 2], [3, 3], [2, 3], [9, 9], [2, 3]])
    table = accuracy_by_paradigm(pairs, likelihoods, tokens).set_index("paradigm")
    assert table["pairs"].to_dict() == {"a": 3, "b": 1}
    assert table["accuracy"].to_dict() == {"a": (1 + 0.5 + 0) / 3, "b": 1.0}
    assert table["equal_length_pairs"].to_dict() == {"a": 2, "b": 0}
    assert table["equal_length_accuracy"]["a"] == 0.75
    assert np.isnan(table["equal_length_accuracy"]["b"])


def test_a_model_is_scored_once_whatever_its_folder_is_called(
    tmp_path, tokenizer, pairs, execution, results, monkeypatch
) -> None:
    model, same = (save_model(tmp_path / name, tokenizer, "bert", 3.0) for name in ("one", "two"))
    first = score_pairs(model, {"heldout_text": pairs}, execution, results)
    monkeypatch.setattr(pair_scoring, "score_sentences", None)  # it must not be called
    assert score_pairs(same, {"heldout_text": pairs}, execution, results).equals(first)
    other = save_model(tmp_path / "three", tokenizer, "bert", 2.0)
    for fresh in (
        lambda: score_pairs(other, {"heldout_text": pairs}, execution, results),
        lambda: score_pairs(model, {"heldout_text": pairs[:5]}, execution, results),
        lambda: score_pairs(model, {"heldout_text": pairs}, execution.model_copy(update={"resume": "never"}), results),
    ):
        with pytest.raises(TypeError):
            fresh()


def test_pairs_that_a_model_cannot_read_are_left_out(tmp_path, tokenizer, pairs, execution, results, caplog) -> None:
    model = save_model(tmp_path / "model", tokenizer, "bert", 3.0, length=24)
    table = score_pairs(model, {"heldout_text": pairs}, execution, results)
    assert 0 < table["pairs"].sum() < len(pairs)
    assert "longer than a model reads" in caplog.text
    tiny = save_model(tmp_path / "tiny", tokenizer, "bert", 3.0, length=4)
    assert score_pairs(tiny, {"heldout_text": pairs}, execution, results).empty


def test_no_sets_give_an_empty_table_and_need_no_model(tmp_path, execution, results) -> None:
    table = score_pairs(ModelFolder(tmp_path), {}, execution, results)
    assert list(table.columns) == pair_scoring.ACCURACY_COLUMNS


def test_an_encoder_without_an_output_layer_is_refused(tmp_path, tokenizer) -> None:
    model = save_model(tmp_path / "model", tokenizer, "bert", 1.0)
    load_language_model(model).base_model.save_pretrained(tmp_path / "encoder")
    with pytest.raises(NoLanguageModelError, match="no weights for the output layer"):
        load_language_model(ModelFolder(tmp_path / "encoder"))


def test_a_masked_model_whose_tokenizer_has_no_mask_token_is_refused(
    tmp_path, tokenizer, pairs, execution, results
) -> None:
    model = save_model(tmp_path / "model", tokenizer, "bert", 1.0)
    configuration = tmp_path / "model" / "tokenizer_config.json"
    settings = json.loads(configuration.read_text())
    configuration.write_text(json.dumps({name: value for name, value in settings.items() if name != "mask_token"}))
    with pytest.raises(NoLanguageModelError, match="has no mask token"):
        score_pairs(model, {"heldout_text": pairs}, execution, results)


def test_a_model_is_opened_once_for_all_sets(tmp_path, tokenizer, pairs, execution, results, monkeypatch) -> None:
    model, opened = save_model(tmp_path / "model", tokenizer, "bert", 1.0), []
    load = pair_scoring.load_language_model
    monkeypatch.setattr(pair_scoring, "load_language_model", lambda folder: opened.append(folder) or load(folder))
    score_pairs(model, {"one": pairs[:3], "other": pairs[3:]}, execution, results)
    assert opened == [model]


def test_scores_are_those_of_minicons(tmp_path, tokenizer, pairs, execution, results) -> None:
    minicons = pytest.importorskip("minicons.scorer")
    sentences = pairs[["sentence_good", "sentence_bad"]].to_numpy().ravel().tolist()
    masked, causal = (save_model(tmp_path / name, tokenizer, name, 3.0) for name in ("bert", "gpt2"))
    scorer = minicons.MaskedLMScorer(str(masked.folder), "cpu")
    options = {"PLL_metric": "within_word_l2r", "reduction": lambda scores: scores.sum().item()}
    expected = [scorer.sequence_score(tokenizer([sentence]), **options)[0] for sentence in sentences]
    assert kept_scores(masked, pairs, execution, results) == pytest.approx(expected, rel=1e-5)
    scorer = minicons.IncrementalLMScorer(str(causal.folder), "cpu")
    # It counts the end of the sentence too.
    expected = scorer.sequence_score(sentences, reduction=lambda scores: scores[:-1].sum().item())
    assert kept_scores(causal, pairs, execution, results) == pytest.approx(expected, rel=1e-5)


def kept_scores(model: ModelFolder, pairs: pd.DataFrame, execution, results: ArrayStore) -> np.ndarray:
    before = set(results.folder.glob("*"))
    score_pairs(model, {"heldout_text": pairs}, execution, results)
    (path,) = set(results.folder.glob("*")) - before
    kept = results.load(path.stem)
    assert kept is not None
    return kept["log_likelihoods"].ravel()
