import pandas as pd
import pytest
from kedro.io import Version

from ctcd.datasets.minimal_pairs_dataset import MinimalPairsDataset
from ctcd.errors import InputError

PAIRS = pd.DataFrame({"sentence_good": ["It is."], "sentence_bad": ["It are."]})


def test_what_is_saved_is_read_by_set(tmp_path) -> None:
    dataset = MinimalPairsDataset(filepath=str(tmp_path / "pairs"), version=Version(None, None))
    assert not dataset.exists()
    dataset.save({"heldout_text": PAIRS})
    assert dataset.exists()
    pairs = dataset.load().read("heldout_text")
    assert pairs["sentence_bad"].tolist() == ["It are."]


@pytest.mark.parametrize("version", [None, Version(None, None)])
def test_a_folder_that_is_not_there_hurts_only_who_reads_it(tmp_path, version) -> None:
    folder = MinimalPairsDataset(filepath=str(tmp_path / "nowhere"), version=version).load()
    assert not folder.has("zorro")
    with pytest.raises(InputError, match="no set of minimal pairs 'zorro'"):
        folder.read("zorro")
