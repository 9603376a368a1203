import pandas as pd
import pytest
from kedro.io import DatasetError, Version

from ctcd.datasets.suite_dataset import SuiteDataset
from ctcd.errors import InputError
from ctcd.tasks.hub import HubSuite
from ctcd.tasks.tasks import GLUE, PROBES

FRAME = pd.DataFrame({"sentence": ["One.", "Two."], "label": [0, 1]})
TOPIC_TASK = PROBES["topic"]
TOPIC = {"topic": {"train": FRAME, "validation": FRAME}}


def test_what_is_saved_loads_again(tmp_path):
    dataset = SuiteDataset(filepath=str(tmp_path / "probes"))
    assert not dataset.exists()
    dataset.save(TOPIC)
    assert dataset.exists()
    pd.testing.assert_frame_equal(dataset.load().read(TOPIC_TASK).frames["validation"], FRAME)


def test_an_absent_folder_loads_and_fails_only_when_a_task_is_read(tmp_path):
    suite = SuiteDataset(filepath=str(tmp_path / "glue")).load()
    with pytest.raises(InputError, match="data_root"):
        suite.read(GLUE["cola"])


def test_nothing_is_read_on_loading(tmp_path):
    (tmp_path / "glue" / "cola").mkdir(parents=True)
    (tmp_path / "glue" / "cola" / "train.parquet").write_text("not parquet")
    SuiteDataset(filepath=str(tmp_path / "glue")).load()


def test_versions_are_kept_apart_and_the_latest_is_loaded(tmp_path):
    filepath = str(tmp_path / "probes")
    for version, frame in (("2026-01-01", FRAME), ("2026-01-02", pd.concat([FRAME, FRAME]))):
        SuiteDataset(filepath=filepath, version=Version(None, version)).save(
            {"topic": {"train": frame, "validation": frame}}
        )
    latest = SuiteDataset(filepath=filepath, version=Version(None, None)).load()
    pinned = SuiteDataset(filepath=filepath, version=Version("2026-01-01", None)).load()
    assert (latest.read(TOPIC_TASK).frames["train"].shape[0], pinned.read(TOPIC_TASK).frames["train"].shape[0]) == (
        4,
        2,
    )


def test_without_any_version_reading_says_so(tmp_path):
    dataset = SuiteDataset(filepath=str(tmp_path / "probes"), version=Version(None, None))
    assert not dataset.exists()
    with pytest.raises(InputError, match="made by the pipeline 'corpus'"):
        dataset.load().read(TOPIC_TASK)


def test_a_source_on_the_hub_loads_to_a_suite_that_fetches_nothing_yet():
    suite = SuiteDataset(filepath="hub:nobody/nothing").load()
    assert suite == HubSuite("nobody/nothing")


def test_a_failed_save_leaves_nothing_behind(tmp_path):
    dataset = SuiteDataset(filepath=str(tmp_path / "probes"))
    with pytest.raises(DatasetError):
        dataset.save({"topic": {"train": FRAME, "validation": "no table"}})
    assert list(tmp_path.iterdir()) == []
    assert not dataset.exists()
