"""How likely a language model finds sentences, without any fine-tuning.

Causal models: the sum of the log-probabilities of a sentence's tokens. Masked models: the pseudo-log-likelihood, the
sum of each token's log-probability when it and the rest of its word to the right are masked (PLL-word-l2r of Kauf and
Ivanova 2023, "A Better Way to Do Masked Language Model Scoring"). Masking the token alone (Salazar et al. 2020) would
reward rare words of several pieces, which give each other away.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Encoding
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ctcd.engine.hardware import Hardware, usable_cores
from ctcd.engine.side_by_side import SideBySide
from ctcd.modeling.architecture import readable_length
from ctcd.modeling.families import FAMILIES
from ctcd.modeling.logits import PredictedLogits

# At once: what stays in a core's cache, or what fills a GPU.
TOKENS = {"cpu": 2048, "cuda": 1 << 16}
LOGITS = {"cpu": 1 << 21, "cuda": 1 << 28}
# So many tokens of masked copies are made at a time: their number grows with the square of a sentence's length.
COPIED_TOKENS = 1 << 24


@dataclass(frozen=True)
class TokenizedSentence:
    """A sentence as a model reads it.

    Attributes:
        number: its place among the sentences.
        ids: (length,) with special tokens.
        words: (length,) number of the word that a token belongs to; -1 for special tokens.
    """

    number: int
    ids: NDArray[np.int64]
    words: NDArray[np.int64]


@dataclass(frozen=True)
class SentenceScores:
    """What a model says of sentences.

    Attributes:
        log_likelihoods: (sentences,) float64, in nats; NaN for a sentence that is longer than the model reads.
        tokens: (sentences,) int64, without special tokens.
    """

    log_likelihoods: NDArray[np.float64]
    tokens: NDArray[np.int64]


@dataclass(frozen=True)
class _Queries:
    """Inputs of one length, and what is asked of the model about them.

    Attributes:
        inputs: (inputs, length) token ids.
        input: (queries,) number of the input, ascending.
        place: (queries,) position whose logits answer.
        label: (queries,) token whose log-probability is asked for.
        sentence: (queries,) to whose score that is added.
    """

    inputs: NDArray[np.int64]
    input: NDArray[np.int64]
    place: NDArray[np.int64]
    label: NDArray[np.int64]
    sentence: NDArray[np.int64]

    def batches(self, inputs_at_once: int) -> Iterator["_Queries"]:
        """Split the inputs with their queries."""
        for start in range(0, len(self.inputs), inputs_at_once):
            first, last = np.searchsorted(self.input, [start, start + inputs_at_once])
            asked = slice(first, last)
            inputs = self.inputs[start : start + inputs_at_once]
            yield _Queries(
                inputs, self.input[asked] - start, self.place[asked], self.label[asked], self.sentence[asked]
            )


def score_sentences(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, sentences: Sequence[str], hardware: Hardware
) -> SentenceScores:
    """Score sentences; equal ones get equal scores.

    Args:
        model: a language model of a family in `FAMILIES`, which is moved to the hardware.
        tokenizer: the model's: a fast one, and with a mask token if the model is a masked one.
        sentences: each is read alone, with the special tokens that the tokenizer adds.
        hardware: where and in which precision; float32 tells close sentences apart.
    """
    texts = list(dict.fromkeys(sentences))
    numbers = {text: number for number, text in enumerate(texts)}
    is_masked = FAMILIES[model.config.model_type].objective == "mlm"
    tokenized = list(_tokenized(tokenizer, texts, starts_with_special_token=not is_masked))
    tokens = np.array([(sentence.words >= 0).sum() for sentence in tokenized], np.int64)
    longest = readable_length(model.config)
    readable = [sentence for sentence in tokenized if longest is None or len(sentence.ids) <= longest]
    totals = np.full(len(texts), np.nan)
    totals[[sentence.number for sentence in readable]] = 0.0
    make = partial(_masked_queries, mask_id=tokenizer.mask_token_id) if is_masked else _causal_queries
    with _Answers(model, hardware) as answers:
        for queries in _by_length(readable, make):
            np.add.at(totals, queries.sentence, answers(queries))
    places = np.array([numbers[sentence] for sentence in sentences], np.int64)
    return SentenceScores(totals[places], tokens[places])


class _Answers:
    """A model on its hardware, as a function from queries to log-probabilities."""

    def __init__(self, model: PreTrainedModel, hardware: Hardware) -> None:
        hardware.move(model.eval(), is_padded=False)
        self._model, self._device = model, hardware.device
        self._side_by_side = SideBySide(in_threads=hardware.device.type == "cpu" and usable_cores() > 1)

    def __enter__(self) -> "_Answers":
        self._logits = PredictedLogits(self._model)
        self._side_by_side.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._side_by_side.__exit__()
        self._logits.detach()

    def __call__(self, queries: _Queries) -> NDArray[np.float64]:
        """Answer all queries: (queries,) float64."""
        device, count = self._device.type, len(queries.inputs)
        logits_per_input = -(-len(queries.input) // count) * self._model.config.vocab_size
        at_once = max(1, min(TOKENS[device] // queries.inputs.shape[1], LOGITS[device] // logits_per_input))
        batches = list(queries.batches(at_once))
        halves = (batches[: len(batches) // 2], batches[len(batches) // 2 :])
        return np.concatenate(self._side_by_side(*(partial(self._answer, half) for half in halves)))

    @torch.inference_mode()
    def _answer(self, batches: Sequence[_Queries]) -> NDArray[np.float64]:
        answers = [torch.empty(0, dtype=torch.float64)]
        for batch in batches:
            inputs, input, place, label = (
                torch.from_numpy(array).to(self._device)
                for array in (batch.inputs, batch.input, batch.place, batch.label)
            )
            logits = self._logits(inputs, input * inputs.shape[1] + place).float()
            chosen = logits.gather(1, label[:, None]).squeeze(1) - logits.logsumexp(1)
            answers.append(chosen.cpu().double())
        return torch.cat(answers).numpy()


def _tokenized(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], starts_with_special_token: bool
) -> Iterator[TokenizedSentence]:
    first = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.cls_token_id
    for number, (text, encoding) in enumerate(zip(texts, tokenizer(list(texts)).encodings or (), strict=True)):
        ids, words = np.array(encoding.ids, np.int64), word_numbers(encoding, text)
        if starts_with_special_token and first is not None and words[:1].tolist() != [-1]:
            ids, words = np.concatenate([[first], ids]), np.concatenate([[-1], words])
        yield TokenizedSentence(number, ids, words)


def word_numbers(encoding: Encoding, text: str) -> NDArray[np.int64]:
    """Number of the word that each token belongs to: (tokens,), -1 for special tokens.

    A word ends where the tokenizer's own words end, and at blanks: a tokenizer that does not split text before it looks
    for pieces calls all of it one word.
    """
    words, number, previous_word, end = [], -1, None, 0
    for word, (start, stop), is_special in zip(
        encoding.word_ids, encoding.offsets, encoding.special_tokens_mask, strict=True
    ):
        if is_special:
            words.append(-1)
            continue
        # A piece may begin with the blank before it, or leave it out.
        first = text[start:stop][:1]
        follows_blank = first.isspace() or any(character.isspace() for character in text[end:start])
        if number < 0 or word != previous_word or follows_blank:
            number += 1
        previous_word, end = word, max(end, stop)
        words.append(number)
    return np.array(words, np.int64)


def _by_length(
    sentences: Iterable[TokenizedSentence], make: Callable[[Sequence[TokenizedSentence]], _Queries]
) -> Iterator[_Queries]:
    for _, group in groupby(sorted(sentences, key=_length), key=_length):
        members = list(group)
        at_once = max(1, COPIED_TOKENS // len(members[0].ids) ** 2)
        for start in range(0, len(members), at_once):
            queries = make(members[start : start + at_once])
            if len(queries.input):
                yield queries


def _length(sentence: TokenizedSentence) -> int:
    return len(sentence.ids)


def _stacked(
    sentences: Sequence[TokenizedSentence],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Ids and words, (sentences, length), and numbers, (sentences,)."""
    ids = np.stack([sentence.ids for sentence in sentences])
    words = np.stack([sentence.words for sentence in sentences])
    return ids, words, np.array([sentence.number for sentence in sentences], np.int64)


def _masked_queries(sentences: Sequence[TokenizedSentence], mask_id: int) -> _Queries:
    """A masked copy of a sentence for each of its tokens.

    Copies that are the same, as where the only different word of a pair is masked, are read once.
    """
    ids, words, numbers = _stacked(sentences)
    row, place = np.nonzero(words >= 0)
    everywhere = np.arange(ids.shape[1])
    is_masked = (words[row] == words[row, place][:, None]) & (everywhere >= place[:, None])
    copies = np.where(is_masked, mask_id, ids[row])
    distinct, input = np.unique(copies, axis=0, return_inverse=True)
    order = np.argsort(input, kind="stable")
    return _Queries(distinct, input[order], place[order], ids[row, place][order], numbers[row][order])


def _causal_queries(sentences: Sequence[TokenizedSentence]) -> _Queries:
    """Every sentence as it is; a token is predicted where the one before it stands."""
    ids, words, numbers = _stacked(sentences)
    row, place = np.nonzero(words[:, 1:] >= 0)
    return _Queries(ids, row, place, ids[row, place + 1], numbers[row])
