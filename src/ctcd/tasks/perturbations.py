"""Text as people might have written it as well: what a model says of it should stay the same.

A text and a seed decide what becomes of it, whatever stands beside it. A weaker perturbation changes some of the words
that a stronger one changes. Words are what stands between spaces; a character of a script without spaces is one, too.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from ctcd.engine.randomness import seed_from
from ctcd.tasks.settings import PerturbationName
from ctcd.tasks.suite import TaskData
from ctcd.tasks.tasks import MASKED_WORD

_WITHOUT_SPACES = "\u2e80-\u9fff\uf900-\ufaff"  # Chinese characters and Japanese syllables
_WORD = re.compile(rf"{re.escape(MASKED_WORD)}|[{_WITHOUT_SPACES}]|[^\s{_WITHOUT_SPACES}]+")
_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBOURS = {
    key: row[max(0, place - 1) : place] + row[place + 1 : place + 2] for row in _KEYS for place, key in enumerate(row)
}

Random = np.random.Generator
# From the words of a text, whether each is hit, and random numbers to what becomes of the words.
Perturb = Callable[[list[str], list[bool], Random], list[str]]


def typos(words: list[str], is_hit: list[bool], random: Random) -> list[str]:
    """Two neighbouring letters swapped, or one replaced by its neighbour on the keyboard, in each word that is hit."""
    return [_mistyped(word, random) if hit else word for word, hit in zip(words, is_hit, strict=True)]


def dropped_words(words: list[str], is_hit: list[bool], random: Random) -> list[str]:
    """Without the words that are hit, but for one if that would be all."""
    kept = ["" if hit else word for word, hit in zip(words, is_hit, strict=True)]
    return kept if any(kept) else [words[0], *kept[1:]]


def casing(words: list[str], is_hit: list[bool], random: Random) -> list[str]:
    """Words that are hit in capitals: nothing for a tokenizer that lowercases."""
    return [word.upper() if hit else word for word, hit in zip(words, is_hit, strict=True)]


PERTURBATIONS: dict[PerturbationName, Perturb] = {"typos": typos, "dropped_words": dropped_words, "casing": casing}


def perturb(text: str, name: PerturbationName, strength: float, seed: int = 0) -> str:
    """Perturb a text.

    Args:
        text: any; masked words stay.
        name: of the perturbation.
        strength: share of the words that are hit, on average.
        seed: another one hits others.
    """
    matches = list(_WORD.finditer(text))
    if not matches:
        return text
    random = np.random.default_rng(seed_from("perturbation", name, seed, text))
    words = [match.group() for match in matches]
    is_hit = [
        bool(draw < strength) and word != MASKED_WORD
        for draw, word in zip(random.random(len(words)), words, strict=True)
    ]
    changed = PERTURBATIONS[name](words, is_hit, random)
    ends = [*(match.start() for match in matches[1:]), len(text)]
    gaps = [text[match.end() : end] for match, end in zip(matches, ends, strict=True)]
    whole = "".join(word + gap for word, gap in zip(changed, gaps, strict=True) if word)
    return text[: matches[0].start()] + whole


def with_perturbations(data: TaskData, strengths: Mapping[PerturbationName, float]) -> TaskData:
    """Add a perturbed copy of every validation split, for each perturbation.

    Args:
        data: a task.
        strengths: of the perturbations, by name.
    """
    frames, further = dict(data.frames), dict(data.further)
    for name, strength in strengths.items():
        for split in data.task.validation_splits:
            frame = data.frames[split]
            texts = {
                column: [perturb(text, name, strength) for text in frame[column]] for column in data.task.text_columns
            }
            frames[f"{split} {name}"] = frame.assign(**texts)
            further[f"{split} {name}"] = name
    return replace(data, frames=frames, further=further)


def _mistyped(word: str, random: Random) -> str:
    """One typo, of the two kinds that the word allows; none in a word without letters."""
    letters = [place for place, letter in enumerate(word) if letter.isalpha()]
    replaced = [place for place in letters if word[place].lower() in _NEIGHBOURS]
    swapped = [place for place in letters if word[place + 1 : place + 2].isalpha() and word[place] != word[place + 1]]
    if swapped and (not replaced or random.random() < 0.5):
        place = int(random.choice(swapped))
        return word[:place] + word[place + 1] + word[place] + word[place + 2 :]
    if not replaced:
        return word
    place = int(random.choice(replaced))
    letter = str(random.choice(list(_NEIGHBOURS[word[place].lower()])))
    return word[:place] + (letter.upper() if word[place].isupper() else letter) + word[place + 1 :]
