"""Repeated texts are found, and texts that only look alike are not."""

import pytest

from ctcd.corpus.duplicates import find_repetitions

TEXT = (
    "The library opens at nine in the morning and it closes late, and nobody is ever sent away before they are done "
    "with what they came for, unless it is a holiday on which the librarians themselves would rather be at home."
)
OTHER = (
    "A storm came over the hills that evening, and the shepherds who had stayed out with their flocks told of it for "
    "years, each of them with a little more thunder and a little less rain than there had been in truth that night."
)


def kinds_of(*texts: str, similarity: float | None = 0.7) -> list[str | None]:
    return list(find_repetitions(texts, similarity))


def test_case_and_white_space_do_not_make_another_text() -> None:
    assert kinds_of(TEXT, TEXT.upper().replace(" ", "\n ")) == [None, "exact_duplicate"]


@pytest.mark.parametrize("place", [0, 17, 38])
def test_a_text_with_one_other_word_is_a_near_duplicate(place: int) -> None:
    words = TEXT.split()
    words[place] = "museum"
    assert kinds_of(TEXT, OTHER, " ".join(words)) == [None, None, "near_duplicate"]
    assert kinds_of(TEXT, OTHER, " ".join(words), similarity=None) == [None, None, None]


def test_a_text_that_shares_a_part_with_another_is_kept() -> None:
    assert kinds_of(TEXT, OTHER, f"{TEXT} {OTHER}") == [None, None, None]


def test_what_repeats_a_repetition_repeats_the_first() -> None:
    assert kinds_of(TEXT, TEXT, TEXT) == [None, "exact_duplicate", "exact_duplicate"]


def test_texts_without_spaces_are_compared_by_characters() -> None:
    text = "".join(chr(0x4E00 + number * 37 % 4000) for number in range(300))
    changed = f"{text[:150]}一{text[151:]}"
    other = "".join(chr(0x4E00 + number * 41 % 4000) for number in range(300))
    assert kinds_of(text, other, changed) == [None, None, "near_duplicate"]


def test_short_texts_are_compared_too() -> None:
    assert kinds_of("One.", "Two.", "one.", "") == [None, None, "exact_duplicate", None]


def test_the_estimate_is_near_the_similarity_of_the_sets_of_words_in_threes() -> None:
    """Of 400 pairs with a known Jaccard similarity hardly any at 0.85 is missed, and hardly any at 0.55 is taken."""
    found = {0.85: 0, 0.55: 0}
    for similarity in found:
        for pair in range(200):
            # 200 shingles, of which the last are others: |common| / |union| is the similarity.
            common = round(200 * 2 * similarity / (1 + similarity))
            first = [f"w{pair}x{number}" for number in range(202)]
            second = [*first[: common + 2], *(f"v{pair}x{number}" for number in range(200 - common))]
            found[similarity] += kinds_of(" ".join(first), " ".join(second))[1] == "near_duplicate"
    assert found[0.85] >= 196
    assert found[0.55] <= 4
