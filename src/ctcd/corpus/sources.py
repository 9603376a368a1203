"""Settings of single sources: their languages, and how much is read of each."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial

from ctcd.corpus.documents import DEFAULT_LANGUAGE, UNNAMED, Document, Documents, join_sources
from ctcd.corpus.sentences import ABBREVIATIONS
from ctcd.corpus.settings import SourceParameters
from ctcd.errors import InputError
from ctcd.lineage.digest import digest


def apply_sources(documents: Documents, settings: Mapping[str, SourceParameters]) -> Documents:
    """The documents with their languages, and of each source no more than its settings allow.

    Raises:
        InputError: for settings of a source that there is not.
    """
    names = list(documents.sources) or [UNNAMED]
    for name in settings:
        if name not in names:
            raise InputError(
                f"corpus.sources describes '{name}', but the documents have {', '.join(names)}: rename it."
            )
    if not documents.sources:
        return _applied(documents, UNNAMED, settings.get(UNNAMED))
    return join_sources(
        {name: _applied(source, name, settings.get(name)) for name, source in documents.sources.items()}
    )


def _applied(documents: Documents, name: str, settings: SourceParameters | None) -> Documents:
    settings = settings or SourceParameters()
    language = settings.language or (name if name in ABBREVIATIONS else DEFAULT_LANGUAGE)
    if language == DEFAULT_LANGUAGE and settings.characters is None:
        return documents
    read = partial(_read, documents, language, settings.characters)
    identify = partial(_identify, documents, language, settings.characters)
    return replace(documents, read=read, identify=identify)


def _read(documents: Documents, language: str, characters: int | None) -> Iterator[Document]:
    read = 0
    for document in documents:
        yield replace(document, language=language)
        read += len(document.text)
        if characters is not None and read >= characters:
            return


def _identify(documents: Documents, language: str, characters: int | None) -> str:
    return digest(documents.fingerprint(), language, characters)
