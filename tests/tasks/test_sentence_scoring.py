"""Sentence scores against one mask at a time, word boundaries against words split by hand."""

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from ctcd.engine.hardware import Hardware
from ctcd.modeling.architecture import build_model
from ctcd.modeling.families import FAMILIES
from ctcd.modeling.settings import ModelParameters
from ctcd.tasks import sentence_scoring
from ctcd.tasks.sentence_scoring import score_sentences, word_numbers

CPU = Hardware(torch.device("cpu"), torch.float32)
TEXTS = [
    "The statement is executed in the namespace.",
    "The statement are executed in the namespace.",
    "Unbelievably idiosyncratic identifiers: they're antidisestablishmentarian!",
    "A class.",
]


@pytest.fixture(scope="module")
def make_language_model(tokenizer):
    def make(architecture: str, length: int = 64):
        shape = ModelParameters(architecture=architecture, layers=2, width=32, heads=2, feed_forward=48)
        model = build_model(shape, tokenizer, length, 1, "student").eval()
        with torch.no_grad():  # fresh weights hardly tell tokens apart
            for weight in model.parameters():
                weight.mul_(3)
        return model

    return make


def log_probability(model, ids: list[int], place: int, token: int) -> float:
    with torch.no_grad():
        return float(model(torch.tensor([ids])).logits[0, place].double().log_softmax(-1)[token])


def one_mask_at_a_time(model, tokenizer, text: str) -> float:
    encoding = tokenizer(text)
    ids, words = encoding["input_ids"], encoding.word_ids()
    total = 0.0
    for place, word in enumerate(words):
        if word is not None:
            masked = [
                tokenizer.mask_token_id if other >= place and words[other] == word else ids[other]
                for other in range(len(ids))
            ]
            total += log_probability(model, masked, place, ids[place])
    return total


def plain_sum(model, tokenizer, text: str) -> float:
    ids = tokenizer(text)["input_ids"]
    return sum(log_probability(model, ids, place - 1, ids[place]) for place in range(1, len(ids) - 1))


@pytest.mark.parametrize("architecture", sorted(FAMILIES))
def test_scores_are_those_of_one_position_at_a_time(make_language_model, tokenizer, architecture) -> None:
    model = make_language_model(architecture)
    alone = one_mask_at_a_time if FAMILIES[architecture].objective == "mlm" else plain_sum
    expected = [alone(model, tokenizer, text) for text in TEXTS]
    assert np.ptp(expected) > 1
    found = score_sentences(model, tokenizer, TEXTS, CPU)
    assert found.log_likelihoods == pytest.approx(expected, rel=1e-5)
    assert found.tokens.tolist() == [len(tokenizer.tokenize(text)) for text in TEXTS]


def test_equal_sentences_have_equal_scores_whatever_stands_beside_them(make_language_model, tokenizer) -> None:
    found = score_sentences(make_language_model("bert"), tokenizer, [TEXTS[0], TEXTS[1], TEXTS[0].upper()], CPU)
    assert found.log_likelihoods[0] == pytest.approx(found.log_likelihoods[2], rel=1e-6)
    again = score_sentences(make_language_model("bert"), tokenizer, [TEXTS[0]], CPU)
    assert found.log_likelihoods[0] == pytest.approx(again.log_likelihoods[0], rel=1e-6)


@pytest.mark.parametrize("architecture", ["bert", "gpt2"])
def test_how_many_copies_are_made_at_a_time_changes_nothing(
    make_language_model, tokenizer, architecture, monkeypatch
) -> None:
    expected = score_sentences(make_language_model(architecture), tokenizer, TEXTS, CPU)
    monkeypatch.setattr(sentence_scoring, "COPIED_TOKENS", 1)
    found = score_sentences(make_language_model(architecture), tokenizer, TEXTS, CPU)
    assert found.log_likelihoods == pytest.approx(expected.log_likelihoods)


def test_what_a_model_cannot_read_to_its_end_has_no_score(make_language_model, tokenizer) -> None:
    found = score_sentences(make_language_model("bert", length=8), tokenizer, [TEXTS[2], TEXTS[3]], CPU)
    assert np.isnan(found.log_likelihoods).tolist() == [True, False]


def test_a_causal_model_without_a_first_token_is_given_one(make_language_model, tokenizer) -> None:
    model = make_language_model("gpt2")
    bare = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(tokenizer.backend_tokenizer.to_str()))
    bare.backend_tokenizer.post_processor = processors.Sequence([])
    bare.bos_token = tokenizer.cls_token
    assert bare(TEXTS[0])["input_ids"] == tokenizer(TEXTS[0])["input_ids"][1:-1]
    found = score_sentences(model, bare, TEXTS[:2], CPU)
    assert found.log_likelihoods == pytest.approx(score_sentences(model, tokenizer, TEXTS[:2], CPU).log_likelihoods)


def trained(kind: str, documents) -> PreTrainedTokenizerFast:
    """A tokenizer of about 400 pieces, of which words have several."""
    texts = [document.text for document in documents][:40]
    if kind == "byte-level":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder, tokenizer.post_processor = decoders.ByteLevel(), processors.ByteLevel(trim_offsets=False)
        trainer = trainers.BpeTrainer(
            vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
        )
    elif kind == "unigram":
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.UnigramTrainer(
            vocab_size=400, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False
        )
    else:  # as Llama's: blanks are marked, and nothing is split before pieces are looked for
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
        tokenizer.normalizer = normalizers.Replace(" ", "▁")
        trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["<unk>"], max_token_length=6, show_progress=False)
        texts = [word for text in texts for word in text.replace(" ", " ▁").split()]
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


@pytest.mark.parametrize("kind", ["byte-level", "unigram", "unsplit"])
def test_words_begin_at_blanks_for_every_kind_of_tokenizer(kind, documents) -> None:
    text = "The unbelievably idiosyncratic naïve namespace executes"
    encoding = trained(kind, documents)(text)
    numbers = word_numbers(encoding.encodings[0], text)
    pieces = {}
    for number, (start, stop) in zip(numbers, encoding.encodings[0].offsets, strict=True):
        first, last = pieces.get(number, (start, stop))
        pieces[number] = (min(first, start), max(last, stop))
    assert [text[start:stop].strip() for start, stop in pieces.values()] == text.split()
    assert len(numbers) > len(pieces)


def test_punctuation_is_a_word_of_its_own_where_the_tokenizer_says_so(tokenizer) -> None:
    text = "They're done."
    encoding = tokenizer(text).encodings[0]
    words = word_numbers(encoding, text)
    assert words[[0, -1]].tolist() == [-1, -1]
    assert words.max() + 1 == len(["They", "'", "re", "done", "."])


@pytest.mark.gpu
@pytest.mark.parametrize("architecture", ["bert", "modernbert", "gpt2"])
def test_a_gpu_gives_the_same_scores(make_language_model, tokenizer, architecture) -> None:
    expected = score_sentences(make_language_model(architecture), tokenizer, TEXTS, CPU)
    gpu = Hardware(torch.device("cuda"), torch.float32)
    found = score_sentences(make_language_model(architecture), tokenizer, TEXTS, gpu)
    assert found.log_likelihoods == pytest.approx(expected.log_likelihoods, rel=1e-4)
