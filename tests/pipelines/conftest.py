"""A project folder of its own for the tests that run Kedro's commands."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
Kedro = Callable[..., subprocess.CompletedProcess[str]]


def make_project(folder: Path) -> Path:
    """A copy of what a clone holds."""
    for name in ("conf", "notebooks", "src"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def kedro_in(project: Path) -> Kedro:
    """A function that runs a Kedro command in a project as a user would: `kedro("run", "--env=test")`."""

    def kedro(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "kedro", *arguments],
            cwd=project,
            env=os.environ | {"PYTHONPATH": str(project / "src"), "COLUMNS": "120"} | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    return kedro


@pytest.fixture
def empty_project(tmp_path: Path) -> Path:
    """A project in which nothing ran yet."""
    return make_project(tmp_path / "project")


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which `kedro run --pipeline=ctcd --env=test` has run; what it printed is in `run.txt`."""
    folder = make_project(tmp_path_factory.mktemp("run") / "project")
    result = kedro_in(folder)("run", "--pipeline=ctcd", "--env=test")
    assert result.returncode == 0, result.stderr + result.stdout
    (folder / "run.txt").write_text(result.stderr + result.stdout, encoding="utf-8")
    return folder


@pytest.fixture
def copied_project(project: Path, tmp_path: Path) -> Callable[..., Path]:
    """`copied_project("05_model_input")` is a project with these data of the one that has run, and no others."""

    def copied(*folders: str, name: str = "copy") -> Path:
        copy = make_project(tmp_path / name)
        for folder in folders:
            shutil.copytree(project / "data/test" / folder, copy / "data/test" / folder)
        return copy

    return copied


@pytest.fixture
def run_kedro() -> Callable[[Path], Kedro]:
    """`run_kedro(project)` gives the function that runs Kedro's commands in a project."""
    return kedro_in


@pytest.fixture
def kedro(project: Path) -> Kedro:
    """Kedro's commands in the project that has run."""
    return kedro_in(project)
