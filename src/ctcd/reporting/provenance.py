"""Where the numbers come from: code, versions, hardware, time, parameters."""

import os
import platform
import re
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = [
    "ctcd",
    "kedro",
    "torch",
    "transformers",
    "tokenizers",
    "datasets",
    "numpy",
    "pandas",
    "scipy",
    "scikit-learn",
    "plotly",
]
HIDDEN = "(hidden)"
_SECRET_NAME = re.compile(r"(^|[_-])(password|passwd|secret|token|credentials?|(api|access|private)[_-]?key)$", re.I)
_USER_IN_ADDRESS = re.compile(r"(?<=://)[^/@\s]+@")


def describe_run(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Describe this run for a reader who wants to repeat it.

    Returns:
        time (UTC), commit and dirty (both absent unless a Git repository tracks this very code), versions, python,
        platform, processor, cores, memory_bytes (absent where the system does not say), accelerators (names; empty on a
        CPU), parameters without secrets.
    """
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        **commit_of(Path(__file__).parent),
        "versions": _versions(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        **_machine(),
        "accelerators": _accelerators(),
        "parameters": without_secrets(parameters),
    }


def without_secrets(value: Any) -> Any:
    """Copy parameters, hiding values under secret-sounding names and user names inside addresses."""
    if isinstance(value, Mapping):
        return {
            key: HIDDEN if _SECRET_NAME.search(str(key)) else without_secrets(inner) for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [without_secrets(inner) for inner in value]
    return _USER_IN_ADDRESS.sub(f"{HIDDEN}@", value) if isinstance(value, str) else value


def commit_of(folder: Path) -> dict[str, Any]:
    """Commit and dirty flag of the repository that tracks `folder`; empty without one (an installed wheel)."""
    if not _git(folder, "ls-files", "--", "."):
        return {}
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if not commit:
        return {}
    return {"commit": commit, "dirty": bool(_git(folder, "status", "--porcelain"))}


def _git(folder: Path, *arguments: str) -> str:
    """Return what git prints, stripped; empty where it fails or is absent."""
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


def _machine() -> dict[str, Any]:
    from ctcd.engine.hardware import usable_cores

    machine: dict[str, Any] = {"processor": _processor(), "cores": usable_cores()}
    if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
        machine["memory_bytes"] = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return machine


def _processor() -> str:
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", listing.read_text(encoding="utf-8"), re.MULTILINE)
        if found:
            return found.group(1)
    return platform.processor() or platform.machine()


def _accelerators() -> list[str]:
    import torch

    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
