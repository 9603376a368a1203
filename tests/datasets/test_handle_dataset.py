from pathlib import Path

import numpy as np
import pytest
from kedro.io import DatasetError

from ctcd.datasets.handle_dataset import HandleDataset


def test_a_store_is_written_through_its_handle_alone(tmp_path: Path) -> None:
    dataset = HandleDataset(filepath=str(tmp_path / "results"), handle="ctcd.lineage.array_store.ArrayStore")
    assert not dataset.exists()
    dataset.load().save("key", {"a": np.arange(3)})
    assert dataset.exists()
    assert dataset.load().load("key")["a"].tolist() == [0, 1, 2]
    with pytest.raises(DatasetError, match="through its handle"):
        dataset.save({})


def test_a_handle_takes_what_its_class_needs_beside_the_folder(tmp_path: Path) -> None:
    dataset = HandleDataset(
        filepath=str(tmp_path / "state"), handle="ctcd.lineage.state.StateStore", arguments={"label": "ctcd"}
    )
    store = dataset.load()
    store.save({"step": 3}, 3, keep=1)
    assert (store.label, dataset.load().latest()) == ("ctcd", {"step": 3})
