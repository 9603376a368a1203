"""MLflow tracking of Kedro runs, in `data/mlflow.db` and `data/mlflow_artifacts` of the project."""

import atexit
import json
import logging
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from importlib.util import find_spec
from logging.handlers import QueueHandler, QueueListener
from pathlib import Path
from queue import SimpleQueue
from time import monotonic, time
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl

from ctcd.engine.progress import metrics_logger
from ctcd.errors import first_line
from ctcd.lineage.record import git_commit, without_secrets

logger = logging.getLogger(__name__)

EXPERIMENT = "ctcd"
TABLES = ("claims", "comparison", "scores")
BATCH_METRICS = 500
BATCH_SECONDS = 5.0
# Limits of MLflow: characters of a name and of a parameter's value, parameters in one call.
NAME_LENGTH, VALUE_LENGTH, BATCH_PARAMETERS = 250, 6000, 100

Attempt = Callable[[Callable[[], None]], None]


class TrackingHook:
    """One MLflow run per Kedro run. A failing call is reported once and ends the tracking, never the run."""

    def __init__(self) -> None:
        self._run: _Run | None = None
        self._failed = False
        # An interrupt reaches none of Kedro's hooks.
        atexit.register(self._end, "KILLED")

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Keep what the run is going to log."""
        self._project_path = context.project_path
        self._parameters = context.config_loader["parameters"]

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any]) -> None:
        """Open the MLflow run, unless tracking is off or MLflow is not installed."""
        self._end("KILLED")
        self._failed = False
        if self._parameters["tracking"]["enabled"] and find_spec("mlflow"):
            self._attempt(lambda: self._begin(run_params))

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Log reports and their tables as artifacts, what the models were made by, and the comparison as metrics."""
        run = self._run
        if run is None:
            return
        owner, _, kind = dataset_name.rpartition(".")
        name = owner.removeprefix("report.")
        if kind == "report":
            self._attempt(lambda: run.log_text(data, f"{name}/report.html"))
        if kind in TABLES and owner != name:
            self._attempt(lambda: run.log_text(data.to_csv(index=False), f"{name}/{kind}.csv"))
        if kind == "runs" and owner == name:
            self._attempt(lambda: run.log_text(json.dumps(data, indent=2), f"runs/{name}.json"))
        if kind == "comparison":
            self._attempt(lambda: run.log_metrics(_means(name, data)))

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Close the MLflow run."""
        self._end("FINISHED")

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Close the MLflow run as failed."""
        self._end("FAILED")

    def _begin(self, run_params: dict[str, Any]) -> None:
        pipeline = ",".join(run_params["pipeline_names"] or ["ctcd"])
        code = {f"git_{key}": str(value).lower() for key, value in git_commit().items()}
        tags = {"pipeline": pipeline, "run_id": run_params["run_id"], **code}
        self._run = _Run(self._project_path, f"{pipeline} {run_params['run_id']}", tags, self._attempt)
        self._run.log_parameters(without_secrets(self._parameters))

    def _end(self, status: str) -> None:
        run, self._run = self._run, None
        if run is not None:
            run.stop_listening()
            self._attempt(lambda: run.close(status))

    def _attempt(self, call: Callable[[], None]) -> None:
        if self._failed:
            return
        try:
            call()
        except Exception as error:
            self._failed = True
            logger.warning("MLflow tracking failed and is off for the rest of this run: %s", first_line(error))


class _Run:
    """An open MLflow run. What `ctcd.metrics` says is written in batches by a thread: training never waits for it."""

    def __init__(self, project_path: Path, name: str, tags: dict[str, str], attempt: Attempt) -> None:
        database = project_path / "data" / "mlflow.db"
        _check_database(database)
        from mlflow.tracking import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)  # it tells how it makes its tables
        self._client = MlflowClient(tracking_uri=f"sqlite:///{database.as_posix()}")
        experiment = self._client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            artifacts = (project_path / "data" / "mlflow_artifacts").as_uri()
            experiment_id = self._client.create_experiment(EXPERIMENT, artifact_location=artifacts)
        else:
            experiment_id = experiment.experiment_id
        self._id = self._client.create_run(experiment_id, run_name=name, tags=tags).info.run_id

        records: SimpleQueue[logging.LogRecord] = SimpleQueue()
        self._collector = _MetricsHandler(lambda batch: attempt(lambda: self._write(batch)))
        self._queue_handler = QueueHandler(records)
        self._listener = QueueListener(records, self._collector)
        self._listener.start()
        # A configuration of logging that came after the logger was made has taken both back.
        metrics_logger.setLevel(logging.DEBUG)
        metrics_logger.propagate = False
        metrics_logger.addHandler(self._queue_handler)

    def log_parameters(self, parameters: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        entries = [Param(_name(key), str(value)[:VALUE_LENGTH]) for key, value in _flattened(parameters)]
        for start in range(0, len(entries), BATCH_PARAMETERS):
            self._client.log_batch(self._id, params=entries[start : start + BATCH_PARAMETERS])

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        now = int(1000 * time())
        self._client.log_batch(self._id, metrics=[Metric(_name(key), metrics[key], now, 0) for key in metrics])

    def log_text(self, text: str, file_name: str) -> None:
        self._client.log_text(self._id, text, file_name)

    def stop_listening(self) -> None:
        metrics_logger.removeHandler(self._queue_handler)
        self._listener.stop()
        self._collector.flush()

    def close(self, status: str) -> None:
        self._client.set_terminated(self._id, status)

    def _write(self, records: list[Any]) -> None:
        from mlflow.entities import Metric

        metrics = [
            Metric(_name(f"{record.label}/{key}"), float(value), int(1000 * record.created), record.step)
            for record in records
            for key, value in record.metrics.items()
        ]
        self._client.log_batch(self._id, metrics=metrics)


class _MetricsHandler(logging.Handler):
    """Collects records and hands them on in batches."""

    def __init__(self, write: Callable[[list[Any]], None]) -> None:
        super().__init__()
        self._write = write
        self._records: list[Any] = []
        self._metrics = 0
        self._written = monotonic()

    def emit(self, record: Any) -> None:
        self._records.append(record)
        self._metrics += len(record.metrics)
        if self._metrics >= BATCH_METRICS or monotonic() - self._written >= BATCH_SECONDS:
            self.flush()

    def flush(self) -> None:
        records, self._records, self._metrics = self._records, [], 0
        if records:
            self._write(records)
        self._written = monotonic()


def _check_database(database: Path) -> None:
    """Fails at once on a database that is locked, read-only or none: MLflow would try again for minutes."""
    database.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(database, timeout=2)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.rollback()


def _means(study: str, comparison: Any) -> dict[str, float]:
    return {f"{study}/{row.task}/{row.quantity}": float(row.mean) for row in comparison.itertuples()}


def _name(key: str) -> str:
    """Turn a key into a name that MLflow takes."""
    return re.sub(r"[^\w.\- :/]", "_", key)[:NAME_LENGTH]


def _flattened(parameters: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in parameters.items():
        if isinstance(value, Mapping) and value:
            yield from _flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
