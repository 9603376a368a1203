import pytest
import torch

from ctcd.engine.hardware import Hardware
from ctcd.modeling.architecture import build_outline
from ctcd.modeling.settings import ModelParameters
from ctcd.pretraining.setup import can_share_a_step

CPU = Hardware(torch.device("cpu"), torch.float32)
SMALL = ModelParameters(architecture="bert", layers=2, width=32, heads=2, feed_forward=64)
BASE = ModelParameters(architecture="bert", layers=6, width=768, heads=12, feed_forward=3072)


def test_two_threads_share_the_batch_of_a_small_model(tokenizer) -> None:
    assert can_share_a_step(CPU, [build_outline(SMALL, tokenizer, 32)], tokens_per_step=1024)


@pytest.mark.parametrize(("tokens_per_step", "expected"), [(1024, False), (4096, True)])
def test_a_wide_models_weights_are_moved_twice_only_for_a_batch_that_is_worth_it(
    tokenizer, tokens_per_step: int, expected: bool
) -> None:
    pair = [build_outline(BASE, tokenizer, 128) for _ in range(2)]
    assert can_share_a_step(CPU, pair, tokens_per_step) is expected


@pytest.mark.parametrize(
    "hardware",
    [Hardware(torch.device("cuda"), torch.bfloat16), Hardware(torch.device("cpu"), torch.float32, compiles=True)],
)
def test_a_gpu_and_compiled_code_take_batches_whole(tokenizer, hardware: Hardware) -> None:
    assert not can_share_a_step(hardware, [build_outline(SMALL, tokenizer, 32)], tokens_per_step=1024)


def test_threads_do_not_share_the_generator_that_dropout_draws_from(tokenizer) -> None:
    with_dropout = SMALL.model_copy(update={"dropout": 0.1})
    assert not can_share_a_step(CPU, [build_outline(with_dropout, tokenizer, 32)], tokens_per_step=1024)
