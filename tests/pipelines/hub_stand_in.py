"""Kedro's command line with a local folder in the place of the Hugging Face hub.

`python hub_stand_in.py run ...` finds the data set or tokenizer `owner/name` in `$HUB_STAND_IN/owner/name` and loads it
with the library that would fetch it; there are no other names.
"""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import transformers

import datasets


def stand_in() -> None:
    """Let the libraries look into the folder."""
    hub = Path(os.environ["HUB_STAND_IN"])
    load_dataset, load_tokenizer = datasets.load_dataset, transformers.AutoTokenizer.from_pretrained

    def find(name: str) -> str:
        if not (hub / name).is_dir():
            raise OSError(f"there is no '{name}'")
        return str(hub / name)

    def load(name: str, *arguments: Any, revision: str | None = None, **options: Any) -> Any:
        return load_dataset(find(name), *arguments, **options)

    datasets.load_dataset = load
    list_configurations = datasets.get_dataset_config_names
    datasets.get_dataset_config_names = lambda name: list_configurations(find(name))
    huggingface_hub.dataset_info = lambda name: SimpleNamespace(sha=f"revision of {Path(find(name)).name}")
    transformers.AutoTokenizer.from_pretrained = lambda name, *arguments, **options: load_tokenizer(
        name if Path(name).is_dir() else find(name), *arguments, **options
    )


if __name__ == "__main__":
    stand_in()
    from kedro.framework.cli import main

    main()
