import numpy as np
import pytest
from kedro.io import DatasetError

from ctcd.datasets.array_store_dataset import ArrayStoreDataset
from ctcd.datasets.model_folder_dataset import ModelFolderDataset
from ctcd.errors import InputError


def test_a_store_is_written_through_its_handle_alone(tmp_path):
    dataset = ArrayStoreDataset(filepath=str(tmp_path / "results"))
    assert not dataset.exists()
    dataset.load().save("key", {"a": np.arange(3)})
    assert dataset.exists()
    assert dataset.load().load("key")["a"].tolist() == [0, 1, 2]
    with pytest.raises(DatasetError, match="through its handle"):
        dataset.save({})


def test_a_model_loads_to_its_folder(tmp_path):
    assert ModelFolderDataset(source=str(tmp_path)).load().folder == tmp_path


@pytest.mark.parametrize("source", [None, ""])
def test_a_model_that_is_not_named_is_asked_for(source):
    with pytest.raises(DatasetError, match="--params model=<folder or hub name>") as raised:
        ModelFolderDataset(source=source).load()
    assert isinstance(raised.value.__cause__, InputError)  # which is what the command line shows


def test_a_model_cannot_be_saved():
    with pytest.raises(DatasetError, match="read only"):
        ModelFolderDataset(source="x").save(object())
