import pandas as pd
import pytest

from ctcd.errors import InputError
from ctcd.evaluation.suite import Suite
from ctcd.evaluation.tasks import GLUE, PROBES, Task

COLA, STSB, TOPIC = GLUE["cola"], GLUE["stsb"], PROBES["topic"]


def write(folder, task, split, **columns):
    (folder / task).mkdir(exist_ok=True)
    pd.DataFrame(columns).to_parquet(folder / task / f"{split}.parquet")


def test_reads_texts_and_labels_only(tmp_path):
    write(tmp_path, "cola", "train", idx=[7, 8], sentence=["a b", "c"], label=[0, 1], source=["x", "y"])
    frame = Suite(tmp_path).read(COLA, "train")
    assert frame.to_dict("list") == {"sentence": ["a b", "c"], "label": [0, 1]}


def test_an_absent_folder_hurts_only_when_a_task_is_read(tmp_path):
    suite = Suite(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"'cola'.*nowhere/cola.*data_root"):
        suite.read(COLA, "train")


def test_numbered_parts_are_put_together_and_a_missing_one_is_noticed(tmp_path):
    for part in range(2):
        write(tmp_path, "cola", f"train-0000{part}-of-00002", sentence=[f"part {part}"], label=[part])
    assert Suite(tmp_path).read(COLA, "train")["sentence"].tolist() == ["part 0", "part 1"]
    (tmp_path / "cola" / "train-00001-of-00002.parquet").unlink()
    with pytest.raises(InputError, match="1 of 2 parts"):
        Suite(tmp_path).read(COLA, "train")


def test_a_partial_file_is_used_where_there_is_no_whole_one(tmp_path):
    write(tmp_path, "cola", "train_partial", sentence=["partial"], label=[1])
    write(tmp_path, "cola", "validation", sentence=["whole"], label=[1])
    suite = Suite(tmp_path)
    assert suite.read(COLA, "train")["sentence"].tolist() == ["partial"]
    assert suite.is_partial(COLA)
    write(tmp_path, "cola", "train", sentence=["whole"], label=[1])
    assert suite.read(COLA, "train")["sentence"].tolist() == ["whole"]
    assert not suite.is_partial(COLA)


def test_a_split_is_not_taken_for_one_with_a_longer_name(tmp_path):
    write(tmp_path, "cola", "validation_matched", sentence=["a"], label=[1])
    with pytest.raises(InputError, match="no file '.*validation.parquet'"):
        Suite(tmp_path).read(COLA, "validation")


def test_missing_columns_are_named_with_file_expected_and_found(tmp_path):
    write(tmp_path, "cola", "train", text=["a"], label=[1])
    with pytest.raises(InputError, match=r"train.parquet' has the columns text, label; .* needs sentence, label"):
        Suite(tmp_path).read(COLA, "train")


def test_a_file_that_is_not_parquet_is_named(tmp_path):
    (tmp_path / "cola").mkdir()
    (tmp_path / "cola" / "train.parquet").write_text("sentence,label\n")
    with pytest.raises(InputError, match=r"train.parquet' cannot be read as Parquet"):
        Suite(tmp_path).read(COLA, "train")


def test_an_empty_split_is_refused(tmp_path):
    write(tmp_path, "cola", "train", sentence=pd.Series([], dtype=str), label=pd.Series([], dtype=int))
    with pytest.raises(InputError, match="no examples in the split 'train'"):
        Suite(tmp_path).read(COLA, "train")


@pytest.mark.parametrize("label", [2, -1])
def test_a_label_out_of_range_is_named_with_its_file(tmp_path, label):
    write(tmp_path, "cola", "validation", sentence=["a", "b"], label=[1, label])
    with pytest.raises(InputError, match=rf"validation.parquet' has the label {label} in row 1: labels must be 0 to 1"):
        Suite(tmp_path).read(COLA, "validation")


def test_hidden_labels_are_fine_in_a_test_split_alone(tmp_path):
    write(tmp_path, "cola", "test", sentence=["a"], label=[-1])
    assert Suite(tmp_path).read(COLA, "test")["label"].tolist() == [-1]


@pytest.mark.parametrize(("task", "labels"), [(COLA, [0.5, 1.0]), (COLA, ["yes", "no"]), (STSB, ["high", "low"])])
def test_labels_of_the_wrong_kind_are_refused(tmp_path, task, labels):
    texts = {column: ["a", "b"] for column in task.text_columns}
    write(tmp_path, task.name, "train", **texts, label=labels)
    with pytest.raises(InputError, match="convert them"):
        Suite(tmp_path).read(task, "train")


def test_regression_labels_must_be_finite(tmp_path):
    write(tmp_path, "stsb", "train", sentence1=["a", "b"], sentence2=["c", "d"], label=[1.0, float("inf")])
    with pytest.raises(InputError, match="the label inf"):
        Suite(tmp_path).read(STSB, "train")


def test_missing_texts_and_labels_are_counted(tmp_path):
    write(tmp_path, "cola", "train", sentence=["a", None], label=[1, 0])
    write(tmp_path, "cola", "validation", sentence=["a", "b"], label=pd.array([1, None], dtype="Int64"))
    with pytest.raises(InputError, match="has 1 missing texts"):
        Suite(tmp_path).read(COLA, "train")
    with pytest.raises(InputError, match="has 1 missing labels"):
        Suite(tmp_path).read(COLA, "validation")


def test_a_text_column_of_numbers_is_refused(tmp_path):
    write(tmp_path, "cola", "train", sentence=[1, 2], label=[1, 0])
    with pytest.raises(InputError, match="holds int64 where text is expected"):
        Suite(tmp_path).read(COLA, "train")


def test_where_training_labels_say_the_number_of_classes_others_are_refused_in_validation(tmp_path):
    write(tmp_path, "topic", "train", sentence=["a", "b", "c"], label=[0, 1, 2])
    write(tmp_path, "topic", "validation", sentence=["a"], label=[3])
    with pytest.raises(InputError, match=r"validation.parquet' has the label 3 .* must be 0 to 2"):
        Suite(tmp_path).read_all(TOPIC)


def test_more_classes_than_examples_are_no_classes(tmp_path):
    write(tmp_path, "topic", "train", sentence=["a", "b"], label=[0, 1_000_000_000])
    write(tmp_path, "topic", "validation", sentence=["a"], label=[0])
    with pytest.raises(InputError, match="the label 1000000000"):
        Suite(tmp_path).read_all(TOPIC)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "examples", "ones"),
    [
        ("cola", (8551, 1043), 721),
        ("sst2", (67349, 872), 444),
        ("mrpc", (3668, 408), 279),
        ("stsb", (5749, 1500), None),
        ("rte", (2490, 277), 131),
    ],
)
def test_real_glue_files_load_with_the_published_counts(real_data, name, examples, ones):
    frames = Suite(real_data / "glue").read_all(GLUE[name])
    assert (len(frames["train"]), len(frames["validation"])) == examples
    if ones is not None:
        assert (frames["validation"]["label"] == 1).sum() == ones


@pytest.mark.real_data
def test_real_partial_files_are_marked(real_data):
    suite = Suite(real_data / "glue")
    assert {name for name, task in GLUE.items() if task.validation_splits and suite.is_partial(task)} == {
        "qqp",
        "mnli",
        "qnli",
    }


def test_task_splits_are_train_and_the_scored_ones():
    assert Task("x", ("sentence",), ("accuracy",)).splits == ("train", "validation")
