"""The pieces as the project's datasets: there."""

from collections.abc import Sequence
from pathlib import Path

from manifest import Manifest, Piece
from pack import DATA_ROOT, PROJECT
from pieces import MIB, rebuild, take_in
from project import project_folder, record

UNFINISHED = 75  # what a command exits with that wants to be given again (EX_TEMPFAIL)
STORE = "pieces"


def unpack(arrived: Sequence[Path], data_root: Path) -> int:
    """Take in what has arrived; once all of it has, make the project's datasets and `data_root/glue`.

    Raises:
        InputError: naming what is damaged, or in the way.
    """
    store = data_root / STORE
    manifest, missing = take_in(arrived, store)
    print_arrival(manifest, missing)
    written = 0
    if not missing:
        written = rebuild(manifest, store, {PROJECT: project_folder(), DATA_ROOT: data_root})
        kept = len(manifest.files) - written
        print(f"{written} files written, {kept} were there; all {len(manifest.files)} have the SHA-256 that was packed")
    record("unpack", {"pieces": len(manifest.pieces), "missing": [piece.name for piece in missing], "written": written})
    return UNFINISHED if missing else 0


def print_arrival(manifest: Manifest, missing: Sequence[Piece]) -> None:
    """Say how many pieces are here, and which are not."""
    print(f"{len(manifest.pieces) - len(missing)} of {len(manifest.pieces)} pieces are here")
    if missing:
        names = ", ".join(f"{piece.name} ({piece.bytes / MIB:.1f} MiB)" for piece in missing)
        print(f"missing: {names}; carry them and give the same command again")
