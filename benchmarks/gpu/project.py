"""The Kedro project that the commands work on: the one around the working directory."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ctcd.errors import InputError

RESULTS = Path("data/gpu")  # what the commands measure, below the project


def project_folder() -> Path:
    """The project's folder.

    Raises:
        InputError: outside of a project.
    """
    from kedro.utils import find_kedro_project

    folder = find_kedro_project(Path.cwd())
    if folder is None:
        raise InputError("This is no Kedro project: change to the project's folder first.")
    return Path(folder)


@contextmanager
def open_catalog(env: str, parameters: dict[str, Any]) -> Iterator[Any]:
    """The project's catalog in an environment."""
    from kedro.framework.session import KedroSession
    from kedro.framework.startup import bootstrap_project

    project = project_folder()
    bootstrap_project(project)
    with KedroSession.create(project, env=env, runtime_params=parameters) as session:
        yield session.load_context().catalog


def newest(catalog: Any, name: str) -> Path | None:
    """Where the newest version of an entry lies; None if there is none."""
    return Path(catalog[name]._get_load_path()) if catalog.exists(name) else None


def record(step: str, figures: dict[str, Any]) -> Path:
    """Write what a step measured; returns the file."""
    path = results_folder() / f"{step}.json"
    path.write_text(json.dumps(figures, indent=2), encoding="utf-8")
    return path


def recorded(step: str) -> dict[str, Any]:
    """What a step wrote before; empty if nothing."""
    path = results_folder() / f"{step}.json"
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return content


def results_folder() -> Path:
    """Where the commands write."""
    folder = project_folder() / RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    return folder
