"""The trainings of one variant, for all seeds: what is missing is trained, the rest is found."""

from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import Any

import pandas as pd
from transformers import PreTrainedTokenizerBase

from ctcd.corpus.shards import Shards
from ctcd.distillation.methods import ROLES, Role, find_method
from ctcd.engine.hardware import Hardware, choose_hardware
from ctcd.engine.settings import ExecutionParameters
from ctcd.errors import InputError
from ctcd.lineage.digest import tokenizer_fingerprint
from ctcd.lineage.record import made_by, without_secrets
from ctcd.lineage.run_store import Request, Run, RunStore, write_record
from ctcd.lineage.state import StateStore
from ctcd.modeling.architecture import shape_of
from ctcd.modeling.card import model_card
from ctcd.modeling.pretrained import PretrainedModel, known_configuration
from ctcd.modeling.trained_models import TrainedModel, TrainedModels
from ctcd.pretraining.initial import InitialModel, given_model, open_given_model
from ctcd.pretraining.loop import pretrain
from ctcd.pretraining.plan import PlannedRun, plan_runs, started_models
from ctcd.pretraining.settings import SharedPretraining, VariantParameters, referenced_model

DATA = ("fingerprint", "source", "vocabulary_size", "sequence_length", "unigram_entropy")

# A model that is learned from and not trained: those of a variant, or one that the user gives.
Source = TrainedModels | PretrainedModel


def train_variant(
    variant: VariantParameters,
    shared: SharedPretraining,
    shards: Shards,
    tokenizer: PreTrainedTokenizerBase,
    execution: ExecutionParameters,
    store: RunStore,
    source: Source | None = None,
    initial: Mapping[Role, TrainedModels] | None = None,
) -> tuple[TrainedModels, pd.DataFrame, list[dict[str, Any]]]:
    """Train what is missing of a variant.

    Args:
        variant: its method and differences.
        shared: what all variants share, and the seeds.
        shards: packed sequences.
        tokenizer: the one that made the shards.
        execution: device, precision, intervals.
        store: of all runs.
        source: frozen models that the variant learns from.
        initial: models of other variants that its own start from, by role.

    Returns:
        Its models; the histories (run, pretraining_seed, step, tokens, role, metric, value); a record of each run.

    Raises:
        InputError: for what the user can put right.
    """
    shards.check_tokenizer(tokenizer_fingerprint(tokenizer))  # also where nothing is left to train
    frozen_role = find_method(variant.method, variant.weights).frozen if source is not None else None
    planned: list[tuple[int, PlannedRun]] = []
    requests = []
    starts = started_models(variant, shared)
    for seed in shared.seeds:
        source_id, load_source = _find_source(source, frozen_role, seed)
        found_initial = {role: _find_initial(model, (initial or {}).get(role), seed) for role, model in starts.items()}
        described = {role: model for role, (model, _) in found_initial.items()}
        load_initial = {role: load for role, (_, load) in found_initial.items()}
        for plan in plan_runs(variant, shared, seed, shards.metadata, source_id, described):
            planned.append((seed, plan))
            train = _training(plan, shards, tokenizer, execution, load_source, load_initial)
            requests.append(Request(plan.id, plan.label, train))
    runs = store.get_or_train(requests, reuse=execution.resume != "never")
    found = [(seed, plan, run) for (seed, plan), run in zip(planned, runs, strict=True)]
    return (
        TrainedModels(
            tuple(
                TrainedModel(seed, role, run.id, run.model(role))
                for seed in shared.seeds
                for role in ROLES
                for of_seed, plan, run in found
                if of_seed == seed and role in plan.method.trained
            )
        ),
        pd.concat([_history(run, seed) for seed, _, run in found], ignore_index=True),
        [{"variant": variant.name, "pretraining_seed": seed, **run.record} for seed, _, run in found],
    )


def _find_source(
    source: Source | None, role: Role | None, seed: int
) -> tuple[str | None, Callable[[], PretrainedModel | None]]:
    """Identity of the frozen model for a seed, and what loads it."""
    if isinstance(source, TrainedModels):
        model = source.find(role or "", seed)
        return f"{model.run}/{role}", model.load
    if source is not None:
        return f"given/{source.fingerprint()}", lambda: source
    return None, lambda: None


def _find_initial(
    name: str, models: TrainedModels | None, seed: int
) -> tuple[InitialModel, Callable[[], PretrainedModel]]:
    """The model that another one starts from, under a seed, and what loads it."""
    reference = referenced_model(name)
    if reference is None:
        return given_model(name), lambda: open_given_model(name)
    if models is None:
        raise InputError(f"'{name}' can be started from in a study's variants alone: name a folder, or write a study.")
    model = models.find(reference[1], seed)
    return InitialModel(f"{model.run}/{model.role}", shape_of(known_configuration(model.folder))), model.load


def _training(
    plan: PlannedRun,
    shards: Shards,
    tokenizer: PreTrainedTokenizerBase,
    execution: ExecutionParameters,
    load_source: Callable[[], PretrainedModel | None],
    load_initial: Mapping[Role, Callable[[], PretrainedModel]],
) -> Callable[[StateStore], Callable[[Path], None]]:
    """What trains a planned run, and then fills its folder."""

    def train(states: StateStore) -> Callable[[Path], None]:
        hardware = choose_hardware(execution, max(getattr(plan.settings, role).width for role in plan.method.trained))
        record = _record(plan, hardware, shards.metadata)
        started = monotonic()
        initial = {role: load() for role, load in load_initial.items() if role in plan.method.trained}
        models, history = pretrain(
            shards, tokenizer, plan.method, plan.settings, execution, states, load_source(), initial
        )
        record["made_by"]["seconds"] = round(monotonic() - started, 1)
        table = history.table()

        def fill(folder: Path) -> None:
            lineage = {"run": plan.id, "corpus": plan.data}
            for role, model in models.items():
                card = model_card(plan, role, shards.metadata, table)
                PretrainedModel(model, tokenizer, card, lineage).save(folder / role)
            table.to_parquet(folder / "history.parquet", index=False)
            write_record(folder, record)

        return fill

    return train


def _record(plan: PlannedRun, hardware: Hardware, corpus: Mapping[str, Any]) -> dict[str, Any]:
    """What the training is, for a reader and for the report's check."""
    return {
        "run": plan.id,
        "roles": list(plan.method.trained),
        "identity": plan.identity,
        "source": plan.source,
        "data": without_secrets({name: corpus[name] for name in DATA}),
        "made_by": made_by(hardware.name, str(hardware.dtype).removeprefix("torch.")),
    }


def _history(run: Run, seed: int) -> pd.DataFrame:
    table = pd.read_parquet(run.history)
    table.insert(0, "pretraining_seed", seed)
    table.insert(0, "run", run.id)
    return table
