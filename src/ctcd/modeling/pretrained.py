"""A model with its tokenizer, as a standard Hugging Face folder."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from ctcd.errors import InputError
from ctcd.modeling.families import FAMILIES


@dataclass(frozen=True)
class PretrainedModel:
    """A language model, its tokenizer and its model card."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    card: str

    @property
    def folder(self) -> Path:
        """Where the model was loaded from."""
        return Path(self.model.name_or_path)

    def fingerprint(self) -> str:
        """A hash of all weights, under their names."""
        digest = hashlib.sha256()
        for name, weight in sorted(self.model.state_dict().items()):
            digest.update(name.encode())
            digest.update(weight.detach().cpu().float().numpy().tobytes())
        return digest.hexdigest()[:16]

    def save(self, folder: Path) -> None:
        """Write configuration, safetensors, tokenizer and card; `AutoModel.from_pretrained` opens the folder."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        (folder / "README.md").write_text(self.card, encoding="utf-8")

    @classmethod
    def load(cls, source: str | Path) -> "PretrainedModel":
        """Open a folder, or a model of the hub by its name.

        Raises:
            InputError: as `model_type_of`, and if it lacks weights, which would be drawn at random.
        """
        model_type = model_type_of(source)
        card = Path(source) / "README.md"
        model, loading = FAMILIES[model_type].model_class.from_pretrained(
            source, dtype=torch.float32, output_loading_info=True
        )
        if loading["missing_keys"]:
            raise InputError(
                f"'{source}' is no whole language model: it has no weights for {min(loading['missing_keys'])}. Give "
                "one that was saved with its output layer."
            )
        return cls(
            model,
            AutoTokenizer.from_pretrained(source),
            card.read_text(encoding="utf-8") if card.is_file() else "",
        )


def model_type_of(source: str | Path) -> str:
    """The family of a model in a folder or on the hub.

    Raises:
        InputError: if there is no model, or one of no family in `FAMILIES`.
    """
    try:
        model_type = AutoConfig.from_pretrained(source).model_type
    except (OSError, ValueError) as error:
        raise InputError(
            f"'{source}' is no Hugging Face model: name a folder that `save_pretrained` wrote, or a model of the hub."
        ) from error
    if model_type not in FAMILIES:
        raise InputError(
            f"The model in '{source}' is of type '{model_type}': choose one of {', '.join(sorted(FAMILIES))}."
        )
    return model_type
