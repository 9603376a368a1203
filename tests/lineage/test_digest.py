import pandas as pd
import pytest

from ctcd.lineage.digest import digest, table_fingerprint

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
