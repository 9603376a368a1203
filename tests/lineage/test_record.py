import json
import shutil
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
import torch

from ctcd.lineage import record
from ctcd.lineage.record import HIDDEN, git_commit, made_by, without_secrets


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """The commit is found once in a process; each test asks again."""
    git_commit.cache_clear()
    yield
    git_commit.cache_clear()


def test_what_a_training_is_made_by_is_plain_json() -> None:
    made = made_by("cpu", "float32")
    assert json.loads(json.dumps(made)) == made
    assert made["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert made["processor"]
    assert (made["device"], made["precision"]) == ("cpu", "float32")
    assert datetime.fromisoformat(made["started"]).utcoffset() is not None


def test_secrets_are_hidden_at_any_depth() -> None:
    hidden = without_secrets({"hub": [{"api_key": "abc", "access_token": "def"}], "password": "ghi", "secret": 1})
    assert hidden == {"hub": [{"api_key": HIDDEN, "access_token": HIDDEN}], "password": HIDDEN, "secret": HIDDEN}
    assert without_secrets({"store": "s3://me:word@host/bucket"}) == {"store": f"s3://{HIDDEN}@host/bucket"}


def test_names_that_only_resemble_secrets_are_shown() -> None:
    plain = {"tokenizer": "bert", "training_tokens": 5, "keep_checkpoints": 2, "documents": "https://host/a@b"}
    assert without_secrets(plain) == plain


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a Git repository with one commit, in which the code claims to lie."""
    if shutil.which("git") is None:
        pytest.skip("needs git")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    (tmp_path / "package/lineage").mkdir(parents=True)
    (tmp_path / "package/code.py").write_text("pass\n")
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True, capture_output=True)
    monkeypatch.setattr(record, "__file__", str(tmp_path / "package/lineage/record.py"))
    return tmp_path


def test_commit_of_a_clean_repository(repository: Path) -> None:
    head = subprocess.run(["git", "-C", str(repository), "rev-parse", "HEAD"], capture_output=True, text=True).stdout
    assert git_commit() == {"commit": head.strip(), "is_modified": False}


def test_changed_code_is_modified(repository: Path) -> None:
    (repository / "package/code.py").write_text("raise SystemExit\n")
    assert git_commit()["is_modified"] is True


def test_code_that_no_repository_tracks_has_no_commit(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = repository / ".venv/package/lineage"
    installed.mkdir(parents=True)
    monkeypatch.setattr(record, "__file__", str(installed / "record.py"))
    assert git_commit() == {}


def test_without_git_there_is_no_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "commit" not in made_by("cpu", "float32")
