"""What something was made by: code, versions, machine, time."""

import os
import platform
import re
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

HIDDEN = "(hidden)"
_SECRET_NAME = re.compile(r"(^|[_-])(password|passwd|secret|token|credentials?|(api|access|private)[_-]?key)$", re.I)
_USER_IN_ADDRESS = re.compile(r"(?<=://)[^/@\s]+@")
PACKAGES = ("ctcd", "kedro", "torch", "transformers", "tokenizers", "numpy", "pandas", "pyarrow")


def made_by(device: str, precision: str) -> dict[str, Any]:
    """What a training that starts now is made by.

    Args:
        device: `cpu`, or the name of a GPU.
        precision: of the layers.

    Returns:
        commit and is_modified (absent unless a Git repository tracks this very code), versions, python, platform,
        processor, device, precision, started (UTC).
    """
    return {
        **git_commit(),
        "versions": _versions(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "device": device,
        "precision": precision,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def without_secrets(value: Any) -> Any:
    """Copy plain values, hiding those under secret-sounding names and user names inside addresses."""
    if isinstance(value, Mapping):
        return {
            key: HIDDEN if _SECRET_NAME.search(str(key)) else without_secrets(inner) for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [without_secrets(inner) for inner in value]
    return _USER_IN_ADDRESS.sub(f"{HIDDEN}@", value) if isinstance(value, str) else value


@cache
def git_commit() -> dict[str, Any]:
    """The commit that this code is of, and whether it was changed since; empty for an installed wheel."""
    folder = Path(__file__).parents[1]
    if not _git(folder, "ls-files", "--", "."):
        return {}
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    return {"commit": commit, "is_modified": bool(_git(folder, "status", "--porcelain"))} if commit else {}


def _git(folder: Path, *arguments: str) -> str:
    """What git prints, stripped; empty where it fails or is absent."""
    command = ["git", "-C", str(folder), *arguments]
    # Without the optional lock, reading the status writes nothing.
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=20, env=environment, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return result.stdout.strip()


def _versions() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


@cache
def _processor() -> str:
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", listing.read_text(encoding="utf-8"), re.MULTILINE)
        if found:
            return found.group(1)
    return platform.processor() or platform.machine()
