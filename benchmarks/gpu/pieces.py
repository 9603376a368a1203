"""Files as pieces of at most a given size, and back: what a host that limits every transfer can be sent.

The files are cut into blocks, each block is compressed by itself (LZMA, in an .xz container), and a piece is as many
blocks as fit. So a piece is an ordinary .xz file, and all of them in order, decompressed, are the files one after the
other. `manifest.json` beside them has the SHA-256 of every piece and of every file.
"""

import lzma
import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from manifest import MANIFEST, Block, Manifest, PackedFile, Piece, digest_of

from ctcd.engine.hardware import usable_cores
from ctcd.errors import InputError

MIB = 1 << 20
BLOCKS_PER_PIECE = 8  # at least: an eighth of a piece may stay empty
MOST_THREADS = 8  # a thread takes about 100 MB
# Pairs of bytes that belong together: 16-bit tokens, half-precision weights. 8 % less than zstd at level 19.
FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6, "lc": 3, "lp": 1, "pb": 1}]


@dataclass(frozen=True)
class Source:
    """A file to be sent: `path` says where it goes, below the folder that the receiver has for `root`."""

    root: str
    path: str
    place: Path


def write_pieces(sources: Sequence[Source], folder: Path, limit: int) -> Manifest:
    """Pack files into pieces of at most `limit` bytes; finished pieces of the same files are kept.

    Memory stays constant: a few blocks wait for their turn.
    """
    files = [
        PackedFile(source.root, source.path, source.place.stat().st_size, digest_of(source.place)) for source in sources
    ]
    folder.mkdir(parents=True, exist_ok=True)
    manifest = _kept(folder, Manifest(limit, files))
    if manifest.complete:
        return manifest
    _remove_other_pieces(folder, manifest)
    done = sum(len(piece.blocks) for piece in manifest.pieces)
    places = [source.place for source in sources]
    waiting: list[Block] = []
    partial = folder / ".piece.partial"
    size = 0
    with suppress(FileNotFoundError):
        partial.unlink()
    for block, content in _compressed(islice(_cut(files, limit // BLOCKS_PER_PIECE), done, None), places):
        if size + len(content) > limit:
            _finish_piece(folder, manifest, partial, waiting)
            waiting, size = [], 0
        with partial.open("ab") as piece:
            piece.write(content)
        waiting.append(block)
        size += len(content)
    if waiting:
        _finish_piece(folder, manifest, partial, waiting)
    manifest.complete = True
    manifest.write(folder)
    return manifest


def _kept(folder: Path, wanted: Manifest) -> Manifest:
    """The wanted manifest with the finished pieces that an earlier, perhaps interrupted, call left."""
    try:
        found = Manifest.read(folder)
    except InputError:
        return wanted
    if found is None or (found.limit, found.files) != (wanted.limit, wanted.files):
        return wanted
    good = 0
    while good < len(found.pieces) and _is_whole(folder / found.pieces[good].name, found.pieces[good]):
        good += 1
    return Manifest(found.limit, found.files, found.pieces[:good], found.complete and good == len(found.pieces))


def _remove_other_pieces(folder: Path, manifest: Manifest) -> None:
    names = {piece.name for piece in manifest.pieces}
    for path in folder.glob("piece-*.xz"):
        if path.name not in names:
            path.unlink()


def _cut(files: Sequence[PackedFile], block_bytes: int) -> Iterator[tuple[int, int, int]]:
    """Number of the file, offset and length of every block."""
    for number, file in enumerate(files):
        for offset in range(0, file.bytes, block_bytes):
            yield number, offset, min(block_bytes, file.bytes - offset)


def _compressed(blocks: Iterable[tuple[int, int, int]], places: Sequence[Path]) -> Iterator[tuple[Block, bytes]]:
    """The blocks in order, compressed on several cores: the library lets go of Python while it works."""

    def compress(number: int, offset: int, length: int) -> tuple[Block, bytes]:
        with places[number].open("rb") as file:
            file.seek(offset)
            content = lzma.compress(file.read(length), lzma.FORMAT_XZ, lzma.CHECK_CRC32, filters=FILTERS)
        return Block(number, length, len(content)), content

    threads = min(MOST_THREADS, usable_cores())
    with ThreadPoolExecutor(threads) as pool:
        coming: deque[Future[tuple[Block, bytes]]] = deque()
        for block in blocks:
            coming.append(pool.submit(compress, *block))
            if len(coming) > threads:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()


def _finish_piece(folder: Path, manifest: Manifest, partial: Path, blocks: list[Block]) -> None:
    name = f"piece-{len(manifest.pieces) + 1:03d}.xz"
    piece = Piece(name, partial.stat().st_size, digest_of(partial), blocks)
    partial.rename(folder / name)
    manifest.pieces.append(piece)
    manifest.write(folder)


def take_in(arrived: Sequence[Path], store: Path) -> tuple[Manifest, list[Piece]]:
    """Copy the whole pieces that have arrived in some folders to the store.

    Returns:
        The manifest, and the pieces that are still missing.

    Raises:
        InputError: naming what is damaged or does not belong together; whole pieces are kept all the same.
    """
    manifest = _common_manifest(arrived, store)
    store.mkdir(parents=True, exist_ok=True)
    manifest.write(store)
    damaged, missing = [], []
    for piece in manifest.pieces:
        if _is_whole(store / piece.name, piece):
            continue
        (store / piece.name).unlink(missing_ok=True)
        candidates = [folder / piece.name for folder in arrived if (folder / piece.name).is_file()]
        whole = [path for path in candidates if _is_whole(path, piece)]
        if whole:
            _copy(whole[0], store / piece.name)
        elif candidates:
            damaged.append(_damage(candidates[0], piece))
        else:
            missing.append(piece)
    if damaged:
        raise InputError("; ".join(damaged) + ": carry it again.")
    return manifest, missing


def rebuild(manifest: Manifest, store: Path, roots: Mapping[str, Path], absent: Sequence[Piece] = ()) -> int:
    """Write the packed files, each below the folder of its root; those that are there already are kept.

    They appear once all of them have been written and verified.

    Args:
        manifest: what was packed.
        store: folder of the pieces.
        roots: where to write the files, by root.
        absent: pieces that are not in the store; files with a part in them are left out.

    Returns:
        How many were written.

    Raises:
        InputError: if another file is in the way.
    """
    places = [_place(file, roots) for file in manifest.files]
    out_of_reach = {block.file for piece in absent for block in piece.blocks}
    missing = {
        number
        for number, file in enumerate(manifest.files)
        if number not in out_of_reach and not _is_there(places[number], file)
    }
    for number in missing:
        places[number].parent.mkdir(parents=True, exist_ok=True)
        _partial(places[number]).write_bytes(b"")
    for piece in manifest.pieces:
        if piece in absent:
            continue
        with (store / piece.name).open("rb") as compressed:
            for block in piece.blocks:
                content = compressed.read(block.compressed)
                if block.file in missing:
                    with _partial(places[block.file]).open("ab") as file:
                        file.write(lzma.decompress(content))
    for number in missing:
        if digest_of(_partial(places[number])) != manifest.files[number].sha256:
            raise InputError(f"'{manifest.files[number].path}' was packed wrongly: pack and carry everything again.")
    for number in missing:
        _partial(places[number]).rename(places[number])
    return len(missing)


def _common_manifest(arrived: Sequence[Path], store: Path) -> Manifest:
    found = {folder: manifest for folder in arrived if (manifest := Manifest.read(folder)) is not None}
    first, *others = found or [store]
    manifest = found.get(first) or Manifest.read(store)
    if manifest is None:
        names = " or ".join(f"'{folder}'" for folder in arrived)
        raise InputError(f"There is no {MANIFEST} in {names}: carry it along with the pieces.")
    for folder in others:
        if found[folder] != manifest:
            raise InputError(f"What is in '{first}' and in '{folder}' was not packed together: carry all of it again.")
    if not manifest.complete:
        raise InputError(f"The packing of what is in '{first}' was interrupted: finish it and carry everything again.")
    return manifest


def _damage(path: Path, piece: Piece) -> str:
    size = path.stat().st_size
    if size != piece.bytes:
        return f"'{path}' is damaged (it has {size:,} of {piece.bytes:,} bytes)"
    return f"'{path}' is damaged (its SHA-256 is not the one in {MANIFEST})"


def _is_whole(path: Path, piece: Piece) -> bool:
    return path.is_file() and path.stat().st_size == piece.bytes and digest_of(path) == piece.sha256


def _copy(path: Path, target: Path) -> None:
    partial = _partial(target)
    shutil.copyfile(path, partial)
    partial.rename(target)


def _place(file: PackedFile, roots: Mapping[str, Path]) -> Path:
    path = PurePosixPath(file.path)
    if path.is_absolute() or ".." in path.parts or file.root not in roots:
        raise InputError(f"{MANIFEST} has a file that belongs nowhere, '{file.path}': pack with this version.")
    return roots[file.root] / path


def _is_there(place: Path, file: PackedFile) -> bool:
    if not place.exists():
        return False
    if place.stat().st_size != file.bytes or digest_of(place) != file.sha256:
        raise InputError(f"'{place}' is another file than the packed one: move it away.")
    return True


def _partial(place: Path) -> Path:
    return place.with_name(f".{place.name}.partial")
