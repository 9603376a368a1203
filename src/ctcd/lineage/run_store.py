"""Finished trainings under their identities: what is there is never trained again."""

import fcntl
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctcd.lineage.files import atomic_folder, remove_leftovers
from ctcd.lineage.state import StateStore

logger = logging.getLogger(__name__)

RECORD = "run.json"

# Trains, with a store for the state on the way, and returns what fills the run's folder.
Train = Callable[[StateStore], Callable[[Path], None]]


@dataclass(frozen=True)
class Run:
    """One finished training.

    Attributes:
        id: the digest of its identity.
        folder: `run.json`, `history.parquet`, and a Hugging Face folder for each trained role.
    """

    id: str
    folder: Path

    @property
    def record(self) -> dict[str, Any]:
        """What the training was: identity, data, parents, and what it was made by."""
        record: dict[str, Any] = json.loads((self.folder / RECORD).read_text(encoding="utf-8"))
        return record

    @property
    def history(self) -> Path:
        """The table of what happened on the way."""
        return self.folder / "history.parquet"

    def model(self, role: str) -> Path:
        """The folder of a trained model."""
        return self.folder / role


@dataclass(frozen=True)
class Request:
    """A training that is wanted.

    Attributes:
        id: the digest of its identity.
        label: its name in messages.
        train: called if it is not finished yet.
    """

    id: str
    label: str
    train: Train


class RunStore:
    """A folder of finished and unfinished runs; several processes may share it.

    `<id>` is a finished run, whole or absent. `<id>.unfinished` holds the states of one that is under way, and
    `<id>.lock` is locked by the process that trains it.
    """

    def __init__(self, folder: Path) -> None:
        """Use a folder, which need not exist."""
        self.folder = folder

    def find(self, run_id: str) -> Run | None:
        """The finished run of an identity; None if there is none."""
        run = Run(run_id, self.folder / run_id)
        return run if (run.folder / RECORD).is_file() else None

    def get_or_train(self, requests: Sequence[Request], reuse: bool = True) -> list[Run]:
        """The runs that are asked for, trained where they are missing.

        A run that another process trains is waited for, after all others are done: processes share the work.

        Args:
            requests: in the order in which they are trained.
            reuse: whether finished and unfinished runs are used; else all are trained anew.
        """
        remove_leftovers(self.folder)
        finished: dict[str, Run] = {}
        waiting = list(requests)
        wait = False
        while waiting:
            busy = []
            for request in waiting:
                run = self._get_or_train(request, reuse, wait)
                if run is None:
                    busy.append(request)
                else:
                    finished[request.id], wait = run, False
            if len(busy) == len(waiting):
                logger.info("%s: another process trains it; waiting", busy[0].label)
                wait = True
            waiting = busy
        return [finished[request.id] for request in requests]

    def _get_or_train(self, request: Request, reuse: bool, wait: bool) -> Run | None:
        """The run of a request; None if another process trains it and is not waited for."""
        if reuse and (run := self.find(request.id)):
            return run
        with self._locked(request.id, wait) as is_mine:
            if not is_mine:
                return None
            if reuse and (run := self.find(request.id)):
                return run
            states = StateStore(self.folder / f"{request.id}.unfinished", request.label)
            if not reuse:
                states.clear()
            fill = request.train(states)
            target = self.folder / request.id
            with atomic_folder(target) as partial:
                fill(partial)
            states.clear()
            return Run(request.id, target)

    @contextmanager
    def _locked(self, run_id: str, wait: bool) -> Iterator[bool]:
        """Hold the lock of a run, which the system releases when a process ends in any way."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{run_id}.lock"
        with path.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True
            # Whoever opened the old file looks for the finished run first, and so trains nothing twice.
            if (self.folder / run_id / RECORD).is_file():
                path.unlink(missing_ok=True)


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write what makes a run's folder a finished one."""
    (folder / RECORD).write_text(json.dumps(record, indent=2, ensure_ascii=False), encoding="utf-8")
