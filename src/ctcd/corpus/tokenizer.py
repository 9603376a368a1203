"""A tokenizer, trained on the corpus or loaded."""

import re
import string
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece
from tokenizers.trainers import WordPieceTrainer
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from ctcd.corpus.settings import TokenizerParameters
from ctcd.corpus.subwords import train_byte_level_bpe, train_unigram, unigram_normalizer
from ctcd.errors import InputError

SPECIAL_TOKENS = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
# Characters kept in the vocabulary, most frequent first; a corpus has a long tail of rare symbols.
ALPHABET_SIZE = 1000


def train_tokenizer(texts: Iterable[str], settings: TokenizerParameters) -> PreTrainedTokenizerFast:
    """Train a tokenizer on the first `training_characters` of some texts.

    The same texts give the same vocabulary, byte for byte.

    Raises:
        InputError: if there is no text, or the vocabulary is too small for its characters.
    """
    sample = list(_limit(texts, settings.training_characters))
    if not any(text.strip() for text in sample):
        raise InputError("The corpus has no text to train a tokenizer on: check the documents' source.")
    special_tokens = list(SPECIAL_TOKENS.values())
    if settings.kind == "wordpiece":
        return _with_special_tokens(_train_wordpiece(sample, settings))
    if settings.kind == "byte_level_bpe":
        return _with_special_tokens(train_byte_level_bpe(sample, settings, special_tokens))
    characters = _characters(map(unigram_normalizer(settings).normalize_str, sample), settings)
    return _with_special_tokens(train_unigram(sample, characters, settings, special_tokens))


def _train_wordpiece(sample: list[str], settings: TokenizerParameters) -> Tokenizer:
    """BERT's kind of WordPiece (Devlin et al. 2018).

    The library's trainer alone gives another vocabulary each time: it numbers the pieces of its alphabet in the order
    of a hash map and breaks ties between merges by these numbers. So the alphabet is counted here and handed over in a
    fixed order.
    """
    normalizer = normalizers.BertNormalizer(lowercase=settings.lowercase)
    alphabet = _alphabet(map(normalizer.normalize_str, sample), settings)

    trainer = WordPieceTrainer(
        vocab_size=settings.vocabulary_size,
        min_frequency=settings.minimum_frequency,
        special_tokens=[*SPECIAL_TOKENS.values(), *alphabet],
        limit_alphabet=0,
        initial_alphabet=[],
        continuing_subword_prefix="##",
        show_progress=False,
    )
    learner = Tokenizer(WordPiece(unk_token="[UNK]"))
    learner.normalizer = normalizer
    learner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    learner.train_from_iterator(sample, trainer)
    vocabulary = {piece: number for piece, number in learner.get_vocab().items() if number < settings.vocabulary_size}
    backend = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    backend.normalizer, backend.pre_tokenizer = normalizer, pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    return backend


def load_tokenizer(source: str | Path) -> PreTrainedTokenizerBase:
    """Load a tokenizer from a folder or a hub name.

    Raises:
        InputError: if there is none, or it lacks the special tokens that masked-language modelling needs.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(source))
    except (OSError, ValueError) as error:
        raise InputError(
            f"No tokenizer can be loaded from '{source}': give a folder with tokenizer.json or a hub name."
        ) from error
    # Folders without a special_tokens_map (BERT's original files) have the tokens in the vocabulary alone.
    vocabulary = tokenizer.get_vocab()
    absent = {name: token for name, token in SPECIAL_TOKENS.items() if getattr(tokenizer, name) is None}
    tokenizer.add_special_tokens({name: token for name, token in absent.items() if token in vocabulary})
    missing = [name for name, token in absent.items() if token not in vocabulary]
    if missing:
        raise InputError(f"The tokenizer in '{source}' has no {', '.join(missing)}: masked-language models need it.")
    return tokenizer


def load_given_tokenizer(source: str) -> PreTrainedTokenizerBase | None:
    """Load the tokenizer that a user names; None for `train`.

    Raises:
        InputError: as `load_tokenizer`.
    """
    return None if source == "train" else load_tokenizer(source)


def _limit(texts: Iterable[str], characters: int) -> Iterator[str]:
    for text in texts:
        if characters <= 0:
            return
        yield text[:characters]
        characters -= len(text)


@cache
def _punctuation() -> re.Pattern[str]:
    """What BERT's pre-tokenizer makes a word of its own: all of ASCII's punctuation, and Unicode's."""
    characters = map(chr, range(sys.maxunicode + 1))
    marks = [c for c in characters if unicodedata.category(c).startswith("P") or c in string.punctuation]
    return re.compile(f"[{re.escape(''.join(marks))}]")


def _alphabet(texts: Iterable[str], settings: TokenizerParameters) -> list[str]:
    """The corpus's characters, and those of them that continue a word, in a fixed order."""
    words: set[str] = set()

    def seen() -> Iterator[str]:
        for text in texts:
            words.update(_punctuation().sub(" ", text).split())
            yield text

    characters = _characters(seen(), settings)
    continuing = {character for word in words for character in word[1:]}.intersection(characters)
    if len(SPECIAL_TOKENS) + len(characters) + len(continuing) > settings.vocabulary_size:
        raise InputError(
            f"A vocabulary of {settings.vocabulary_size} has no room for the corpus's {len(characters)} characters: "
            "raise corpus.tokenizer.vocabulary_size or corpus.tokenizer.minimum_frequency."
        )
    return sorted(characters) + [f"##{character}" for character in sorted(continuing)]


def _characters(texts: Iterable[str], settings: TokenizerParameters) -> list[str]:
    """The characters of some normalised texts that are kept, most frequent first."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    return [
        character
        for character, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        if not character.isspace() and count >= settings.minimum_frequency
    ][:ALPHABET_SIZE]


def _with_special_tokens(backend: Tokenizer) -> PreTrainedTokenizerFast:
    """A standard Hugging Face tokenizer that puts one or two texts between special tokens as BERT's does."""
    template = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, backend.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    own = backend.post_processor
    backend.post_processor = template if own is None else processors.Sequence([own, template])
    return PreTrainedTokenizerFast(tokenizer_object=backend, **SPECIAL_TOKENS)
