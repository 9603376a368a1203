"""What is caught on the way through a model against what Transformers gives when asked for it."""

import copy
import threading

import pytest
import torch
import torch._dynamo.testing

from ctcd.modeling.architecture import build_model, path_of_layers
from ctcd.modeling.attention import accelerate_attention
from ctcd.modeling.families import FAMILIES
from ctcd.modeling.logits import PredictedLogits
from ctcd.modeling.settings import ModelParameters
from ctcd.modeling.signals import PredictedSignals, projected_widths

POSITIONS = torch.tensor([0, 5, 17, 40])
ALL = ("hidden_states", "attention_relations")


def model_of(architecture: str, tokenizer):
    shape = ModelParameters(architecture=architecture, layers=3, width=32, heads=2, feed_forward=80)
    return build_model(shape, tokenizer, 16, seed=1, role="teacher").eval()


def tokens_of(tokenizer, seed: int = 1) -> torch.Tensor:
    return torch.randint(5, len(tokenizer), (3, 16), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("architecture", sorted(FAMILIES))
def test_signals_are_what_transformers_gives(architecture: str, tokenizer) -> None:
    model, tokens = model_of(architecture, tokenizer), tokens_of(tokenizer)
    layers, given = model.get_submodule(path_of_layers(model)), []
    assert len(layers) == 3
    for layer in layers:
        layer.register_forward_hook(lambda *of_layer: given.append(of_layer[-1]))
    with torch.no_grad():
        expected = model(input_ids=tokens).logits.flatten(0, 1)[POSITIONS]
        hidden = [each[0] if isinstance(each, tuple) else each for each in given]
        found = PredictedSignals(model, ALL)(tokens, POSITIONS)
    torch.testing.assert_close(found.logits, expected, rtol=1e-4, atol=1e-5)
    for actual, whole in zip(found.hidden_states, hidden, strict=True):
        torch.testing.assert_close(actual, whole.flatten(0, 1)[POSITIONS], rtol=1e-4, atol=1e-5)
    assert [each.shape for each in found.projected] == [(3, 16, 32)] * 3
    assert projected_widths(model.config) == {32}


@pytest.mark.parametrize("architecture", ["bert", "distilbert", "modernbert", "gpt2", "llama"])
def test_queries_keys_and_values_are_those_that_attention_is_computed_from(
    architecture: str, tokenizer, monkeypatch
) -> None:
    model, tokens = model_of(architecture, tokenizer), tokens_of(tokenizer)
    found = PredictedSignals(model, ["attention_relations"])(tokens, POSITIONS).projected
    called = []
    attention = torch.nn.functional.scaled_dot_product_attention

    def recorded(*vectors, **options):
        called.append([each.transpose(1, 2).flatten(2) for each in vectors[:3]])
        return attention(*vectors, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", recorded)
    model(input_ids=tokens)
    assert len(called) == 3
    rotated = architecture in ("modernbert", "llama")  # queries and keys are turned by position, values are not
    for number, (actual, expected) in enumerate(zip(found, called[-1], strict=True)):
        if number == 2 or not rotated:
            torch.testing.assert_close(actual, expected)
        else:  # a rotation keeps lengths
            torch.testing.assert_close(actual.norm(dim=2), expected.norm(dim=2))
        assert not torch.equal(actual, found[number - 1])


@pytest.mark.parametrize("wanted", [(), ("hidden_states",), ("attention_relations",)])
def test_only_what_is_wanted_is_kept(wanted, tokenizer) -> None:
    signals = PredictedSignals(model_of("bert", tokenizer), wanted)(tokens_of(tokenizer), POSITIONS)
    assert bool(signals.hidden_states) == ("hidden_states" in wanted)
    assert bool(signals.projected) == ("attention_relations" in wanted)


def test_the_logits_alone_can_be_had_beside_them_and_nothing_stays_behind(tokenizer) -> None:
    model, tokens = model_of("bert", tokenizer), tokens_of(tokenizer)
    plain = PredictedLogits(copy.deepcopy(model))(tokens, POSITIONS)
    signals = PredictedSignals(model, ALL)
    assert torch.equal(signals.logits(tokens, POSITIONS), plain)
    assert torch.equal(signals(tokens, POSITIONS).logits, plain)
    signals.detach()
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_threads_keep_their_own(tokenizer) -> None:
    signals = PredictedSignals(model_of("modernbert", tokenizer), ALL)
    batches = [tokens_of(tokenizer, seed) for seed in (1, 2)]
    alone = [signals(tokens, POSITIONS) for tokens in batches]
    found: dict[int, list] = {0: [], 1: []}

    def call(number: int) -> None:
        found[number] = [signals(batches[number], POSITIONS) for _ in range(20)]

    threads = [threading.Thread(target=call, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, expected in enumerate(alone):
        for each in found[number]:
            assert torch.equal(torch.cat(each.hidden_states), torch.cat(expected.hidden_states))
            assert torch.equal(torch.cat(each.projected), torch.cat(expected.projected))


def test_joined_products_of_a_gpu_give_the_same(tokenizer) -> None:
    model, tokens = model_of("bert", tokenizer), tokens_of(tokenizer)
    expected = PredictedSignals(copy.deepcopy(model), ALL)(tokens, POSITIONS)
    accelerate_attention(model)
    found = PredictedSignals(model, ALL)(tokens, POSITIONS)
    torch.testing.assert_close(found.projected, expected.projected)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["bert", "modernbert", "gpt2"])
def test_compiled_signals_are_one_graph_for_all_positions(architecture: str, tokenizer) -> None:
    model, tokens = model_of(architecture, tokenizer), tokens_of(tokenizer)
    signals = PredictedSignals(model, ALL)
    torch._dynamo.reset()
    counter = torch._dynamo.testing.CompileCounterWithBackend("inductor")
    compiled = torch.compile(signals.__call__, backend=counter, dynamic=False, fullgraph=True)
    for positions in (POSITIONS, POSITIONS + 1, POSITIONS + 2):
        torch.testing.assert_close(compiled(tokens, positions), signals(tokens, positions), rtol=1e-4, atol=1e-5)
    assert counter.frame_count == 1
