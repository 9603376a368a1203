"""Text in the catalog: files, a hub data set or the installed packages' documentation."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError
from kedro.utils import find_kedro_project

from ctcd.errors import InputError
from ctcd.lineage.files import atomic_file, remove_leftovers
from ctcd.lineage.settings import HUB

INSTALLED_PACKAGES = "installed-packages"
_FINGERPRINT = b"ctcd.fingerprint"
_DOCUMENTS_PER_BATCH = 64

Source = str | Sequence[str]


class DocumentsDataset(AbstractDataset[NoReturn, Any]):
    """Documents from anywhere, read as a stream.

    Loads to `ctcd.corpus.documents.Documents`. Nothing can be saved. The documentation of the installed packages is
    harvested when it is first needed and kept in `filepath`, and harvested anew when the packages change:

    ```yaml
    documents:
      type: ctcd.datasets.documents_dataset.DocumentsDataset
      source: installed-packages
      filepath: data/01_raw/installed_packages.parquet
    ```
    """

    def __init__(
        self,
        *,
        source: Source | Mapping[str, Source],
        filepath: str,
        text_column: str = "text",
        document_column: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Describe the source.

        Args:
            source: `installed-packages` (`installed-packages:python+numpy` for some of them), or what
                `ctcd.corpus.documents.read_documents` takes: a folder, a file, a glob,
                `hub:owner/name[:configuration][:split]`, or a list of these. Relative paths start at the project.
                A mapping gives several sources names: `{en: english/*.txt, de: [a.parquet, b.parquet]}`.
            filepath: Parquet file for the harvest of the installed packages; not used for other sources.
            text_column: column of JSON lines, Parquet and hub data sets that holds the text.
            document_column: column of these that names the document; consecutive rows with one name are its parts.
            metadata: for plugins such as kedro-viz; not used here.
        """
        self._source = source
        self._filepath = Path(filepath)
        self._columns = (text_column, document_column)
        self.metadata = metadata

    def load(self) -> Any:
        """Open the source; documents are read when they are iterated over."""
        from ctcd.corpus.documents import join_sources

        if isinstance(self._source, Mapping):
            return join_sources({name: self._open(source) for name, source in self._source.items()})
        return self._open(self._source)

    @property
    def source_names(self) -> list[str]:
        """The names of the sources."""
        from ctcd.corpus.documents import UNNAMED

        return list(self._source) if isinstance(self._source, Mapping) else [UNNAMED]

    def _open(self, source: Source) -> Any:
        from ctcd.corpus.documents import read_documents

        if isinstance(source, str) and _is_harvest(source):
            return _harvested_documents(source, self._filepath)
        if isinstance(source, str):
            # The name goes into reports: as it was given, not where it lies on this machine.
            return replace(read_documents(_in_project(source), *self._columns), name=source)
        documents = read_documents([_in_project(part) for part in source], *self._columns)
        return replace(documents, name=" + ".join(source))

    def save(self, data: NoReturn) -> None:
        """Refuse: sources are read only."""
        raise DatasetError("Documents cannot be saved: DocumentsDataset only reads.")

    def _exists(self) -> bool:
        from ctcd.corpus.document_files import find_files

        given = self._source.values() if isinstance(self._source, Mapping) else [self._source]
        for source in (part for each in given for part in ([each] if isinstance(each, str) else each)):
            if _is_harvest(source) or source.startswith(HUB):
                continue
            try:
                find_files(_in_project(source))
            except InputError:
                return False
        return True

    def _describe(self) -> dict[str, Any]:
        text, document = self._columns
        return {
            "source": self._source,
            "text_column": text,
            "document_column": document,
            "filepath": str(self._filepath),
        }


def _in_project(source: str) -> str:
    if source.startswith(HUB) or Path(source).expanduser().is_absolute():
        return source
    return str((find_kedro_project(Path.cwd()) or Path()) / source)


def _is_harvest(source: str) -> bool:
    return source.partition(":")[0] == INSTALLED_PACKAGES


def _harvested_documents(source: str, path: Path) -> Any:
    from ctcd.corpus.documents import Documents
    from ctcd.corpus.installed_packages import find_installed_packages, harvest, identify_packages

    packages = find_installed_packages()
    if names := [name for name in source.partition(":")[2].split("+") if name]:
        unknown = set(names) - {package.name for package in packages}
        if unknown:
            raise InputError(
                f"'{source}' names {', '.join(sorted(unknown))}, whose documentation is not harvested: choose from "
                f"{', '.join(package.name for package in packages)}."
            )
        packages = [package for package in packages if package.name in names]
    fingerprint = identify_packages(packages)
    if _kept_fingerprint(path) != fingerprint:
        _keep(harvest(packages), fingerprint, path)
    name = f"documentation of {len(packages)} installed packages"
    # The harvest leaves out what it has met before.
    return Documents(name, partial(_read_harvest, path), partial(str, fingerprint), is_distinct=True)


def _kept_fingerprint(path: Path) -> str | None:
    """Fingerprint of the harvest in `path`, None where there is none that can be read."""
    import pyarrow
    import pyarrow.parquet

    try:
        metadata = pyarrow.parquet.read_schema(path).metadata or {}
    except (OSError, pyarrow.ArrowException):
        return None
    return metadata.get(_FINGERPRINT, b"").decode()


def _keep(documents: Sequence[Any], fingerprint: str, path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    columns = {"text": [document.text for document in documents], "source": [document.topic for document in documents]}
    table = pyarrow.table(columns).replace_schema_metadata({_FINGERPRINT: fingerprint})
    remove_leftovers(path.parent)
    try:
        with atomic_file(path) as file:
            pyarrow.parquet.write_table(table, file, compression="zstd", row_group_size=1_000)
    except OSError as error:
        raise InputError(f"Cannot write '{path}' ({error}): free some space or make the folder writable.") from error


def _read_harvest(path: Path) -> Iterator[Any]:
    import pyarrow.parquet

    from ctcd.corpus.documents import Document

    with pyarrow.parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(_DOCUMENTS_PER_BATCH):
            for text, topic in zip(batch["text"].to_pylist(), batch["source"].to_pylist(), strict=True):
                yield Document(text, topic)
