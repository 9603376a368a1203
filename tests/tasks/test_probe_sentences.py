import numpy as np
import pytest

from ctcd.corpus.documents import Document
from ctcd.tasks.probe_sentences import (
    SECTION_SENTENCES,
    collect_sentences,
    looks_like_a_sentence,
    plain_places,
    split_by_document,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("This is a good plain sentence.", True),
        ("Ist das ein schöner, übersichtlicher Satz?", True),
        ("Too short a one.", False),
        ("this begins in the middle of it.", False),
        ("This has no end to speak of", False),
        ("Set x_1 = f(y) + 2 * z[0] for i in range(n).", False),
        (" ".join(["Word"] * 31) + ".", False),
    ],
)
def test_sentences_are_told_from_fragments_and_code(text, expected):
    assert looks_like_a_sentence(text) is expected


def test_capitals_of_any_alphabet_are_left_where_they_stand():
    assert plain_places(["Die", "Ärzte", "üben", "in", "Ölmühlen", "2", "Jahre,", "école", "École", "文"]) == [
        2,
        3,
        7,
        9,
    ]


def test_a_repeated_sentence_counts_once_and_interrupts_what_follows_one_another():
    first, second, third = (f"This is the {name} sentence of all." for name in ("first", "second", "third"))
    documents = [Document(f"{first} {second}", "a"), Document(f"{third} {first.upper()} {'Fourth ' * 5}.", "b")]
    collected = [document.runs for document in collect_sentences([*documents, *_fillers(20)], 10_000)][:2]
    assert collected == [((first, second),), ((third,), ("Fourth Fourth Fourth Fourth Fourth .",))]


def _fillers(count):
    names = "one two three four five six seven eight nine ten".split()
    return [Document(f"Here {names[n % 10]} and {names[n // 10]} make a filler sentence.", "f") for n in range(count)]


def test_reading_stops_when_there_is_enough():
    read = []

    def documents():
        for document in _fillers(100):
            read.append(document)
            yield document

    collect_sentences(documents(), 30)
    assert len(read) == 30


def test_few_long_documents_are_cut_into_sections(documents):
    text = "\n".join(document.text for document in documents)
    sections = collect_sentences([Document(text, "book")], 10_000)
    assert len(sections) > 5
    assert all(len(section.sentences) < 2 * SECTION_SENTENCES for section in sections)


def test_splitting_keeps_documents_whole_and_near_the_wanted_share(documents):
    collected = collect_sentences(documents, 10_000)
    train, validation = split_by_document(collected, 0.3, np.random.default_rng(0))
    assert sorted(map(id, train + validation)) == sorted(map(id, collected))
    sizes = [sum(len(document.sentences) for document in part) for part in (train, validation)]
    assert 0.2 < sizes[1] / sum(sizes) < 0.4
