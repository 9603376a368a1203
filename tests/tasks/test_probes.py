import logging
import re
from collections import Counter
from itertools import pairwise

import pandas as pd
import pytest

from ctcd.corpus.documents import Document
from ctcd.corpus.settings import ProbesParameters
from ctcd.errors import InputError
from ctcd.tasks.probe_sentences import collect_sentences
from ctcd.tasks.probes import BUILDERS, make_probes
from ctcd.tasks.tasks import MASKED_WORD, PROBES

SETTINGS = ProbesParameters(train_examples=120, validation_examples=60, seed=1)


@pytest.fixture(scope="module")
def sourced(documents):
    """The same documents, as if they came from three places."""
    return [Document(document.text, f"source {number % 3}") for number, document in enumerate(documents)]


@pytest.fixture(scope="module")
def probes(sourced):
    return make_probes(sourced, SETTINGS)


@pytest.fixture(scope="module")
def originals(sourced):
    """Every good sentence and the number of its document."""
    return {
        sentence: number
        for number, document in enumerate(collect_sentences(sourced, 10**9))
        for sentence in document.sentences
    }


def texts(frame):
    return [text for column in frame.columns if column != "label" for text in frame[column]]


def single(probes, name, split="train"):
    return list(probes[name][split].itertuples(index=False))


def test_every_probe_is_made_with_the_columns_of_its_task(probes):
    assert list(probes) == list(BUILDERS)
    for name, splits in probes.items():
        assert list(splits) == ["train", "validation"]
        for frame in splits.values():
            assert list(frame.columns) == [*PROBES[name].text_columns, "label"]


def test_there_are_as_many_examples_as_asked_for_or_nearly(probes):
    for name in ("shuffled_words", "missing_word", "topic"):
        assert len(probes[name]["train"]) == 120
        assert len(probes[name]["validation"]) == 60


@pytest.mark.parametrize("name", list(BUILDERS))
def test_classes_are_equally_many_and_mixed(probes, name):
    for frame in probes[name].values():
        counts = frame["label"].value_counts()
        assert counts.max() - counts.min() <= max(1, 0.1 * len(frame))
        assert sorted(counts.index) == list(range(len(counts)))
        assert not frame["label"].is_monotonic_increasing


@pytest.mark.parametrize("name", ["topic", "sentence_order", "same_document"])
def test_splits_share_no_document(probes, originals, name):
    of = {split: {originals[text] for text in texts(frame)} for split, frame in probes[name].items()}
    assert of["train"].isdisjoint(of["validation"])


@pytest.mark.parametrize("name", list(BUILDERS))
def test_no_sentence_occurs_twice_in_either_split(probes, name):
    both = [" ".join(sorted(text.casefold().split())) for frame in probes[name].values() for text in texts(frame)]
    assert len(both) == len(set(both))


@pytest.mark.parametrize("name", ["shuffled_words", "function_words", "bigram_shift"])
def test_spoilt_sentences_have_the_words_of_a_real_one_in_another_order(probes, originals, name):
    real = {tuple(sorted(sentence.split())): sentence for sentence in originals}
    for sentence, label in single(probes, name):
        original = real[tuple(sorted(sentence.split()))]
        assert (sentence == original) == bool(label)
        capitals = [(place, word) for place, word in enumerate(original.split()) if not re.fullmatch(r"[a-z]+", word)]
        assert [(place, sentence.split()[place]) for place, _ in capitals] == capitals


def test_a_bigram_shift_exchanges_neighbours_three_times(probes, originals):
    real = {tuple(sorted(sentence.split())): sentence.split() for sentence in originals}
    for sentence, label in single(probes, "bigram_shift"):
        words = sentence.split()
        moved = [place for place, word in enumerate(real[tuple(sorted(words))]) if word != words[place]]
        assert len(moved) == (0 if label else 6)


def test_function_words_change_places_among_frequent_words_alone(probes, sourced):
    words = Counter(
        word
        for document in collect_sentences(sourced, 10**9)
        for sentence in document.sentences
        for word in sentence.split()
    )
    rare = {word for word, count in words.items() if count == 1}
    real = {tuple(sorted(s.split())): s for d in collect_sentences(sourced, 10**9) for s in d.sentences}
    for sentence, _ in single(probes, "function_words"):
        original = real[tuple(sorted(sentence.split()))].split()
        for word, other in zip(sentence.split(), original, strict=True):
            assert word == other or not {word, other} & rare


def test_a_missing_word_fits_its_label_and_gives_back_a_real_sentence(probes, originals):
    frames = pd.concat(probes["missing_word"].values())
    candidates = [word for word, _ in Counter(w for s in originals for w in s.split() if w.islower()).most_common(10)]
    found = {}
    for sentence, label in frames.itertuples(index=False):
        assert sentence.split().count(MASKED_WORD) == 1
        fitting = {word for word in candidates if sentence.replace(MASKED_WORD, word) in originals}
        found[label] = found.get(label, fitting) & fitting
    assert all(len(words) == 1 for words in found.values())
    assert len({word for words in found.values() for word in words}) == 4


def test_topics_are_the_sources(probes, originals, sourced):
    collected = collect_sentences(sourced, 10**9)
    sources = {}
    for frame in probes["topic"].values():
        for sentence, label in frame.itertuples(index=False):
            sources.setdefault(label, set()).add(collected[originals[sentence]].source)
    assert sorted(len(names) for names in sources.values()) == [1, 1, 1]


def test_sentence_order_says_which_neighbour_was_first(probes, sourced):
    follows = {pair for d in collect_sentences(sourced, 10**9) for run in d.runs for pair in pairwise(run)}
    for first, second, label in single(probes, "sentence_order"):
        assert ((first, second) in follows) == bool(label)
        assert ((second, first) in follows) != bool(label)


def test_same_document_is_neighbours_or_different_documents(probes, originals, sourced):
    follows = {pair for d in collect_sentences(sourced, 10**9) for run in d.runs for pair in pairwise(run)}
    for first, second, label in single(probes, "same_document"):
        assert ((first, second) in follows) == bool(label)
        assert (originals[first] == originals[second]) == bool(label)


def test_probes_are_a_function_of_documents_and_seed(probes, sourced):
    again = make_probes(sourced, SETTINGS)
    other = make_probes(sourced, SETTINGS.model_copy(update={"seed": 2}))
    for name, splits in probes.items():
        pd.testing.assert_frame_equal(splits["train"], again[name]["train"])
        assert not splits["train"].equals(other[name]["train"])


def test_too_little_text_gives_fewer_examples_and_says_so(sourced, caplog):
    with caplog.at_level(logging.WARNING):
        probes = make_probes(sourced, ProbesParameters(train_examples=50_000, validation_examples=20_000, seed=1))
    assert 40 <= len(probes["shuffled_words"]["train"]) < 50_000
    assert "probe 'shuffled_words' only" in caplog.text


def test_one_source_has_no_topics_and_the_probe_is_left_out(documents, caplog):
    probes = make_probes([Document(document.text, "all") for document in documents], SETTINGS)
    assert "topic" not in probes
    assert "probe 'topic': it is left out" in caplog.text


def test_far_too_little_text_is_refused():
    with pytest.raises(InputError, match="too short: its 2 usable sentences"):
        make_probes([Document("This is a short text indeed. It has two sentences only.", "a")], SETTINGS)


def test_no_more_is_read_than_needed(sourced):
    read = []

    def endless():
        number = 0
        while True:
            text = re.sub(r"\bis\b", f"is{'abcdefghij'[number % 10] * (1 + number // 10)}", sourced[0].text)
            read.append(number)
            yield Document(text, "a")
            number += 1

    make_probes(endless(), ProbesParameters(train_examples=40, validation_examples=20, seed=1))
    assert len(read) < 10_000
