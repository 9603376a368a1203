"""A model with its tokenizer, as a standard Hugging Face folder."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from transformers import AutoConfig, AutoTokenizer, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from ctcd.errors import InputError
from ctcd.lineage.digest import weights_fingerprint
from ctcd.modeling.families import FAMILIES
from ctcd.modeling.model_folder import find_model

LINEAGE = "lineage.json"


@dataclass(frozen=True)
class PretrainedModel:
    """A language model, its tokenizer, its model card and what made it.

    Attributes:
        model: the language model.
        tokenizer: that it was trained with.
        card: Markdown.
        lineage: plain values, `corpus` (the fingerprint of the shards) among them; empty if nothing is known.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    card: str
    lineage: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where the model was loaded from."""
        return Path(self.model.name_or_path)

    def fingerprint(self) -> str:
        """The fingerprint of its folder, or of the one that it would be saved to."""
        if self.folder.is_dir():
            return weights_fingerprint(self.folder)
        with TemporaryDirectory() as folder:
            self.model.save_pretrained(folder)
            return weights_fingerprint(Path(folder))

    def save(self, folder: Path) -> None:
        """Write a folder that `AutoModel.from_pretrained` opens: safetensors, tokenizer, card and lineage."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        (folder / "README.md").write_text(self.card, encoding="utf-8")
        if self.lineage:
            (folder / LINEAGE).write_text(json.dumps(dict(self.lineage), indent=2), encoding="utf-8")

    @classmethod
    def load(cls, source: str | Path) -> "PretrainedModel":
        """Open a folder, or a model of the hub by its name.

        Raises:
            InputError: as `known_configuration`, and if it lacks weights, which would be drawn at random, or has none
                in safetensors: other files may run code.
        """
        model_type = known_configuration(source).model_type
        folder = find_model(str(source)).folder
        if not any(folder.glob("*.safetensors")):
            raise InputError(
                f"'{source}' has no weights in safetensors: save it anew with `save_pretrained`, which writes them."
            )
        card = folder / "README.md"
        model, loading = FAMILIES[model_type].model_class.from_pretrained(
            folder, dtype=torch.float32, output_loading_info=True, use_safetensors=True, trust_remote_code=False
        )
        if loading["missing_keys"]:
            raise InputError(
                f"'{source}' is no whole language model: it has no weights for {min(loading['missing_keys'])}. Give "
                "one that was saved with its output layer."
            )
        return cls(
            model,
            AutoTokenizer.from_pretrained(folder, trust_remote_code=False),
            card.read_text(encoding="utf-8") if card.is_file() else "",
            read_lineage(folder),
        )


def read_lineage(folder: Path) -> dict[str, Any]:
    """What is known of how the model in a folder was made; nothing of a model that somebody else made."""
    path = folder / LINEAGE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def load_given_model(source: str | Path) -> PretrainedModel:
    """Open a model that a user names; whatever it was trained on is meant.

    Raises:
        InputError: as `PretrainedModel.load`, and if `source` is `none`.
    """
    check_given_model(source)
    return replace(PretrainedModel.load(source), lineage={})


def check_given_model(source: str | Path) -> PretrainedConfig:
    """Find out whether there is such a model, without its weights; returns its configuration.

    Raises:
        InputError: as `load_given_model`.
    """
    if source == "none":
        raise InputError("this pipeline wants a given teacher: name one with --params teacher=<folder or hub name>")
    return known_configuration(source)


def known_configuration(source: str | Path) -> PretrainedConfig:
    """The configuration of a model in a folder or on the hub.

    Raises:
        InputError: if there is no model, or one of no family in `FAMILIES`.
    """
    try:
        configuration = AutoConfig.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"'{source}' is no Hugging Face model: name a folder that `save_pretrained` wrote, or a model of the hub."
        ) from error
    if configuration.model_type not in FAMILIES:
        raise InputError(
            f"The model in '{source}' is of type '{configuration.model_type}': choose one of "
            f"{', '.join(sorted(FAMILIES))}."
        )
    return configuration
