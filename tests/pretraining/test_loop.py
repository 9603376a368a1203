import math
import os
import signal
from dataclasses import replace

import pandas as pd
import pytest
import torch
from torch.nn import functional

from ctcd.distillation.methods import METHODS, Term
from ctcd.errors import InputError
from ctcd.lineage.state import StateStore
from ctcd.modeling.architecture import build_model
from ctcd.pretraining import loop
from ctcd.pretraining.heldout import SEQUENCES_AT_ONCE
from ctcd.pretraining.loop import pretrain
from ctcd.pretraining.setup import start_training

CTCD, STANDALONE = METHODS["ctcd"], METHODS["standalone"]
TERMS = (
    Term(learner="student", signal="hidden_states"),
    Term(learner="teacher", signal="attention_relations", relation_heads=4),
)
HELDOUT = {"heldout_loss", "heldout_accuracy", "heldout_loss_error", "sampled_heldout_loss", "sampled_heldout_accuracy"}


@pytest.fixture
def store(tmp_path) -> StateStore:
    return StateStore(tmp_path / "state", "ctcd")


def weights(model) -> list[torch.Tensor]:
    return list(model.state_dict().values())


def assert_same_models(first, second) -> None:
    assert first.keys() == second.keys()
    for role in first:
        assert all(torch.equal(a, b) for a, b in zip(weights(first[role]), weights(second[role]), strict=True)), role


def without_speed(history) -> pd.DataFrame:
    table = history.table()
    return table[table["metric"] != "tokens_per_second"].reset_index(drop=True)


def interrupt_after(step: int, monkeypatch: pytest.MonkeyPatch, action) -> None:
    """Do something right after a step, as from outside."""
    one_step = loop._one_step

    def interrupted(training, joint_step, batch) -> float:
        rate_factor = one_step(training, joint_step, batch)
        if training.step == step:
            action()
        return rate_factor

    monkeypatch.setattr(loop, "_one_step", interrupted)


def test_losses_fall_and_the_history_is_complete(shards, tokenizer, pretraining, execution, store) -> None:
    settings = pretraining.model_copy(update={"steps": 40, "batch_size": 16})
    _, history = pretrain(shards, tokenizer, CTCD, settings, execution, store)
    table = history.table()
    of_teacher = table[table["role"] == "teacher"].set_index(["metric", "step"])["value"]
    heldout = of_teacher["sampled_heldout_loss"]
    assert heldout[0] == pytest.approx(math.log(len(tokenizer)), abs=0.1)
    assert heldout[40] < heldout[0] - 0.5
    for role in ("teacher", "student"):
        metrics = set(table[table["role"] == role]["metric"])
        assert metrics == {"parameters", *HELDOUT, "hard_loss", "soft_loss", "gradient_norm"}
    assert list(heldout.index) == [0, 20, 40]
    assert list(of_teacher["heldout_loss"].index) == [40]
    assert table[table["metric"] == "hard_loss"]["step"].max() == 40
    assert table["tokens"].max() == 40 * 16 * shards.sequence_length
    assert table.notna().all(axis=None)


def test_zero_steps_give_the_initial_weights(shards, tokenizer, pretraining, execution, store) -> None:
    settings = pretraining.model_copy(update={"steps": 0})
    models, history = pretrain(shards, tokenizer, STANDALONE, settings, execution, store)
    for role, model, shape in (
        ("teacher", models["teacher"], settings.teacher),
        ("student", models["student"], settings.student),
    ):
        fresh = build_model(shape, tokenizer, shards.sequence_length, settings.seed, role)
        assert all(torch.equal(a, b) for a, b in zip(weights(model), weights(fresh), strict=True))
    assert set(history.table()["metric"]) == {"parameters", *HELDOUT}


def test_heldout_loss_equals_a_plain_computation(shards, tokenizer, pretraining, execution, store) -> None:
    settings = pretraining.model_copy(update={"steps": 0})
    models, history = pretrain(shards, tokenizer, STANDALONE, settings, execution, store)
    training = start_training(shards, tokenizer, STANDALONE, settings, execution, "x", None, {})
    losses = []
    for batch in training.heldout["text"]:
        with torch.no_grad():
            logits = models["teacher"](input_ids=batch.input_ids).logits.flatten(0, 1)[batch.positions]
        losses.append(functional.cross_entropy(logits, batch.labels, reduction="none"))
    reported = history.table().query("metric == 'heldout_loss' and role == 'teacher'")["value"].item()
    assert reported == pytest.approx(torch.cat(losses).mean().item(), rel=1e-5)


@pytest.mark.parametrize(
    ("number", "error", "message"),
    [
        (signal.SIGTERM, InputError, "Stopped at step 4, 67% of the training; the state is saved"),
        (signal.SIGINT, KeyboardInterrupt, None),
    ],
)
@pytest.mark.parametrize(
    ("method", "changes"), [(CTCD, {}), (CTCD, {"kept_weights": "average"}), (replace(CTCD, terms=TERMS), {})]
)
def test_a_stopped_training_goes_on_to_the_very_same_end(
    method, changes, number, error, message, shards, tokenizer, pretraining, execution, store, tmp_path, monkeypatch
) -> None:
    settings = pretraining.model_copy(update=changes)
    undisturbed = pretrain(shards, tokenizer, method, settings, execution, StateStore(tmp_path / "other", "ctcd"))
    with monkeypatch.context() as patch:
        interrupt_after(4, patch, lambda: os.kill(os.getpid(), number))
        with pytest.raises(error, match=message):
            pretrain(shards, tokenizer, method, settings, execution, store)
    resumed = pretrain(shards, tokenizer, method, settings, execution, store)
    assert_same_models(undisturbed[0], resumed[0])
    pd.testing.assert_frame_equal(without_speed(undisturbed[1]), without_speed(resumed[1]))


@pytest.mark.parametrize(("number", "error"), [(signal.SIGTERM, InputError), (signal.SIGINT, KeyboardInterrupt)])
def test_a_request_to_stop_that_comes_between_two_decisions_saves_the_state_all_the_same(
    number, error, shards, tokenizer, pretraining, execution, store, monkeypatch
) -> None:
    record = loop._record

    def interrupted(training, speed, rate_factor):
        if training.step == 3:
            os.kill(os.getpid(), number)  # after the loop has decided whether to save, before it decides to stop
        return record(training, speed, rate_factor)

    monkeypatch.setattr(loop, "_record", interrupted)
    with pytest.raises(error):
        pretrain(shards, tokenizer, CTCD, pretraining, execution, store)
    assert store.latest()["step"] == 4


@pytest.mark.parametrize(("number", "error"), [(signal.SIGTERM, InputError), (signal.SIGINT, KeyboardInterrupt)])
@pytest.mark.parametrize("function", ["_evaluate", "_evaluate_at_the_end"])
def test_a_request_to_stop_that_comes_at_the_very_end_is_answered_when_all_is_saved(
    function, number, error, shards, tokenizer, pretraining, execution, store, monkeypatch
) -> None:
    original = getattr(loop, function)

    def interrupted(training, *others):
        if training.step == pretraining.steps:
            os.kill(os.getpid(), number)
        return original(training, *others)

    monkeypatch.setattr(loop, function, interrupted)
    with pytest.raises(error):
        pretrain(shards, tokenizer, CTCD, pretraining, execution, store)
    assert store.latest()["step"] == pretraining.steps


def test_a_crashed_training_goes_on_from_its_last_state(
    shards, tokenizer, pretraining, execution, store, tmp_path, monkeypatch
) -> None:
    undisturbed = pretrain(shards, tokenizer, CTCD, pretraining, execution, StateStore(tmp_path / "other", "ctcd"))
    every_step = execution.model_copy(update={"checkpoint_seconds": 1e-9})

    def crash() -> None:
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        interrupt_after(4, patch, crash)
        with pytest.raises(RuntimeError, match="power cut"):
            pretrain(shards, tokenizer, CTCD, pretraining, every_step, store)
    assert store.latest()["step"] == 3
    resumed = pretrain(shards, tokenizer, CTCD, pretraining, execution, store)
    assert_same_models(undisturbed[0], resumed[0])


def heldout_loss(history) -> dict[str, float]:
    """At the end, by role."""
    table = history.table()
    return table[table["metric"] == "heldout_loss"].set_index("role")["value"].to_dict()


def test_a_model_is_judged_on_every_held_out_sequence_however_many_its_curve_is_drawn_from(
    shards, tokenizer, pretraining, execution, tmp_path
) -> None:
    assert len(shards.sequences("heldout")) > SEQUENCES_AT_ONCE
    curves, ends = [], []
    for number, sequences in enumerate((1, 10_000)):
        how = execution.model_copy(update={"evaluation_sequences": sequences, "evaluations": 1 + number})
        _, history = pretrain(shards, tokenizer, CTCD, pretraining, how, StateStore(tmp_path / str(number), "x"))
        table = history.table().query("role == 'teacher' and step == step.max()").set_index("metric")["value"]
        curves.append(table["sampled_heldout_loss"])
        ends.append(heldout_loss(history))
    assert ends[0] == ends[1]
    assert curves[0] != curves[1] == ends[1]["teacher"]


def test_held_out_masks_do_not_follow_the_training_s_share_or_seed(shards, tokenizer, pretraining, execution) -> None:
    def heldout(**changes) -> list[torch.Tensor]:
        settings = pretraining.model_copy(update=changes)
        training = start_training(shards, tokenizer, CTCD, settings, execution, "x", None, {})
        return [batch.input_ids for batch in training.heldout["text"]]

    first = heldout()
    for other in (heldout(masking_share=0.4), heldout(seed=7)):
        assert all(torch.equal(one, two) for one, two in zip(first, other, strict=True))


def test_shards_of_another_tokenizer_are_refused(shards, documents, pretraining, execution, store) -> None:
    from ctcd.corpus.settings import TokenizerParameters
    from ctcd.corpus.tokenizer import train_tokenizer

    other = train_tokenizer(
        (document.text for document in documents),
        TokenizerParameters(vocabulary_size=500, lowercase=True, minimum_frequency=2, training_characters=100_000),
    )
    with pytest.raises(InputError, match="another tokenizer"):
        pretrain(shards, other, CTCD, pretraining, execution, store)


def test_a_loss_that_explodes_ends_in_a_sentence(shards, tokenizer, pretraining, execution, store) -> None:
    optimiser = pretraining.optimiser.model_copy(update={"learning_rate": 1e30, "matrix_learning_rate": 1e30})
    settings = pretraining.model_copy(update={"optimiser": optimiser, "steps": 30})
    with pytest.raises(
        InputError, match=r"loss of 'ctcd' is not finite at step \d+ \(seed 1, training sequences \d+, "
    ):
        pretrain(shards, tokenizer, CTCD, settings, execution, store)


def test_on_a_cpu_a_step_looks_at_its_own_figures_alone(
    shards, tokenizer, pretraining, execution, store, monkeypatch
) -> None:
    rows = []
    original = torch.Tensor.isfinite

    def counted(self):
        rows.append(self.shape[0] if self.ndim == 2 else 1)
        return original(self)

    monkeypatch.setattr(loop, "HISTORY_ROWS", 1)
    monkeypatch.setattr(torch.Tensor, "isfinite", counted)
    pretrain(shards, tokenizer, CTCD, pretraining.model_copy(update={"steps": 8}), execution, store)
    assert max(rows) == 1


def test_no_gpu_is_said_so(shards, tokenizer, pretraining, execution, store) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(InputError, match="finds no GPU"):
        pretrain(shards, tokenizer, CTCD, pretraining, execution.model_copy(update={"device": "cuda"}), store)
