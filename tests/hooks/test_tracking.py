import json
import logging
import sqlite3
from logging.handlers import QueueHandler
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from ctcd.engine.progress import log_metrics, metrics_logger
from ctcd.hooks import tracking
from ctcd.hooks.tracking import TrackingHook

mlflow_tracking = pytest.importorskip("mlflow.tracking")

RUN = {"run_id": "2026-01-01T00.00.00.000Z", "pipeline_names": ["ctcd"]}
PARAMETERS = {
    "tracking": {"enabled": True},
    "pretraining": {"steps": 3, "odd name (1)": "x" * 7000, "password": "secret"},
}
COMPARISON = pd.DataFrame({"task": ["cola", "sst2"], "quantity": ["ctcd student"] * 2, "mean": [31.5, 88.0]})


def hook_at(project: Path, parameters: dict[str, Any]) -> TrackingHook:
    hook = TrackingHook()
    hook.after_context_created(SimpleNamespace(project_path=project, config_loader={"parameters": parameters}))
    return hook


def runs_of(project: Path) -> list[Any]:
    client = client_of(project)
    return client.search_runs([client.get_experiment_by_name(tracking.EXPERIMENT).experiment_id])


def client_of(project: Path) -> Any:
    return mlflow_tracking.MlflowClient(tracking_uri=f"sqlite:///{(project / 'data' / 'mlflow.db').as_posix()}")


def listeners() -> list[logging.Handler]:
    return [handler for handler in metrics_logger.handlers if isinstance(handler, QueueHandler)]


def warnings_in(caplog) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """Make a project with a database, once: MLflow takes seconds for it."""
    folder = tmp_path_factory.mktemp("project")
    metrics_logger.setLevel(logging.NOTSET)  # as Kedro leaves it where it configures logging after this was imported
    hook = hook_at(folder, PARAMETERS)
    hook.before_pipeline_run(RUN)
    for step in range(1, 1201):
        log_metrics("ctcd", step, {"teacher_hard_loss": 5.0 - step / 1000})
    hook.after_dataset_saved("report.ctcd.report", "<html>page</html>")
    hook.after_dataset_saved("report.ctcd.comparison", COMPARISON)
    hook.after_dataset_saved("report.methods.report", "<html>other</html>")
    hook.after_dataset_saved("ctcd.runs", [{"run": "f00d"}])
    hook.after_dataset_saved("ctcd.scores", COMPARISON)
    hook.after_dataset_saved("shards", object())
    hook.after_pipeline_run()
    return folder


def test_a_kedro_run_is_one_mlflow_run_with_its_parameters_and_tags(project):
    (run,) = runs_of(project)
    assert run.info.status == "FINISHED"
    assert run.data.tags["pipeline"] == "ctcd"
    assert run.data.tags["run_id"] == RUN["run_id"]
    assert run.data.params == {
        "tracking.enabled": "True",
        "pretraining.steps": "3",
        "pretraining.odd name _1_": "x" * 6000,
        "pretraining.password": "(hidden)",
    }


def test_every_training_metric_arrives_at_its_step(project):
    (run,) = runs_of(project)
    history = client_of(project).get_metric_history(run.info.run_id, "ctcd/teacher_hard_loss")
    assert {point.step: point.value for point in history} == {step: 5.0 - step / 1000 for step in range(1, 1201)}


def test_reports_tables_and_records_of_runs_are_artifacts_below_the_data_folder(project):
    (run,) = runs_of(project)
    (root,) = (project / "data" / "mlflow_artifacts" / run.info.run_id).iterdir()
    files = {path.relative_to(root).as_posix(): path for path in root.rglob("*.*")}
    assert set(files) == {"ctcd/report.html", "ctcd/comparison.csv", "methods/report.html", "runs/ctcd.json"}
    assert files["ctcd/report.html"].read_text(encoding="utf-8") == "<html>page</html>"
    assert pd.read_csv(files["ctcd/comparison.csv"]).equals(COMPARISON)
    assert json.loads(files["runs/ctcd.json"].read_text(encoding="utf-8")) == [{"run": "f00d"}]


def test_means_of_the_comparison_are_metrics(project):
    (run,) = runs_of(project)
    assert run.data.metrics["ctcd/cola/ctcd student"] == 31.5
    assert run.data.metrics["ctcd/sst2/ctcd student"] == 88.0


def test_after_a_run_nobody_listens_to_the_metrics(project):
    assert listeners() == []


@pytest.mark.parametrize(("ending", "status"), [("on_pipeline_error", "FAILED"), ("before_pipeline_run", "KILLED")])
def test_a_run_that_did_not_finish_is_marked(project, ending, status):
    hook = hook_at(project, PARAMETERS)
    hook.before_pipeline_run({**RUN, "run_id": status})
    if ending == "on_pipeline_error":
        hook.on_pipeline_error()
    else:  # an interrupt in a notebook: the next run finds the last one open
        hook.before_pipeline_run({**RUN, "run_id": "next"})
        hook.after_pipeline_run()
    (run,) = [run for run in runs_of(project) if run.data.tags["run_id"] == status]
    assert run.info.status == status


@pytest.mark.parametrize("installed", [True, False])
def test_tracking_that_is_off_or_impossible_leaves_no_trace(tmp_path, monkeypatch, caplog, installed):
    if not installed:
        monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    hook = hook_at(tmp_path, {"tracking": {"enabled": not installed}})
    hook.before_pipeline_run(RUN)
    hook.after_dataset_saved("report.ctcd.report", "<html>")
    hook.after_pipeline_run()
    assert list(tmp_path.iterdir()) == []
    assert caplog.records == []


def test_a_locked_database_is_one_warning(project, caplog):
    with sqlite3.connect(project / "data" / "mlflow.db") as connection:
        connection.execute("BEGIN EXCLUSIVE")
        hook = hook_at(project, PARAMETERS)
        hook.before_pipeline_run(RUN)
        hook.after_dataset_saved("report.ctcd.report", "<html>")
        hook.after_pipeline_run()
        connection.rollback()
    assert warnings_in(caplog) == [
        "MLflow tracking failed and is off for the rest of this run: database is locked",
    ]


def test_a_database_that_cannot_be_opened_is_one_warning(tmp_path, caplog):
    (tmp_path / "data" / "mlflow.db").mkdir(parents=True)
    hook = hook_at(tmp_path, PARAMETERS)
    hook.before_pipeline_run(RUN)
    hook.after_pipeline_run()
    assert warnings_in(caplog) == [
        "MLflow tracking failed and is off for the rest of this run: unable to open database file",
    ]


def test_a_store_that_fails_in_the_middle_is_one_warning(project, caplog, monkeypatch):
    def refuse(*arguments: Any, **options: Any) -> None:
        raise OSError("disk is gone\nand more")

    hook = hook_at(project, PARAMETERS)
    hook.before_pipeline_run(RUN)
    monkeypatch.setattr("mlflow.tracking.MlflowClient.log_batch", refuse)
    for step in range(2 * tracking.BATCH_METRICS):
        log_metrics("ctcd", step, {"loss": 1.0})
    hook.after_dataset_saved("report.ctcd.comparison", COMPARISON)
    hook.after_pipeline_run()
    assert warnings_in(caplog) == ["MLflow tracking failed and is off for the rest of this run: disk is gone"]
    assert listeners() == []


def test_metrics_are_written_in_batches():
    batches: list[list[Any]] = []
    handler = tracking._MetricsHandler(batches.append)
    for step in range(1001):
        handler.emit(SimpleNamespace(metrics={"teacher": 1.0, "student": 2.0}, step=step))
    handler.flush()
    assert sum(len(batch) for batch in batches) == 1001
    assert len(batches) < 20
