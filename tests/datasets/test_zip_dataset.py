import zipfile

from kedro.io import Version

from ctcd.datasets.zip_dataset import ZipDataset

FILES = {"RTE.tsv": "index\tprediction\n0\tentailment\n", "é.txt": "é"}


def test_what_is_saved_loads_again_and_is_a_plain_archive(tmp_path):
    dataset = ZipDataset(filepath=str(tmp_path / "submission.zip"))
    assert not dataset.exists()
    dataset.save(FILES)
    assert dataset.exists()
    assert dataset.load() == FILES
    assert zipfile.ZipFile(tmp_path / "submission.zip").namelist() == list(FILES)


def test_versions_are_kept_apart_and_the_latest_is_loaded(tmp_path):
    path = str(tmp_path / "submission.zip")
    for version in ("2026-01-01", "2026-01-02"):
        ZipDataset(filepath=path, version=Version(None, version)).save({"version": version})
    assert ZipDataset(filepath=path, version=Version(None, None)).load() == {"version": "2026-01-02"}
