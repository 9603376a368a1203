"""Sets of minimal pairs from files, the hub's layout and a folder of them."""

import json

import pandas as pd
import pytest

from ctcd.errors import InputError
from ctcd.tasks.minimal_pairs import COLUMNS, PairFolder, read_sets, sample_pairs
from ctcd.tasks.settings import MinimalPairsParameters

PAIRS = pd.DataFrame(
    {
        "paradigm": ["agreement"] * 3 + ["order"] * 2,
        "phenomenon": ["verbs"] * 3 + ["words"] * 2,
        "sentence_good": ["He is.", "He was null.", "null", "So it is.", "I am."],
        "sentence_bad": ["He are.", "He were null.", "NA", "It so is.", "Am I."],
    }
)


def settings(sets: list[str], pairs_per_paradigm: int | None = None) -> MinimalPairsParameters:
    return MinimalPairsParameters(sets=sets, pairs_per_paradigm=pairs_per_paradigm, examples=5, seed=1)


def write(folder, name: str, frame: pd.DataFrame = PAIRS):
    path = folder / name
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_json(path, orient="records", lines=True)
    return path


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl", "json"])
def test_a_set_is_a_file_of_any_kind_in_the_folder(tmp_path, ending) -> None:
    write(tmp_path, f"own.{ending}")
    pairs = PairFolder(tmp_path).read("own")
    assert list(pairs.columns) == COLUMNS
    assert pairs["set"].unique().tolist() == ["own"]
    assert pairs["pair"].tolist() == [0, 1, 2, 0, 1]
    for column in PAIRS:
        assert pairs[column].tolist() == PAIRS[column].tolist()


def test_a_set_is_a_file_anywhere_too(tmp_path) -> None:
    path = write(tmp_path, "mine.csv")
    assert len(PairFolder(tmp_path / "elsewhere").read(str(path))) == 5


def test_without_paradigms_a_set_is_one_and_without_phenomena_each_paradigm_is_its_own(tmp_path) -> None:
    write(tmp_path, "bare.csv", PAIRS.drop(columns=["paradigm", "phenomenon"]))
    write(tmp_path, "named.csv", PAIRS.drop(columns="phenomenon"))
    bare, named = PairFolder(tmp_path).read("bare"), PairFolder(tmp_path).read("named")
    assert bare["paradigm"].unique().tolist() == bare["phenomenon"].unique().tolist() == ["bare"]
    assert named["phenomenon"].tolist() == PAIRS["paradigm"].tolist()


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (PAIRS.rename(columns={"sentence_bad": "bad"}), "rename or add sentence_bad"),
        (PAIRS[:0], "holds no pairs"),
        (PAIRS.assign(sentence_bad=["a", None, "b", "c", "d"]), "without two sentences (row 2)"),
        (PAIRS.assign(sentence_good=["a", "b", " ", "c", "d"]), "without two sentences (row 3)"),
        (PAIRS.assign(sentence_good=range(5)), "without two sentences (row 1)"),
    ],
)
def test_what_is_no_table_of_pairs_is_one_sentence(tmp_path, frame, words) -> None:
    write(tmp_path, "wrong.parquet", frame)
    with pytest.raises(InputError) as error:
        PairFolder(tmp_path).read("wrong")
    assert words in str(error.value)
    assert "wrong.parquet" in str(error.value)


@pytest.mark.parametrize("name", ["bad.parquet", "bad.jsonl"])
def test_a_damaged_file_is_one_sentence(tmp_path, name) -> None:
    (tmp_path / name).write_bytes(b"{\xff no")
    with pytest.raises(InputError, match="cannot be read"):
        PairFolder(tmp_path).read("bad")


@pytest.mark.parametrize(
    ("published", "words"),
    [("name,lstm\norder,0.5\n", "no column paradigm"), ("paradigm,lstm\norder,87.5\n", "no number from 0 to 1")],
)
def test_accuracies_that_cannot_stand_in_the_report_are_refused_with_the_set(tmp_path, published, words) -> None:
    write(tmp_path, "own.csv")
    (tmp_path / "own_published_accuracy.csv").write_text(published)
    with pytest.raises(InputError, match=words):
        PairFolder(tmp_path).read("own")


def test_published_accuracies_are_numbers_by_paradigm_and_may_be_missing(tmp_path) -> None:
    (tmp_path / "own_published_accuracy.csv").write_text("paradigm,phenomenon,lstm,gpt\n1,a,0.5,\nnull,a,0.6,1\n")
    table = PairFolder(tmp_path).published_accuracy("own")
    assert table is not None
    assert table["paradigm"].tolist() == ["1", "null"]
    assert table["gpt"].isna().tolist() == [True, False]


def test_no_set_is_called_as_the_mean_over_all_sets(tmp_path) -> None:
    write(tmp_path, "all.csv")
    with pytest.raises(InputError, match="rename it"):
        PairFolder(tmp_path).read("all")


def test_a_missing_set_names_those_that_are_there(tmp_path) -> None:
    write(tmp_path, "zorro.csv")
    (tmp_path / "zorro_published_accuracy.csv").write_text("paradigm,lstm\n")
    with pytest.raises(InputError, match=r"'blimp' in .*\(there is zorro\).*data_root"):
        PairFolder(tmp_path).read("blimp")
    with pytest.raises(InputError, match="there is none"):
        PairFolder(tmp_path / "nowhere").read("blimp")


def test_sets_are_read_from_where_they_are_and_have_different_names(tmp_path) -> None:
    made, given = tmp_path / "made", tmp_path / "given"
    for folder in (made, given, tmp_path / "other"):
        folder.mkdir()
    write(made, "heldout_text.parquet")
    write(given, "own.csv")
    other = write(tmp_path / "other", "own.csv")
    sets = read_sets(settings(["own", "heldout_text"], 1), PairFolder(made), PairFolder(given))
    assert {name: len(pairs) for name, pairs in sets.items()} == {"own": 2, "heldout_text": 2}
    with pytest.raises(InputError, match="two sets 'own'"):
        read_sets(settings(["own", str(other)]), PairFolder(made), PairFolder(given))


def test_a_sample_has_so_many_pairs_of_each_paradigm_and_is_always_the_same() -> None:
    pairs = pd.concat([PAIRS.assign(set="s", pair=range(5))] * 20, ignore_index=True)
    pairs["pair"] = range(100)
    sample = sample_pairs(pairs, 7, seed=1)
    assert sample["paradigm"].value_counts().to_dict() == {"agreement": 7, "order": 7}
    assert sample.equals(sample_pairs(pairs, 7, seed=1))
    assert not sample.equals(sample_pairs(pairs, 7, seed=2))
    assert sample_pairs(pairs, 1000, seed=1).shape == pairs.shape
    assert sample_pairs(pairs, None, seed=1) is pairs


def test_a_data_set_of_the_hub_has_a_paradigm_in_each_configuration(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "blimp"
    folder.mkdir()
    for name in ("island", "agreement"):
        rows = PAIRS[["sentence_good", "sentence_bad"]].assign(linguistics_term=f"{name}s")
        write(folder, f"{name}.jsonl", rows)
    names = ("island", "agreement")
    configs = "".join(f"- config_name: {name}\n  data_files: {json.dumps(f'{name}.jsonl')}\n" for name in names)
    (folder / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    pairs = PairFolder(tmp_path).read(f"hub:{folder}")
    assert pairs["paradigm"].value_counts().to_dict() == {"island": 5, "agreement": 5}
    assert set(pairs["phenomenon"]) == {"islands", "agreements"}
    with pytest.raises(InputError, match="cannot be loaded"):
        PairFolder(tmp_path).read(f"hub:{tmp_path}/nothing")


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "paradigms", "pairs"),
    [("zorro", 23, 46_000), ("blimp", 67, 67_000), ("clams_de", 7, 47_820), ("clams_fr", 7, 49_360)],
)
def test_real_sets_have_the_published_counts(real_data, name, paradigms, pairs) -> None:
    table = PairFolder(real_data / "minimal_pairs").read(name)
    assert (table["paradigm"].nunique(), len(table)) == (paradigms, pairs)


@pytest.mark.real_data
def test_published_accuracies_are_of_the_paradigms_of_the_files(real_data) -> None:
    folder = PairFolder(real_data / "minimal_pairs")
    published = folder.published_accuracy("blimp")
    assert published is not None
    assert set(folder.read("blimp")["paradigm"]) <= set(published["paradigm"])
    assert folder.published_accuracy("zorro") is None
