"""Fine-tunings that failed, in the catalog."""

from kedro_datasets.pandas import CSVDataset


class FailuresDataset(CSVDataset):
    """A CSV table of failures. It is there once nothing failed: a run that does what is missing tries again.

    ```yaml
    "{variant}.failures":
      type: ctcd.datasets.failures_dataset.FailuresDataset
      filepath: data/07_model_output/{variant}/failures.csv
      versioned: true
      save_args: {index: false}
    ```
    """

    def _exists(self) -> bool:
        return super()._exists() and self.load().empty
