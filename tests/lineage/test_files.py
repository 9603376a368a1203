import os
import subprocess
import sys
from pathlib import Path

import pytest

from ctcd.lineage import files
from ctcd.lineage.files import atomic_file, atomic_folder, remove_leftovers


def write(path: Path, text: str) -> None:
    with atomic_file(path) as file:
        file.write(text.encode())


def fill(path: Path, text: str) -> None:
    with atomic_folder(path) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "text").write_text(text)


@pytest.fixture(params=[write, fill], ids=["file", "folder"])
def put(request):
    return request.param


def text_in(path: Path) -> str:
    return (path / "deep" / "text" if path.is_dir() else path).read_text()


def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of what is flushed to the disk, as it is flushed."""
    names: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda handle: names.append(Path(f"/proc/self/fd/{handle}").readlink().name))
    return names


def test_what_is_written_appears_whole_and_replaces_what_was_there(tmp_path, put):
    path = tmp_path / "new" / "place"
    for text in ("first", "second"):
        put(path, text)
        assert text_in(path) == text
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_is_replaced_by_all_of_the_new_one(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "of_before").touch()
    fill(tmp_path / "model", "new")
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["deep"]


def test_nothing_is_seen_under_the_name_until_all_is_written(tmp_path):
    with atomic_file(tmp_path / "file") as file:
        file.write(b"half")
        assert not (tmp_path / "file").exists()
    with atomic_folder(tmp_path / "folder"):
        assert not (tmp_path / "folder").exists()


def test_an_error_leaves_what_was_there_and_nothing_else(tmp_path, put, monkeypatch):
    path = tmp_path / "place"
    put(path, "before")
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk is full")))
        with pytest.raises(OSError, match="disk is full"):
            put(path, "after")
    assert text_in(path) == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_take_its_place_leaves_the_one_that_is_there(tmp_path, monkeypatch):
    fill(tmp_path / "place", "before")
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if target.name == "place" and (self / "deep" / "text").read_text() == "after":
            raise OSError("no")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match="no"):
        fill(tmp_path / "place", "after")
    assert text_in(tmp_path / "place") == "before"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_and_its_folder_are_flushed_to_the_disk(tmp_path, monkeypatch):
    names = synced(monkeypatch)
    write(tmp_path / "file", "text")
    assert [name.startswith(".file.") for name in names] == [True, False]
    assert names[-1] == tmp_path.name


def test_every_file_of_a_folder_and_its_folder_are_flushed_to_the_disk(tmp_path, monkeypatch):
    names = synced(monkeypatch)
    fill(tmp_path / "model", "text")
    assert {"text", "deep"} <= set(names)
    assert names[-1] == tmp_path.name


def test_the_content_may_decide_the_name(tmp_path):
    written: list[str] = []
    with atomic_file(tmp_path / "state", final_name=lambda: f"state-{len(written)}") as file:
        file.write(b"text")
        written += ["text"]
    assert [path.name for path in tmp_path.iterdir()] == ["state-1"]


def test_two_that_write_at_once_never_write_one_file(tmp_path):
    with atomic_file(tmp_path / "file") as first, atomic_file(tmp_path / "file") as second:
        first.write(b"first")
        second.write(b"second")
        assert len({first.name, second.name}) == 2
        assert all(str(os.getpid()) in file.name for file in (first, second))
    assert (tmp_path / "file").read_bytes() == b"first"  # closed last


def test_two_that_fill_one_folder_at_once_leave_one_whole_folder(tmp_path):
    with atomic_folder(tmp_path / "place") as first, atomic_folder(tmp_path / "place") as second:
        (first / "a").touch()
        (second / "b").touch()
    assert [path.name for path in (tmp_path / "place").iterdir()] == ["a"]
    assert len(list(tmp_path.iterdir())) == 1


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path):
    program = (
        "import os, sys; from pathlib import Path; from ctcd.lineage.files import atomic_file, atomic_folder\n"
        "with atomic_file(Path(sys.argv[1], 'file')), atomic_folder(Path(sys.argv[1], 'folder')): os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    left = set(tmp_path.iterdir())
    assert len(left) == 2
    with atomic_file(tmp_path / "mine"):
        mine = set(tmp_path.iterdir()) - left
        remove_leftovers(tmp_path)
        assert set(tmp_path.iterdir()) == mine
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_leftovers_of_another_machine_and_other_files_are_none_of_our_business(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_machine", lambda: "0" * 8)
    with atomic_file(tmp_path / "file") as file:
        foreign = Path(file.name).name
    monkeypatch.undo()
    for name in (foreign, ".hidden", ".other.partial"):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert len(list(tmp_path.iterdir())) == 4
