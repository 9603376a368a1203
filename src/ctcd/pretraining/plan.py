"""Which trainings a variant consists of, and what makes each of them this one and no other."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ctcd.corpus.shards import check_sources
from ctcd.distillation.methods import ROLES, Method, Role, find_method
from ctcd.lineage.digest import digest
from ctcd.modeling.families import FAMILIES
from ctcd.modeling.settings import InitialLayers, ModelParameters
from ctcd.pretraining.batches import limited_count
from ctcd.pretraining.budget import AssumedVocabulary, in_steps
from ctcd.pretraining.initial import InitialModel, given_model, started_shape
from ctcd.pretraining.settings import PretrainingParameters, SharedPretraining, VariantParameters, referenced_model

# Raised by hand when a change of the code alters what is learned; `tests/pretraining/test_plan.py` notices.
TRAINING_VERSION = 1

# Settings that a training of this version may be without. Where they have these values they change nothing, and are no
# part of the identity: what was trained before there were such settings is found.
NEUTRAL: dict[str, Any] = {
    "kept_weights": "last",
    "method.terms": [],
    "optimiser.decay_share": 1.0,
    "soft_weights.decay_share": 1.0,
    "source_noise": 0.0,
    "sources": None,
    "student.width_share": 1.0,
    "teacher.width_share": 1.0,
    "training_share": 1.0,
}


@dataclass(frozen=True)
class PlannedRun:
    """One training that a variant needs.

    Attributes:
        label: its name in messages.
        method: who learns from whom.
        settings: with the budget in steps, unless it is in minutes.
        source: identity of the frozen model that is learned from; None without one.
        data: fingerprint of the corpus.
        initial: identities of the models that trained ones start from, by role; the others are random.
    """

    label: str
    method: Method
    settings: PretrainingParameters
    source: str | None
    data: str
    initial: Mapping[Role, str] = field(default_factory=dict)

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that decides what is learned, by dotted names."""
        decided = flatten({"method": _plain(self.method), **_deciding(self.settings, self.method, self.initial)})
        return {
            "version": TRAINING_VERSION,
            "data": self.data,
            "source": self.source,
            **{name: value for name, value in decided.items() if name not in NEUTRAL or value != NEUTRAL[name]},
        }

    @property
    def id(self) -> str:
        """The digest of the identity."""
        return digest(self.identity)


def plan_runs(
    variant: VariantParameters,
    shared: SharedPretraining,
    seed: int,
    corpus: Mapping[str, Any],
    source: str | None = None,
    initial: Mapping[Role, InitialModel] | None = None,
) -> list[PlannedRun]:
    """The trainings of a variant for one seed.

    Models that do not learn from each other are trained apart: with the same settings one of them is the same run in
    every variant.

    Args:
        variant: its method and differences.
        shared: what all variants share.
        seed: of the training.
        corpus: metadata of the shards.
        source: identity of the frozen model that is learned from.
        initial: models that trained ones start from.

    Raises:
        InputError: if one of these has another shape than the variant wants.
    """
    method = find_method(variant.method, variant.weights, variant.terms)
    vocabulary = AssumedVocabulary(corpus["vocabulary_size"])
    settings = _started(variant, variant.settings(shared, seed), initial or {})
    sequences = limited_count(_sequences(corpus, settings.sources), settings.training_share)
    if set(settings.sources or ()) == corpus.get("sources", {}).keys():
        settings = settings.model_copy(update={"sources": None})  # all of them
    settings = in_steps(settings, method, vocabulary, corpus["sequence_length"], sequences)
    parts = {part: f"{variant.name} {part.trained[0]}, seed {seed}" for part in method.independent_parts()}
    parts = parts if len(parts) > 1 else {method: f"{variant.name}, seed {seed}"}
    ids = {role: model.id for role, model in (initial or {}).items()}
    return [PlannedRun(label, part, settings, source, corpus["fingerprint"], ids) for part, label in parts.items()]


def _started(
    variant: VariantParameters, settings: PretrainingParameters, initial: Mapping[Role, InitialModel]
) -> PretrainingParameters:
    """The settings with the shapes of the models that trained ones start from."""
    shapes: dict[str, ModelParameters] = {
        role: started_shape(getattr(settings, role), model, (variant.model_extra or {}).get(role, {}))
        for role, model in initial.items()
    }
    return settings.model_copy(update=shapes)


def plan_variants(
    variants: Mapping[str, VariantParameters],
    sources: Mapping[str, str | None],
    shared: SharedPretraining,
    corpus: Mapping[str, Any],
) -> dict[str, list[PlannedRun]]:
    """The trainings of some variants for all seeds, by the variant's name.

    Args:
        variants: settings by name; one whose model is learned from or started from stands before those that do it.
        sources: the variant that each one learns from, if any; another name is one of a model that is not planned.
        shared: what all variants share, and the seeds.
        corpus: metadata of the shards.
    """
    planned: dict[str, list[PlannedRun]] = {}
    for name, variant in variants.items():
        frozen, source = find_method(variant.method).frozen, sources[name]
        planned[name] = []
        for seed in shared.seeds:
            learned_from = source
            if source in planned and frozen is not None:
                learned_from = planned_model(planned[source], frozen, seed).id
            initial = {
                role: planned_model(planned[reference[0]], reference[1], seed) if reference else given_model(model)
                for role, model in started_models(variant, shared).items()
                for reference in [referenced_model(model)]
            }
            planned[name] += plan_runs(variant, shared, seed, corpus, learned_from, initial)
    return planned


def started_models(variant: VariantParameters, shared: SharedPretraining) -> dict[Role, str]:
    """What the models of a variant start from that it trains or is measured by; those with random weights are left out.

    With matched operations a variant is measured by both.
    """
    settings = variant.settings(shared, shared.seeds[0])
    roles = ROLES if settings.matched_operations else find_method(variant.method).trained
    models = {role: getattr(settings, role).starts_from for role in roles}
    return {role: model for role, model in models.items() if model is not None}


def planned_model(plans: list[PlannedRun], role: Role, seed: int) -> InitialModel:
    """The model in a role that one of some planned runs gives."""
    run = next(plan for plan in plans if role in plan.method.trained and plan.settings.seed == seed)
    return InitialModel(f"{run.id}/{role}", getattr(run.settings, role))


def _sequences(corpus: Mapping[str, Any], sources: list[str] | None) -> int:
    """How many training sequences a corpus has in some of its sources."""
    if sources is None or "sources" not in corpus:  # the estimate of a run does not know them before they are read
        return int(corpus["splits"]["train"]["sequences"])
    check_sources(sources, corpus["sources"], corpus["source"])
    return sum(corpus["sources"][name]["train"]["sequences"] for name in set(sources))


def first_difference(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[str, Any, Any] | None:
    """Name, and both values, of the first setting in which two identities differ; None if they are equal."""
    for name in sorted(found.keys() | wanted.keys()):
        one, other = (identity.get(name, NEUTRAL.get(name)) for identity in (found, wanted))
        if one != other:
            return name, one, other
    return None


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, names joined by dots."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _plain(method: Method) -> dict[str, Any]:
    """A method as plain values: a weight of 4 and one of 4.0 are the same."""
    values = asdict(method)
    weights = {name: float(weight) for name, weight in values["weights"].items()}
    return values | {"weights": weights, "terms": [term.model_dump() for term in method.terms]}


def _deciding(settings: PretrainingParameters, method: Method, initial: Mapping[Role, str]) -> dict[str, Any]:
    """The settings that decide what is learned with a method."""
    values = settings.model_dump(exclude={"tokens", "epochs", "budget", "matched_operations"})
    if settings.sources is not None:
        values["sources"] = sorted(set(settings.sources))
    for role in ROLES:
        if role not in method.trained:
            del values[role]
        else:
            values[role] = _deciding_shape(getattr(settings, role), initial.get(role))
    if settings.steps == 0 and settings.minutes is None:
        return {name: values[name] for name in (*method.trained, "steps", "seed")}
    weights = method.weights
    unused = set()
    if not method.has_soft_losses:
        unused |= {"temperature", "source_noise"}
        unused |= set() if method.terms else {"soft_weights"}
    if not (weights.teacher_hard or weights.student_hard):
        unused.add("label_smoothing")
    if not method.learns_from_itself and settings.kept_average_decay is None:
        unused.add("moving_average_decay")
    if all(FAMILIES[getattr(settings, role).architecture].objective == "clm" for role in method.trained):
        unused.add("masking_share")
    if settings.optimiser.name == "adamw":
        del values["optimiser"]["matrix_learning_rate"]
    if settings.optimiser.schedule == "constant":
        del values["optimiser"]["decay_share"]
    if settings.soft_weights.final_factor == 1:
        del values["soft_weights"]["decay_share"]
    return {name: value for name, value in values.items() if name not in unused}


def _deciding_shape(shape: ModelParameters, initial: str | None) -> dict[str, Any]:
    """What decides a model before the first step; one that starts from another has the shape with the weights."""
    if initial is None:
        own = {shape.architecture: shape.own_options} if shape.own_options else {}
        return shape.model_dump(exclude={"initial"}) | {"options": own}
    layers = shape.initial.layers if isinstance(shape.initial, InitialLayers) else "all"
    return {"initial": {"model": initial, "layers": layers}, "dropout": shape.dropout}
