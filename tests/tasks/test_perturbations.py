from typing import get_args

import numpy as np
import pandas as pd
import pytest

from ctcd.tasks.perturbations import PERTURBATIONS, perturb, with_perturbations
from ctcd.tasks.settings import PerturbationName
from ctcd.tasks.suite import TaskData
from ctcd.tasks.tasks import Task

NAMES = list(PERTURBATIONS)
TEXT = "The quick brown fox jumps over the lazy dog , twice a day ."


def changed_words(before, after):
    return [pair for pair in zip(before.split(), after.split(), strict=True) if pair[0] != pair[1]]


def test_every_perturbation_has_a_function_and_the_other_way_round():
    assert set(PERTURBATIONS) == set(get_args(PerturbationName))


@pytest.mark.parametrize("name", NAMES)
def test_the_same_text_becomes_the_same_and_another_seed_gives_another(name):
    assert perturb(TEXT, name, 0.5) == perturb(TEXT, name, 0.5)
    assert perturb(TEXT, name, 0.5) != perturb(TEXT, name, 0.5, seed=1)


@pytest.mark.parametrize("name", NAMES)
def test_the_strength_is_the_share_of_words_that_are_hit(name, sentences):
    texts = [sentence for sentence in sentences if "." in sentence][:200]
    words = sum(len(text.split()) for text in texts)
    hit = 0
    for text in texts:
        after = perturb(text, name, 0.2)
        dropped = len(text.split()) - len(after.split())
        hit += dropped if name == "dropped_words" else len(changed_words(text, after))
    # A number has no letters to mistype, and capitals stay capitals.
    assert hit / words == pytest.approx(0.2, abs=0.06)


@pytest.mark.parametrize("name", NAMES)
def test_a_weaker_perturbation_hits_some_of_the_words_that_a_stronger_one_hits(name):
    if name == "dropped_words":
        kept = [perturb(TEXT, name, strength).split() for strength in (0.2, 0.6)]
        assert all(word in kept[0] for word in kept[1])
    else:
        weak, strong = ({before for before, _ in changed_words(TEXT, perturb(TEXT, name, s))} for s in (0.2, 0.6))
        assert weak <= strong


def test_a_typo_swaps_two_neighbours_or_takes_a_neighbouring_key():
    rows = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
    kinds = set()
    for seed in range(40):
        for before, after in changed_words("Banana street", perturb("Banana street", "typos", 1.0, seed)):
            assert len(before) == len(after)
            places = [place for place in range(len(before)) if before[place] != after[place]]
            if len(places) == 2:
                first, second = places
                assert second == first + 1
                assert after[first : second + 1] == before[first : second + 1][::-1]
            else:
                (place,) = places
                assert before[place].isupper() == after[place].isupper()
                pair = before[place].lower() + after[place].lower()
                assert any(pair in row or pair[::-1] in row for row in rows)
            kinds.add(len(places))
    assert kinds == {1, 2}


def test_letters_of_other_scripts_are_swapped_and_what_has_no_letters_stays():
    assert sorted(perturb("привет", "typos", 1.0)) == sorted("привет")
    assert perturb("привет", "typos", 1.0) != "привет"
    assert perturb("12.5 % , 7", "typos", 1.0) == "12.5 % , 7"


def test_masked_words_stay_and_so_does_the_space_between_words():
    text = "  one [MASK]  two\tthree. "
    for name in NAMES:
        assert "[MASK]" in perturb(text, name, 1.0)
    assert perturb(text, "casing", 1.0) == "  ONE [MASK]  TWO\tTHREE. "
    assert perturb(text, "dropped_words", 1.0).split() == ["[MASK]"]


@pytest.mark.parametrize("text", ["one two three", "我们去北京", "x"])
def test_one_word_is_left_where_all_would_be_dropped(text):
    assert perturb(text, "dropped_words", 1.0).strip() == text.split()[0][: 1 if "我" in text else None]


def test_characters_of_a_script_without_spaces_are_dropped_one_by_one():
    text = "我们明天早上一起去北京看朋友"
    after = perturb(text, "dropped_words", 0.4)
    assert 1 < len(after) < len(text)
    assert [character for character in text if character in after]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", ["", "  "])
def test_an_empty_text_stays(name, text):
    assert perturb(text, name, 1.0) == text


def test_every_validation_split_gets_a_copy_for_every_perturbation():
    task = Task("own", ("a", "b"), ("accuracy",), validation_splits=("matched", "mismatched"))
    frame = pd.DataFrame({"a": [TEXT, TEXT[:20]], "b": [TEXT[20:], "so"], "label": [0, 1]})
    data = TaskData(task, dict.fromkeys(task.splits, frame), (0, 1))
    perturbed = with_perturbations(data, {"typos": 0.5, "casing": 1.0})
    assert perturbed.further == {
        f"{split} {name}": name for name in ("typos", "casing") for split in ("matched", "mismatched")
    }
    upper = perturbed.frames["matched casing"]
    assert upper["b"].tolist() == [TEXT[20:].upper(), "SO"]
    assert np.array_equal(upper["label"], frame["label"])
    assert perturbed.frames["train"] is frame
    assert perturbed.hidden_splits == []
