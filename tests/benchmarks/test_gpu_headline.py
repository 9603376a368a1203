"""The commands of docs/gpu.md in their order, on the CPU, with models of a few thousand weights."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

from ctcd.corpus.shards import Shards
from ctcd.corpus.tokenizer import load_tokenizer
from ctcd.lineage.digest import content_digest, digest, tokenizer_fingerprint

ROOT = Path(__file__).parents[2]
DATA = Path("data/test")
UNFINISHED = 75
PART_MIB = 1.2
TINY = ["finetuning.suite=glue", "finetuning.tasks.glue=rte", "finetuning.seeds=1", "execution.workers=1"]

Gpu = Callable[..., subprocess.CompletedProcess[str]]


def make_project(folder: Path) -> Path:
    for name in ("benchmarks", "conf", "src"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def environment_of(project: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(project / "src"), *filter(None, sys.path)])}


def gpu_in(project: Path) -> Gpu:
    """A function that gives one of the commands in a project."""

    def gpu(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "benchmarks/gpu", *map(str, arguments)]
        return subprocess.run(
            command, cwd=project, env=environment_of(project), capture_output=True, text=True, check=False
        )

    return gpu


def make_tasks(data_root: Path) -> None:
    folder = data_root / "glue" / "rte"
    folder.mkdir(parents=True)
    for split, rows in (("train", 64), ("validation", 32), ("test", 16)):
        texts = {name: [f"the {name} is number {row}" for row in range(rows)] for name in ("sentence1", "sentence2")}
        labels = [row % 2 if split != "test" else -1 for row in range(rows)]
        pd.DataFrame(texts | {"label": labels, "idx": range(rows)}).to_parquet(folder / f"{split}.parquet")


def newest(project: Path, path: str) -> Path:
    return max((project / DATA / path).glob(f"*/{Path(path).name}"))


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def has_process_in(folder: Path) -> bool:
    for process in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            if process.readlink() == folder:
                return True
    return False


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a prepared corpus, `pieces` of it, and a `data_root` beside it."""
    folder = tmp_path_factory.mktemp("home")
    project = make_project(folder / "project")
    make_tasks(folder / "data_root")
    pack = ("pack", "--env", "test", "--data-root", folder / "data_root", "--mib", 0.1)
    refused = gpu_in(project)(*pack)
    assert refused.returncode == 1
    assert "run `kedro run --pipeline=corpus --env=test" in refused.stderr
    command = [sys.executable, "-m", "kedro", "run", "--pipelines=corpus", "--env=test"]
    subprocess.run(command, cwd=project, env=environment_of(project), check=True, capture_output=True)
    packed = gpu_in(project)(*pack)
    assert packed.returncode == 0, packed.stderr
    assert packed.stdout.count("piece-") > 2
    return folder


@pytest.fixture(scope="module")
def host(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project elsewhere that got the pieces in two goes; its data_root is beside it."""
    folder = tmp_path_factory.mktemp("host")
    project = make_project(folder / "project")
    packed, arriving = home / "project/data/gpu/pieces", project / "data/gpu/pieces"
    arriving.mkdir(parents=True)
    pieces = sorted(packed.glob("piece-*.xz"))
    for path in (packed / "manifest.json", pieces[0]):
        shutil.copy(path, arriving)
    first = gpu_in(project)("unpack", "--to", folder / "data_root")
    assert first.returncode == UNFINISHED
    assert "1 of" in first.stdout
    assert all(piece.name in first.stdout for piece in pieces[1:])
    assert not (project / DATA).exists()
    (arriving / pieces[0].name).unlink()
    for path in pieces[1:]:
        shutil.copy(path, arriving)
    for written in (True, False):
        again = gpu_in(project)("unpack", "--to", folder / "data_root")
        assert again.returncode == 0, again.stderr
        assert ("\n0 files written" not in again.stdout) == written
    return folder


@pytest.fixture(scope="module")
def finished(host: Path) -> Path:
    """The host after check, throughput, and a run that was stopped and given again."""
    gpu = gpu_in(host / "project")
    check = gpu("check", "--device", "cpu", "--shape", "tiny")
    assert check.returncode == 0, check.stdout + check.stderr
    measure = ("throughput", "--device", "cpu", "--shape", "tiny", "--batch-sizes", 4, "--block-seconds", 0.01)
    measured = gpu(*measure, "--compile", "never", "--seconds", 60)
    assert measured.returncode == 0, measured.stdout + measured.stderr
    nowhere = ",".join([*TINY, f"data_root={host / 'data_root'}", f"documents={host / 'nowhere'}"])
    run = ("run", "--env", "test", "--device", "cpu", "--params", nowhere)
    stopped = gpu(*run, "--minutes", 0.08)
    assert stopped.returncode == UNFINISHED, stopped.stdout + stopped.stderr
    assert "give the same command again" in stopped.stdout
    again = gpu(*run, "--minutes", 5)
    assert again.returncode == 0, again.stdout + again.stderr
    return host


@pytest.fixture(scope="module")
def assembled(finished: Path, home: Path) -> Path:
    """What came home."""
    gpu = gpu_in(finished / "project")
    collect = ("collect", "--env", "test", "--mib", 0.5, "--part-mib", PART_MIB)
    parts = [home / "part1"]
    first = gpu(*collect, "--to", parts[0])
    assert first.returncode == 0, first.stderr
    total = int(first.stdout.partition(" of ")[2].partition(":")[0])
    assert total > 1
    assemble = ("assemble", "--to", home / "results", "--parts")
    incomplete = gpu_in(home / "project")(*assemble, *parts)
    assert incomplete.returncode == UNFINISHED
    assert list((home / "results" / DATA).rglob("comparison.csv"))  # what is whole is not kept back
    for part in range(2, total + 1):
        parts.append(home / f"part{part}")
        assert gpu(*collect, "--to", parts[-1], "--part", part).returncode == 0
    assert all(sum(path.stat().st_size for path in part.iterdir()) <= PART_MIB * 2**20 for part in parts)
    beyond = gpu(*collect, "--to", home / "none", "--part", total + 1)
    assert f"There is no part {total + 1}" in beyond.stderr
    complete = gpu_in(home / "project")(*assemble, *parts)
    assert complete.returncode == 0, complete.stderr
    return home / "results"


@pytest.mark.parametrize("name", ["03_primary/tokenizer", "05_model_input", "08_reporting"])
def test_what_was_packed_is_byte_for_byte_what_was_unpacked(name: str, home: Path, host: Path) -> None:
    expected = contents(home / "project" / DATA / name)
    assert expected
    found = contents(host / "project" / DATA / name)
    assert {path: found.get(path) for path in expected} == expected
    assert contents(host / "data_root" / "glue") == contents(home / "data_root" / "glue")


def test_unpacked_shards_have_their_fingerprint_and_their_tokenizer(host: Path) -> None:
    shards = Shards(newest(host / "project", "05_model_input/shards"))
    tokenizer = load_tokenizer(newest(host / "project", "03_primary/tokenizer"))
    shards.check_tokenizer(tokenizer_fingerprint(tokenizer))
    digests = []
    for split in ("train", "heldout"):
        sequences = shards.sequences(split)
        rows = sequences.rows(np.arange(len(sequences))).astype(np.uint16)
        digests.append(content_digest(rows.data))
    assert digest(*digests, tokenizer_fingerprint(tokenizer)) == shards.metadata["fingerprint"]


def test_a_damaged_piece_ends_in_one_sentence(home: Path, tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    shutil.copytree(home / "project/data/gpu/pieces", project / "data/gpu/pieces")
    piece = project / "data/gpu/pieces/piece-002.xz"
    piece.write_bytes(piece.read_bytes()[:-10] + bytes(10))
    refused = gpu_in(project)("unpack", "--to", tmp_path / "data_root")
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "piece-002.xz' is damaged" in refused.stderr
    assert not (project / DATA).exists()


def test_the_run_uses_the_corpus_that_was_carried_there(finished: Path) -> None:
    log = (finished / "project/data/gpu/run.log").read_text()
    assert "corpus:" not in log
    assert "finished in" in log
    assert len(list((finished / "project" / DATA / "05_model_input/shards").iterdir())) == 1


def test_every_command_writes_what_it_measured(finished: Path) -> None:
    folder = finished / "project/data/gpu"
    check, throughput, run = (
        json.loads((folder / f"{name}.json").read_text()) for name in ("check", "throughput", "run")
    )
    assert all(each["agrees"] for each in check["comparisons"])
    assert check["copy_bytes_per_second"] > 0
    settings = [each["setting"] for each in throughput["measurements"]]
    assert [each["method"] for each in settings] == ["teacher_alone", "student_alone", "standalone", "one_way", "ctcd"]
    assert all(0 < each["measurement"]["peak_share"] < 1 for each in throughput["measurements"])
    assert [each["ended"] for each in run["runs"]] == ["stopped", "finished"]


def test_report_tables_histories_and_measurements_come_home(assembled: Path, finished: Path) -> None:
    found = contents(assembled)
    for path in (
        "08_reporting/ctcd/report.html",
        "08_reporting/ctcd/scores.csv",
        "07_model_output/ctcd/history.parquet",
    ):
        place = newest(finished / "project", path)
        name = place.relative_to(finished / "project").as_posix()
        assert found[name] == hashlib.sha256(place.read_bytes()).hexdigest()
    assert {"check.json", "throughput.json", "run.json", "run.log"} <= found.keys()


def test_the_half_precision_student_predicts_what_the_student_predicts(assembled: Path, finished: Path) -> None:
    whole = newest(finished / "project", "06_models/ctcd") / "student-seed-1"
    half = assembled / "ctcd.student"
    size, whole_size = ((folder / "model.safetensors").stat().st_size for folder in (half, whole))
    assert size < 0.6 * whole_size
    tokens = AutoTokenizer.from_pretrained(half)("the file is [MASK] by the server", return_tensors="pt")
    with torch.no_grad():
        logits, expected = (
            AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32)(**tokens).logits
            for folder in (half, whole)
        )
    torch.testing.assert_close(logits, expected, rtol=0, atol=2e-2)


def test_results_are_collected_before_the_run_is_finished(host: Path, tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    shutil.copytree(host / "project" / DATA / "08_reporting", project / DATA / "08_reporting")
    early = gpu_in(project)("collect", "--env", "test", "--to", tmp_path / "part1")
    assert early.returncode == 0, early.stderr
    assert "outputs are not there yet and left out:" in early.stdout


def test_without_a_gpu_the_commands_say_how_to_try_them(host: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    refused = gpu_in(host / "project")("check")
    assert refused.returncode == 1
    assert refused.stderr == "PyTorch finds no GPU: give --device cpu to try the commands without one.\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_whose_command_is_ended_saves_its_training_and_leaves_no_process(
    number: signal.Signals, host: Path, tmp_path: Path
) -> None:
    if number == signal.SIGKILL and sys.platform != "linux":
        pytest.skip("only Linux tells a process that its parent is gone")
    project = make_project(tmp_path / "project")
    for name in ("03_primary", "05_model_input", "08_reporting"):
        shutil.copytree(host / "project" / DATA / name, project / DATA / name)
    long = ["pretraining.steps=4000", "execution.checkpoint_seconds=1000", f"data_root={host / 'data_root'}"]
    command = [sys.executable, "benchmarks/gpu", "run", "--env=test", "--device=cpu", "--params", ",".join(long)]
    process = subprocess.Popen(
        command, cwd=project, env=environment_of(project), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"seed \d  step \d+/4000", line):  # some variant is being trained
            break
    assert found
    process.send_signal(number)
    code = process.wait(60)
    process.stdout.close()
    assert code == (UNFINISHED if number == signal.SIGTERM else -signal.SIGKILL)
    states = project / DATA / "06_models/runs"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and has_process_in(project):
        time.sleep(0.1)
    assert not has_process_in(project)
    assert list(states.glob("*.unfinished/step-*.pt"))
