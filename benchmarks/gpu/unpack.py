"""Pieces to the files that they were made from, on either machine."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pack import DATA_ROOT, PROJECT
from pieces import MIB, rebuild, take_in
from project import project_folder, record

UNFINISHED = 75  # what a command exits with that wants to be given again (EX_TEMPFAIL)
STORE = "pieces"


def unpack(arrived: Sequence[Path], data_root: Path) -> int:
    """Take in what has arrived; once all of it has, make the project's datasets and `data_root/glue`."""
    return restore(arrived, data_root / STORE, {PROJECT: project_folder(), DATA_ROOT: data_root}, "unpack")


def restore(arrived: Sequence[Path], store: Path, roots: Mapping[str, Path], step: str) -> int:
    """Take in pieces and rebuild the files once all pieces are there; returns the exit code.

    Raises:
        InputError: naming what is damaged, or in the way.
    """
    manifest, missing = take_in(arrived, store)
    here = len(manifest.pieces) - len(missing)
    print(f"{here} of {len(manifest.pieces)} pieces are here")
    figures = {"pieces": len(manifest.pieces), "missing": [piece.name for piece in missing]}
    if missing:
        names = ", ".join(f"{piece.name} ({piece.bytes / MIB:.1f} MiB)" for piece in missing)
        print(f"missing: {names}; carry them and give the same command again")
        record(step, figures)
        return UNFINISHED
    written = rebuild(manifest, store, roots)
    kept = len(manifest.files) - written
    print(f"{written} files written, {kept} were there; all {len(manifest.files)} have the SHA-256 that was packed")
    record(step, {**figures, "files": len(manifest.files), "written": written})
    return 0
