"""Fine-tunings that failed, in the catalog."""

import pandas as pd
from kedro.io import Version

from ctcd.datasets.failures_dataset import FailuresDataset


def test_a_table_of_failures_is_there_once_nothing_failed(tmp_path) -> None:
    def failures(version):
        return FailuresDataset(
            filepath=str(tmp_path / "failures.csv"), save_args={"index": False}, version=Version(None, version)
        )

    assert not failures(None).exists()
    failures("1").save(pd.DataFrame({"task": ["cola"], "seed": [1], "reason": ["It diverged."]}))
    assert not failures(None).exists()
    assert failures(None).load()["task"].tolist() == ["cola"]
    failures("2").save(pd.DataFrame({"task": [], "seed": [], "reason": []}))
    assert failures(None).exists()
