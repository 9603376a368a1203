"""Training of tokenizers that know no words: byte-level BPE and Unigram."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE, Unigram
from tokenizers.trainers import BpeTrainer

from ctcd.corpus.settings import TokenizerParameters
from ctcd.errors import InputError

# Of the pieces that Unigram chooses from, to those that it keeps.
CANDIDATES = 1.5
ROUNDS = 4  # of counting and leaving out


def train_byte_level_bpe(
    sample: Sequence[str], settings: TokenizerParameters, special_tokens: Sequence[str]
) -> Tokenizer:
    """Byte-pair encoding of UTF-8 bytes (Radford et al. 2019, GPT-2): nothing is unknown, white space is kept.

    Raises:
        InputError: if the vocabulary has no room for all bytes.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    _check_room(settings, len(special_tokens) + len(alphabet), "all 256 bytes")
    tokenizer = Tokenizer(BPE())
    tokenizer.normalizer = _normalizer(settings, normalizers.NFC())
    # With a space before the first word it is the same piece as within a sentence.
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=settings.vocabulary_size,
        min_frequency=settings.minimum_frequency,
        special_tokens=list(special_tokens),
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(sample, trainer)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    return tokenizer


def train_unigram(
    sample: Sequence[str], characters: Sequence[str], settings: TokenizerParameters, special_tokens: Sequence[str]
) -> Tokenizer:
    """A unigram language model of pieces (Kudo 2018), as in SentencePiece: spaces belong to the words behind them.

    The library's trainer sums in the order of a hash map, so that each training would give another vocabulary. Here
    pieces are proposed by BPE. Their probabilities come from counts in the most likely segmentations, and the rarest
    are left out: expectation and maximisation with hard assignments.

    Args:
        sample: texts.
        characters: those that are kept, as the normalised text has them.
        settings: size, case.
        special_tokens: the first ids, the second being that of what is unknown.

    Raises:
        InputError: if the vocabulary has no room for all characters.
    """
    _check_room(settings, len(special_tokens) + len(characters) + 1, f"the corpus's {len(characters)} characters")
    tokenizer = Tokenizer(BPE())
    tokenizer.normalizer = unigram_normalizer(settings)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    words = _count_words(tokenizer, sample)
    size = settings.vocabulary_size - len(special_tokens)
    trainer = BpeTrainer(
        vocab_size=round(CANDIDATES * size), min_frequency=settings.minimum_frequency, show_progress=False
    )
    tokenizer.train_from_iterator(sample, trainer)
    letters = sorted({*characters, "▁"})
    pieces = sorted({*tokenizer.get_vocab(), *letters})
    counts = Counter(dict.fromkeys(pieces, 1))
    for round_ in range(1, ROUNDS + 1):
        counts = _count_pieces(words, counts, letters)
        kept = len(pieces) - round((len(pieces) - size) * round_ / ROUNDS) if len(pieces) > size else len(pieces)
        several = sorted((piece for piece in counts if len(piece) > 1), key=lambda piece: (-counts[piece], piece))
        counts = Counter({piece: counts[piece] for piece in [*letters, *several[: kept - len(letters)]]})
    ordered = sorted(counts, key=lambda piece: (-counts[piece], piece))
    specials = [(token, 0.0) for token in special_tokens]
    tokenizer.model = Unigram([*specials, *zip(ordered, _scores(counts, ordered), strict=True)], unk_id=1)
    return tokenizer


def unigram_normalizer(settings: TokenizerParameters) -> normalizers.Normalizer:
    """What Unigram sees of a text: compatible characters are one, and so is any white space."""
    return _normalizer(settings, normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip())


def _normalizer(settings: TokenizerParameters, *steps: normalizers.Normalizer) -> normalizers.Normalizer:
    return normalizers.Sequence([*steps, *([normalizers.Lowercase()] if settings.lowercase else [])])


def _check_room(settings: TokenizerParameters, least: int, what: str) -> None:
    if settings.vocabulary_size < least:
        raise InputError(
            f"A vocabulary of {settings.vocabulary_size} has no room for {what}: raise "
            f"corpus.tokenizer.vocabulary_size to {least} or more."
        )


def _count_words(tokenizer: Tokenizer, sample: Iterable[str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for text in sample:
        normalised = tokenizer.normalizer.normalize_str(text)
        counts.update(word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normalised))
    return Counter(dict(sorted(counts.items())))


def _count_pieces(words: Counter[str], counts: Counter[str], letters: Sequence[str]) -> Counter[str]:
    """How often each piece is in the most likely segmentations of all words; single characters at least once."""
    pieces = sorted(counts)
    segmenter = Tokenizer(Unigram([("", 0.0), *zip(pieces, _scores(counts, pieces), strict=True)], unk_id=0))
    found = Counter(dict.fromkeys(letters, 1))
    for encoding, count in zip(segmenter.encode_batch(list(words)), words.values(), strict=True):
        for token in encoding.tokens:
            if token in counts:
                found[token] += count
    return found


def _scores(counts: Counter[str], pieces: Sequence[str]) -> list[float]:
    total = math.log(counts.total())
    return [math.log(counts[piece]) - total for piece in pieces]
