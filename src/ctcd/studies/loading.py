"""Study files: read, merged and checked before anything runs."""

import os
import re
from collections.abc import Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError

from ctcd.distillation.methods import Role, find_method
from ctcd.errors import InputError
from ctcd.lineage.settings import Settings, deep_merge
from ctcd.pretraining.settings import GIVEN, VariantParameters
from ctcd.studies.study import Claim, Study, Variant

PACKAGE_FOLDER = Path(__file__).parent
FOLDER_SETTING = "CTCD_STUDIES"
SHARED = "shared"
NAME = r"[a-z][a-z0-9_]*"
# Names of variants and corpora that other entries of the catalog begin with; names of other pipelines.
RESERVED = {"corpus", "evaluation", "report", GIVEN}
RESERVED_STUDIES = {"all_studies", "corpus", "evaluation", "finetuning", "minimal_pairs", "pretraining", "report"}

Declaration = Mapping[str, Any]


class _Loader(yaml.SafeLoader):
    """YAML 1.2's booleans: `on` is a word here, and the name of what a claim is measured on."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(true|false)$"), list("tf"))


class StudyFile(Settings):
    """What a study file holds; a variant without a body is one that `shared.yml` declares.

    `settings` are those of all its variants, where a variant says nothing else.
    """

    question: str
    settings: dict[str, Any] = {}
    variants: Annotated[dict[str, dict[str, Any] | None], Field(min_length=1)]
    claims: list[Claim] = []


@cache
def all_studies() -> dict[str, Study]:
    """The package's studies, and those in the folder that the environment variable CTCD_STUDIES names.

    Raises:
        InputError: as `load_studies`.
    """
    own = os.environ.get(FOLDER_SETTING)
    return load_studies([PACKAGE_FOLDER, *([Path(own)] if own else [])])


def load_studies(folders: list[Path]) -> dict[str, Study]:
    """Read every study file of some folders; the first folder has `shared.yml`.

    Raises:
        InputError: naming the file and what is wrong in it.
    """
    shared = _read_yaml(folders[0] / f"{SHARED}.yml")
    studies: dict[str, Study] = {}
    known: dict[str, tuple[Variant, Path]] = {}
    for path in _study_files(folders):
        study = load_study(path, shared)
        if study.name in studies:
            raise InputError(f"There are two studies '{study.name}': rename '{path}'.")
        for variant in study.variants.values():
            first, other = known.setdefault(variant.name, (variant, path))
            if first != variant:
                raise InputError(
                    f"The variant '{variant.name}' means one thing in '{other}' and another in '{path}': rename one."
                )
        studies[study.name] = study
    return studies


def declared_variants(studies: Mapping[str, Study]) -> dict[str, dict[str, Any]]:
    """The settings of all variants by name: the parameters `variants`."""
    variants = [variant for study in studies.values() for variant in study.variants.values()]
    return {variant.name: {"name": variant.name, **variant.settings} for variant in variants}


def load_study(path: Path, shared: Mapping[str, Declaration]) -> Study:
    """Read one study file.

    Args:
        path: of the file, whose name is the study's.
        shared: declarations of variants by name, for all studies.

    Raises:
        InputError: naming the file and what is wrong in it.
    """
    if not re.fullmatch(NAME, path.stem) or path.stem in RESERVED_STUDIES:
        raise InputError(f"'{path}' cannot be a study: name it in small letters, and not after another pipeline.")
    try:
        content = StudyFile.model_validate(_read_yaml(path))
    except ValidationError as error:
        raise InputError(f"In the study '{path}', {_first_problem(error)}") from None
    declared = {name: body for name, body in content.variants.items() if body is not None}
    variants = {name: _variant(name, declared, shared, content.settings, path) for name in content.variants}
    _check_sources(variants, path)
    _check_initial(variants, path)
    _check_claims(content.claims, variants, path)
    return Study(path.stem, content.question, variants, tuple(content.claims))


def _first_problem(error: ValidationError) -> str:
    details = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, details['loc']))}: {details['msg'][0].lower()}{details['msg'][1:]}."


def _study_files(folders: list[Path]) -> list[Path]:
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"There is no folder '{folder}' of studies: correct {FOLDER_SETTING}.")
    return [path for folder in folders for path in sorted(folder.glob("*.yml")) if path.stem != SHARED]


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"The study '{path}' is not YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(content, dict):
        raise InputError(f"The study '{path}' is no mapping: give it question, variants and claims.")
    return content


def _variant(
    name: str,
    declared: Mapping[str, Declaration],
    shared: Mapping[str, Declaration],
    common: Declaration,
    path: Path,
) -> Variant:
    if not re.fullmatch(NAME, name) or name in RESERVED:
        raise InputError(f"In the study '{path}', the variant '{name}' needs another name: small letters, not taken.")
    settings = deep_merge(common, _resolve(name, declared, shared, path, ()))
    source = settings.pop("source", None)
    if (corpus := settings.get("corpus")) is not None and (corpus in RESERVED or not re.fullmatch(NAME, str(corpus))):
        raise InputError(f"In the study '{path}', the corpus '{corpus}' needs another name: small letters, not taken.")
    if "method" not in settings:
        raise InputError(f"In the study '{path}', the variant '{name}' has no method: give one, or `like`.")
    if "name" in settings:
        raise InputError(f"In the study '{path}', the variant '{name}' has a `name`: remove it, its key is its name.")
    try:
        checked = VariantParameters.model_validate({"name": name, **settings})
        method = find_method(checked.method, checked.weights, checked.terms)
    except ValidationError as error:
        raise InputError(f"In the study '{path}', variant '{name}', {_first_problem(error)}") from None
    except InputError as error:
        raise InputError(f"In the study '{path}', variant '{name}': {error}") from error
    if method.has_source and source is None:
        raise InputError(
            f"In the study '{path}', the variant '{name}' learns from a frozen {method.frozen}: give its `source`, a "
            f"variant or `{GIVEN}`."
        )
    if source is not None and not method.has_source:
        raise InputError(f"In the study '{path}', the variant '{name}' learns from no frozen model: remove `source`.")
    return Variant(name, method.trained, source, checked.corpus, settings, _initial(settings, method.trained))


def _initial(settings: Declaration, trained: tuple[Role, ...]) -> dict[Role, str]:
    """What the trained models start from, as far as the study says it."""
    models = {role: settings[role].get("initial") for role in trained if isinstance(settings.get(role), Mapping)}
    named = {role: model.get("from") if isinstance(model, Mapping) else model for role, model in models.items()}
    return {role: model for role, model in named.items() if isinstance(model, str)}


def _resolve(
    name: str,
    declared: Mapping[str, Declaration],
    shared: Mapping[str, Declaration],
    path: Path,
    through: tuple[str, ...],
) -> dict[str, Any]:
    """The whole declaration of a variant: what it is like, and where it differs."""
    if name in through:
        raise InputError(f"In the study '{path}', `like` goes in a circle: {' -> '.join([*through, name])}.")
    body = declared.get(name, shared.get(name))
    if body is None:
        known = ", ".join(sorted({*declared, *shared}))
        raise InputError(f"The study '{path}' knows no variant '{name}': describe it, or choose from {known}.")
    own = {key: value for key, value in body.items() if key != "like"}
    if "like" not in body:
        return own
    return deep_merge(_resolve(str(body["like"]), declared, shared, path, (*through, name)), own)


def _check_sources(variants: Mapping[str, Variant], path: Path) -> None:
    """Check that every source is there and trains the model that is learned from."""
    for variant in variants.values():
        if variant.source in (None, GIVEN):
            continue
        source = variants.get(variant.source or "")
        if source is None:
            raise InputError(
                f"In the study '{path}', '{variant.name}' learns from '{variant.source}': add that variant to it."
            )
        frozen = find_method(variant.settings["method"]).frozen
        if frozen not in source.trained:
            raise InputError(
                f"In the study '{path}', '{variant.name}' learns from the {frozen} of '{source.name}', which trains "
                "none: choose another source."
            )
        if source.corpus != variant.corpus:
            raise InputError(
                f"In the study '{path}', '{variant.name}' learns from '{source.name}', which is trained on another "
                "corpus: choose a source on the same one."
            )
        if source.source is not None:
            raise InputError(
                f"In the study '{path}', '{variant.name}' learns from '{source.name}', which learns from another "
                "variant itself: choose a source that needs none."
            )


def _check_initial(variants: Mapping[str, Variant], path: Path) -> None:
    """Check that every model that another one starts from is trained by the study, and before it."""
    for variant in variants.values():
        for name, role in variant.started_from.values():
            if name not in variants:
                raise InputError(
                    f"In the study '{path}', '{variant.name}' starts from '{name}': add that variant to it."
                )
            if role not in variants[name].trained:
                raise InputError(
                    f"In the study '{path}', '{variant.name}' starts from the {role} of '{name}', which trains none: "
                    "choose another model."
                )
            if variants[name].corpus != variant.corpus:
                raise InputError(
                    f"In the study '{path}', '{variant.name}' starts from '{name}', which is trained on another "
                    "corpus: choose a model on the same one."
                )
    try:
        TopologicalSorter({name: variant.parents for name, variant in variants.items()}).prepare()
    except CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        raise InputError(
            f"In the study '{path}', variants need each other's models: {circle}; choose another `initial` for one."
        ) from None


def _check_claims(claims: list[Claim], variants: Mapping[str, Variant], path: Path) -> None:
    models = [f"{variant.name} {role}" for variant in variants.values() for role in variant.trained]
    for model in (model for claim in claims for model in (claim.better, claim.than)):
        if model not in models:
            raise InputError(
                f"A claim of the study '{path}' is about '{model}', which it does not train: choose from "
                f"{', '.join(models)}."
            )
    if sum(claim.primary for claim in claims) > 1:
        raise InputError(f"The study '{path}' has two primary claims: leave one, which makes the headline.")
