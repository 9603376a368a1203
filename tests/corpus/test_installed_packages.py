"""The documentation of installed packages: what is kept, once, in the same order, in any number of processes."""

import logging
import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

import ctcd
from ctcd.corpus import installed_packages
from ctcd.corpus.documents import Document
from ctcd.corpus.installed_packages import Package, find_installed_packages, harvest, identify_packages

OPENING = "The library opens at nine in the morning, and it is closed on Sundays."
FINES = "Books that are not returned in time will cost their reader a small fine."
SILENCE = "Nobody may speak in the reading room, which is why there are so many whispers."
READERS = "A card can be had by everyone who lives in the town or works there."


NEXT_COMMENT_LINE = "\n            # "


@pytest.fixture
def package(tmp_path: Path) -> Package:
    modules = {
        "__init__.py": f'"""{OPENING}"""\n',
        "desk.py": f"""
            # {FINES.replace("time ", "time" + NEXT_COMMENT_LINE)}
            def lend(book, days=14):
                '''{SILENCE.upper()}'''
                return book, days  # {READERS}
        """,
        "rooms/reading.py": f'"""{SILENCE}\n\n>>> speak()\n\n{OPENING.replace(" ", "  ")}\n"""\n',
        "rooms/tests/test_reading.py": f'"""{READERS}"""\n',
        "latin.py": "x = 'Caf\\xe9'\n",
        "data.txt": READERS,
    }
    for name, content in modules.items():
        path = tmp_path / "library" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(textwrap.dedent(content).encode("latin-1"))
    (tmp_path / "library" / "latin.py").write_bytes(f'"""{READERS} Caf\xe9."""'.encode("latin-1"))
    return Package("library", "1.0", tmp_path / "library", f"# Library\n\n{READERS}\n\n```\n{SILENCE}\n```\n")


def test_one_document_per_module_after_the_description(package: Package) -> None:
    assert harvest([package], processes=1) == [
        Document(READERS, "library"),
        Document(OPENING, "library"),
        Document(FINES, "library"),
        Document(SILENCE, "library"),
    ]


def test_result_is_the_same_in_several_processes(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        path = package.folder / f"shelf_{number}.py"
        path.write_text(
            f'"""Shelf {chr(65 + number) * 4} is the one where you find {number} {OPENING}"""', encoding="utf-8"
        )
    alone = harvest([package], processes=1)
    monkeypatch.setattr(installed_packages, "_BYTES_PER_BATCH", 500)
    assert harvest([package], processes=1) == alone
    assert harvest([package], processes=3) == alone


def test_workers_run_nothing_of_the_main_module(package: Package, tmp_path: Path) -> None:
    # A script without the guard that multiprocessing asks for, and another hash seed.
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\n"
        "from ctcd.corpus.installed_packages import Package, harvest\n"
        f"package = Package('library', '1.0', Path({str(package.folder)!r}), {package.description!r})\n"
        "print(harvest([package], processes=2))\n",
        encoding="utf-8",
    )
    environment = os.environ | {"PYTHONPATH": str(Path(ctcd.__file__).parents[1]), "PYTHONHASHSEED": "7"}
    result = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == str(harvest([package], processes=1))


def test_repetitions_go_wherever_they_stand(package: Package, tmp_path: Path) -> None:
    again = tmp_path / "again"
    again.mkdir()
    template = "This class {} is meant for those who want to read a whole row of books in one go."
    (again / "a.py").write_text(f'"""{FINES.lower().capitalize()}\n\n{template.format("Reader")}"""', encoding="utf-8")
    (again / "b.py").write_text(f'"""{template.format("ShelfReader")}\n\n{OPENING}"""', encoding="utf-8")
    copy = Package("again", "1", again)
    assert harvest([package, copy], processes=1)[-1] == Document(template.format("Reader"), "again")


def test_missing_and_zipped_packages_are_skipped(package: Package, tmp_path: Path) -> None:
    (tmp_path / "zipped.zip").write_bytes(b"PK")
    missing = [replace(package, folder=tmp_path / name, description="") for name in ("missing", "zipped.zip")]
    assert harvest([*missing, package], processes=1) == harvest([package], processes=1)
    assert harvest(missing, processes=2) == []


def test_start_and_counts_are_logged(package: Package, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        documents = harvest([package], processes=1)
    words = sum(len(document.text.split()) for document in documents)
    assert [record.getMessage() for record in caplog.records] == [
        "Harvesting the documentation of 1 packages, 4 modules",
        f"Harvested {words} words in 4 documents",
    ]


def test_fingerprint_follows_versions_and_rules_but_not_the_place(
    package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    fingerprint = identify_packages([package])
    assert identify_packages([replace(package, folder=Path("elsewhere"))]) == fingerprint
    assert identify_packages([replace(package, version="1.1")]) != fingerprint
    assert identify_packages([package, replace(package, name="other")]) != fingerprint
    monkeypatch.setattr(installed_packages, "RULES_VERSION", -1)
    assert identify_packages([package]) != fingerprint


def test_standard_library_and_required_packages_are_found() -> None:
    packages = {package.name: package for package in find_installed_packages()}
    assert next(iter(packages)) == "python"
    assert (packages["python"].folder / "textwrap.py").is_file()
    for name in ("numpy", "sklearn", "torch", "transformers"):
        assert (packages[name].folder / "__init__.py").is_file()
        assert packages[name].version[0].isdigit()
        assert len(packages[name].description) > 500


def test_standard_library_yields_prose() -> None:
    python = find_installed_packages()[0]
    folder = python.folder / "email"
    documents = harvest([replace(python, folder=folder)], processes=1)
    words = sum(len(document.text.split()) for document in documents)
    assert words > 4_000
    assert 10 <= len(documents) <= len(list(folder.rglob("*.py")))
    text = "\n".join(document.text for document in documents)
    for noise in (">>>", "``", "==", "def "):
        assert text.count(noise) <= len(text) / 20_000


@pytest.mark.slow
def test_installed_packages_give_a_million_words() -> None:
    documents = harvest(find_installed_packages())
    paragraphs = [paragraph for document in documents for paragraph in document.text.split("\n")]
    assert sum(len(paragraph.split()) for paragraph in paragraphs) >= 1_000_000
    assert len({" ".join(paragraph.lower().split()) for paragraph in paragraphs}) == len(paragraphs)
    assert len({document.source for document in documents}) >= 20
