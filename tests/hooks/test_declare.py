"""Where the models lie that variants start from."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline

from ctcd.datasets.source_dataset import SourceDataset
from ctcd.errors import InputError
from ctcd.hooks.checks import check_initial_models
from ctcd.hooks.declare import locate_initial_models
from ctcd.modeling.model_folder import ModelFolder
from ctcd.parameters import Parameters
from ctcd.pretraining.settings import SharedPretraining, VariantParameters
from ctcd.studies.study import Study, Variant


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "models/ours").mkdir(parents=True)
    return tmp_path


def located(initial: Any, project: Path, given: str | None = None) -> Any:
    parameters = {
        "pretraining": {"student": {"layers": 2, "initial": initial}},
        "variants": {"mine": {"name": "mine", "teacher": {"initial": initial}}, "other": {"name": "other"}},
    }
    found = locate_initial_models(parameters, project, given)
    assert found["pretraining"]["student"]["layers"] == 2
    assert found["variants"]["other"] == {"name": "other"}
    assert found["variants"]["mine"]["teacher"]["initial"] == found["pretraining"]["student"]["initial"]
    return found["pretraining"]["student"]["initial"]


def test_a_folder_is_looked_for_in_the_project(project: Path) -> None:
    whole = str(project / "models/ours")
    assert located("models/ours", project) == whole
    assert located({"from": "models/ours", "layers": [0]}, project) == {"from": whole, "layers": [0]}


@pytest.mark.parametrize("initial", [None, "standalone teacher", "hub:owner/name", "owner/name", "/nowhere", 3])
def test_what_is_no_folder_of_the_project_stays_as_it_is(initial: Any, project: Path) -> None:
    assert located(initial, project) == initial


def test_given_is_what_the_user_names(project: Path) -> None:
    assert located("given", project, "owner/name") == "owner/name"
    assert located({"from": "given", "layers": "even"}, project, "models/ours")["from"] == str(project / "models/ours")
    assert located("given", project, "none") == located("given", project) == "given"


def check(
    initial: Any,
    shared: SharedPretraining,
    declared: dict[Any, str] | None = None,
    made: str = "models",
    corpus: str | None = None,
    source: str | None = None,
    **data: Any,
) -> None:
    """Check a study whose variant `mine` declares one start of its student, and is given another."""
    variant = {"name": "mine", "method": "student_alone", "student": {"initial": initial}}
    parameters = Parameters.model_construct(
        pretraining=shared, variants={"mine": VariantParameters.model_validate(variant)}
    )
    mine = Variant(name="mine", trained=("student",), source=source, corpus=corpus, settings={}, initial=declared or {})
    pipeline = Pipeline([Node(lambda x: x, "a", made, name="mine.pretrain")])
    datasets = {name: each if isinstance(each, SourceDataset) else MemoryDataset(each) for name, each in data.items()}
    catalog = DataCatalog({name.replace("__", "."): dataset for name, dataset in datasets.items()})
    check_initial_models(pipeline, catalog, parameters, {"s": Study("s", "?", {"mine": mine}, ())})


@pytest.mark.parametrize(
    ("initial", "words"),
    [
        ("/nowhere", "is no Hugging Face model"),
        ("given", "name one with --params teacher="),
        ("standalone teacher", "does not declare that 'mine' starts from 'standalone teacher'"),
    ],
)
def test_a_model_to_start_from_that_is_not_there_is_one_sentence(
    initial: str, words: str, shared_pretraining: SharedPretraining
) -> None:
    with pytest.raises(InputError, match=words):
        check(initial, shared_pretraining)


def test_a_model_that_the_study_declares_is_fine(shared_pretraining: SharedPretraining) -> None:
    check("standalone teacher", shared_pretraining, {"student": "standalone teacher"})


def test_a_vocabulary_is_compared_before_the_text_is_read(
    shared_pretraining: SharedPretraining, make_model: Callable[[str], ModelFolder], tokenizer: Any
) -> None:
    folder, other = str(make_model("bert").folder), copy.deepcopy(tokenizer)
    other.add_tokens(["another"])

    def check_with(ready: Any, made: str = "tokenizer", **before: Any) -> None:
        check(folder, shared_pretraining, None, made, ready_tokenizer=ready, **before)

    check_with(tokenizer)
    check_with(None, tokenizer=tokenizer)  # the same text makes the same vocabulary again
    check_with(None, made="models")  # the corpus is there: its own vocabulary is compared when it is read
    for ready, before in ((other, {}), (None, {}), (None, {"tokenizer": other})):
        with pytest.raises(InputError, match=rf"another vocabulary .* --params tokenizer={folder}"):
            check_with(ready, **before)


def test_a_vocabulary_is_compared_with_that_of_the_variants_own_corpus(
    shared_pretraining: SharedPretraining, make_model: Callable[[str], ModelFolder], tokenizer: Any
) -> None:
    folder, other = str(make_model("bert").folder), copy.deepcopy(tokenizer)
    other.add_tokens(["another"])

    def check_with(**ready: Any) -> None:
        check(folder, shared_pretraining, None, "tickets.tokenizer", "tickets", **ready)

    check_with(ready_tokenizer=other, tickets__ready_tokenizer=tokenizer)
    with pytest.raises(InputError, match=r"another vocabulary .* as `tickets.ready_tokenizer` in the catalog"):
        check_with(ready_tokenizer=tokenizer, tickets__ready_tokenizer=other)


def test_the_vocabulary_of_a_given_teacher_is_compared_before_the_text_is_read(
    shared_pretraining: SharedPretraining, make_model: Callable[[str], ModelFolder], tokenizer: Any
) -> None:
    folder, other = str(make_model("bert").folder), copy.deepcopy(tokenizer)
    other.add_tokens(["another"])

    def check_with(ready: Any, teacher: str = folder) -> None:
        given = SourceDataset(source=teacher, loader="")
        check(None, shared_pretraining, None, "tokenizer", source="given", ready_tokenizer=ready, given_teacher=given)

    check_with(tokenizer)
    with pytest.raises(InputError, match="another vocabulary"):
        check_with(other)
    with pytest.raises(InputError, match="is no Hugging Face model"):
        check_with(tokenizer, "/nowhere")


def test_layers_that_the_model_lacks_are_named_before_the_text_is_read(
    shared_pretraining: SharedPretraining, make_model: Callable[[str], ModelFolder]
) -> None:
    with pytest.raises(InputError, match="has 2 layers, from 0 to 1, and no layer 5"):
        check({"from": str(make_model("bert").folder), "layers": [0, 5]}, shared_pretraining)
