import pytest
import torch
from torch.nn import functional

from ctcd.distillation.losses import distillation_losses
from ctcd.distillation.methods import METHODS, Weights
from ctcd.distillation.noise import losses_with_noisy_sources
from ctcd.engine.randomness import random_normals

POSITIONS, VOCABULARY, DEVIATION = 7, 31, 1.5
SEEDS = torch.arange(POSITIONS) * 1000


@pytest.fixture
def logits() -> list[torch.Tensor]:
    torch.manual_seed(1)
    return [torch.randn(POSITIONS, VOCABULARY, requires_grad=True) for _ in range(2)]


@pytest.fixture
def labels() -> torch.Tensor:
    return torch.arange(POSITIONS)


@pytest.mark.parametrize("method", ["ctcd", "one_way_online", "reverse_online", "standalone", "one_way"])
def test_losses_and_gradients_equal_plain_ones_with_noise_on_the_sources(method: str, logits, labels) -> None:
    weights = METHODS[method].weights
    found = losses_with_noisy_sources(*logits, labels, weights, 2.0, 0.0, False, DEVIATION, SEEDS)
    gradients = torch.autograd.grad(found.total, logits, allow_unused=True)

    total = torch.zeros(())
    by_role = ((weights.teacher_hard, weights.teacher_soft), (weights.student_hard, weights.student_soft))
    for number, (hard, soft) in enumerate(by_role):
        own, other = logits[number], logits[1 - number].detach()
        source = other + DEVIATION * random_normals(SEEDS + 1 - number, VOCABULARY)
        divergence = functional.kl_div((own / 2).log_softmax(1), (source / 2).softmax(1), reduction="batchmean")
        total = total + hard * functional.cross_entropy(own, labels) + soft * 4 * divergence
    torch.testing.assert_close(found.total, total)
    for actual, expected in zip(gradients, torch.autograd.grad(total, logits), strict=True):
        torch.testing.assert_close(torch.zeros_like(expected) if actual is None else actual, expected)


def test_noise_is_independent_of_what_else_is_in_the_batch(logits, labels) -> None:
    weights, shared = Weights(1, 1, 1, 4), (1.0, 0.0, False, DEVIATION)
    whole = losses_with_noisy_sources(*logits, labels, weights, *shared, SEEDS).total
    halves = [
        losses_with_noisy_sources(*(each[part] for each in logits), labels[part], weights, *shared, SEEDS[part]).total
        for part in (slice(3), slice(3, None))
    ]
    torch.testing.assert_close((3 * halves[0] + 4 * halves[1]) / POSITIONS, whole)


def test_hard_losses_see_no_noise(logits, labels) -> None:
    noisy = losses_with_noisy_sources(*logits, labels, Weights(1, 1, 1, 4), 1.0, 0.0, False, DEVIATION, SEEDS)
    plain = distillation_losses(*logits, labels, Weights(1, 1, 1, 4))
    assert (noisy.teacher_hard, noisy.student_hard) == (plain.teacher_hard, plain.student_hard)
    assert noisy.teacher_soft > plain.teacher_soft
