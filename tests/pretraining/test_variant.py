"""The trainings of a variant: what is missing is trained, the rest is found."""

import copy
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch

from ctcd.distillation.methods import METHODS
from ctcd.errors import InputError
from ctcd.lineage.run_store import RunStore
from ctcd.lineage.state import StateStore
from ctcd.modeling.pretrained import PretrainedModel
from ctcd.modeling.trained_models import TrainedModels
from ctcd.pretraining import variant as module
from ctcd.pretraining.loop import pretrain
from ctcd.pretraining.settings import VariantParameters
from ctcd.pretraining.variant import train_variant


class Trainings:
    """Trains variants, and knows which trainings were started."""

    def __init__(self, shards, tokenizer, shared, execution, folder: Path) -> None:
        self.shards, self.tokenizer, self.shared, self.execution = shards, tokenizer, shared, execution
        self.store = RunStore(folder)
        self.started: list[str] = []

    def pretrain(self, shards, tokenizer, method, settings, execution, states, frozen, initial):
        self.started.append(states.label)
        return pretrain(shards, tokenizer, method, settings, execution, states, frozen, initial)

    def __call__(self, name: str, source=None, execution=None, shared=None, **settings):
        variant = VariantParameters.model_validate({"name": name, "method": name, **settings})
        shared, execution = shared or self.shared, execution or self.execution
        return train_variant(variant, shared, self.shards, self.tokenizer, execution, self.store, source)


@pytest.fixture
def train(shards, tokenizer, shared_pretraining, execution, tmp_path, monkeypatch) -> Trainings:
    trainings = Trainings(shards, tokenizer, shared_pretraining, execution, tmp_path / "runs")
    monkeypatch.setattr(module, "pretrain", trainings.pretrain)
    return trainings


def weights(models: TrainedModels, role: str, seed: int) -> list[torch.Tensor]:
    return list(models.find(role, seed).load().model.state_dict().values())


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_variant_is_trained_once(train: Trainings) -> None:
    first = train("ctcd")
    assert train.started == ["ctcd, seed 1", "ctcd, seed 2"]
    again = train("ctcd")
    assert len(train.started) == 2
    assert again[0] == first[0]
    pd.testing.assert_frame_equal(again[1], first[1])
    assert again[2] == first[2]


def test_another_name_with_the_same_settings_trains_nothing_and_says_its_own_name(train: Trainings) -> None:
    train("ctcd")
    models, _, records = train("renamed", method="ctcd")
    assert len(train.started) == 2
    assert {record["variant"] for record in records} == {"renamed"}
    assert len(list(models)) == 4


def test_one_more_seed_is_one_more_training(train: Trainings) -> None:
    before = train("ctcd")[0]
    more = train.shared.model_copy(update={"seeds": [1, 2, 3]})
    models = train("ctcd", shared=more)[0]
    assert train.started[2:] == ["ctcd, seed 3"]
    assert list(models)[:4] == list(before)


def test_a_setting_that_is_changed_back_trains_nothing(train: Trainings) -> None:
    first = train("ctcd")[0]
    other = train("ctcd", temperature=2)[0]
    assert train("ctcd")[0] == first
    assert {model.run for model in first}.isdisjoint({model.run for model in other})
    assert len(train.started) == 4


def test_standalone_is_two_trainings_with_the_weights_of_training_both_at_once(
    train: Trainings, shards, tokenizer, pretraining, execution, tmp_path
) -> None:
    models = train("standalone")[0]
    assert train.started == [f"standalone {role}, seed {seed}" for seed in (1, 2) for role in ("teacher", "student")]
    both, _ = pretrain(
        shards, tokenizer, METHODS["standalone"], pretraining, execution, StateStore(tmp_path / "both", "both")
    )
    for role in ("teacher", "student"):
        assert same(weights(models, role, 1), list(both[role].state_dict().values()))
        assert not same(weights(models, role, 1), weights(models, role, 2))


def test_studies_share_the_models_that_are_trained_alone(train: Trainings) -> None:
    student = train.shared.student.model_copy(update={"layers": 2}).model_dump()
    train("standalone")
    train("standalone", student=student)
    assert train.started[4:] == ["standalone student, seed 1", "standalone student, seed 2"]
    train("teacher_alone")
    assert len(train.started) == 6


def test_models_come_by_seed_and_role(train: Trainings) -> None:
    models, history, _ = train("standalone")
    assert [model.name for model in models] == ["teacher-seed-1", "student-seed-1", "teacher-seed-2", "student-seed-2"]
    assert list(history.columns) == ["run", "pretraining_seed", "step", "tokens", "role", "metric", "value"]
    of_models = {(model.run, model.pretraining_seed, model.role) for model in models}
    rows = history[history["role"] != "pair"]
    assert set(rows[["run", "pretraining_seed", "role"]].itertuples(index=False, name=None)) == of_models


def test_a_student_learns_from_the_teacher_of_its_own_seed(
    train: Trainings, shards, tokenizer, pretraining, execution, tmp_path
) -> None:
    teachers = train("standalone")[0]
    models, _, records = train("one_way", source=teachers)
    assert [record["source"] for record in records] == [
        f"{teachers.find('teacher', seed).run}/teacher" for seed in (1, 2)
    ]
    settings = pretraining.model_copy(update={"seed": 2})
    for teacher_seed, is_same in ((2, True), (1, False)):
        frozen = teachers.find("teacher", teacher_seed).load()
        states = StateStore(tmp_path / str(teacher_seed), "x")
        expected, _ = pretrain(shards, tokenizer, METHODS["one_way"], settings, execution, states, frozen)
        assert same(weights(models, "student", 2), list(expected["student"].state_dict().values())) == is_same


def test_a_seed_whose_source_is_missing_is_one_sentence(train: Trainings) -> None:
    teachers = train("standalone")[0]
    more = train.shared.model_copy(update={"seeds": [3]})
    with pytest.raises(InputError, match="no teacher of seed 3"):
        train("one_way", source=teachers, shared=more)


def test_a_given_teacher_is_known_by_its_weights_wherever_it_lies(train: Trainings, tokenizer, tmp_path) -> None:
    teachers = train("standalone")[0]
    folder = teachers.find("teacher", 1).folder
    shutil.copytree(folder, tmp_path / "elsewhere")
    train.started.clear()
    first = train("one_way", source=PretrainedModel.load(folder))[2]
    train("one_way", source=PretrainedModel.load(tmp_path / "elsewhere"))
    assert train.started == ["one_way, seed 1", "one_way, seed 2"]
    assert len({record["source"] for record in first}) == 1
    assert first[0]["source"].startswith("given/")
    train("one_way", source=PretrainedModel.load(teachers.find("teacher", 2).folder))
    assert len(train.started) == 4


def test_how_it_is_executed_trains_nothing_anew(train: Trainings) -> None:
    train("ctcd")
    train("ctcd", execution=train.execution.model_copy(
        update={"evaluations": 3, "evaluation_sequences": 1, "log_seconds": 1, "workers": 2, "checkpoint_seconds": 1}
    ))  # fmt: skip
    assert len(train.started) == 2


def test_when_asked_to_everything_is_trained_anew_and_ends_alike(train: Trainings) -> None:
    first = train("ctcd")[0]
    before = weights(first, "student", 1)
    again = train("ctcd", execution=train.execution.model_copy(update={"resume": "never"}))[0]
    assert len(train.started) == 4
    assert again == first
    assert same(weights(again, "student", 1), before)


def test_a_record_says_what_the_training_was_and_what_it_was_made_by(train: Trainings, shards) -> None:
    models, _, records = train("standalone")
    assert [(record["pretraining_seed"], *record["roles"]) for record in records] == [
        (1, "teacher"),
        (1, "student"),
        (2, "teacher"),
        (2, "student"),
    ]
    record = records[1]
    assert record["run"] == models.find("student", 1).run
    assert record["identity"]["seed"] == 1
    assert record["identity"]["student.layers"] == train.shared.student.layers
    assert record["identity"]["data"] == record["data"]["fingerprint"] == shards.metadata["fingerprint"]
    assert record["made_by"].keys() >= {"versions", "python", "device", "precision", "started", "seconds"}
    assert record["made_by"]["precision"] == "float32"


def test_another_tokenizer_is_refused_also_where_all_models_are_there(train: Trainings, tokenizer) -> None:
    train("ctcd")
    train.tokenizer = copy.deepcopy(tokenizer)
    train.tokenizer.add_tokens(["another"])
    with pytest.raises(InputError, match="another tokenizer"):
        train("ctcd")


def test_a_models_card_names_its_run(train: Trainings) -> None:
    model = next(iter(train("ctcd")[0]))
    assert model.run in model.load().card


def test_every_run_ends_with_what_its_models_are_compared_by(train: Trainings) -> None:
    _, history, _ = train("standalone")
    last = history[history["metric"] == "heldout_loss"]
    assert len(last) == 4
    assert set(last["step"]) == {train.shared.steps}
    _, untrained, _ = train("untrained", method="standalone", budget=0)
    assert set(untrained["step"]) == {0}
    assert (untrained["metric"] == "heldout_loss").sum() == 4


def test_variants_start_from_the_same_weights_and_see_the_same_batches(train: Trainings) -> None:
    histories = [train(name)[1].assign(variant=name) for name in ("standalone", "ctcd", "one_way_online")]
    history = pd.concat(histories)
    start = history[(history["step"] == 0) & (history["metric"] == "sampled_heldout_loss")]
    first = history[(history["step"] == 1) & (history["metric"] == "hard_loss")]
    for rows in (start, first):
        assert (rows.groupby(["pretraining_seed", "role"])["variant"].nunique() == 3).all()
        assert (rows.groupby(["pretraining_seed", "role"])["value"].nunique() == 1).all()
    assert first.groupby("role")["value"].nunique().eq(2).all()  # one for each seed
