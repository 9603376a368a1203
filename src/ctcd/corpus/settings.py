"""Settings of the corpus."""

from typing import Annotated, Literal

from pydantic import Field

from ctcd.lineage.settings import PositiveInteger, Settings


class TokenizerParameters(Settings):
    """How a tokenizer is trained.

    Of a ready tokenizer on the hub `vocabulary_size` is what the estimate of a run assumes before it is fetched.
    """

    kind: Literal["wordpiece", "byte_level_bpe", "unigram"] = "wordpiece"
    vocabulary_size: Annotated[int, Field(ge=64)]
    lowercase: bool
    minimum_frequency: PositiveInteger
    training_characters: PositiveInteger


class ProbesParameters(Settings):
    """Sizes of the tasks that are made from held-out documents."""

    train_examples: PositiveInteger
    validation_examples: PositiveInteger
    seed: int


class SourceParameters(Settings):
    """What is special about one source of text.

    Attributes:
        language: de, en or fr; another one has the sentences of a language without abbreviations. Unless it is given,
            it is the source's name where that is a language, else English.
        characters: the most that is read of it, in whole documents; so that small and large ones are balanced.
    """

    language: str | None = None
    characters: PositiveInteger | None = None


class CorpusParameters(Settings):
    """From documents to packed sequences of `sequence_length` tokens.

    Of the sentences one in `keep_every` is kept, and of these the first `sentences`. Documents that repeat an earlier
    one are left out, and those that are as similar to it as `near_duplicates` (None: word for word alone).
    """

    keep_every: PositiveInteger = 1
    sentences: PositiveInteger | None = None
    sources: dict[str, SourceParameters] = {}
    heldout_share: Annotated[float, Field(gt=0.0, le=0.5)]
    near_duplicates: Annotated[float, Field(ge=0.5, le=1.0)] | None = 0.7
    sequence_length: Annotated[int, Field(ge=8)]
    tokenizer: TokenizerParameters
    probes: ProbesParameters
