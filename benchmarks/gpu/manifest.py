"""What was packed into which piece: `manifest.json`, which travels with the pieces."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ctcd.errors import InputError

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class PackedFile:
    """A file as it was, and as it must be again."""

    root: str
    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Block:
    """Consecutive bytes of one file."""

    file: int
    bytes: int
    compressed: int


@dataclass(frozen=True)
class Piece:
    """A file of compressed blocks."""

    name: str
    bytes: int
    sha256: str
    blocks: list[Block]


@dataclass
class Manifest:
    """What was packed, in order; without some of the pieces while it is not complete."""

    limit: int
    files: list[PackedFile]
    pieces: list[Piece] = field(default_factory=list)
    complete: bool = False

    def write(self, folder: Path) -> None:
        """Write it beside the pieces."""
        partial = folder / f".{MANIFEST}.partial"
        partial.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")
        partial.rename(folder / MANIFEST)

    @classmethod
    def read(cls, folder: Path) -> "Manifest | None":
        """The manifest in a folder; None if there is none.

        Raises:
            InputError: if it is damaged.
        """
        path = folder / MANIFEST
        if not path.is_file():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            files = [PackedFile(**each) for each in content["files"]]
            pieces = [
                Piece(each["name"], each["bytes"], each["sha256"], [Block(**block) for block in each["blocks"]])
                for each in content["pieces"]
            ]
            return cls(content["limit"], files, pieces, content["complete"])
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"'{path}' is damaged: carry it again.") from error


def digest_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
