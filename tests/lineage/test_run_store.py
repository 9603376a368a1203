"""A finished training is never repeated, an unfinished one goes on, and processes share the work."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ctcd.lineage.run_store import Request, RunStore, write_record
from ctcd.lineage.state import StateStore

# A process must not inherit the threads of this one.
PROCESSES = multiprocessing.get_context("spawn")
SECONDS = 60


def training(run_id: str, log: Path, seconds: float = 0.0) -> Request:
    """A training that leaves a line in a file each time it is done, in steps that are kept as states."""

    def train(states: StateStore) -> Callable[[Path], None]:
        state = states.latest() or {"step": 0}
        with log.open("a") as file:
            file.write(f"{run_id} from {state['step']}\n")
        for step in range(state["step"], 3):
            time.sleep(seconds / 3)
            states.save({"step": step + 1}, step + 1, keep=2)

        def fill(folder: Path) -> None:
            (folder / "model.txt").write_text(run_id)
            write_record(folder, {"run": run_id})

        return fill

    return Request(run_id, f"run {run_id}", train)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.txt"
    path.touch()
    return path


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "runs")


def lines(log: Path) -> list[str]:
    return log.read_text().splitlines()


def wait_until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


def test_what_is_finished_is_returned_without_training(store: RunStore, log: Path) -> None:
    first = store.get_or_train([training("a", log), training("b", log)])
    again = store.get_or_train([training("b", log), training("a", log)])
    assert lines(log) == ["a from 0", "b from 0"]
    assert [run.id for run in again] == ["b", "a"]
    assert again[1] == first[0]
    assert first[0].record == {"run": "a"}
    assert store.find("a") == first[0]
    assert sorted(path.name for path in store.folder.iterdir()) == ["a", "b"]


def test_one_run_under_two_names_is_trained_once(store: RunStore, log: Path) -> None:
    one, other = store.get_or_train([training("a", log), training("a", log)])
    assert one == other
    assert lines(log) == ["a from 0"]


def test_an_unfinished_training_goes_on_from_its_state(store: RunStore, log: Path) -> None:
    def stopped(states: StateStore) -> Callable[[Path], None]:
        states.save({"step": 2}, 2, keep=2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.get_or_train([Request("a", "run a", stopped)])
    assert store.find("a") is None
    store.get_or_train([training("a", log)])
    assert lines(log) == ["a from 2"]
    assert sorted(path.name for path in store.folder.iterdir()) == ["a"]


def test_a_state_that_is_at_its_end_is_kept_until_the_run_is_whole(store: RunStore, log: Path) -> None:
    def with_full_disk(states: StateStore) -> Callable[[Path], None]:
        training("a", log).train(states)

        def fill(folder: Path) -> None:
            (folder / "model.txt").write_text("half of")
            raise OSError("No space left on device")

        return fill

    with pytest.raises(OSError, match="No space left"):
        store.get_or_train([Request("a", "run a", with_full_disk)])
    assert store.find("a") is None
    assert not list(store.folder.rglob("model.txt"))
    store.get_or_train([training("a", log)])
    assert lines(log) == ["a from 0", "a from 3"]


def test_half_a_folder_is_no_run_and_is_replaced(store: RunStore, log: Path) -> None:
    (store.folder / "a").mkdir(parents=True)
    (store.folder / "a" / "rubbish.txt").write_text("half of it")
    assert store.find("a") is None
    (run,) = store.get_or_train([training("a", log)])
    assert sorted(path.name for path in run.folder.iterdir()) == ["model.txt", "run.json"]


def test_without_reuse_everything_is_trained_anew_from_its_start(store: RunStore, log: Path) -> None:
    store.get_or_train([training("a", log)])
    StateStore(store.folder / "b.unfinished", "run b").save({"step": 2}, 2, keep=2)
    store.get_or_train([training("a", log), training("b", log)], reuse=False)
    assert lines(log) == ["a from 0", "a from 0", "b from 0"]
    assert store.find("a") is not None


def train_both(folder: Path, log: Path, seconds: float, done: Path) -> None:
    """What a process does: it asks for two runs and says which it got."""
    runs = RunStore(folder).get_or_train([training("a", log, seconds), training("b", log, seconds)])
    done.write_text(" ".join(run.record["run"] for run in runs))


def test_two_processes_at_once_train_each_run_once_and_both_get_both(
    store: RunStore, log: Path, tmp_path: Path
) -> None:
    answers = [tmp_path / name for name in ("one.txt", "two.txt")]
    processes = [PROCESSES.Process(target=train_both, args=(store.folder, log, 3.0, answer)) for answer in answers]
    for process in processes:
        process.start()
    for process in processes:
        process.join(SECONDS)
        assert process.exitcode == 0
    assert sorted(lines(log)) == ["a from 0", "b from 0"]
    assert [answer.read_text() for answer in answers] == ["a b", "a b"]
    assert sorted(path.name for path in store.folder.iterdir()) == ["a", "b"]


def test_a_process_that_is_killed_frees_what_it_was_training(store: RunStore, log: Path, tmp_path: Path) -> None:
    process = PROCESSES.Process(target=train_both, args=(store.folder, log, 600.0, tmp_path / "never.txt"))
    process.start()
    assert process.pid is not None
    wait_until(lambda: lines(log) == ["a from 0"])
    os.kill(process.pid, signal.SIGKILL)
    process.join(SECONDS)
    started = time.monotonic()
    store.get_or_train([training("a", log)])
    assert time.monotonic() - started < 10
    assert lines(log) == ["a from 0", "a from 0"]


def test_a_run_that_another_process_trains_is_waited_for_after_the_others_are_done(
    store: RunStore, log: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    process = PROCESSES.Process(target=train_both, args=(store.folder, log, 3.0, tmp_path / "one.txt"))
    process.start()
    wait_until(lambda: lines(log) == ["a from 0"])
    runs = store.get_or_train([training("a", log), training("c", log)])
    assert [run.id for run in runs] == ["a", "c"]
    assert lines(log)[:2] == ["a from 0", "c from 0"]
    assert "run a: another process trains it; waiting" in caplog.text
    process.join(SECONDS)
    assert lines(log) == ["a from 0", "c from 0", "b from 0"]
