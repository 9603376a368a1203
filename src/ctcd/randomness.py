"""Seeds that are functions of names and numbers, never of what ran before."""

import hashlib


def seed_from(*parts: int | str) -> int:
    """A 56-bit seed that depends on all parts and their order."""
    return int.from_bytes(hashlib.sha256("/".join(map(str, parts)).encode()).digest()[:7])
