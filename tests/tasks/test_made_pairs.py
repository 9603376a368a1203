"""Pairs that are made from held-out text."""

import logging
from collections import Counter

import pytest

from ctcd.errors import InputError
from ctcd.tasks.made_pairs import LONGEST, NEIGHBOURS, make_pairs
from ctcd.tasks.minimal_pairs import COLUMNS
from ctcd.tasks.probe_sentences import collect_sentences, words_by_frequency
from ctcd.tasks.settings import MinimalPairsParameters


def settings(examples: int = 50, seed: int = 1) -> MinimalPairsParameters:
    return MinimalPairsParameters(sets=["heldout_text"], pairs_per_paradigm=None, examples=examples, seed=seed)


def test_both_paradigms_have_so_many_pairs_and_no_sentence_twice(documents) -> None:
    pairs = make_pairs(documents, settings())
    assert list(pairs.columns) == COLUMNS
    assert pairs["paradigm"].value_counts().to_dict() == {"two_words_exchanged": 50, "word_replaced": 50}
    assert pairs["sentence_good"].is_unique
    assert pairs["pair"].tolist() == [*range(50)] * 2
    assert pairs["sentence_good"].str.split().str.len().max() <= LONGEST


def test_two_different_words_change_places(documents) -> None:
    pairs = make_pairs(documents, settings())
    for pair in pairs[pairs["paradigm"] == "two_words_exchanged"].itertuples():
        good, bad = pair.sentence_good.split(), pair.sentence_bad.split()
        places = [place for place, word in enumerate(good) if word != bad[place]]
        assert len(places) == 2
        assert Counter(good) == Counter(bad)
        assert all(good[place].isalpha() and good[place].islower() for place in places)


def test_one_word_is_replaced_by_one_of_similar_frequency(documents) -> None:
    pairs = make_pairs(documents, settings())
    ranks = {word: rank for rank, word in enumerate(words_by_frequency(collect_sentences(documents, 2000)))}
    for pair in pairs[pairs["paradigm"] == "word_replaced"].itertuples():
        changed = [
            (good, bad)
            for good, bad in zip(pair.sentence_good.split(), pair.sentence_bad.split(), strict=True)
            if good != bad
        ]
        assert len(changed) == 1
        good, bad = changed[0]
        assert 0 < abs(ranks[good] - ranks[bad]) <= NEIGHBOURS


def test_pairs_are_a_function_of_the_seed(documents) -> None:
    assert make_pairs(documents, settings()).equals(make_pairs(documents, settings()))
    assert not make_pairs(documents, settings()).equals(make_pairs(documents, settings(seed=2)))


def test_too_little_text_gives_fewer_pairs_and_a_warning(documents, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        pairs = make_pairs(list(documents)[:1], settings(examples=10_000))
    assert 0 < len(pairs) < 20_000
    assert "only" in caplog.text


def test_text_that_gives_no_pair_is_refused_where_some_are_wanted() -> None:
    with pytest.raises(InputError, match="take 'heldout_text' out of minimal_pairs.sets"):
        make_pairs([], settings())
    assert make_pairs([], settings().model_copy(update={"sets": ["zorro"]})).empty
