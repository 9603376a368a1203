import copy

import pandas as pd
import pytest
from tokenizers import pre_tokenizers

from ctcd.lineage.digest import (
    ContentDigest,
    content_digest,
    digest,
    file_digest,
    folder_digest,
    table_fingerprint,
    tokenizer_fingerprint,
)

TABLE = pd.DataFrame({"first": ["a", "b"], "second": ["c", "d"]})


def test_equal_tables_have_equal_fingerprints_whatever_their_index():
    assert table_fingerprint(TABLE) == table_fingerprint(TABLE.set_axis([7, 9]))


@pytest.mark.parametrize(
    "other",
    [
        TABLE[::-1],
        TABLE.rename(columns={"first": "x"}),
        TABLE[["second", "first"]],
        TABLE.assign(first=["a", "c"]),
        TABLE[:1],
    ],
    ids=["order", "names", "columns", "text", "rows"],
)
def test_other_tables_have_other_fingerprints(other):
    assert table_fingerprint(other) != table_fingerprint(TABLE)


def test_values_are_told_apart_by_their_place():
    assert digest("ab", "c") != digest("a", "bc")
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})


def test_what_is_no_plain_value_has_no_digest():
    with pytest.raises(TypeError):
        digest(object())


def test_bytes_have_one_digest_however_they_come(tmp_path):
    content = bytes(range(256)) * 10_000
    (tmp_path / "file").write_bytes(content)
    pieces = ContentDigest()
    pieces.update(content[:1000])
    pieces.update(memoryview(content)[1000:])
    assert content_digest(content) == pieces.value == file_digest(tmp_path / "file")
    assert content_digest(content[:-1]) != pieces.value


def test_a_folder_is_the_names_and_the_content_of_its_files(tmp_path):
    for folder in ("one", "same", "renamed", "altered"):
        (tmp_path / folder / "deep").mkdir(parents=True)
        (tmp_path / folder / "deep" / ("b" if folder == "renamed" else "a")).write_text("x")
        (tmp_path / folder / "c").write_text("z" if folder == "altered" else "y")
    one, same, renamed, altered = (folder_digest(tmp_path / folder) for folder in ("one", "same", "renamed", "altered"))
    assert one == same
    assert len({one, renamed, altered}) == 3
    assert folder_digest(tmp_path / "one", ["deep/*"]) == folder_digest(tmp_path / "altered", ["deep/*"])


def test_tokenizers_that_cut_text_otherwise_are_told_apart_and_their_last_call_is_not(tokenizer):
    before = tokenizer_fingerprint(tokenizer)
    tokenizer("a text", truncation=True, max_length=4)
    assert tokenizer_fingerprint(tokenizer) == before
    for part in (pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Sequence([])):
        other = copy.deepcopy(tokenizer)
        other.backend_tokenizer.pre_tokenizer = part
        assert other.get_vocab() == tokenizer.get_vocab()
        assert tokenizer_fingerprint(other) != before
