"""A model with its tokenizer, as a standard Hugging Face folder."""

from dataclasses import dataclass
from pathlib import Path

from transformers import AutoModelForMaskedLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class PretrainedModel:
    """A masked language model, its tokenizer and its model card."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    card: str

    @property
    def folder(self) -> Path:
        """Where the model was loaded from."""
        return Path(self.model.name_or_path)

    def save(self, folder: Path) -> None:
        """Write configuration, safetensors, tokenizer and card; `AutoModel.from_pretrained` opens the folder."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        (folder / "README.md").write_text(self.card, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "PretrainedModel":
        """Open a folder."""
        card = folder / "README.md"
        return cls(
            AutoModelForMaskedLM.from_pretrained(folder),
            AutoTokenizer.from_pretrained(folder),
            card.read_text(encoding="utf-8") if card.is_file() else "",
        )
