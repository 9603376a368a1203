"""How many positions padding would waste, on real text: what packing saves beyond everything else."""

from dataclasses import asdict, dataclass

import numpy as np
from transformers import PreTrainedTokenizerBase
from workload import Shape

from ctcd.corpus.documents import Document
from ctcd.corpus.installed_packages import find_installed_packages, harvest
from ctcd.corpus.settings import TokenizerParameters
from ctcd.corpus.tokenizer import train_tokenizer

SPECIAL_TOKENS_PER_SEQUENCE = 2
TRAINING_CHARACTERS = 1_000_000


@dataclass(frozen=True)
class Packing:
    """Share of positions that hold a real token, by what a sequence is made of."""

    corpus: str
    length: int
    padded_paragraphs: float
    padded_documents: float
    packed: float

    @property
    def factor(self) -> float:
        """Packing against one document per sequence, longer ones cut into several."""
        return self.packed / self.padded_documents

    def as_dictionary(self) -> dict[str, str | int | float]:
        """All figures."""
        return asdict(self) | {"factor": self.factor}


def measure_packing(shape: Shape) -> Packing:
    """Tokenize the standard library's documentation and count."""
    documents = harvest([package for package in find_installed_packages() if package.name == "python"], processes=1)
    tokenizer = _tokenizer(documents, shape.vocabulary)
    paragraphs = [paragraph for document in documents for paragraph in document.text.split("\n")]
    content = shape.length - SPECIAL_TOKENS_PER_SEQUENCE
    return Packing(
        corpus="the standard library's documentation",
        length=shape.length,
        padded_paragraphs=_share_of_real(_token_counts(tokenizer, paragraphs), shape.length),
        padded_documents=_share_of_real(
            _token_counts(tokenizer, [document.text for document in documents]), shape.length
        ),
        packed=content / shape.length,
    )


def _tokenizer(documents: list[Document], vocabulary: int) -> PreTrainedTokenizerBase:
    settings = TokenizerParameters(
        vocabulary_size=vocabulary, lowercase=True, minimum_frequency=2, training_characters=TRAINING_CHARACTERS
    )
    return train_tokenizer((document.text for document in documents), settings)


def _token_counts(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> np.ndarray:
    encodings = tokenizer.backend_tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    return np.array([len(encoding.ids) for encoding in encodings])


def _share_of_real(token_counts: np.ndarray, length: int) -> float:
    sequences = np.ceil(token_counts / (length - SPECIAL_TOKENS_PER_SEQUENCE))
    return float(token_counts.sum() / (sequences.sum() * length))
