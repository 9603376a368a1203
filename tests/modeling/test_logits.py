import copy
import gc
import weakref

import pytest
import torch
import torch._dynamo.testing
from torch.nn import functional

from ctcd.modeling import logits as module
from ctcd.modeling.architecture import build_model
from ctcd.modeling.families import FAMILIES
from ctcd.modeling.logits import PredictedLogits
from ctcd.modeling.settings import ModelParameters

POSITIONS = torch.tensor([0, 5, 17, 40])


def model_of(architecture: str, tokenizer):
    shape = ModelParameters(architecture=architecture, layers=2, width=32, heads=2, feed_forward=80)
    return build_model(shape, tokenizer, 16, seed=1, role="teacher")


def tokens_of(tokenizer) -> torch.Tensor:
    return torch.randint(5, len(tokenizer), (3, 16), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("multiple", [1, 64])
@pytest.mark.parametrize("architecture", sorted(FAMILIES))
def test_logits_and_gradients_equal_the_full_models(
    architecture: str, multiple: int, tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(module.VOCABULARY_MULTIPLE, "cpu", multiple)
    assert len(tokenizer) % 64
    model, tokens = model_of(architecture, tokenizer), tokens_of(tokenizer)
    plain = copy.deepcopy(model)
    expected = plain(input_ids=tokens).logits.flatten(0, 1)[POSITIONS]
    actual = PredictedLogits(model)(tokens, POSITIONS)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)

    labels = tokens.flatten()[POSITIONS]
    functional.cross_entropy(expected, labels).backward()
    functional.cross_entropy(actual, labels).backward()
    for (name, one), other in zip(model.named_parameters(), plain.parameters(), strict=True):
        if other.grad is not None:
            torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-6, msg=f"{architecture}: {name}")


@pytest.mark.parametrize("architecture", sorted(FAMILIES))
def test_the_wrapped_model_still_works_by_itself(architecture: str, tokenizer) -> None:
    model, tokens = model_of(architecture, tokenizer).eval(), tokens_of(tokenizer)
    with torch.no_grad():
        before = model(input_ids=tokens).logits
        PredictedLogits(model)(tokens, POSITIONS)
        assert torch.equal(model(input_ids=tokens).logits, before)


@pytest.mark.parametrize("architecture", sorted(name for name, family in FAMILIES.items() if family.position_wise))
def test_the_last_feed_forward_part_sees_predicted_positions_only(architecture: str, tokenizer) -> None:
    model, tokens = model_of(architecture, tokenizer), tokens_of(tokenizer)
    predicted = PredictedLogits(model)
    rows: list[int] = []
    for linear in model.base_model.modules():
        if not isinstance(linear, torch.nn.Linear):
            continue
        if linear.weight.shape[0] in (80, 160) or linear.weight.shape[1] == 80:
            linear.register_forward_pre_hook(lambda _, inputs: rows.append(inputs[0].shape[:-1].numel()))
    predicted(tokens, POSITIONS)
    assert rows == [48, 48, 4, 4]


@pytest.mark.parametrize("architecture", ["bert", "modernbert"])
def test_a_model_that_nobody_holds_is_freed_at_once(architecture: str, tokenizer) -> None:
    model = model_of(architecture, tokenizer)
    PredictedLogits(model)(tokens_of(tokenizer), POSITIONS)
    weight = weakref.ref(model.get_input_embeddings().weight)
    gc.collect()
    gc.disable()
    try:
        del model
        assert weight() is None
    finally:
        gc.enable()


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["bert", "modernbert", "gpt2"])
def test_compiled_logits_are_one_graph_for_all_positions(architecture: str, tokenizer) -> None:
    model, tokens = model_of(architecture, tokenizer), tokens_of(tokenizer)
    predicted = PredictedLogits(model)
    torch._dynamo.reset()
    counter = torch._dynamo.testing.CompileCounterWithBackend("inductor")
    compiled = torch.compile(predicted.__call__, backend=counter, dynamic=False, fullgraph=True)
    for positions in (POSITIONS, POSITIONS + 1, POSITIONS + 2):
        torch.testing.assert_close(compiled(tokens, positions), predicted(tokens, positions), rtol=1e-4, atol=1e-5)
    assert counter.frame_count == 1
