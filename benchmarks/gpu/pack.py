"""The prepared corpus and the tasks, as pieces: at home."""

from pathlib import Path

from manifest import MANIFEST, Manifest
from pieces import MIB, Source, write_pieces
from project import newest, open_catalog, project_folder, record

from ctcd.errors import InputError

# By the pipeline `corpus`.
PREPARED = ("document_split", "tokenizer", "shards", "probes", "heldout_pairs", "corpus_report")
PROJECT, DATA_ROOT = "project", "data_root"


def pack(env: str, data_root: Path, target: Path, mib: float) -> None:
    """Write the pieces and print what is in them.

    Raises:
        InputError: if the corpus is not prepared, or there is no GLUE.
    """
    sources = [*_prepared_files(env, data_root), *_task_files(data_root)]
    manifest = write_pieces(sources, target, int(mib * MIB))
    raw, packed = sum(file.bytes for file in manifest.files), sum(piece.bytes for piece in manifest.pieces)
    for piece in manifest.pieces:
        print(f"{piece.name}   {piece.bytes / MIB:6.1f} MiB   {_content(manifest, piece.name)}")
    print(
        f"{len(manifest.files)} files of {raw / MIB:.1f} MiB are {packed / MIB:.1f} MiB now ({packed / raw:.0%}), "
        f"with {MANIFEST} in {target}"
    )
    sizes = {piece.name: piece.bytes for piece in manifest.pieces}
    record("pack", {"files": len(manifest.files), "bytes": raw, "packed_bytes": packed, "pieces": sizes})


def _prepared_files(env: str, data_root: Path) -> list[Source]:
    project = project_folder()
    sources = []
    with open_catalog(env, {"data_root": str(data_root)}) as catalog:
        for name in PREPARED:
            place = newest(catalog, name)
            if place is None:
                raise InputError(
                    f"The corpus is not prepared, '{name}' is missing: run "
                    f"`kedro run --pipeline=corpus --env={env} --params data_root={data_root}` first."
                )
            files = sorted(path for path in place.rglob("*") if path.is_file()) if place.is_dir() else [place]
            sources += [Source(PROJECT, file.relative_to(project).as_posix(), file) for file in files]
    return sources


def _task_files(data_root: Path) -> list[Source]:
    files = sorted((data_root / "glue").glob("*/*.parquet"))
    if not files:
        raise InputError(f"There are no tasks '{data_root / 'glue'}/<task>/<split>.parquet': name another --data-root.")
    files += sorted(file for file in (data_root / "minimal_pairs").glob("*") if file.suffix in (".parquet", ".csv"))
    return [Source(DATA_ROOT, file.relative_to(data_root).as_posix(), file) for file in files]


def _content(manifest: Manifest, name: str) -> str:
    """The entries that a piece has files of."""
    piece = next(piece for piece in manifest.pieces if piece.name == name)
    paths = [manifest.files[block.file].path for block in piece.blocks]
    entries = (next((entry for entry in PREPARED if f"/{entry}" in path), path.partition("/")[0]) for path in paths)
    return ", ".join(dict.fromkeys(entries))
