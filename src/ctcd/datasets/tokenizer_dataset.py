"""Hugging Face tokenizers in the catalog."""

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from ctcd.datasets.folder_dataset import FolderDataset


class TokenizerDataset(FolderDataset):
    """A tokenizer folder, as `save_pretrained` writes it.

    ```yaml
    tokenizer:
      type: ctcd.datasets.tokenizer_dataset.TokenizerDataset
      filepath: data/03_primary/tokenizer
      versioned: true
    ```
    """

    MARKER = "tokenizer.json"

    def _write(self, folder: Path, data: Any) -> None:
        data.save_pretrained(folder)

    def _read(self, folder: Path) -> Any:
        from ctcd.corpus.tokenizer import load_tokenizer

        return load_tokenizer(folder)


class ReadyTokenizerDataset(AbstractDataset[Any, Any]):
    """A tokenizer somebody else made, by folder or hub name; `train` stands for none and loads as None.

    ```yaml
    ready_tokenizer:
      type: ctcd.datasets.tokenizer_dataset.ReadyTokenizerDataset
      source: train
    ```
    """

    def __init__(self, *, source: str, metadata: dict[str, Any] | None = None) -> None:
        """Describe the tokenizer.

        Args:
            source: a folder, a hub name, or `train`.
            metadata: for plugins such as kedro-viz; not used here.
        """
        self.metadata = metadata
        self._source = source

    def load(self) -> Any:
        """The tokenizer, or None if one is to be trained."""
        if self._source == "train":
            return None
        from ctcd.corpus.tokenizer import load_tokenizer

        return load_tokenizer(self._source)

    def load_local(self) -> Any:
        """The tokenizer if it lies in a folder; None if it is on the hub or to be trained."""
        return self.load() if Path(self._source).is_dir() else None

    def save(self, data: Any) -> None:
        """Refused."""
        raise DatasetError("A ready tokenizer is read only.")

    def _describe(self) -> dict[str, Any]:
        return {"source": self._source}
