"""How long a training is."""

import pytest
from pydantic import ValidationError

from ctcd.distillation.methods import METHODS
from ctcd.lineage.state import StateStore
from ctcd.pretraining.budget import in_steps, operations_of, spent_operations
from ctcd.pretraining.loop import pretrain
from ctcd.pretraining.settings import PretrainingParameters, VariantParameters


def steps_of(settings, tokenizer, shards, method: str = "ctcd") -> int:
    sequences = len(shards.sequences("train"))
    return in_steps(settings, METHODS[method], tokenizer, shards.sequence_length, sequences).steps


def test_tokens_and_epochs_take_the_place_of_steps(pretraining, tokenizer, shards) -> None:
    tokens = 10 * pretraining.batch_size * shards.sequence_length
    assert steps_of(pretraining.model_copy(update={"tokens": tokens}), tokenizer, shards) == 10
    sequences = len(shards.sequences("train"))
    expected = round(1.5 * sequences / pretraining.batch_size)
    assert steps_of(pretraining.model_copy(update={"epochs": 1.5}), tokenizer, shards) == expected


def test_the_same_budget_in_tokens_and_in_steps_is_the_same_training(pretraining, tokenizer, shards) -> None:
    sequences = len(shards.sequences("train"))
    tokens = pretraining.model_copy(update={"tokens": 7 * pretraining.batch_size * shards.sequence_length})
    one = in_steps(tokens, METHODS["ctcd"], tokenizer, shards.sequence_length, sequences)
    assert one == in_steps(
        pretraining.model_copy(update={"steps": 7}), METHODS["ctcd"], tokenizer, shards.sequence_length, sequences
    )


def test_a_teacher_alone_with_matched_operations_gets_those_of_the_pair(pretraining, tokenizer, shards) -> None:
    matched = pretraining.model_copy(update={"steps": 1000, "matched_operations": True})
    operations = operations_of(pretraining, tokenizer, shards.sequence_length)
    pair, alone = (spent_operations(METHODS[name], operations) for name in ("ctcd", "teacher_alone"))
    steps = steps_of(matched, tokenizer, shards, "teacher_alone")
    assert steps * alone == pytest.approx(1000 * pair, rel=1e-3)
    assert pair > 1.3 * alone
    assert steps_of(matched, tokenizer, shards, "ctcd") == 1000


def test_operations_of_bert_by_hand(pretraining, tokenizer, shards) -> None:
    width, hidden, length = 32, 64, shards.sequence_length
    predicted = round(0.15 * length) / length
    layers, vocabulary = pretraining.teacher.layers, len(tokenizer)
    attention = 2 * (4 * width * width + 2 * length * width)  # four products with weights, two with other positions
    feed_forward = 2 * 2 * width * hidden
    # In the last layer everything after the attention, its output's product included, sees predicted positions alone.
    last = attention - 2 * width * width + predicted * (2 * width * width + feed_forward)
    head = predicted * 2 * (width * width + width * vocabulary)
    forward = (layers - 1) * (attention + feed_forward) + last + head
    counted = operations_of(pretraining, tokenizer, length)["teacher"]
    assert counted.forward == pytest.approx(forward, rel=1e-6)
    assert counted.backward == pytest.approx(2 * forward, rel=1e-6)


def test_two_budgets_at_once_are_refused(pretraining) -> None:
    with pytest.raises(ValidationError, match="tokens and minutes are both set"):
        PretrainingParameters(**pretraining.model_dump() | {"tokens": 5, "minutes": 1.0})


def test_a_variants_own_steps_come_before_the_shared_budget(shared_pretraining) -> None:
    shared = shared_pretraining.model_copy(update={"minutes": 7.0})
    variant = VariantParameters.model_validate({"name": "short", "method": "standalone", "steps": 3})
    settings = variant.settings(shared, seed=1)
    assert (settings.steps, settings.minutes) == (3, None)


@pytest.mark.parametrize(
    "changes",
    [{"steps": 40}, {"tokens": 40 * 4 * 32}, {"epochs": 0.5}, {"minutes": 3.0}],
    ids=lambda each: next(iter(each)),
)
def test_a_factor_on_the_budget_works_on_every_kind(changes, pretraining, tokenizer, shards) -> None:
    sequences = len(shards.sequences("train"))

    def budget(factor: float) -> float:
        settings = pretraining.model_copy(update=changes | {"budget": factor})
        found = in_steps(settings, METHODS["ctcd"], tokenizer, shards.sequence_length, sequences)
        assert found.budget == 1.0
        return found.minutes or found.steps

    assert budget(0.5) == pytest.approx(budget(1.0) / 2, abs=0.5)
    assert budget(1e-9) == pytest.approx(1 if "minutes" not in changes else 3e-9)
    assert budget(0.0) == 0


def test_half_the_steps_of_matched_operations_are_half_the_operations(pretraining, tokenizer, shards) -> None:
    matched = pretraining.model_copy(update={"steps": 1000, "matched_operations": True})
    whole = steps_of(matched, tokenizer, shards, "teacher_alone")
    half = steps_of(matched.model_copy(update={"budget": 0.5}), tokenizer, shards, "teacher_alone")
    assert half == pytest.approx(whole / 2, abs=0.5)


def test_a_training_of_so_many_seconds_ends_by_the_clock_with_a_learning_rate_near_zero(
    pretraining, tokenizer, shards, execution, tmp_path
) -> None:
    settings = pretraining.model_copy(update={"minutes": 2 / 60, "batch_size": 4})
    store = StateStore(tmp_path, "variant")
    execution = execution.model_copy(update={"checkpoint_seconds": 1e-9})  # so that the last step leaves a state
    _, history = pretrain(shards, tokenizer, METHODS["ctcd"], settings, execution, store)
    table = history.table()
    rates = table[table["metric"] == "learning_rate"].set_index("step")["value"]
    assert len(rates) > 10
    assert rates.iloc[-1] < 0.1 * rates.max()
    assert store.latest()["seconds"] == pytest.approx(2, abs=1.0)
    # Gone on with, it is at its end already.
    _, again = pretrain(shards, tokenizer, METHODS["ctcd"], settings, execution, store)
    assert again.table().equals(table)
