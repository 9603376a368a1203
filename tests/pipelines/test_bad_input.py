"""What a user can get wrong ends in one sentence on the terminal, without a traceback."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest


def no_folder(folder: Path) -> str:
    return str(folder / "nowhere")


def empty_folder(folder: Path) -> str:
    (folder / "text").mkdir()
    return str(folder / "text")


def short_text(folder: Path) -> str:
    empty_folder(folder)
    for name in "abc":
        (folder / "text" / f"{name}.txt").write_text("One short sentence, and that is all there is to read here.")
    return str(folder / "text")


def not_utf8(folder: Path) -> str:
    (folder / "latin.txt").write_bytes("A café is not a caf\xe9 in every encoding. ".encode("latin-1") * 100)
    return str(folder / "latin.txt")


def no_text_column(folder: Path) -> str:
    pd.DataFrame({"content": ["words"], "title": ["x"]}).to_parquet(folder / "rows.parquet")
    return str(folder / "rows.parquet")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (no_folder, ["nowhere"]),
        (empty_folder, ["text"]),
        (short_text, ["held-out text", "add text"]),
        (not_utf8, ["latin.txt", "UTF-8"]),
        (no_text_column, ["rows.parquet", "text", "content"]),
    ],
)
def test_a_bad_corpus_is_one_sentence(
    make: Callable[[Path], str], words: list[str], empty_project: Path, tmp_path: Path, run_kedro
) -> None:
    result = run_kedro(empty_project)("run", "--pipelines=corpus", "--env=test", f"--params=documents={make(tmp_path)}")
    sentence = error_of(result)
    assert all(word in sentence for word in words), sentence


def test_a_corpus_shorter_than_one_sequence_is_one_sentence(
    empty_project: Path, tmp_path: Path, run_kedro, tokenizer
) -> None:
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    parameters = f"--params=documents={short_text(tmp_path)},tokenizer={tmp_path / 'tokenizer'}"
    result = run_kedro(empty_project)(
        "run", "--nodes=split_documents,make_tokenizer,tokenize_documents", "--env=test", parameters
    )
    assert "too short" in error_of(result)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ("pretraining.stepz=3", ["pretraining.stepz", "pretraining.steps"]),
        ("stepz=3", ["stepz"]),
        ("pretraining.steps=many", ["pretraining.steps", "many"]),
        ("execution.device=tpu", ["execution.device", "tpu", "cuda"]),
        ("variants.ctcd.method=ctdc", ["ctdc", "ctcd", "standalone"]),
        ("pretraining.teacher.architecture=brt", ["brt", "bert"]),
        ("variants.ctcd.method=one_way", ["one_way", "trains other models", "'ctcd'"]),
        ("variants.ctcd.seed=3", ["variants.ctcd.seed"]),
        ("pretraining.seeds=1+1", ["pretraining.seeds", "one seed stands there twice"]),
        ("variants.ctcd.weights.student_softt=1", ["student_softt", "student_soft"]),
    ],
)
def test_a_bad_parameter_is_one_sentence_before_any_node_runs(
    parameters: str, words: list[str], empty_project: Path, run_kedro
) -> None:
    result = run_kedro(empty_project)("run", "--pipeline=ctcd", "--env=test", f"--params={parameters}")
    sentence = error_of(result)
    assert all(word in sentence for word in words), sentence
    assert not (empty_project / "data").exists()


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ("execution.log_seconds=1", ["wants a given teacher", "--params teacher=<folder or hub name>"]),
        ("teacher=nowhere", ["'nowhere' is no Hugging Face model"]),
        ("variants.from_teacher.method=ctcd", ["trains other models", "'from_teacher'"]),
    ],
)
def test_a_ready_teacher_that_is_missing_is_one_sentence_before_any_node_runs(
    parameters: str, words: list[str], empty_project: Path, run_kedro
) -> None:
    result = run_kedro(empty_project)("run", "--pipeline=from_teacher", "--env=test", f"--params={parameters}")
    sentence = error_of(result)
    assert all(word in sentence for word in words), sentence
    assert not (empty_project / "data").exists()


@pytest.mark.parametrize(
    ("pipeline", "parameters", "words"),
    [
        ("from_ready", "execution.log_seconds=1", ["wants a given teacher", "--params teacher=<folder or hub name>"]),
        ("ctcd", "pretraining.student.initial=/nowhere", ["'/nowhere' is no Hugging Face model"]),
        ("ctcd", "variants.ctcd.student.initial=standalone teacher", ["does not declare that 'ctcd' starts from"]),
        ("ctcd", "pretraining.student.initial.layers=even", ["pretraining.student.initial"]),
        ("ctcd", "pretraining.student.options.brt.hidden_act=relu", ["no architecture 'brt'"]),
    ],
)
def test_a_model_to_start_from_that_is_missing_is_one_sentence_before_any_node_runs(
    pipeline: str, parameters: str, words: list[str], empty_project: Path, run_kedro
) -> None:
    result = run_kedro(empty_project)("run", f"--pipeline={pipeline}", "--env=test", f"--params={parameters}")
    sentence = error_of(result)
    assert all(word in sentence for word in words), sentence
    assert not (empty_project / "data").exists()


def test_a_missing_folder_of_tasks_is_one_sentence(project: Path, run_kedro) -> None:
    result = run_kedro(project)(
        "run", "--nodes=ctcd.finetune", "--env=test", "--params=finetuning.suite=glue,data_root=nowhere"
    )
    assert "nowhere" in error_of(result)


def test_an_unknown_task_is_one_sentence_before_any_node_runs(empty_project: Path, run_kedro) -> None:
    (empty_project / "conf/test/parameters_tasks.yml").write_text("finetuning:\n  tasks: {glue: [cola, sst3]}\n")
    (empty_project / "conf/test/parameters.yml").unlink()
    sentence = error_of(run_kedro(empty_project)("run", "--env=test", "--params=finetuning.suite=glue"))
    assert "sst3" in sentence
    assert "sst2" in sentence
    assert not (empty_project / "data").exists()


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (pd.DataFrame({"text": ["a"], "label": [1]}), ["sentence", "cola"]),
        (pd.DataFrame({"sentence": ["a", "b"], "label": [1, 7]}), ["7", "cola"]),
    ],
)
def test_a_bad_task_file_is_one_sentence(
    frame: pd.DataFrame, words: list[str], project: Path, tmp_path: Path, run_kedro
) -> None:
    folder = tmp_path / "glue" / "cola"
    folder.mkdir(parents=True)
    for split in ("train", "validation"):
        frame.to_parquet(folder / f"{split}.parquet")
    result = run_kedro(project)(
        "run", "--nodes=score_majority.ctcd", "--env=test", f"--params=finetuning.suite=glue,data_root={tmp_path}"
    )
    sentence = error_of(result)
    assert all(word in sentence for word in words), sentence


def test_shards_of_another_tokenizer_are_one_sentence(project: Path, run_kedro) -> None:
    kedro = run_kedro(project)
    remade = kedro("run", "--nodes=make_tokenizer", "--env=test", "--params=corpus.tokenizer.vocabulary_size=900")
    assert remade.returncode == 0, remade.stderr
    result = kedro("run", "--nodes=ctcd.pretrain", "--env=test")
    assert "another tokenizer" in error_of(result)
    newest = max((project / "data/test/03_primary/tokenizer").iterdir())
    shutil.rmtree(newest)  # the tests after this one use the tokenizer of the run


def test_a_pipeline_whose_input_is_missing_names_the_one_that_makes_it(empty_project: Path, run_kedro) -> None:
    sentence = error_of(run_kedro(empty_project)("run", "--pipelines=finetuning", "--env=test"))
    assert "'ctcd.models' does not exist yet: run the pipeline 'pretraining' first, which makes it" in sentence
    assert not (empty_project / "data").exists()


def test_a_wrong_study_file_is_one_sentence_before_any_node_runs(
    empty_project: Path, tmp_path: Path, run_kedro
) -> None:
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "own.yml").write_text("question: Which?\nvariants: {mine: {like: ctdc}}\n")
    result = run_kedro(empty_project)("run", "--env=test", CTCD_STUDIES=str(tmp_path / "studies"))
    sentence = error_of(result)
    assert "own.yml" in sentence
    assert "ctdc" in sentence
    assert not (empty_project / "data").exists()


def error_of(result) -> str:
    """The sentence that a failed command ends with."""
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    return last
