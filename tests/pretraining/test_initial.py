"""Trainings that do not start from random weights."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig

from ctcd.errors import InputError
from ctcd.lineage.run_store import RunStore
from ctcd.modeling.architecture import build_model
from ctcd.modeling.pretrained import PretrainedModel
from ctcd.modeling.settings import InitialLayers, ModelParameters
from ctcd.modeling.trained_models import TrainedModels
from ctcd.pretraining import initial
from ctcd.pretraining.check import check_records
from ctcd.pretraining.initial import InitialModel, started_shape
from ctcd.pretraining.plan import plan_variants
from ctcd.pretraining.settings import VariantParameters, referenced_model
from ctcd.pretraining.variant import train_variant

SHAPE = ModelParameters(architecture="bert", layers=2, width=32, heads=2, feed_forward=64)


def some_layers(layers: Any) -> InitialLayers:
    return InitialLayers.model_validate({"from": "folder", "layers": layers})


DEEP = InitialModel("run/teacher", SHAPE.model_copy(update={"layers": 6, "width": 64}))


@pytest.fixture
def train(shards, tokenizer, shared_pretraining, execution, tmp_path):
    store = RunStore(tmp_path / "runs")

    def train(name: str, source=None, initial=None, **settings: Any):
        variant = VariantParameters.model_validate({"name": name, "method": name, **settings})
        return train_variant(variant, shared_pretraining, shards, tokenizer, execution, store, source, initial)

    return train


@pytest.fixture
def given(tokenizer, shards, tmp_path) -> Path:
    """A model of another family than those of the settings, with four layers."""
    shape = ModelParameters(architecture="modernbert", layers=4, width=16, heads=2, feed_forward=24)
    model = build_model(shape, tokenizer, shards.sequence_length, 7, "teacher")
    PretrainedModel(model, tokenizer, "").save(tmp_path / "given")
    return tmp_path / "given"


def weights(models: TrainedModels, role: str, seed: int = 1) -> dict[str, torch.Tensor]:
    return models.find(role, seed).load().model.state_dict()


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_without_a_budget_a_started_model_is_the_one_that_it_starts_from(train, given: Path) -> None:
    models, _, _ = train("standalone", budget=0, teacher={"initial": str(given)})
    found = PretrainedModel.load(given).model.state_dict()
    assert same(weights(models, "teacher", 1), found)
    assert same(weights(models, "teacher", 2), found)
    assert weights(models, "student").keys() != found.keys()


def test_a_student_of_some_layers_has_those_layers_and_learns(train, given: Path) -> None:
    initial = {"from": str(given), "layers": [0, 3]}
    start, _, _ = train("student_alone", budget=0, student={"initial": initial})
    found, kept = PretrainedModel.load(given).model.state_dict(), weights(start, "student")
    assert torch.equal(kept["model.layers.1.mlp.Wi.weight"], found["model.layers.3.mlp.Wi.weight"])
    assert torch.equal(kept["model.embeddings.tok_embeddings.weight"], found["model.embeddings.tok_embeddings.weight"])
    assert "model.layers.2.mlp.Wi.weight" not in kept
    trained, history, _ = train("ctcd", teacher={"initial": str(given)}, student={"initial": initial})
    assert not same(weights(trained, "student"), kept)
    rows = history[(history["pretraining_seed"] == 1) & (history["role"] == "student")].set_index("metric")
    assert rows.loc["parameters", "value"] < 2 * sum(weight.numel() for weight in kept.values())
    assert "the layers 0, 3 of `given`" in trained.find("student").load().card


def test_each_seed_starts_from_the_model_of_its_own_seed(train) -> None:
    alone, _, _ = train("standalone")
    cut = {"initial": {"from": "standalone teacher", "layers": "even"}, "layers": 1}
    started, _, records = train("student_alone", initial={"student": alone}, budget=0, student=cut)
    name = "bert.encoder.layer.0.output.dense.weight"
    for seed in (1, 2):
        assert torch.equal(weights(started, "student", seed)[name], weights(alone, "teacher", seed)[name])
    teachers = [alone.find("teacher", seed) for seed in (1, 2)]
    assert [record["identity"]["student.initial.model"] for record in records] == [f"{t.run}/teacher" for t in teachers]
    assert {tuple(record["identity"]["student.initial.layers"]) for record in records} == {(0,)}


def test_a_run_is_known_by_the_weights_that_it_starts_from_and_not_by_their_place(
    train, given: Path, tokenizer, tmp_path: Path
) -> None:
    runs = [record["run"] for record in train("student_alone", student={"initial": str(given)})[2]]
    moved = given.rename(tmp_path / "moved")
    assert [record["run"] for record in train("student_alone", student={"initial": str(moved)})[2]] == runs
    model = PretrainedModel.load(moved)
    with torch.no_grad():
        next(model.model.parameters()).add_(0.01)
    model.save(moved)
    changed = [record["run"] for record in train("student_alone", student={"initial": str(moved)})[2]]
    assert not set(changed) & set(runs)


def test_what_was_planned_is_what_was_trained(train, shared_pretraining, shards, given: Path) -> None:
    declared: dict[str, dict[str, Any]] = {
        "standalone": {"method": "standalone"},
        "cut": {"method": "student_alone", "student": {"initial": {"from": "standalone teacher", "layers": "even"}}},
        "further": {"method": "ctcd", "teacher": {"initial": str(given)}, "budget": 0.5},
    }
    variants = {name: VariantParameters.model_validate({"name": name, **each}) for name, each in declared.items()}
    planned = plan_variants(variants, dict.fromkeys(variants), shared_pretraining, shards.metadata)
    alone, _, _ = train("standalone")
    cut = train("cut", initial={"student": alone}, **declared["cut"])[2]
    further = train("further", **declared["further"])[2]
    assert [record["run"] for record in cut] == [plan.id for plan in planned["cut"]]
    assert [record["run"] for record in further] == [plan.id for plan in planned["further"]]
    check_records("cut", cut, planned["cut"])
    with pytest.raises(InputError, match="'cut' were trained from other first weights than at present"):
        check_records(
            "cut", [{**record, "identity": {**record["identity"], "student.initial.model": "x"}} for record in cut],
            planned["cut"],
        )  # fmt: skip


def test_a_model_to_start_from_must_fit_the_corpus(train, given: Path, tokenizer, tmp_path: Path) -> None:
    model = PretrainedModel.load(given)
    model.tokenizer.add_tokens(["another"])
    model.save(tmp_path / "other")
    with pytest.raises(InputError, match=r"another vocabulary .* --params tokenizer="):
        train("student_alone", student={"initial": str(tmp_path / "other")})
    shape = ModelParameters(architecture="roberta", layers=1, width=16, heads=2, feed_forward=24)
    PretrainedModel(build_model(shape, tokenizer, 16, 1, "teacher"), tokenizer, "").save(tmp_path / "short")
    with pytest.raises(InputError, match=r"reads 16 tokens, the sequences have 32: lower corpus.sequence_length"):
        train("student_alone", student={"initial": str(tmp_path / "short")})


@pytest.mark.parametrize(
    ("initial", "words"),
    [
        ("nowhere/at/all", "is no Hugging Face model"),
        ("given", "name one with --params teacher="),
        ("standalone teacher", "can be started from in a study's variants alone"),
    ],
)
def test_what_is_no_model_to_start_from_is_one_sentence(train, initial: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        train("student_alone", student={"initial": initial})


def test_the_hub_is_asked_for_a_name_without_its_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(initial, "check_given_model", lambda name: asked.append(name) or BertConfig())
    assert initial.find_given_model("hub:owner/name").layers == 12
    assert initial.find_given_model("owner/name").width == 768
    assert asked == ["owner/name", "owner/name"]


def test_weights_that_are_pickled_are_refused(train, given: Path) -> None:
    (given / "model.safetensors").unlink()
    torch.save({}, given / "pytorch_model.bin")
    with pytest.raises(InputError, match="no weights in safetensors"):
        train("student_alone", student={"initial": str(given)})


def test_the_shape_is_that_of_the_model_that_is_started_from() -> None:
    whole = SHAPE.model_copy(update={"initial": "folder", "dropout": 0.1, "layers": 3})
    started = started_shape(whole, DEEP, {"initial": "folder"})
    assert (started.layers, started.width, started.dropout, started.initial) == (6, 64, 0.1, "folder")
    even = SHAPE.model_copy(update={"initial": some_layers("even"), "layers": 3})
    started = started_shape(even, DEEP, {"layers": 3})
    assert (started.layers, started.width) == (3, 64)
    assert started.initial == some_layers([0, 3, 5])


@pytest.mark.parametrize(
    ("initial", "own", "words"),
    [
        ("folder", {"layers": 3}, "has layers 6, not 3: remove `layers` beside `initial`"),
        ("folder", {"width": 32}, "has width 64, not 32"),
        ("folder", {"options": {"bert": {}}}, "remove `options`"),
        (some_layers([0, 1]), {"layers": 3}, "has layers 2, not 3"),
        (some_layers([0, 6]), {}, "from 0 to 5, and no layer 6"),
        (some_layers("even"), {"layers": 8}, "has 6 layers, and 8 are wanted"),
    ],
)
def test_a_shape_that_the_model_does_not_have_is_one_sentence(initial: Any, own: dict[str, Any], words: str) -> None:
    shape = SHAPE.model_copy(update={"initial": initial, **{k: v for k, v in own.items() if k == "layers"}})
    with pytest.raises(InputError, match=words):
        started_shape(shape, DEEP, own)


@pytest.mark.parametrize("layers", [[1, 0], [0, 0], [], [-1], "odd"])
def test_layers_are_ascending_numbers(layers: Any) -> None:
    with pytest.raises(ValueError, match="layers"):
        ModelParameters.model_validate(SHAPE.model_dump() | {"initial": {"from": "folder", "layers": layers}})


def test_the_model_that_layers_are_from_has_one_name() -> None:
    with pytest.raises(ValueError, match=r"initial\.InitialLayers\.source"):
        ModelParameters.model_validate(SHAPE.model_dump() | {"initial": {"source": "folder", "layers": "even"}})


def test_layers_of_the_command_line_are_a_list() -> None:
    shape = ModelParameters.model_validate(SHAPE.model_dump() | {"initial": {"from": "folder", "layers": "0+2+4"}})
    assert shape.initial == some_layers([0, 2, 4])
    assert ModelParameters.model_validate(shape.model_dump()) == shape


@pytest.mark.parametrize(
    ("initial", "model"),
    [
        ("standalone teacher", ("standalone", "teacher")),
        ("one_way student", ("one_way", "student")),
        ("standalone", None),
        ("models/my teacher", None),
        ("hub:owner/teacher", None),
    ],
)
def test_a_variant_and_a_role_name_a_model_of_the_study(initial: str, model: tuple[str, str] | None) -> None:
    assert referenced_model(initial) == model
