"""A corpus without a download: the documentation inside the installed Python packages."""

import importlib.metadata
import itertools
import json
import logging
import os
import platform
import re
import subprocess
import sys
import sysconfig
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import ctcd
from ctcd.corpus.documents import Document
from ctcd.corpus.prose import RULES_VERSION, read_module, read_prose
from ctcd.lineage.digest import digest

# Distributions that the project's requirements bring and that explain themselves at length; `distribution:package`
# where the two differ. Plotly is left out: 15,000 modules of repetition.
_DISTRIBUTIONS = """
    scipy networkx sympy numpy pandas scikit-learn:sklearn torch transformers datasets huggingface_hub mpmath
    sqlalchemy matplotlib mlflow mypy hypothesis ipython:IPython fonttools:fontTools prompt_toolkit tornado pydantic
    click jinja2 werkzeug flask joblib filelock aiohttp fsspec kedro kedro_datasets beautifulsoup4:bs4 GitPython:git
    jedi parso graphql-core:graphql pytest:_pytest omegaconf pillow:PIL attrs:attr packaging more_itertools pexpect
    websockets urllib3 requests babel alembic jupyter_server jupyter_client traitlets pyarrow debugpy pyparsing fastapi
    lark narwhals
"""
_SKIPPED_FOLDERS = "tests test testing site-packages _vendor _vendored externals idlelib lib2to3 encodings"
_BYTES_PER_BATCH = 16_000_000  # of source code, for one process
_MOST_PROCESSES = 8
_WORKER = (
    "import json, sys; from ctcd.corpus.prose import read_module; "
    "json.dump([read_module(path) for path in json.load(sys.stdin)], sys.stdout)"
)
_RUN_WORDS = 5
_LOWERCASE_WORD = re.compile(r"\b[a-z]+\b")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Package:
    """A folder of Python modules, and the description that it is published with (reStructuredText or Markdown)."""

    name: str
    version: str
    folder: Path
    description: str = ""


def find_installed_packages() -> list[Package]:
    """Find the standard library and the installed ones of a fixed list, in the list's order."""
    packages = [Package("python", platform.python_version(), Path(sysconfig.get_path("stdlib")))]
    for entry in _DISTRIBUTIONS.split():
        name, _, package = entry.partition(":")
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        folder = Path(str(distribution.locate_file(package or name)))
        description = (distribution.read_text("METADATA") or "").partition("\n\n")[2]
        packages.append(Package(package or name, distribution.version, folder, description))
    return packages


def identify_packages(packages: Iterable[Package]) -> str:
    """Hash of names, versions and the rules of the harvest: equal where the harvest is."""
    return digest(RULES_VERSION, [(package.name, package.version) for package in packages])


def harvest(packages: Sequence[Package], processes: int | None = None) -> list[Document]:
    """Docstrings, comments and descriptions of `packages`: prose only, one document per module, without repetitions.

    Args:
        packages: Where to read. Files that cannot be read as UTF-8 are skipped.
        processes: How many to use, by default one per processor. The result does not depend on it.

    Returns:
        Documents in the order of packages and modules; `source` is the package's name.
    """
    from ctcd.engine.hardware import usable_cores

    processes = processes or min(_MOST_PROCESSES, usable_cores())
    modules = [(package.name, path) for package in packages for path in _find_modules(package.folder)]
    logger.info("Harvesting the documentation of %d packages, %s modules", len(packages), f"{len(modules):,}")
    descriptions = ((package.name, list(read_prose(package.description))) for package in packages)
    with ThreadPoolExecutor(processes) as executor:
        read = _read_in_new_process if processes > 1 and sys.executable else _read_here
        results = itertools.chain.from_iterable(executor.map(read, _batches([path for _, path in modules])))
        paragraphs = zip((name for name, _ in modules), results, strict=True)
        documents = list(_drop_repetitions(itertools.chain(descriptions, paragraphs)))
    words = sum(len(document.text.split()) for document in documents)
    logger.info("Harvested %s words in %s documents", f"{words:,}", f"{len(documents):,}")
    return documents


def _find_modules(folder: Path) -> list[Path]:
    modules = []
    for directory, folders, files in os.walk(folder):
        folders[:] = sorted(set(folders).difference(_SKIPPED_FOLDERS.split()))
        modules += [Path(directory, file) for file in sorted(files) if file.endswith(".py")]
    return modules


def _batches(paths: list[Path]) -> list[list[str]]:
    batches: list[list[str]] = []
    room = 0
    for path in paths:
        if room <= 0:
            batches.append([])
            room = _BYTES_PER_BATCH
        batches[-1].append(str(path))
        room -= path.stat().st_size
    return batches


def _read_here(paths: list[str]) -> list[list[str]]:
    return [read_module(path) for path in paths]


def _read_in_new_process(paths: list[str]) -> list[list[str]]:
    """Read in a fresh interpreter: nothing of this one, such as a main module without a guard, runs there."""
    environment = os.environ | {"PYTHONPATH": str(Path(ctcd.__file__).parents[1])}
    command = [sys.executable, "-P", "-c", _WORKER]
    worker = subprocess.run(
        command, input=json.dumps(paths), stdout=subprocess.PIPE, text=True, env=environment, check=True
    )
    paragraphs: list[list[str]] = json.loads(worker.stdout)
    return paragraphs


def _drop_repetitions(texts: Iterable[tuple[str, list[str]]]) -> Iterator[Document]:
    """Documents of (source, paragraphs), without the paragraphs that were seen before.

    A paragraph was seen if an equal one was, but for case, or if more than half of its runs of five words were;
    capitalised words do not count, so that the same sentence about another class is a repetition.
    """
    seen: set[str] = set()
    seen_runs: set[int] = set()
    for source, paragraphs in texts:
        kept = []
        for paragraph in paragraphs:
            words = _LOWERCASE_WORD.findall(paragraph)
            starts = range(max(1, len(words) - _RUN_WORDS + 1))
            # Not hash(), which differs from process to process and with it the odd collision.
            runs = [zlib.crc32(" ".join(words[start : start + _RUN_WORDS]).encode()) for start in starts]
            key = paragraph.lower()
            if key not in seen and sum(run in seen_runs for run in runs) <= len(runs) / 2:
                seen.add(key)
                seen_runs.update(runs)
                kept.append(paragraph)
        if kept:
            yield Document("\n".join(kept), source)
