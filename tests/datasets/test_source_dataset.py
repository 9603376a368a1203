from pathlib import Path

import pytest
from kedro.io import DatasetError

from ctcd.datasets.source_dataset import SourceDataset
from ctcd.errors import InputError
from ctcd.lineage.digest import tokenizer_fingerprint


def tokenizer_source(source: str) -> SourceDataset:
    return SourceDataset(source=source, loader="ctcd.corpus.tokenizer.load_given_tokenizer")


def model_source(source: str | None) -> SourceDataset:
    return SourceDataset(source=source, loader="ctcd.modeling.model_folder.find_model")


def teacher_source(source: str) -> SourceDataset:
    return SourceDataset(
        source=source,
        loader="ctcd.modeling.pretrained.load_given_model",
        checker="ctcd.modeling.pretrained.check_given_model",
    )


def test_a_tokenizer_is_opened_where_it_lies_and_only_there_without_fetching(tmp_path: Path, tokenizer) -> None:
    tokenizer.save_pretrained(tmp_path)
    for loaded in (tokenizer_source(str(tmp_path)).load(), tokenizer_source(str(tmp_path)).load_local()):
        assert tokenizer_fingerprint(loaded) == tokenizer_fingerprint(tokenizer)
    assert tokenizer_source("owner/name").load_local() is None


def test_no_ready_tokenizer_means_one_is_trained() -> None:
    assert tokenizer_source("train").load() is None


def test_a_model_loads_to_its_folder(tmp_path: Path) -> None:
    assert model_source(str(tmp_path)).load().folder == tmp_path


@pytest.mark.parametrize("source", [None, ""])
def test_a_model_that_is_not_named_is_asked_for(source: str | None) -> None:
    with pytest.raises(DatasetError, match="--params model=<folder or hub name>") as raised:
        model_source(source).load()
    assert isinstance(raised.value.__cause__, InputError)  # which is what the command line shows


def test_what_cannot_be_opened_is_said_before_it_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name one with --params teacher="):
        teacher_source("none").check()
    with pytest.raises(InputError, match="is no Hugging Face model"):
        teacher_source(str(tmp_path)).check()
    model_source(None).check()


def test_what_somebody_else_made_cannot_be_saved() -> None:
    with pytest.raises(DatasetError, match="read only"):
        model_source("x").save(object())
