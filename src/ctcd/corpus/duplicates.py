"""Documents that say what an earlier one says: word for word, or nearly."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Literal

from rensa import RMinHash, RMinHashDeduplicator

Repetition = Literal["exact_duplicate", "near_duplicate"]

SHINGLE = 3  # words
PERMUTATIONS = 128
BANDS = 32  # of 4 values each: of pairs as similar as 0.7 less than one in a thousand is never compared
SEED = 1
# A script without spaces has hardly any words; its characters are compared instead.
_LONGEST_WORDS = 15  # characters, on the mean


def find_repetitions(texts: Iterable[str], similarity: float | None) -> Iterator[Repetition | None]:
    """Say of each text whether it repeats an earlier one that repeats none itself.

    Case and white space make no difference. Near duplicates are those whose sets of three consecutive words have a
    Jaccard similarity of about `similarity`, as MinHash estimates it (Broder 1997), and which locality-sensitive
    hashing finds (Leskovec et al., Mining of Massive Datasets, section 3.4). Some 4 kB are kept of each text.

    Args:
        texts: in order.
        similarity: from which a text is a near duplicate; None looks for exact ones alone.
    """
    seen: set[bytes] = set()
    kept = RMinHashDeduplicator(similarity or 1.0, PERMUTATIONS, use_lsh=True, num_bands=BANDS, seed=SEED)
    for number, text in enumerate(texts):
        words = text.casefold().split()
        key = hashlib.blake2b(" ".join(words).encode(), digest_size=16).digest()
        if key in seen:
            yield "exact_duplicate"
            continue
        seen.add(key)
        is_new = similarity is None or kept.add(str(number), _signature(words))
        yield None if is_new else "near_duplicate"


def _signature(words: list[str]) -> RMinHash:
    units = list(" ".join(words)) if sum(map(len, words)) > _LONGEST_WORDS * len(words) else words
    signature = RMinHash(num_perm=PERMUTATIONS, seed=SEED)
    starts = (units[start:] for start in range(SHINGLE))
    signature.update(list(map(" ".join, zip(*starts, strict=False))) or [" ".join(units)])
    return signature
