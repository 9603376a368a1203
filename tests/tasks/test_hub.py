"""The hub's layout in a local folder, which `datasets` loads in the same way."""

import pandas as pd
import pytest

from ctcd.errors import InputError
from ctcd.tasks.hub import HubSuite
from ctcd.tasks.tasks import GLUE

FRAME = pd.DataFrame({"sentence": ["One.", "Two."], "label": [0, 1], "idx": [0, 1]})
CARD = """---
configs:
- config_name: cola
  data_files:
  - {split: train, path: cola/train-*}
  - {split: validation, path: cola/validation-*}
  - {split: test, path: cola/test-*}
- config_name: rte
  data_files:
  - {split: train, path: rte/train-*}
---
"""


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "glue"
    for task in ("cola", "rte"):
        (folder / task).mkdir(parents=True)
    for split, label in (("train", [0, 1]), ("validation", [1, 0]), ("test", [-1, -1])):
        FRAME.assign(label=label).to_parquet(folder / "cola" / f"{split}-00000-of-00001.parquet")
    (folder / "rte" / "train-00000-of-00001.parquet").write_text("not read unless asked for")
    (folder / "README.md").write_text(CARD)
    return HubSuite(str(folder))


def test_a_task_is_read_with_its_splits(hub):
    data = hub.read(GLUE["cola"], with_hidden=True)
    assert {split: frame["label"].tolist() for split, frame in data.frames.items()} == {
        "train": [0, 1],
        "validation": [1, 0],
        "test": [-1, -1],
    }
    assert data.frames["train"]["sentence"].tolist() == ["One.", "Two."]
    assert not data.is_partial


def test_a_task_is_loaded_once_and_only_if_it_is_asked_for(hub, monkeypatch):
    import datasets

    loaded = []
    load = datasets.load_dataset
    monkeypatch.setattr(datasets, "load_dataset", lambda *names: loaded.append(names[1]) or load(*names))
    hub.read(GLUE["cola"])
    hub.read(GLUE["cola"], with_hidden=True)
    assert loaded == ["cola"]


@pytest.mark.parametrize("name", ["rte", "mrpc"])
def test_what_cannot_be_loaded_is_one_sentence(hub, name):
    with pytest.raises(InputError, match=rf"Task '{name}' cannot be loaded from 'hub:.*check the name"):
        hub.read(GLUE[name])
