"""Losses on what lies inside the models, beside the four on their logits.

The source is a constant, like that of a soft loss. All losses are means over predicted positions, like the four.
"""

from collections.abc import Sequence
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from ctcd.distillation.methods import Term
from ctcd.engine.randomness import seed_from
from ctcd.modeling.signals import Signals


def term_loss(term: Term, own: Signals, source: Signals, projection: nn.Module | None, positions: Tensor) -> Tensor:
    """The loss of a term, unweighted: a scalar, float32.

    Args:
        term: who learns by which signal.
        own: signals of the learner.
        source: signals of the model that it learns from.
        projection: of the learner's hidden states, for a term on these.
        positions: (positions,) predicted ones, as indices into the flattened batch.
    """
    if term.signal == "hidden_states":
        assert projection is not None
        return hidden_states_loss(own.hidden_states, source.hidden_states, projection)
    assert term.relation_heads is not None
    return attention_relations_loss(own.projected, source.projected, term.relation_heads, positions)


def hidden_states_loss(own: Sequence[Tensor], source: Sequence[Tensor], projection: nn.Module) -> Tensor:
    """Mean squared error of hidden states: TinyBERT (Jiao et al. 2020, equation 8), a mean over the learner's layers.

    Args:
        own: what each layer of the learner gives, the lowest first: (positions, width).
        source: what each layer of the source gives: (positions, width of the source).
        projection: learned, linear, from one width to the other; the same for all layers.
    """
    layers = uniform_layers(len(own), len(source))
    return torch.stack(
        [
            functional.mse_loss(projection(hidden).float(), source[layer].detach().float())
            for hidden, layer in zip(own, layers, strict=True)
        ]
    ).mean()


def uniform_layers(learner: int, source: int) -> list[int]:
    """For each layer of a learner, from 0, the one of a source that is as far up, rounded up; the last has the last."""
    return [-(-(layer + 1) * source // learner) - 1 for layer in range(learner)]


def attention_relations_loss(
    own: Sequence[Tensor], source: Sequence[Tensor], relation_heads: int, positions: Tensor
) -> Tensor:
    """Divergence of self-attention relations: MiniLMv2 (Wang et al. 2021, equations 5 to 9), all three weighing 1.

    Relations are between all positions of a sequence. A sequence weighs as much as it has predicted positions.

    Args:
        own: queries, keys and values of the learner, without any position's rotation: (sequences, length, width).
        source: those of the source, of its own width.
        relation_heads: parts that each width is cut into, whatever the numbers of attention heads are.
        positions: (positions,) predicted ones, as indices into the flattened batch.
    """
    sequences, length, _ = own[0].shape
    of_sequences = torch.stack(
        [
            functional.kl_div(
                _log_relations(mine, relation_heads),
                _log_relations(theirs.detach(), relation_heads),
                log_target=True,
                reduction="none",
            )
            .sum(3)
            .mean((1, 2))
            for mine, theirs in zip(own, source, strict=True)
        ]
    ).sum(0)
    predicted = of_sequences.new_zeros(sequences).index_add(
        0, positions // length, of_sequences.new_ones(len(positions))
    )
    return torch.dot(of_sequences, predicted) / len(positions)


def _log_relations(vectors: Tensor, heads: int) -> Tensor:
    """Logarithms of scaled dot-product relations: (sequences, length, width) to (sequences, heads, length, length)."""
    parts = vectors.unflatten(2, (heads, -1)).transpose(1, 2)
    return ((parts @ parts.mT) / sqrt(parts.shape[3])).float().log_softmax(3)


def new_projection(width: int, source_width: int, seed: int, role: str) -> nn.Linear:
    """A projection of a role's hidden states to another width: the same for the same widths, seed and role."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_from(seed, role, "projection"))
        return nn.Linear(width, source_width, bias=False)
