import math
import os
import signal

import pandas as pd
import pytest
import torch
from torch.nn import functional

from ctcd.errors import InputError
from ctcd.modeling.architecture import build_model
from ctcd.training import loop
from ctcd.training.loop import pretrain
from ctcd.training.state import StateStore


@pytest.fixture
def store(tmp_path) -> StateStore:
    return StateStore(tmp_path / "state", "ctcd")


def weights(model) -> list[torch.Tensor]:
    return list(model.state_dict().values())


def without_speed(history) -> pd.DataFrame:
    table = history.table()
    return table[table["metric"] != "tokens_per_second"].reset_index(drop=True)


def interrupt_after(step: int, monkeypatch: pytest.MonkeyPatch, action) -> None:
    """Do something right after a step, as from outside."""
    one_step = loop._one_step

    def interrupted(training) -> None:
        one_step(training)
        if training.step == step:
            action()

    monkeypatch.setattr(loop, "_one_step", interrupted)


def test_losses_fall_and_the_history_is_complete(shards, tokenizer, pretraining, execution, store) -> None:
    settings = pretraining.model_copy(update={"steps": 40, "batch_size": 16})
    _, _, history = pretrain(shards, tokenizer, "ctcd", settings, execution, store)
    table = history.table()
    heldout = table[(table["metric"] == "heldout_loss") & (table["role"] == "teacher")].set_index("step")["value"]
    assert heldout[0] == pytest.approx(math.log(len(tokenizer)), abs=0.1)
    assert heldout[40] < heldout[0] - 0.5
    for role in ("teacher", "student"):
        metrics = set(table[table["role"] == role]["metric"])
        assert metrics == {"parameters", "heldout_loss", "heldout_accuracy", "hard_loss", "soft_loss", "gradient_norm"}
    assert list(heldout.index) == [0, 20, 40]
    assert table[table["metric"] == "hard_loss"]["step"].max() == 40
    assert table["tokens"].max() == 40 * 16 * shards.sequence_length
    assert table.notna().all(axis=None)


def test_zero_steps_give_the_initial_weights(shards, tokenizer, pretraining, execution, store) -> None:
    settings = pretraining.model_copy(update={"steps": 0})
    teacher, student, history = pretrain(shards, tokenizer, "standalone", settings, execution, store)
    for role, model, shape in (("teacher", teacher, settings.teacher), ("student", student, settings.student)):
        fresh = build_model(shape, tokenizer, shards.sequence_length, settings.seed, role)
        assert all(torch.equal(a, b) for a, b in zip(weights(model), weights(fresh), strict=True))
    assert set(history.table()["metric"]) == {"parameters", "heldout_loss", "heldout_accuracy"}


def test_heldout_loss_equals_a_plain_computation(shards, tokenizer, pretraining, execution, store) -> None:
    settings = pretraining.model_copy(update={"steps": 0})
    teacher, _, history = pretrain(shards, tokenizer, "standalone", settings, execution, store)
    training = loop._start(shards, tokenizer, "standalone", settings, execution, "x")
    losses = []
    for batch in training.heldout:
        with torch.no_grad():
            logits = teacher(input_ids=batch.input_ids).logits.flatten(0, 1)[batch.positions]
        losses.append(functional.cross_entropy(logits, batch.labels, reduction="none"))
    reported = history.table().query("metric == 'heldout_loss' and role == 'teacher'")["value"].item()
    assert reported == pytest.approx(torch.cat(losses).mean().item(), rel=1e-5)


@pytest.mark.parametrize(
    ("number", "error", "message"),
    [
        (signal.SIGTERM, InputError, "Stopped at step 4 of 6; the state is saved"),
        (signal.SIGINT, KeyboardInterrupt, None),
    ],
)
def test_a_stopped_training_goes_on_to_the_very_same_end(
    number, error, message, shards, tokenizer, pretraining, execution, store, tmp_path, monkeypatch
) -> None:
    undisturbed = pretrain(shards, tokenizer, "ctcd", pretraining, execution, StateStore(tmp_path / "other", "ctcd"))
    with monkeypatch.context() as patch:
        interrupt_after(4, patch, lambda: os.kill(os.getpid(), number))
        with pytest.raises(error, match=message):
            pretrain(shards, tokenizer, "ctcd", pretraining, execution, store)
    resumed = pretrain(shards, tokenizer, "ctcd", pretraining, execution, store)
    for one, other in zip(undisturbed[:2], resumed[:2], strict=True):
        assert all(torch.equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))
    pd.testing.assert_frame_equal(without_speed(undisturbed[2]), without_speed(resumed[2]))


def test_a_crashed_training_goes_on_from_its_last_state(
    shards, tokenizer, pretraining, execution, store, tmp_path, monkeypatch
) -> None:
    undisturbed = pretrain(shards, tokenizer, "ctcd", pretraining, execution, StateStore(tmp_path / "other", "ctcd"))
    every_step = execution.model_copy(update={"checkpoint_seconds": 1e-9})

    def crash() -> None:
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        interrupt_after(4, patch, crash)
        with pytest.raises(RuntimeError, match="power cut"):
            pretrain(shards, tokenizer, "ctcd", pretraining, every_step, store)
    assert store.latest()["step"] == 3
    resumed = pretrain(shards, tokenizer, "ctcd", pretraining, execution, store)
    assert all(torch.equal(a, b) for a, b in zip(weights(undisturbed[0]), weights(resumed[0]), strict=True))


def test_another_recipe_does_not_go_on_with_this_state(shards, tokenizer, pretraining, execution, store) -> None:
    pretrain(shards, tokenizer, "ctcd", pretraining, execution, store)
    other = pretraining.model_copy(update={"seed": 2})
    with pytest.raises(InputError, match="has seed = 1, this run has 2"):
        pretrain(shards, tokenizer, "ctcd", other, execution, store)
    afresh = execution.model_copy(update={"resume": "never"})
    assert pretrain(shards, tokenizer, "ctcd", other, afresh, store)[2].rows


def test_execution_is_no_part_of_the_identity(shards, tokenizer, pretraining, execution, store) -> None:
    pretrain(shards, tokenizer, "ctcd", pretraining, execution, store)
    other = execution.model_copy(update={"evaluations": 3, "log_seconds": 1, "evaluation_sequences": 8})
    assert pretrain(shards, tokenizer, "ctcd", pretraining, other, store)[2].rows


def test_required_state_that_is_missing_is_said_so(shards, tokenizer, pretraining, execution, store) -> None:
    required = execution.model_copy(update={"resume": "require"})
    with pytest.raises(InputError, match="no training state of 'ctcd'"):
        pretrain(shards, tokenizer, "ctcd", pretraining, required, store)


def test_shards_of_another_tokenizer_are_refused(shards, documents, pretraining, execution, store) -> None:
    from ctcd.corpus.tokenizer import train_tokenizer
    from ctcd.parameters import TokenizerParameters

    other = train_tokenizer(
        (document.text for document in documents),
        TokenizerParameters(vocabulary_size=500, lowercase=True, minimum_frequency=2, training_characters=100_000),
    )
    with pytest.raises(InputError, match="another tokenizer"):
        pretrain(shards, other, "ctcd", pretraining, execution, store)


def test_a_loss_that_explodes_ends_in_a_sentence(shards, tokenizer, pretraining, execution, store) -> None:
    optimiser = pretraining.optimiser.model_copy(update={"learning_rate": 1e30, "matrix_learning_rate": 1e30})
    settings = pretraining.model_copy(update={"optimiser": optimiser, "steps": 30})
    with pytest.raises(InputError, match=r"loss of 'ctcd' is not finite at step \d+ \(seed 1\)"):
        pretrain(shards, tokenizer, "ctcd", settings, execution, store)


def test_no_gpu_is_said_so(shards, tokenizer, pretraining, execution, store) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(InputError, match="finds no GPU"):
        pretrain(shards, tokenizer, "ctcd", pretraining, execution.model_copy(update={"device": "cuda"}), store)
