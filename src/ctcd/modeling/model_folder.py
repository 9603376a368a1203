"""Encoders to be evaluated: folders of any Hugging Face family, checked before anything long starts."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from transformers import AutoConfig, AutoTokenizer, PretrainedConfig, PreTrainedTokenizerBase
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES

from ctcd.errors import InputError, first_line
from ctcd.lineage.digest import digest, weights_fingerprint

TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model", "*.spm", "tokenizer_config.json")
WEIGHT_FILES = ("model*.safetensors", "pytorch_model*.bin")
PADDING_TOKENS = ("[PAD]", "<pad>")
# What a hub repository may hold beside is left there.
FETCHED = ["*.json", "*.txt", *TOKENIZER_FILES, *WEIGHT_FILES]


@dataclass(frozen=True)
class ModelFolder:
    """A model folder with its tokenizer.

    Attributes:
        folder: of the model.
        has_random_weights: whether its weights are drawn anew instead of loaded: the control for pre-training.
    """

    folder: Path
    has_random_weights: bool = False

    @property
    def name(self) -> str:
        """Name the model in tables: its folder, or its name on the hub, which says where the copy lies."""
        fetched = re.search(r"models--([^/\\]+)[/\\]snapshots", str(self.folder))
        return fetched[1].replace("--", "/") if fetched else self.folder.resolve().name

    def with_random_weights(self) -> "ModelFolder":
        """The same shape, untrained."""
        return replace(self, has_random_weights=True)

    def configuration(self) -> PretrainedConfig:
        """Read the configuration.

        Raises:
            InputError: if there is none, or it is of a family without classification heads.
        """
        if not (self.folder / "config.json").is_file():
            raise InputError(
                f"'{self.folder}' is no model folder: it has no config.json; give one that `save_pretrained` wrote."
            )
        try:
            configuration = AutoConfig.from_pretrained(self.folder)
        except (ValueError, OSError) as error:
            raise InputError(
                f"'{self.folder / 'config.json'}' describes no known model ({first_line(error)}): correct it."
            ) from error
        if configuration.model_type not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES:
            raise InputError(
                f"'{self.folder}' is of the family '{configuration.model_type}', which has no classification head in "
                "Transformers: give an encoder such as BERT."
            )
        if not self.has_random_weights and not any(any(self.folder.glob(pattern)) for pattern in WEIGHT_FILES):
            raise InputError(f"'{self.folder}' has no weights (model.safetensors): give a folder that has some.")
        return configuration

    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Load the tokenizer.

        Raises:
            InputError: if the folder has none.
        """
        if not any(any(self.folder.glob(pattern)) for pattern in TOKENIZER_FILES):
            raise InputError(f"'{self.folder}' has no tokenizer: save the one that the model was trained with to it.")
        try:
            tokenizer = AutoTokenizer.from_pretrained(self.folder)
        except Exception as error:  # damaged files, missing vocabularies: every family has errors of its own
            raise InputError(
                f"The tokenizer in '{self.folder}' cannot be loaded ({first_line(error)}): save it there again."
            ) from error
        # Folders without a special_tokens_map (BERT's original files) have the token in the vocabulary alone.
        padding = [token for token in PADDING_TOKENS if token in tokenizer.get_vocab()]
        if tokenizer.pad_token is None and padding:
            tokenizer.pad_token = padding[0]
        return tokenizer

    def fingerprint(self) -> str:
        """Identity of the weights, or of the shape alone if they are drawn anew."""
        if self.has_random_weights:
            return digest("random weights", (self.folder / "config.json").read_text(encoding="utf-8"))
        return weights_fingerprint(self.folder)


def find_model(source: str | None) -> ModelFolder:
    """Find a model by folder or hub name; one of the hub is fetched.

    Raises:
        InputError: if it is neither, or not named.
    """
    if not source:
        raise InputError("No model is named: say which with --params model=<folder or hub name>.")
    if Path(source).is_dir():
        return ModelFolder(Path(source))
    if Path(source).exists() or not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", source) or source.startswith("."):
        raise InputError(f"There is no model folder '{source}': correct the path, or give a hub name (owner/name).")
    from huggingface_hub import snapshot_download

    try:
        return ModelFolder(Path(snapshot_download(source, allow_patterns=FETCHED)))
    except Exception as error:  # network, name, access: the library has many kinds
        raise InputError(
            f"There is no folder '{source}', and no model of that name can be fetched from the hub "
            f"({first_line(error)}): correct the name or check the network."
        ) from error
