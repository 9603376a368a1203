"""What is said around a run: one line a stage, and at the end the summary and the place of the report."""

import logging
from pathlib import Path
from time import monotonic
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from ctcd.engine.progress import clock
from ctcd.errors import InputError
from ctcd.hooks.checks import (
    check_data_folder,
    check_initial_models,
    check_inputs,
    check_methods,
    check_minimal_pairs,
    check_parameters,
    check_sources,
    unread_inputs,
)
from ctcd.parameters import Parameters
from ctcd.pipelines import LONG
from ctcd.studies.loading import all_studies

logger = logging.getLogger(__name__)


def stage_name(node: Node) -> str:
    """Put a node in words: the pipeline that it belongs to, and what it does."""
    action = node.name.removeprefix(f"{node.namespace}.").replace("_", " ")
    variant = f" ({node.namespace})" if node.namespace else ""
    return f"{_pipeline_of(node)}: {action}{variant}".removeprefix(": ")


def _pipeline_of(node: Node) -> str:
    return min(node.tags - {LONG}, default="")


class ProjectHooks:
    """One line per stage, and at the end the summary and the place of the report."""

    def __init__(self) -> None:
        self._parameters: Parameters | None = None
        self._unread: set[str] = set()
        self._forget()

    def _forget(self) -> None:
        self._run_started = monotonic()
        self._started: dict[str, float] = {}
        self._unsaved: dict[str, set[str]] = {}
        self._done = 0
        self._summaries: list[str] = []
        self._reports: list[str] = []
        self._failures: list[str] = []

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Refuse wrong parameters before any node runs."""
        self._parameters = check_parameters(context.config_loader["parameters"])

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Refuse a run whose input is missing or whose methods do not fit the pipeline."""
        self._forget()
        if self._parameters is not None:
            check_methods(pipeline, self._parameters, all_studies())
            check_sources(pipeline, self._parameters, catalog)
            check_initial_models(pipeline, catalog, self._parameters, all_studies())
            check_minimal_pairs(pipeline, self._parameters.minimal_pairs, catalog)
            self._unread = unread_inputs(pipeline, self._parameters)
        if not run_params["only_missing_outputs"]:
            check_inputs(pipeline, catalog, run_params["load_versions"], self._unread)
        run_store: Any = catalog.get("run_store")
        if run_store is not None:
            check_data_folder(Path(run_store.filepath).parents[1])

    @hook_impl
    def before_dataset_loaded(self, node: Node) -> None:
        """Start a stage with the loading of its inputs."""
        self._start(node)

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Announce a stage that takes long."""
        self._start(node)
        if LONG in node.tags:
            logger.info("%s ...", stage_name(node))

    @hook_impl
    def after_node_run(self, node: Node) -> None:
        """Know what is still to be saved."""
        self._unsaved[node.name] = set(node.outputs)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any, node: Node) -> None:
        """End a stage when its last output is saved."""
        if dataset_name.endswith(".summary"):
            self._summaries.append(data)
        if dataset_name.endswith(".failures"):
            self._failures += data["reason"].tolist()
        if dataset_name.endswith(".report"):
            self._reports.append(dataset_name)
        unsaved = self._unsaved.get(node.name, set())
        unsaved.discard(dataset_name)
        if not unsaved:
            self._finish(node)

    @hook_impl
    def on_node_error(self, node: Node) -> None:
        """Say which stage failed; why is said by the command line."""
        self._fail(stage_name(node), self._started.pop(node.name, monotonic()))

    @hook_impl
    def on_pipeline_error(self, pipeline: Pipeline) -> None:
        """Say which stages failed to load their inputs or to save their outputs."""
        for node in pipeline.nodes:
            if node.name in self._started:
                self._fail(stage_name(node), self._started.pop(node.name))

    @hook_impl(trylast=True)
    def after_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Show the summary and where the report is.

        Raises:
            InputError: if a fine-tuning failed while the others went on.
        """
        skipped = len(pipeline.nodes) - self._done if run_params["only_missing_outputs"] else 0
        note = f"; {skipped} skipped because their outputs exist" if skipped else ""
        logger.info("finished in %s%s", clock(monotonic() - self._run_started), note)
        for summary in self._summaries:
            print(f"\n{summary.rstrip()}")
        for report in self._reports:
            print(f"\nReport: {_shown_path(catalog[report])}")
        if self._failures:
            some = "1 fine-tuning" if len(self._failures) == 1 else f"{len(self._failures)} fine-tunings"
            raise InputError(
                f"{some} failed and all other results are saved; put this right and run the same command again, which "
                f"keeps what is finished: {self._failures[0]}"
            )

    def _start(self, node: Node) -> None:
        self._started.setdefault(node.name, monotonic())

    def _finish(self, node: Node) -> None:
        started = self._started.pop(node.name, None)
        if started is not None:  # a generator saves its outputs many times
            self._done += 1
            logger.info("%-44s %8s", stage_name(node), _duration(monotonic() - started))

    def _fail(self, stage: str, started: float) -> None:
        logger.error("%-44s %8s, failed", stage, _duration(monotonic() - started))


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else f"{clock(seconds)} min"


def _shown_path(dataset: Any) -> str:
    path = Path(dataset._get_load_path())
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
