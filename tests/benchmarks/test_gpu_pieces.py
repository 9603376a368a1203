"""Files in pieces and back, on files of a few kilobytes."""

import importlib
import json
import lzma
import random
from pathlib import Path
from types import ModuleType

import pytest

from ctcd.errors import InputError

LIMIT = 4000
GPU = Path(__file__).parents[2] / "benchmarks" / "gpu"


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(GPU))
    return importlib.import_module("pieces")


@pytest.fixture
def contents() -> dict[str, bytes]:
    draw = random.Random(0)
    return {
        "a/empty": b"",
        "a/one byte": b"x",
        "b/noise": draw.randbytes(9001),
        "b/tokens": b"".join(draw.randrange(500).to_bytes(2, "little") for _ in range(8000)),
        "c/zeros": bytes(50_000),
    }


@pytest.fixture
def sources(pieces, contents, tmp_path):
    made = []
    for path, content in contents.items():
        place = tmp_path / "home" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        made.append(pieces.Source("root", path, place))
    return made


@pytest.fixture
def packed(pieces, sources, tmp_path):
    """The folder of the pieces; the manifest lies in it."""
    pieces.write_pieces(sources, tmp_path / "packed", LIMIT)
    return tmp_path / "packed"


def restored(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_come_back_byte_for_byte_from_pieces_within_the_limit(pieces, contents, packed, tmp_path) -> None:
    manifest, missing = pieces.take_in([packed], tmp_path / "store")
    assert not missing
    assert len(manifest.pieces) > 3
    assert all((packed / piece.name).stat().st_size <= LIMIT for piece in manifest.pieces)
    assert pieces.rebuild(manifest, tmp_path / "store", {"root": tmp_path / "there"}) == len(contents)
    assert restored(tmp_path / "there") == contents


def test_pieces_are_ordinary_xz_files(contents, packed) -> None:
    compressed = b"".join(path.read_bytes() for path in sorted(packed.glob("piece-*.xz")))
    assert lzma.decompress(compressed) == b"".join(contents.values())


def test_pieces_may_arrive_one_at_a_time(pieces, contents, packed, tmp_path) -> None:
    names = sorted(path.name for path in packed.glob("piece-*.xz"))
    arriving, store = tmp_path / "arriving", tmp_path / "store"
    for number, name in enumerate(names):
        arriving.mkdir()
        for each in (name, pieces.MANIFEST):
            (arriving / each).write_bytes((packed / each).read_bytes())
        manifest, missing = pieces.take_in([arriving], store)
        assert [piece.name for piece in missing] == names[number + 1 :]
        for path in arriving.iterdir():
            path.unlink()
        arriving.rmdir()
    pieces.rebuild(manifest, store, {"root": tmp_path / "there"})
    assert restored(tmp_path / "there") == contents


@pytest.mark.parametrize(
    ("damage", "words"),
    [(lambda content: content[:-1] + b"?", "SHA-256"), (lambda content: content[:100], "has 100 of")],
)
def test_a_damaged_piece_is_named_in_one_sentence_and_the_whole_ones_are_kept(
    damage, words, pieces, packed, tmp_path
) -> None:
    broken = packed / "piece-002.xz"
    broken.write_bytes(damage(broken.read_bytes()))
    with pytest.raises(InputError) as error:
        pieces.take_in([packed], tmp_path / "store")
    assert "piece-002.xz' is damaged" in str(error.value)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert {path.name for path in (tmp_path / "store").glob("piece-*.xz")} == {
        path.name for path in packed.glob("piece-*.xz")
    } - {"piece-002.xz"}


def test_a_missing_manifest_is_asked_for(pieces, packed, tmp_path) -> None:
    (packed / pieces.MANIFEST).unlink()
    with pytest.raises(InputError, match=r"no manifest\.json in .*: carry it along"):
        pieces.take_in([packed], tmp_path / "store")


def test_an_interrupted_packing_goes_on_after_the_last_finished_piece(
    pieces, sources, packed, tmp_path, monkeypatch
) -> None:
    finish, folder = pieces._finish_piece, tmp_path / "interrupted"
    calls = iter([finish, finish])

    def interrupted(*arguments: object) -> None:
        try:
            next(calls)(*arguments)
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr(pieces, "_finish_piece", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pieces.write_pieces(sources, folder, LIMIT)
    before = {path.name: path.stat().st_ino for path in folder.glob("piece-*.xz")}
    assert len(before) == 2
    with pytest.raises(InputError, match="was interrupted: finish it"):
        pieces.take_in([folder], tmp_path / "store")
    monkeypatch.setattr(pieces, "_finish_piece", finish)
    pieces.write_pieces(sources, folder, LIMIT)
    after = {path.name: path.stat().st_ino for path in folder.glob("piece-*.xz")}
    assert before.items() <= after.items()
    assert restored(folder) == restored(packed)


def test_packing_again_writes_nothing_unless_a_file_has_changed(pieces, sources, packed) -> None:
    before = {path.name: path.stat().st_ino for path in packed.iterdir()}
    pieces.write_pieces(sources, packed, LIMIT)
    assert {path.name: path.stat().st_ino for path in packed.iterdir()} == before
    for source in sources:
        source.place.write_bytes(b"shorter")
    manifest = pieces.write_pieces(sources, packed, LIMIT)
    assert {path.name for path in packed.iterdir()} == {"piece-001.xz", pieces.MANIFEST}
    assert manifest.complete


def test_nothing_is_seen_of_an_interrupted_rebuilding_and_it_can_be_repeated(
    pieces, contents, packed, tmp_path, monkeypatch
) -> None:
    manifest, _ = pieces.take_in([packed], tmp_path / "store")
    there, decompress = tmp_path / "there", lzma.decompress
    calls = iter(range(5))

    def interrupted(content: bytes) -> bytes:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return decompress(content)

    monkeypatch.setattr(lzma, "decompress", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pieces.rebuild(manifest, tmp_path / "store", {"root": there})
    assert not restored(there).keys() & contents.keys()
    monkeypatch.undo()
    monkeypatch.syspath_prepend(str(GPU))
    pieces.rebuild(manifest, tmp_path / "store", {"root": there})
    assert restored(there) == contents
    assert pieces.rebuild(manifest, tmp_path / "store", {"root": there}) == 0


def test_another_file_in_the_way_is_not_overwritten(pieces, packed, tmp_path) -> None:
    manifest, _ = pieces.take_in([packed], tmp_path / "store")
    mine = tmp_path / "there" / "b" / "noise"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(InputError, match="another file than the packed one: move it away"):
        pieces.rebuild(manifest, tmp_path / "store", {"root": tmp_path / "there"})
    assert mine.read_text() == "mine"


def test_pieces_of_two_packings_are_not_mixed(pieces, sources, packed, tmp_path) -> None:
    sources[1].place.write_bytes(b"y")
    pieces.write_pieces(sources, tmp_path / "later", LIMIT)
    with pytest.raises(InputError, match="was not packed together"):
        pieces.take_in([packed, tmp_path / "later"], tmp_path / "store")


@pytest.mark.parametrize("path", ["../outside", "/outside"])
def test_nothing_is_written_outside_of_the_folder(path: str, pieces, packed, tmp_path) -> None:
    content = json.loads((packed / pieces.MANIFEST).read_text())
    content["files"][0]["path"] = path
    (packed / pieces.MANIFEST).write_text(json.dumps(content))
    manifest, _ = pieces.take_in([packed], tmp_path / "store")
    with pytest.raises(InputError, match="belongs nowhere"):
        pieces.rebuild(manifest, tmp_path / "store", {"root": tmp_path / "there"})
