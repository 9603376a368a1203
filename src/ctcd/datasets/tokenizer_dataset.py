"""Hugging Face tokenizers in the catalog."""

from pathlib import Path
from typing import Any

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
