"""Parameters and inputs are checked before the first node runs."""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, get_args, get_origin

from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from pydantic import BaseModel, ValidationError

from ctcd.distillation.methods import check_relation_heads, find_method
from ctcd.errors import InputError
from ctcd.lineage.settings import HUB
from ctcd.parameters import Parameters
from ctcd.pipelines import of_corpus
from ctcd.pretraining.settings import GIVEN, Recipe, VariantParameters, referenced_model
from ctcd.studies.study import Study
from ctcd.tasks.settings import HELDOUT_TEXT, MinimalPairsParameters
from ctcd.tasks.tasks import chosen_tasks

SHOWN_ERRORS = 3


def check_parameters(raw: Mapping[str, Any]) -> Parameters:
    """Validate the whole parameter tree, and the names of methods and tasks in it.

    Raises:
        InputError: names what is wrong, what is allowed, and for an unknown name the closest known one.
    """
    _check_variant_names(raw.get("variants", {}))
    try:
        parameters = Parameters.model_validate(raw)
    except ValidationError as error:
        raise InputError(parameter_sentence(error)) from None
    for name, variant in parameters.variants.items():
        if variant.corpus is not None and variant.corpus not in parameters.corpora:
            raise InputError(
                f"the variant '{name}' is trained on the corpus '{variant.corpus}', which is not described: add "
                f"corpora.{variant.corpus} to the parameters and {variant.corpus}.documents to the catalog"
            )
        find_method(variant.method, variant.weights, variant.terms)
        try:
            variant.settings(parameters.pretraining, seed=0)
        except ValidationError as error:
            raise InputError(parameter_sentence(error, f"variants.{name}.")) from None
        try:
            chosen_tasks(parameters.finetuning.changed(variant.finetuning))
        except ValidationError as error:
            raise InputError(parameter_sentence(error, f"variants.{name}.finetuning.")) from None
    chosen_tasks(parameters.finetuning)
    return parameters


def _check_variant_names(variants: Mapping[str, Any]) -> None:
    """Refuse a difference of a variant that no study declares."""
    declared = [name for name, body in variants.items() if isinstance(body, Mapping) and "method" in body]
    for name in variants.keys() - declared:
        close = get_close_matches(name, declared, n=1)
        cure = f"did you mean '{close[0]}'?" if close else f"choose from {', '.join(sorted(declared))}"
        raise InputError(f"there is no variant '{name}'; {cure}")


def parameter_sentence(error: ValidationError, prefix: str = "") -> str:
    """Say a validation error of the parameters in one sentence; `prefix` stands before the names in it."""
    problems = [_problem(prefix, **details) for details in error.errors(include_url=False)]
    more = len(problems) - SHOWN_ERRORS
    return "; ".join(problems[:SHOWN_ERRORS]) + (f"; and {more} more" if more > 0 else "")


def _problem(prefix: str, *, type: str, loc: tuple[int | str, ...], msg: str, input: Any, **_: Any) -> str:
    name = prefix + ".".join(map(str, loc))
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
        if field.annotation == dict[str, VariantParameters]:
            yield from _known_names(Recipe, f"{prefix}{name}.*.")
        for nested in (field.annotation, *get_args(field.annotation)):
            if isinstance(nested, type) and issubclass(nested, BaseModel):
                yield from _known_names(nested, f"{prefix}{name}.{chosen}")


def check_methods(pipeline: Pipeline, parameters: Parameters, studies: Mapping[str, Study]) -> None:
    """Check that each variant still trains the models that its study declares, on the corpus that it declares.

    Raises:
        InputError: if `--params` or an environment gave it another corpus, a method that trains others, or a width that
            its relation heads do not divide.
    """
    declared = {name: variant for study in studies.values() for name, variant in study.variants.items()}
    for name in {node.namespace for node in pipeline.nodes} & declared.keys():
        variant = parameters.variants[str(name)]
        if variant.corpus != declared[str(name)].corpus:
            raise InputError(
                f"the study trains the variant '{name}' on another corpus than '{variant.corpus}': declare a variant "
                "of your own that is trained on it"
            )
        method = find_method(variant.method, variant.weights, variant.terms)
        if method.trained != declared[str(name)].trained:
            raise InputError(
                f"the method '{variant.method}' trains other models than the study declares for the variant '{name}': "
                "choose another method, or declare a variant of your own"
            )
        settings = variant.settings(parameters.pretraining, seed=0)
        shapes = [getattr(settings, role) for role in method.trained]
        # A model that is not new has its own width, which is checked once it is opened.
        check_relation_heads(method.terms, [shape.width for shape in shapes if shape.initial is None])


def check_sources(pipeline: Pipeline, parameters: Parameters, catalog: DataCatalog) -> None:
    """Check that the corpus of each variant has the sources that the variant is trained on.

    Raises:
        InputError: naming the variant and the first source that is not there.
    """
    for name in {str(node.namespace) for node in pipeline.nodes} & parameters.variants.keys():
        variant = parameters.variants[name]
        known = getattr(catalog.get(of_corpus(variant.corpus, "documents")), "source_names", None)
        wanted = variant.settings(parameters.pretraining, seed=0).sources or []
        if known is not None and (unknown := [source for source in wanted if source not in known]):
            raise InputError(
                f"the variant '{name}' is trained on the source '{unknown[0]}', which its corpus has not: choose from "
                f"{', '.join(known)}"
            )


def unread_inputs(pipeline: Pipeline, parameters: Parameters) -> set[str]:
    """Inputs of a pipeline that nothing is going to be read from."""
    kinds = {"probes"} - suites_read(pipeline, parameters)
    readers = {node.name for node in pipeline.nodes if "heldout_pairs" in node.inputs}
    # A given model is scored on pairs from held-out text only where a corpus made some.
    if HELDOUT_TEXT not in parameters.minimal_pairs.sets or readers == {"evaluate_minimal_pairs"}:
        kinds.add("heldout_pairs")
    return {name for name in pipeline.inputs() if name.rpartition(".")[2] in kinds}


def suites_read(pipeline: Pipeline, parameters: Parameters) -> set[str]:
    """The suites of tasks that the models of a pipeline are scored on."""
    names = {str(node.namespace) for node in pipeline.nodes} & parameters.variants.keys()
    differences = [parameters.variants[name].finetuning for name in names] or [{}]
    return {parameters.finetuning.changed(each).suite for each in differences}


def check_initial_models(
    pipeline: Pipeline, catalog: DataCatalog, parameters: Parameters, studies: Mapping[str, Study]
) -> None:
    """Check that the models are there that the variants of a pipeline start from or are taught by, without weights.

    Raises:
        InputError: if one is not, has another vocabulary than the corpus is going to have or another shape than the
            variant wants, or is one of a variant that the study does not declare to be started from.
    """
    declared = {name: variant for study in studies.values() for name, variant in study.variants.items()}
    names = {node.name.removesuffix(".pretrain") for node in pipeline.nodes} & declared.keys()
    if not names:
        return  # PyTorch is not loaded for the corpus
    from ctcd.pretraining.initial import InitialModel, find_given_model, started_shape
    from ctcd.pretraining.plan import started_models

    given: dict[str | None, set[str]] = {}
    for name in sorted(names):
        variant, of_corpora = parameters.variants[name], given.setdefault(declared[name].corpus, set())
        settings = variant.settings(parameters.pretraining, seed=0)
        if declared[name].source == GIVEN and (teacher := getattr(catalog.get("given_teacher"), "source", None)):
            find_given_model(teacher)
            of_corpora.add(teacher)
        for role, model in started_models(variant, parameters.pretraining).items():
            reference = referenced_model(model)
            if reference is None:
                found = InitialModel("", find_given_model(model))
                started_shape(getattr(settings, role), found, (variant.model_extra or {}).get(role, {}))
                of_corpora.add(model)
            elif declared[name].started_from.get(role) != reference:
                raise InputError(
                    f"the study does not declare that '{name}' starts from '{model}': write a study in which it does, "
                    "or name a folder"
                )
    for corpus, models in given.items():
        if models and of_corpus(corpus, "tokenizer") in pipeline.all_outputs():
            _check_vocabulary(corpus, sorted(models), catalog)


def _check_vocabulary(corpus: str | None, given: Sequence[str], catalog: DataCatalog) -> None:
    """Check the tokenizer before all text is read with it: a ready one, or else that of the corpus as it is now."""
    from ctcd.lineage.digest import tokenizer_fingerprint
    from ctcd.pretraining.initial import given_tokenizer

    ready, trained = (of_corpus(corpus, kind) for kind in ("ready_tokenizer", "tokenizer"))
    tokenizer = catalog.load(ready)
    if tokenizer is None and catalog.exists(trained):
        tokenizer = catalog.load(trained)
    for model in given:
        if tokenizer is None or tokenizer_fingerprint(tokenizer) != tokenizer_fingerprint(given_tokenizer(model)):
            cure = f"--params tokenizer={model}" if corpus is None else f"as `{ready}` in the catalog"
            raise InputError(
                f"the model in '{model}' has another vocabulary than the corpus: give the corpus its tokenizer, {cure}"
            )


def check_minimal_pairs(pipeline: Pipeline, settings: MinimalPairsParameters, catalog: DataCatalog) -> None:
    """Check that the sets of minimal pairs that a run is going to score are there and can be read.

    Raises:
        InputError: as `ctcd.tasks.minimal_pairs.read_sets`.
    """
    from ctcd.tasks.minimal_pairs import read_sets

    given = [name for name in settings.sets if name != HELDOUT_TEXT and not name.startswith(HUB)]
    if not given or not any("minimal_pair_results" in node.inputs for node in pipeline.nodes):
        return
    files: Any = catalog.load("minimal_pair_files")
    read_sets(settings.model_copy(update={"sets": given}), files, files)


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
    from ctcd.pipeline_registry import register_pipelines

    pipelines = register_pipelines()  # other nodes may be in a pipeline that this run did not ask for
    for name in sorted(pipeline.inputs() - unread):
        if check := getattr(catalog.get(name), "check", None):
            check()
        if name.endswith(".documents") and not catalog.exists(name):
            cure = "name the folder that has it with --params data_root=<folder>"
            cure = cure if name in catalog else f"describe '{name}' in the catalog"
            raise InputError(f"the text of the corpus '{name.removesuffix('.documents')}' is not there: {cure}")
        makers = {key: len(other.nodes) for key, other in pipelines.items() if name in other.all_outputs()}
        if not makers or catalog.exists(name):
            continue
        if version := (load_versions or {}).get(name):
            raise InputError(f"'{name}' has no version '{version}': give one that exists to --load-versions")
        smallest = min(makers, key=lambda key: makers[key])
        raise InputError(f"'{name}' does not exist yet: run the pipeline '{smallest}' first, which makes it")


def check_data_folder(folder: Path) -> None:
    """Check that a data folder is not from a version that gave trainings no identity.

    Raises:
        InputError: if it is.
    """
    old = ("06_models/*/training_state", "06_models/*/teacher", "06_models/*/student", "08_reporting/report.html")
    if any(next(folder.glob(pattern), None) for pattern in old):
        raise InputError(f"'{folder}' was filled by an older version of this project: move it away and run again")
