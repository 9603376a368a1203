"""Randomness that is a function of names and numbers, never of what ran before or of the device."""

import hashlib
import math

import torch
from torch import Tensor

# Steele, Lea, Flood 2014: the finaliser of SplitMix64, with its constants as signed 64-bit integers.
_GAMMA, _FIRST, _SECOND = -0x61C8864680B583EB, -0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15


def seed_from(*parts: int | str) -> int:
    """A 56-bit seed that depends on all parts and their order."""
    return int.from_bytes(hashlib.sha256("/".join(map(str, parts)).encode()).digest()[:7])


def random_bits(counters: Tensor, seed: int | Tensor) -> Tensor:
    """63 random bits for every counter, the same on every device: SplitMix64 of (seed, counter).

    Args:
        counters: (...) int64.
        seed: selects the sequence; int64 where every counter has its own.

    Returns:
        (...) int64, not negative.
    """
    state = counters * _GAMMA + seed
    state = (state ^ _shift_right(state, 30)) * _FIRST
    state = (state ^ _shift_right(state, 27)) * _SECOND
    return (state ^ _shift_right(state, 31)) & 0x7FFFFFFFFFFFFFFF


def random_normals(seeds: Tensor, count: int) -> Tensor:
    """Standard normal numbers, on every device the same up to rounding (Box and Muller 1958).

    Args:
        seeds: (rows,) int64.
        count: of numbers in a row.

    Returns:
        (rows, count) float32.
    """
    counters = torch.arange(-(-count // 2), device=seeds.device)
    bits = random_bits(counters, seeds.unsqueeze(1))
    radius = ((((bits >> 31) + 1).float() / (1 << 32)).log_() * -2).sqrt_()
    angle = (bits & ((1 << 31) - 1)).float() * (2 * math.pi / (1 << 31))
    return torch.cat([radius * angle.cos(), radius * angle.sin()], 1)[:, :count]


def _shift_right(value: Tensor, bits: int) -> Tensor:
    """Logical shift: PyTorch's own fills with the sign bit."""
    return (value >> bits) & ((1 << (64 - bits)) - 1)
