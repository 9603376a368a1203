"""Models and tokenizers that somebody else made, in the catalog."""

from pathlib import Path
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError
from kedro.utils import load_obj


class SourceDataset(AbstractDataset[NoReturn, Any]):
    """What a user names by a folder or by its name on the hub, opened by a function of the project.

    ```yaml
    given_teacher:
      type: ctcd.datasets.source_dataset.SourceDataset
      source: google/bert_uncased_L-4_H-256_A-4
      loader: ctcd.modeling.pretrained.load_given_model
      checker: ctcd.modeling.pretrained.check_given_model
    ```
    """

    def __init__(
        self,
        *,
        source: str | None,
        loader: str,
        checker: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Describe the source.

        Args:
            source: a folder, a hub name, or a word that the loader knows.
            loader: dotted name of the function that opens the source.
            checker: dotted name of a function that raises an InputError if it cannot be opened, at little cost.
            metadata: for plugins such as kedro-viz; not used here.
        """
        self.metadata = metadata
        self.source, self._loader, self._checker = source, loader, checker

    def load(self) -> Any:
        """What the loader makes of the source."""
        return load_obj(self._loader)(self.source)

    def load_local(self) -> Any:
        """The same if the source is a folder; else None, and nothing is fetched."""
        return self.load() if self.source and Path(self.source).is_dir() else None

    def check(self) -> None:
        """Raise an InputError if the source cannot be opened, as far as that is cheap to know."""
        if self._checker:
            load_obj(self._checker)(self.source)

    def save(self, data: NoReturn) -> None:
        """Refused."""
        raise DatasetError("What somebody else made is read only.")

    def _describe(self) -> dict[str, Any]:
        return {"source": self.source, "loader": self._loader}
