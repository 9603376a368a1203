import json
import shutil
import subprocess
from datetime import datetime
from pathlib import Path

import pytest
import torch

from ctcd.reporting import provenance
from ctcd.reporting.provenance import HIDDEN, describe_run, without_secrets

PARAMETERS = {"pretraining": {"seed": 1, "optimiser": {"name": "muon"}}}


def test_run_is_described_in_plain_json() -> None:
    run = describe_run(PARAMETERS)
    assert json.loads(json.dumps(run)) == run
    assert run["parameters"] == PARAMETERS
    assert run["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert run["cores"] >= 1
    assert run["processor"]
    assert datetime.fromisoformat(run["time"]).utcoffset() is not None
    assert len(run["accelerators"]) == torch.cuda.device_count()


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
    (tmp_path / "code.py").write_text("pass\n")
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True, capture_output=True)
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "code.py"))
    return tmp_path


def test_commit_of_a_clean_repository(repository: Path) -> None:
    head = subprocess.run(["git", "-C", str(repository), "rev-parse", "HEAD"], capture_output=True, text=True).stdout
    run = describe_run({})
    assert (run["commit"], run["dirty"]) == (head.strip(), False)


def test_changed_code_is_dirty(repository: Path) -> None:
    (repository / "code.py").write_text("raise SystemExit\n")
    assert describe_run({})["dirty"] is True


def test_code_that_no_repository_tracks_has_no_commit(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = repository / ".venv"
    installed.mkdir()
    (installed / "code.py").write_text("pass\n")
    monkeypatch.setattr(provenance, "__file__", str(installed / "code.py"))
    assert "commit" not in describe_run({})


def test_without_git_there_is_no_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "commit" not in describe_run({})
