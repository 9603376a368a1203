"""The results of a run, as pieces that fit through a small door: there. `assemble` puts them together: at home."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from manifest import MANIFEST, Manifest
from pieces import MIB, Source, rebuild, take_in, write_pieces
from project import newest, open_catalog, project_folder, record, results_folder
from unpack import STORE, UNFINISHED, print_arrival

from ctcd.errors import InputError

ROOT = "results"
COLLECTED = "collected"
FILES_IN_A_PART = 8
SHOWN = 5


def collect(
    env: str, pipeline: str, model: str | None, part: int, target: Path, piece_mib: float, part_mib: float
) -> None:
    """Copy one part of the results to a folder.

    Raises:
        InputError: if there is no such part, or nothing to collect.
    """
    folder = results_folder() / COLLECTED
    with open_catalog(env, {}) as catalog:
        sources, absent = _result_files(catalog, pipeline)
        sources += _measurements()
        sources += _half_precision_files(catalog, model, folder) if model else []
    if absent:
        some = ", ".join(absent[:SHOWN]) + (", ..." if len(absent) > SHOWN else "")
        print(f"{len(absent)} outputs are not there yet and left out: {some}")
    manifest = write_pieces(sources, folder / STORE, int(piece_mib * MIB))
    parts = _parts(manifest, folder / STORE, int(part_mib * MIB))
    if not 1 <= part <= len(parts):
        raise InputError(f"There is no part {part}: there are {len(parts)}, from --part 1 on.")
    target.mkdir(parents=True, exist_ok=True)
    for file in parts[part - 1]:
        shutil.copyfile(file, target / file.name)
    size = sum(file.stat().st_size for file in parts[part - 1])
    print(
        f"part {part} of {len(parts)}: {len(parts[part - 1])} files, {size / MIB:.1f} MiB; altogether "
        f"{len(manifest.files)} files of {sum(file.bytes for file in manifest.files) / MIB:.1f} MiB"
    )
    if part < len(parts):
        print(f"the rest: the same command with --part {part + 1}")
    record("collect", {"parts": len(parts), "files": len(manifest.files), "absent": absent})


def assemble(arrived: Sequence[Path], target: Path) -> int:
    """Take in the parts that have arrived and write the results that are whole; returns the exit code.

    Raises:
        InputError: naming what is damaged, or in the way.
    """
    store = target / STORE
    manifest, missing = take_in(arrived, store)
    print_arrival(manifest, missing)
    written = rebuild(manifest, store, {ROOT: target}, missing)
    print(f"{written} files written in {target}, each with the SHA-256 that was packed; {len(manifest.files)} in all")
    record("assemble", {"pieces": len(manifest.pieces), "missing": [piece.name for piece in missing]})
    return UNFINISHED if missing else 0


def _result_files(catalog: Any, pipeline: str) -> tuple[list[Source], list[str]]:
    """Every output of a pipeline that is a file, under its place in the project; and the names of those not made."""
    from kedro.framework.project import pipelines

    if pipeline not in pipelines:
        raise InputError(f"There is no pipeline '{pipeline}'.")
    sources, absent = [], []
    for name in sorted(pipelines[pipeline].all_outputs()):
        place = newest(catalog, name)
        if place is None:
            absent.append(name)
        elif place.is_file():
            sources.append(Source(ROOT, place.relative_to(project_folder()).as_posix(), place))
    return sources, absent


def _measurements() -> list[Source]:
    """What the other commands wrote."""
    files = [path for path in results_folder().iterdir() if path.suffix in (".json", ".log")]
    return [Source(ROOT, path.name, path) for path in sorted(files) if path.stem not in ("collect", "assemble")]


def _half_precision_files(catalog: Any, name: str, folder: Path) -> list[Source]:
    """The model `<variant>.<role>` of the first seed in half the bytes, as a folder that transformers opens."""
    variant, _, role = name.partition(".")
    place = newest(catalog, f"{variant}.models")
    if place is None:
        return []
    copy = folder / place.parent.name / name  # the version is in the path: a new model is written anew
    if not copy.is_dir():
        from ctcd.modeling.trained_models import TrainedModels

        partial = copy.with_name(f".{name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        loaded = TrainedModels.load(place).find(role).load()
        replace(loaded, model=loaded.model.half()).save(partial)
        partial.rename(copy)
    return [Source(ROOT, f"{name}/{path.name}", path) for path in sorted(copy.iterdir())]


def _parts(manifest: Manifest, folder: Path, limit: int) -> list[list[Path]]:
    """The manifest and the pieces, in order, as many at a time as a transfer takes."""
    parts: list[list[Path]] = []
    size = 0
    for file in [folder / MANIFEST, *(folder / piece.name for piece in manifest.pieces)]:
        bytes_of_file = file.stat().st_size
        if not parts or size + bytes_of_file > limit or len(parts[-1]) == FILES_IN_A_PART:
            parts.append([])
            size = 0
        parts[-1].append(file)
        size += bytes_of_file
    return parts
