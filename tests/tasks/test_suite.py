from dataclasses import replace

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ctcd.errors import InputError
from ctcd.tasks.files import FolderSuite
from ctcd.tasks.submission import FILES
from ctcd.tasks.tasks import GLUE, PROBES, FurtherSplit, Task

COLA, STSB, TOPIC = GLUE["cola"], GLUE["stsb"], PROBES["topic"]


def write(folder, task, split, **columns):
    (folder / task).mkdir(exist_ok=True)
    pd.DataFrame(columns).to_parquet(folder / task / f"{split}.parquet")


def read(folder, task):
    """The only split of a task."""
    return FolderSuite(folder).read(replace(task, validation_splits=())).frames["train"]


def test_reads_texts_and_labels_only(tmp_path):
    write(tmp_path, "cola", "train", idx=[7, 8], sentence=["a b", "c"], label=[0, 1], source=["x", "y"])
    frame = read(tmp_path, COLA)
    assert frame.to_dict("list") == {"sentence": ["a b", "c"], "label": [0, 1]}


def test_an_absent_folder_hurts_only_when_a_task_is_read(tmp_path):
    suite = FolderSuite(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"'cola'.*nowhere/cola.*data_root"):
        suite.read(COLA)


def test_numbered_parts_are_put_together_and_a_missing_one_is_noticed(tmp_path):
    for part in range(2):
        write(tmp_path, "cola", f"train-0000{part}-of-00002", sentence=[f"part {part}"], label=[part])
    assert read(tmp_path, COLA)["sentence"].tolist() == ["part 0", "part 1"]
    (tmp_path / "cola" / "train-00001-of-00002.parquet").unlink()
    with pytest.raises(InputError, match="1 of 2 parts"):
        read(tmp_path, COLA)


def test_a_partial_file_is_used_where_there_is_no_whole_one(tmp_path):
    write(tmp_path, "cola", "train_partial", sentence=["partial"], label=[1])
    write(tmp_path, "cola", "validation", sentence=["whole"], label=[1])
    data = FolderSuite(tmp_path).read(COLA)
    assert data.frames["train"]["sentence"].tolist() == ["partial"]
    assert data.is_partial
    write(tmp_path, "cola", "train", sentence=["whole"], label=[1])
    data = FolderSuite(tmp_path).read(COLA)
    assert data.frames["train"]["sentence"].tolist() == ["whole"]
    assert not data.is_partial


def test_a_split_is_not_taken_for_one_with_a_longer_name(tmp_path):
    write(tmp_path, "cola", "train_matched", sentence=["a"], label=[1])
    with pytest.raises(InputError, match="no file '.*train.parquet'"):
        read(tmp_path, COLA)


def test_missing_columns_are_named_with_file_expected_and_found(tmp_path):
    write(tmp_path, "cola", "train", text=["a"], label=[1])
    with pytest.raises(InputError, match=r"train.parquet' has the columns text, label; .* needs sentence, label"):
        read(tmp_path, COLA)


def test_a_file_that_is_not_parquet_is_named(tmp_path):
    (tmp_path / "cola").mkdir()
    (tmp_path / "cola" / "train.parquet").write_text("sentence,label\n")
    with pytest.raises(InputError, match=r"train.parquet' cannot be read as Parquet"):
        read(tmp_path, COLA)


def test_an_empty_split_is_refused(tmp_path):
    write(tmp_path, "cola", "train", sentence=pd.Series([], dtype=str), label=pd.Series([], dtype=int))
    with pytest.raises(InputError, match="train.parquet' holds no examples"):
        read(tmp_path, COLA)


@pytest.mark.parametrize("label", [2, -1])
def test_a_label_out_of_range_is_named_with_its_file(tmp_path, label):
    write(tmp_path, "cola", "train", sentence=["a", "b"], label=[1, label])
    with pytest.raises(InputError, match=rf"train.parquet' has the label {label} in row 1: labels must be 0 to 1"):
        read(tmp_path, COLA)


def test_hidden_labels_are_fine_in_a_test_split_alone(tmp_path):
    for split in ("train", "validation"):
        write(tmp_path, "cola", split, sentence=["a", "b"], label=[0, 1])
    assert FolderSuite(tmp_path).read(COLA, with_hidden=True).hidden_splits == []
    write(tmp_path, "cola", "test", sentence=["a"], label=[-1])
    data = FolderSuite(tmp_path).read(COLA, with_hidden=True)
    assert data.hidden_splits == ["test"]
    assert data.frames["test"]["label"].tolist() == [-1]
    assert FolderSuite(tmp_path).read(COLA).hidden_splits == []
    write(tmp_path, "cola", "validation", sentence=["a"], label=[-1])
    with pytest.raises(InputError, match=r"validation.parquet' are hidden \(all -1\)"):
        FolderSuite(tmp_path).read(COLA)


@pytest.mark.parametrize(("task", "labels"), [(COLA, [0.5, 1.0]), (COLA, ["yes", "no"]), (STSB, ["high", "low"])])
def test_labels_of_the_wrong_kind_are_refused(tmp_path, task, labels):
    texts = {column: ["a", "b"] for column in task.text_columns}
    write(tmp_path, task.name, "train", **texts, label=labels)
    with pytest.raises(InputError, match="convert them"):
        read(tmp_path, task)


def test_regression_labels_must_be_finite(tmp_path):
    write(tmp_path, "stsb", "train", sentence1=["a", "b"], sentence2=["c", "d"], label=[1.0, float("inf")])
    with pytest.raises(InputError, match="the label inf"):
        read(tmp_path, STSB)


def test_missing_texts_and_labels_are_counted(tmp_path):
    write(tmp_path, "cola", "train", sentence=["a", None], label=[1, 0])
    with pytest.raises(InputError, match="has 1 missing texts"):
        read(tmp_path, COLA)
    write(tmp_path, "cola", "train", sentence=["a", "b"], label=pd.array([1, None], dtype="Int64"))
    with pytest.raises(InputError, match="has 1 missing labels"):
        read(tmp_path, COLA)


def test_a_text_column_of_numbers_is_refused(tmp_path):
    write(tmp_path, "cola", "train", sentence=[1, 2], label=[1, 0])
    with pytest.raises(InputError, match="holds int64 where text is expected"):
        read(tmp_path, COLA)


def test_labels_with_gaps_become_classes_one_after_the_other(tmp_path):
    write(tmp_path, "topic", "train", sentence=["a", "b", "c"] * 3, label=[7, 2, 40] * 3)
    write(tmp_path, "topic", "validation", sentence=["a", "b"], label=[40, 2])
    data = FolderSuite(tmp_path).read(TOPIC)
    assert data.classes == (2, 7, 40)
    assert data.outputs == 3
    assert data.frames["train"]["label"].tolist() == [1, 0, 2] * 3
    assert data.frames["validation"]["label"].tolist() == [2, 0]


@pytest.mark.parametrize("as_category", [False, True])
def test_labels_may_be_text(tmp_path, as_category):
    labels = pd.Series(["yes", "no", "maybe"] * 2)
    write(tmp_path, "topic", "train", sentence=["a"] * 6, label=labels.astype("category") if as_category else labels)
    write(tmp_path, "topic", "validation", sentence=["a"], label=["no"])
    data = FolderSuite(tmp_path).read(TOPIC)
    assert data.classes == ("maybe", "no", "yes")
    assert data.frames["train"]["label"].tolist() == [2, 1, 0] * 2
    assert data.frames["validation"]["label"].tolist() == [1]


def test_truth_values_and_whole_floats_are_classes(tmp_path):
    write(tmp_path, "topic", "train", sentence=["a", "b"], label=[True, False])
    write(tmp_path, "topic", "validation", sentence=["a"], label=[1.0])
    data = FolderSuite(tmp_path).read(TOPIC)
    assert data.classes == (0, 1)
    assert data.frames["validation"]["label"].tolist() == [1]


def test_a_class_that_is_only_in_validation_is_a_class_that_is_never_learned(tmp_path):
    write(tmp_path, "topic", "train", sentence=["a", "b", "c", "d"], label=[0, 1, 0, 1])
    write(tmp_path, "topic", "validation", sentence=["a"], label=[3])
    assert FolderSuite(tmp_path).read(TOPIC).classes == (0, 1, 3)


def test_labels_that_differ_everywhere_are_no_classes(tmp_path):
    write(tmp_path, "topic", "train", sentence=list("abcdef"), label=[10, 11, 12, 13, 14, 15])
    write(tmp_path, "topic", "validation", sentence=["a"], label=[10])
    with pytest.raises(InputError, match="6 labels for 6 examples: those are no classes"):
        FolderSuite(tmp_path).read(TOPIC)


def test_two_examples_of_a_class_are_enough(tmp_path):
    labels = [number // 2 for number in range(302)]
    write(tmp_path, "topic", "train", sentence=["a"] * 302, label=labels)
    write(tmp_path, "topic", "validation", sentence=["a"], label=[0])
    assert len(FolderSuite(tmp_path).read(TOPIC).classes) == 151


def test_an_example_without_a_label_among_classes_is_pointed_out(tmp_path, caplog):
    write(tmp_path, "topic", "train", sentence=list("abcdefg"), label=[0, 1, 2, 0, 1, 2, -1])
    write(tmp_path, "topic", "validation", sentence=["a"], label=[0])
    assert FolderSuite(tmp_path).read(TOPIC).classes == (-1, 0, 1, 2)
    assert "has 1 examples with the label -1, which is taken for a class like the others" in caplog.text


@pytest.mark.parametrize("split", ["validation", "elsewhere"])
def test_a_further_split_lies_in_any_folder_and_has_the_same_classes(tmp_path, split):
    task = Task("own", ("text",), ("accuracy",), further_splits=(FurtherSplit("web", split, folder="other"),))
    for name in ("train", "validation"):
        write(tmp_path, "own", name, text=["a", "b"], label=["no", "yes"])
    with pytest.raises(InputError, match="other"):
        FolderSuite(tmp_path).read(task)
    write(tmp_path, "other", split, text=["c", "d"], label=["yes", "yes"])
    data = FolderSuite(tmp_path).read(task)
    assert data.frames["web"].to_dict("list") == {"text": ["c", "d"], "label": [1, 1]}
    assert data.further == {"web": "web"}
    assert data.hidden_splits == []
    write(tmp_path, "other", split, text=["c", "d"], label=["yes", "perhaps"])
    with pytest.raises(InputError, match=rf"{split}.parquet' has the label perhaps in row 1: task 'own' has no such"):
        FolderSuite(tmp_path).read(task)
    write(tmp_path, "other", split, text=["c", "d"], label=[1, 0])
    with pytest.raises(InputError, match="are no such labels as task 'own' has"):
        FolderSuite(tmp_path).read(task)


@pytest.mark.parametrize("label", [{}, {"label": [None, None]}, {"label": ["?", "?"]}, {"label": [7, 8]}])
def test_whatever_labels_a_test_split_has_are_not_looked_at(tmp_path, label):
    for split in ("train", "validation"):
        write(tmp_path, "cola", split, sentence=["a", "b"], label=[0, 1])
    write(tmp_path, "cola", "test", sentence=["a", "b"], **label)
    data = FolderSuite(tmp_path).read(COLA, with_hidden=True)
    assert data.frames["test"]["label"].tolist() == [-1, -1]


def test_text_may_lie_in_any_of_arrows_ways(tmp_path):
    kinds = [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
    for kind in kinds:
        for split in ("train", "validation"):
            table = pa.table({"sentence": pa.array(["a", "b"]).cast(kind), "label": pa.array(["no", "yes"]).cast(kind)})
            (tmp_path / "topic").mkdir(exist_ok=True)
            pq.write_table(table, tmp_path / "topic" / f"{split}.parquet")
        data = FolderSuite(tmp_path).read(TOPIC)
        assert data.classes == ("no", "yes")
        assert data.frames["train"]["sentence"].tolist() == ["a", "b"]


def test_one_label_alone_is_nothing_to_learn(tmp_path):
    write(tmp_path, "topic", "train", sentence=["a", "b"], label=[1, 1])
    write(tmp_path, "topic", "validation", sentence=["a"], label=[1])
    with pytest.raises(InputError, match="the one label 1 only"):
        FolderSuite(tmp_path).read(TOPIC)


def test_labels_of_two_kinds_are_refused(tmp_path):
    write(tmp_path, "topic", "train", sentence=["a", "b"], label=["x", "y"])
    write(tmp_path, "topic", "validation", sentence=["a"], label=[1])
    with pytest.raises(InputError, match=r"validation.parquet' are no such labels as .*train.parquet' has"):
        FolderSuite(tmp_path).read(TOPIC)


def test_hidden_labels_cannot_be_scored_by(tmp_path):
    write(tmp_path, "topic", "train", sentence=["a", "b"], label=[0, 1])
    write(tmp_path, "topic", "validation", sentence=["a", "b"], label=[-1, -1])
    with pytest.raises(InputError, match="are hidden"):
        FolderSuite(tmp_path).read(TOPIC)
    for split, labels in (("train", [1.0, 2.0]), ("validation", [-1.0, -1.0])):
        write(tmp_path, "stsb", split, sentence1=["a", "b"], sentence2=["c", "d"], label=labels)
    with pytest.raises(InputError, match="are hidden"):
        FolderSuite(tmp_path).read(STSB)


def test_f1_is_refused_for_more_than_two_classes(tmp_path):
    write(tmp_path, "topic", "train", sentence=["a", "b", "c"] * 2, label=[0, 1, 2] * 2)
    write(tmp_path, "topic", "validation", sentence=["a"], label=[0])
    with pytest.raises(InputError, match="3 classes, f1 is for 2: use macro_f1"):
        FolderSuite(tmp_path).read(replace(TOPIC, metrics=("f1",)))


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "examples", "ones"),
    [
        ("cola", (8551, 1043), 721),
        ("sst2", (67349, 872), 444),
        ("mrpc", (3668, 408), 279),
        ("stsb", (5749, 1500), None),
        ("rte", (2490, 277), 131),
        ("wnli", (635, 71), 31),
    ],
)
def test_real_glue_files_load_with_the_published_counts(real_data, name, examples, ones):
    frames = FolderSuite(real_data / "glue").read(GLUE[name]).frames
    assert (len(frames["train"]), len(frames["validation"])) == examples
    if ones is not None:
        assert (frames["validation"]["label"] == 1).sum() == ones


@pytest.mark.real_data
def test_real_partial_files_are_marked(real_data):
    suite = FolderSuite(real_data / "glue")
    assert {name for name, task in GLUE.items() if task.validation_splits and suite.is_partial(task)} == {
        "qqp",
        "mnli",
        "qnli",
    }


@pytest.mark.real_data
def test_real_test_splits_have_the_leaderboards_counts(real_data):
    suite = FolderSuite(real_data / "glue")
    for task in ("mrpc", "rte", "mnli"):
        frames = suite.read(GLUE[task], with_hidden=True).frames
        for file in FILES:
            if file.task == task and file.split in frames:
                assert len(frames[file.split]) == file.rows


@pytest.mark.real_data
@pytest.mark.parametrize(("name", "columns", "classes"), [("clinc150", 1, 151), ("chemprot", 1, 13), ("cb", 2, 3)])
def test_real_tasks_beyond_glue_say_how_many_classes_they_have(real_data, name, columns, classes):
    texts = ("text",) if columns == 1 else ("premise", "hypothesis")
    assert FolderSuite(real_data / "extra").read(Task(name, texts, ("macro_f1",))).outputs == classes


def test_task_splits_are_train_and_the_scored_ones():
    assert Task("x", ("sentence",), ("accuracy",)).splits == ("train", "validation")


def write_labels(folder, labels):
    """A task whose training labels are these, each as Arrow has it."""
    (folder / "topic").mkdir()
    for split in ("train", "validation"):
        texts = [f"{number}" for number in range(len(labels))]
        pq.write_table(pa.table({"sentence": texts, "label": labels}), folder / "topic" / f"{split}.parquet")


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (pa.array([0.0, 1.0, 1e300]), r"the label 1e\+300 in row 2: classes must be whole numbers"),
        (pa.array([0.0, float("inf"), 1.0]), "the label inf in row 1"),
        (pa.array([0.0, float("nan"), 1.0]), "the label nan in row 1"),
        (pa.array([0.0, 1.0, 0.5]), "the label 0.5 in row 2"),
        (pa.array([0, 1, 2**64 - 1], pa.uint64()), "the label 18446744073709551615 in row 2"),
        (pa.array([-(2**63), 1, 0], pa.int64()), "the label -9223372036854775808 in row 0"),
    ],
)
def test_labels_that_are_no_class_are_refused_by_file_and_row(tmp_path, labels, sentence):
    write_labels(tmp_path, labels)
    with pytest.raises(InputError, match=f"train.parquet' has {sentence}"):
        FolderSuite(tmp_path).read(TOPIC)


def test_thousands_of_numbers_are_no_classes_and_as_text_they_are(tmp_path):
    numbers = [number % 1500 for number in range(3000)]
    write_labels(tmp_path, pa.array(numbers))
    with pytest.raises(InputError, match=r"1500 distinct numbers as labels \(row 1000 has number 1001\)"):
        FolderSuite(tmp_path).read(TOPIC)
    write(tmp_path, "topic", "train", sentence=["a"] * 3000, label=[f"class {number}" for number in numbers])
    write(tmp_path, "topic", "validation", sentence=["a"], label=["class 7"])
    assert FolderSuite(tmp_path).read(TOPIC).outputs == 1500


@pytest.mark.parametrize("wrong", [float("inf"), float("nan"), 1e300])
def test_targets_that_are_not_finite_are_refused_by_file_and_row(tmp_path, wrong):
    (tmp_path / "stsb").mkdir()
    table = pa.table({"sentence1": ["a", "b"], "sentence2": ["c", "d"], "label": pa.array([1.5, wrong])})
    pq.write_table(table, tmp_path / "stsb" / "train.parquet")
    with pytest.raises(InputError, match=r"train.parquet' has the label \S+ in row 1: labels must be finite"):
        FolderSuite(tmp_path).read(STSB)


def test_labels_may_stand_in_a_column_of_another_name(tmp_path):
    for split in ("train", "validation"):
        write(tmp_path, "own", split, text=["a", "b"], intent=["go", "stop"], label=[None, None])
    data = FolderSuite(tmp_path).read(Task("own", ("text",), ("accuracy",), label_column="intent"))
    assert data.classes == ("go", "stop")
    assert data.frames["train"].to_dict("list") == {"text": ["a", "b"], "label": [0, 1]}
    with pytest.raises(InputError, match="needs text, mood: rename or add mood"):
        FolderSuite(tmp_path).read(Task("own", ("text",), ("accuracy",), label_column="mood"))
