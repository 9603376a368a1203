"""What happens around a run: parameters and inputs are checked, stages are logged, the result is shown."""

import logging
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from time import monotonic
from typing import Any, get_args, get_origin

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from pydantic import BaseModel, ValidationError

from ctcd.distillation.methods import method_of
from ctcd.errors import InputError
from ctcd.evaluation.tasks import chosen_tasks
from ctcd.parameters import Parameters
from ctcd.progress import clock

logger = logging.getLogger(__name__)

SHOWN_ERRORS = 3
LONG = "params:execution"  # read by nodes that take minutes


def check_parameters(raw: Mapping[str, Any]) -> Parameters:
    """Validate the whole parameter tree, and the names of methods and tasks in it.

    Raises:
        InputError: names what is wrong, what is allowed, and for an unknown name the closest known one.
    """
    try:
        parameters = Parameters.model_validate(raw)
    except ValidationError as error:
        raise InputError(parameter_sentence(error)) from None
    for variant in parameters.variants.values():
        method_of(variant.method, variant.weights)
    chosen_tasks(parameters.finetuning)
    return parameters


def parameter_sentence(error: ValidationError) -> str:
    """Say a validation error of the parameters in one sentence."""
    problems = [_problem(**details) for details in error.errors(include_url=False)]
    more = len(problems) - SHOWN_ERRORS
    return "; ".join(problems[:SHOWN_ERRORS]) + (f"; and {more} more" if more > 0 else "")


def _problem(*, type: str, loc: tuple[int | str, ...], msg: str, input: Any, **_: Any) -> str:
    name = ".".join(map(str, loc))
    if type == "extra_forbidden":
        return f"there is no parameter '{name}'{_suggestion(name)}"
    if type == "missing":
        return f"parameter '{name}' is missing: set it in conf/base/parameters*.yml or with --params"
    if type == "value_error":
        return f"{name}: {msg.removeprefix('Value error, ')}".removeprefix(": ")
    value = repr(input)
    value = value if len(value) <= 60 else f"{value[:57]}..."
    return f"parameter '{name}' is {value} but {msg[0].lower()}{msg[1:]}".replace("but input should", "but should")


def _suggestion(name: str) -> str:
    parent, _, last = name.rpartition(".")
    depth = name.count(".")
    known = list(_known_names(Parameters))
    siblings = [path for path in known if path.count(".") == depth and fnmatchcase(parent, path.rpartition(".")[0])]
    sibling_names = [path.rpartition(".")[2] for path in siblings]
    if close := get_close_matches(last, sibling_names, n=1):
        return f"; did you mean '{f'{parent}.{close[0]}'.removeprefix('.')}'?"
    elsewhere = {path.rpartition(".")[2]: path for path in reversed(known)}
    if close := get_close_matches(last, elsewhere, n=1):
        return f"; did you mean '{elsewhere[close[0]].replace('*', '<name>')}'?"
    return f"; {f'{parent} has' if parent else 'there are'} {', '.join(sibling_names)}"


def _known_names(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """All dotted names of a model's fields; a name that the user chooses is `*`."""
    for name, field in model.model_fields.items():
        yield prefix + name
        chosen = "*." if get_origin(field.annotation) is dict else ""
        for nested in (field.annotation, *get_args(field.annotation)):
            if isinstance(nested, type) and issubclass(nested, BaseModel):
                yield from _known_names(nested, f"{prefix}{name}.{chosen}")


def check_methods(pipeline: Pipeline, parameters: Parameters) -> None:
    """Check that each variant's method trains the models that the pipeline wants from it.

    Raises:
        InputError: if it does not.
    """
    for node in pipeline.nodes:
        if node.name != f"{node.namespace}.pretrain":
            continue
        if node.namespace not in parameters.variants:
            raise InputError(f"there are no settings for the variant '{node.namespace}': add it to variants")
        name = parameters.variants[node.namespace].method
        trained = [f"{node.namespace}.{role}" for role in method_of(name).trained]
        if wanted := [output for output in node.outputs if output not in trained and "history" not in output]:
            raise InputError(f"the method '{name}' does not train '{wanted[0]}': choose another for this variant")
        if left := [output for output in trained if output not in node.outputs]:
            raise InputError(
                f"the method '{name}' trains '{left[0]}', for which this pipeline has a ready model: choose another "
                "for this variant"
            )


def check_inputs(
    pipeline: Pipeline,
    catalog: DataCatalog,
    load_versions: Mapping[str, str] | None,
    unread: AbstractSet[str] = frozenset(),
) -> None:
    """Check that what the nodes of a run read, and other nodes of the project make, has been made.

    Args:
        pipeline: of the run.
        catalog: of the project.
        load_versions: versions that the user asked for.
        unread: inputs that nothing is going to be read from.

    Raises:
        InputError: names the missing data and the pipeline that makes it.
    """
    from kedro.framework.project import pipelines

    pipelines.set_requested(None)  # other nodes may be in a pipeline that this run did not ask for
    for name in sorted(pipeline.inputs() - unread):
        if check := getattr(catalog.get(name), "check", None):
            check()
        makers = {key: len(other.nodes) for key, other in pipelines.items() if name in other.all_outputs()}
        if not makers or catalog.exists(name):
            continue
        if version := (load_versions or {}).get(name):
            raise InputError(f"'{name}' has no version '{version}': give one that exists to --load-versions")
        smallest = min(makers, key=lambda key: makers[key])
        raise InputError(f"'{name}' does not exist yet: run the pipeline '{smallest}' first, which makes it")


def stage_name(node: Node) -> str:
    """Put a node in words: the pipeline that it belongs to, and what it does."""
    action = node.name.removeprefix(f"{node.namespace}.").replace("_", " ")
    variant = f" ({node.namespace})" if node.namespace else ""
    return f"{_pipeline_of(node)}: {action}{variant}".removeprefix(": ")


def _pipeline_of(node: Node) -> str:
    return node.func.__module__.partition(".pipelines.")[2].partition(".")[0]


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
        self._summary: str | None = None
        self._report_saved = False
        self._failures: list[str] = []

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Refuse wrong parameters before any node runs."""
        self._parameters = parameters = check_parameters(context.config_loader["parameters"])
        self._unread = {"probes"} - {parameters.finetuning.suite}

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Refuse a run whose input is missing or whose methods do not fit the pipeline."""
        self._forget()
        if self._parameters is not None:
            check_methods(pipeline, self._parameters)
        if not run_params["only_missing_outputs"]:
            check_inputs(pipeline, catalog, run_params["load_versions"], self._unread)

    @hook_impl
    def before_dataset_loaded(self, node: Node) -> None:
        """Start a stage with the loading of its inputs."""
        self._start(node)

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Announce a stage that takes long."""
        self._start(node)
        if node.outputs and LONG in node.inputs:
            logger.info("%s ...", stage_name(node))

    @hook_impl
    def after_node_run(self, node: Node) -> None:
        """End a node that has no outputs: it tidies up, which is worth no line."""
        self._unsaved[node.name] = set(node.outputs)
        if not node.outputs:
            self._started.pop(node.name)
            self._done += 1

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any, node: Node) -> None:
        """End a stage when its last output is saved."""
        if dataset_name.rpartition(".")[2] == "summary":
            self._summary = data
        if dataset_name.endswith(".failures"):
            self._failures += data["reason"].tolist()
        self._report_saved |= dataset_name == "report"
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
        if self._summary:
            print(f"\n{self._summary.rstrip()}")
        if self._report_saved:
            print(f"\nReport: {_shown_path(catalog['report'])}")
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
