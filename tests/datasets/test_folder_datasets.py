"""The versioned folders: shards, tokenizers, models."""

import os
from pathlib import Path

import pytest
import torch
from kedro.io import DatasetError, Version

from ctcd.corpus.encoding import write_shards
from ctcd.datasets.folder_dataset import FolderDataset
from ctcd.datasets.shards_dataset import ShardsDataset
from ctcd.datasets.tokenizer_dataset import TokenizerDataset
from ctcd.datasets.trained_models_dataset import TrainedModelsDataset
from ctcd.errors import InputError
from ctcd.lineage.digest import tokenizer_fingerprint
from ctcd.modeling.architecture import build_model
from ctcd.modeling.pretrained import PretrainedModel
from ctcd.modeling.trained_models import TrainedModel, TrainedModels


class NoteDataset(FolderDataset):
    """A folder with one text file."""

    MARKER = "note.txt"

    def _write(self, folder: Path, data: str) -> None:
        (folder / "extra.txt").write_text("extra")
        if data == "broken":
            raise OSError("disk on fire")
        (folder / self.MARKER).write_text(data)

    def _read(self, folder: Path) -> str:
        return (folder / self.MARKER).read_text()


def note(folder: Path, load: str | None = None, save: str | None = None) -> NoteDataset:
    return NoteDataset(filepath=(folder / "note").as_posix(), version=Version(load, save))


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    dataset = note(tmp_path, save="v1")
    assert not dataset.exists()
    dataset.save("hello")
    assert dataset.exists()
    assert dataset.load() == "hello"
    assert (tmp_path / "note" / "v1" / "note" / "note.txt").is_file()


def test_the_latest_version_is_loaded_unless_one_is_pinned(tmp_path: Path) -> None:
    for version in ("2026-01-01", "2026-01-02"):
        note(tmp_path, save=version).save(version)
    assert note(tmp_path).load() == "2026-01-02"
    assert note(tmp_path, load="2026-01-01").load() == "2026-01-01"


def test_a_version_is_never_written_twice(tmp_path: Path) -> None:
    note(tmp_path, save="v1").save("first")
    with pytest.raises(DatasetError, match="must not exist"):
        note(tmp_path, save="v1").save("second")


def test_a_failed_save_leaves_nothing_and_the_version_before_it_in_use(tmp_path: Path) -> None:
    note(tmp_path, save="v1").save("good")
    with pytest.raises(DatasetError, match="disk on fire"):
        note(tmp_path, save="v2").save("broken")
    assert note(tmp_path).load() == "good"
    assert not list(tmp_path.rglob("extra.txt.partial"))
    assert [path.name for path in tmp_path.rglob("extra.txt")] == ["extra.txt"]


def test_an_incomplete_folder_is_not_there(tmp_path: Path) -> None:
    note(tmp_path, save="v1").save("good")
    (tmp_path / "note" / "v2" / "note").mkdir(parents=True)
    assert note(tmp_path).load() == "good"


def test_without_versions_a_folder_is_replaced(tmp_path: Path) -> None:
    dataset = NoteDataset(filepath=(tmp_path / "note").as_posix())
    for text in ("first", "second"):
        dataset.save(text)
    assert dataset.load() == "second"


def test_nothing_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="does not exist"):
        NoteDataset(filepath=(tmp_path / "note").as_posix()).load()


def test_shards_are_written_by_the_function_that_is_saved(
    tmp_path: Path, documents, document_split, tokenizer, corpus_parameters
) -> None:
    dataset = ShardsDataset(filepath=(tmp_path / "shards").as_posix(), version=Version(None, "v1"))
    dataset.save(lambda folder: write_shards(folder, documents, document_split, tokenizer, corpus_parameters))
    assert len(dataset.load().sequences("train")) > 10
    assert "unigram_entropy" in dataset.preview()


def test_tokenizers_survive_the_catalog(tmp_path: Path, tokenizer) -> None:
    dataset = TokenizerDataset(filepath=(tmp_path / "tokenizer").as_posix(), version=Version(None, "v1"))
    dataset.save(tokenizer)
    assert tokenizer_fingerprint(dataset.load()) == tokenizer_fingerprint(tokenizer)


@pytest.fixture
def models(tmp_path: Path, tokenizer, pretraining) -> TrainedModels:
    folder = tmp_path / "run" / "teacher"
    model = build_model(pretraining.teacher, tokenizer, 32, 1, "teacher")
    PretrainedModel(model, tokenizer, "# card").save(folder)
    return TrainedModels((TrainedModel(1, "teacher", "run", folder),))


def test_models_survive_the_catalog(tmp_path: Path, models) -> None:
    dataset = TrainedModelsDataset(filepath=(tmp_path / "ctcd").as_posix(), version=Version(None, "v1"))
    dataset.save(models)
    before, after = models.find("teacher").load(), dataset.load().find("teacher").load()
    assert all(torch.equal(a, b) for a, b in zip(before.model.parameters(), after.model.parameters(), strict=True))
    assert after.card == "# card"
    assert not list(tmp_path.rglob("*.bin"))


def test_no_weights_are_read_until_a_model_is_asked_for(tmp_path: Path, models, monkeypatch) -> None:
    """Fine-tunings read them in their own processes, from the folder."""
    dataset = TrainedModelsDataset(filepath=(tmp_path / "ctcd").as_posix())
    dataset.save(models)
    monkeypatch.setattr(PretrainedModel, "load", lambda source: pytest.fail("read the weights"))
    assert dataset.load().find("teacher").folder == tmp_path / "ctcd" / "teacher-seed-1"


def test_models_are_on_the_disk_before_they_are_seen(tmp_path: Path, models, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training's state is removed after that, so that nothing else has the weights after a power cut."""
    synced: list[Path] = []
    target = tmp_path / "ctcd"

    def record(handle: int) -> None:
        synced.append(Path(f"/proc/self/fd/{handle}").readlink())
        assert target.exists() == (synced[-1] == tmp_path)

    monkeypatch.setattr(os, "fsync", record)
    TrainedModelsDataset(filepath=target.as_posix()).save(models)
    assert {path.name for path in target.rglob("*")} <= {path.name for path in synced}
    assert synced[-1] == tmp_path


def test_a_shards_folder_of_something_else_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    with pytest.raises((DatasetError, InputError)):
        ShardsDataset(filepath=(tmp_path / "shards").as_posix()).load()
