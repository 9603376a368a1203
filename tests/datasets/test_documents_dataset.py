"""The catalog's documents: a path, or the installed packages harvested once."""

import sys
from pathlib import Path
from typing import BinaryIO

import pyarrow.parquet
import pytest
from kedro.io import DataCatalog, DatasetError

from ctcd.corpus import installed_packages
from ctcd.corpus.documents import Document
from ctcd.corpus.installed_packages import Package
from ctcd.datasets.documents_dataset import DocumentsDataset
from ctcd.errors import InputError

OPENING = "The library opens at nine in the morning, and it is closed on Sundays."
FINES = "Books that are not returned in time will cost their reader a small fine."


class Harvests:
    """One small package in place of the installed ones; counts how often it is harvested."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        folder.mkdir()
        (folder / "opening.py").write_text(f'"""{OPENING}"""', encoding="utf-8")
        (folder / "fines.py").write_text(f'"""{FINES}"""', encoding="utf-8")
        self.package = Package("library", "1.0", folder)
        harvest = installed_packages.harvest

        def count_harvests(packages: list[Package]) -> list[Document]:
            self.count += 1
            return harvest(packages, processes=1)

        monkeypatch.setattr(installed_packages, "find_installed_packages", lambda: [self.package])
        monkeypatch.setattr(installed_packages, "harvest", count_harvests)


@pytest.fixture
def harvests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Harvests:
    return Harvests(tmp_path / "library", monkeypatch)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "01_raw" / "installed_packages.parquet"


def installed(path: Path) -> DocumentsDataset:
    return DocumentsDataset(source="installed-packages", filepath=str(path))


EXPECTED = [Document(FINES, "library"), Document(OPENING, "library")]


def test_catalog_entry_loads_documents_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The only text.", encoding="utf-8")
    entry = {
        "type": "ctcd.datasets.documents_dataset.DocumentsDataset",
        "source": str(tmp_path),
        "text_column": "text",
        "filepath": "data/01_raw/unused.parquet",
        "metadata": {"kedro-viz": {"layer": "raw"}},
    }
    catalog = DataCatalog.from_config({"documents": entry})
    documents = catalog.load("documents")
    assert list(documents) == [Document("The only text.", "a")]
    assert documents.name == str(tmp_path)
    assert catalog.exists("documents")


def test_relative_source_starts_at_the_project_from_wherever_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    (project / "notebooks").mkdir(parents=True)
    (project / "pyproject.toml").write_text('[tool.kedro]\npackage_name = "p"\n', encoding="utf-8")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("The only text.", encoding="utf-8")
    monkeypatch.chdir(project / "notebooks")
    documents = DocumentsDataset(source="../texts", filepath="unused").load()
    assert list(documents) == [Document("The only text.", "a")]
    assert documents.name == "../texts"


def test_list_of_sources_is_one_collection(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(f"The file {name}.", encoding="utf-8")
    documents = DocumentsDataset(source=[f"{tmp_path}/b.txt", f"{tmp_path}/a.txt"], filepath="unused").load()
    assert [document.topic for document in documents] == ["b", "a"]
    assert documents.name == f"{tmp_path}/b.txt + {tmp_path}/a.txt"


def test_harvest_is_made_once_and_kept(harvests: Harvests, path: Path) -> None:
    documents = installed(path).load()
    assert list(documents) == list(documents) == EXPECTED
    assert list(installed(path).load()) == EXPECTED
    assert harvests.count == 1
    assert pyarrow.parquet.read_schema(path).names == ["text", "source"]
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_harvest_is_made_anew_when_packages_change(harvests: Harvests, path: Path) -> None:
    first = installed(path).load()
    harvests.package = Package("library", "2.0", harvests.package.folder)
    (harvests.package.folder / "fines.py").unlink()
    second = installed(path).load()
    assert list(second) == EXPECTED[1:]
    assert harvests.count == 2
    assert first.fingerprint() != second.fingerprint()


def test_harvest_of_some_packages_takes_those_alone(
    harvests: Harvests, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Package("other", "1.0", path)
    monkeypatch.setattr(installed_packages, "find_installed_packages", lambda: [other, harvests.package])
    documents = DocumentsDataset(source="installed-packages:library", filepath=str(path)).load()
    assert list(documents) == EXPECTED
    assert documents.fingerprint() == installed_packages.identify_packages([harvests.package])


def test_harvest_of_an_unknown_package_is_refused_with_the_known_ones(harvests: Harvests, path: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        DocumentsDataset(source="installed-packages:library+nothing", filepath=str(path)).load()
    assert isinstance(caught.value.__cause__, InputError)
    assert "names nothing," in str(caught.value.__cause__)
    assert "choose from library" in str(caught.value.__cause__)


def test_same_packages_give_the_same_bytes(harvests: Harvests, path: Path) -> None:
    installed(path).load()
    content = path.read_bytes()
    path.unlink()
    installed(path).load()
    assert path.read_bytes() == content


@pytest.mark.parametrize("content", [b"", b"PAR1 not what it says"])
def test_kept_file_that_cannot_be_read_is_replaced(harvests: Harvests, path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert list(installed(path).load()) == EXPECTED


def test_failed_write_leaves_nothing_and_names_the_place(
    harvests: Harvests, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_disk(table: object, where: BinaryIO, **options: object) -> None:
        where.write(b"PAR1")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pyarrow.parquet, "write_table", fill_disk)
    with pytest.raises(DatasetError) as caught:
        installed(path).load()
    assert isinstance(caught.value.__cause__, InputError)
    assert str(path) in str(caught.value.__cause__)
    assert "No space left" in str(caught.value.__cause__)
    assert list(path.parent.iterdir()) == []


def test_input_error_is_the_cause_of_what_kedro_raises(tmp_path: Path) -> None:
    dataset = DocumentsDataset(source=f"{tmp_path}/nowhere", filepath="unused")
    assert not dataset.exists()
    with pytest.raises(DatasetError) as caught:
        dataset.load()
    assert isinstance(caught.value.__cause__, InputError)


def test_saving_is_refused(path: Path) -> None:
    with pytest.raises(DatasetError, match="only reads"):
        installed(path).save([])


def test_description_and_existence_need_neither_harvest_nor_network(
    harvests: Harvests, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for source in ("installed-packages", "hub:owner/name", ["hub:owner/name"]):
        dataset = DocumentsDataset(source=source, filepath=str(path))
        assert dataset.exists()
        assert str(path) in str(dataset)
    assert harvests.count == 0
