"""The headline within minutes: every method with as many seeds as the time allows, then fine-tuning.

    python benchmarks/gpu headline --data <folder> --work <folder> --results <folder> --minutes 9

The data folder holds `shards/`, `tokenizer/` and `glue/`. Seeds come one after the other, each whole: what ends the
command early leaves whole seeds. Tables are written after every training. The same command does what is missing.
"""

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import pandas as pd
from configuration import execution_parameters, read_configuration
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from ctcd.corpus.shards import Shards
from ctcd.engine.settings import ExecutionParameters
from ctcd.errors import InputError
from ctcd.finetuning.scoring import Stores, score_models
from ctcd.finetuning.settings import FinetuningParameters
from ctcd.lineage.array_store import ArrayStore
from ctcd.lineage.run_store import RunStore
from ctcd.lineage.settings import deep_merge
from ctcd.modeling.model_folder import ModelFolder
from ctcd.modeling.trained_models import TrainedModel, TrainedModels
from ctcd.pretraining.settings import SharedPretraining, VariantParameters
from ctcd.pretraining.variant import train_variant
from ctcd.tasks.files import FolderSuite
from ctcd.tasks.minimal_pairs import PairFolder, sample_pairs
from ctcd.tasks.pair_scoring import score_pairs
from ctcd.tasks.tasks import chosen_tasks

# In the order of training; the second one learns from the first one's teacher.
VARIANTS = '{"standalone": {"method": "standalone"}, "one_way": {"method": "one_way"}, "ctcd": {"method": "ctcd"}}'
SOURCES = {"one_way": "standalone"}
UNTRAINED = VariantParameters.model_validate({"name": "untrained", "method": "standalone", "budget": 0})
# Learning rates of Muon and AdamW that are compared on the teacher alone before anything else.
RATES = ((0.01, 0.0007), (0.02, 0.0014))
PROBE_SHARE = 0.2
PAIRS_PER_PARADIGM = {"blimp": 200, "zorro": 400}
PAIRS_SEED = 1
UNFINISHED = 75


@dataclass
class Headline:
    """What the command works with.

    Attributes:
        shards: packed sequences.
        tokenizer: of the models.
        suite: the tasks.
        shared: what all variants share.
        finetuning: of every model.
        execution: device and the like.
        work: what is kept between two commands.
        results: what is brought home.
        deadline: by `monotonic`; nothing starts that would end later.
        variants: by name, in the order of training.
        seconds: what each stage took before, by its name.
        models: of every variant and seed so far.
    """

    shards: Shards
    tokenizer: PreTrainedTokenizerBase
    suite: FolderSuite
    shared: SharedPretraining
    finetuning: FinetuningParameters
    execution: ExecutionParameters
    work: Path
    results: Path
    deadline: float
    variants: Mapping[str, VariantParameters]
    seconds: dict[str, float] = field(default_factory=dict)
    models: dict[tuple[str, int], TrainedModels] = field(default_factory=dict)

    def has_time(self, stage: str) -> bool:
        """Whether a stage is likely to end in time; one that never ran may start."""
        return monotonic() + 1.1 * self.seconds.get(stage, 0.0) < self.deadline

    def write(self, name: str, table: pd.DataFrame) -> None:
        """Write a table of results, whole or not at all."""
        partial = self.results / f".{name}.partial"
        table.to_csv(partial, index=False)
        partial.rename(self.results / name)


def run_headline(
    data: Path,
    work: Path,
    results: Path,
    device: str,
    environment: str,
    minutes: float,
    variants: Mapping[str, Any],
    changes: Mapping[str, Any],
) -> int:
    """Train, fine-tune and write tables; returns 75 if something is left to do."""
    results.mkdir(parents=True, exist_ok=True)
    logging.disable(logging.NOTSET)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("ctcd").setLevel(logging.INFO)
    settings = {name: read_configuration(name, environment) for name in ("pretraining", "finetuning")}
    settings = deep_merge(settings, changes)
    headline = Headline(
        shards=Shards(data / "shards"),
        tokenizer=AutoTokenizer.from_pretrained(data / "tokenizer"),
        suite=FolderSuite(data / "glue"),
        shared=SharedPretraining.model_validate(settings["pretraining"]),
        finetuning=FinetuningParameters.model_validate(settings["finetuning"]),
        execution=execution_parameters(environment, device=device),
        work=work,
        results=results,
        deadline=monotonic() + 60 * minutes,
        variants={name: VariantParameters.model_validate({"name": name, **each}) for name, each in variants.items()},
    )
    headline.shared = _with_better_rate(headline)
    _print_plan(headline)
    is_done = True
    for seed in headline.shared.seeds:
        is_done = is_done and _whole_seed(headline, seed)
    if is_done and headline.has_time("untrained"):
        _untrained(headline)
    return 0 if is_done else UNFINISHED


def _with_better_rate(headline: Headline) -> SharedPretraining:
    """The settings with the learning rate by which the teacher alone learns more in a fifth of the budget."""
    kept = headline.work / "rate.json"
    if not kept.is_file():
        store = RunStore(headline.work / "probes")
        alone = {"name": "probe", "method": "teacher_alone", "budget": PROBE_SHARE}
        rows = []
        for matrix_rate, rate in RATES:
            optimiser = {"learning_rate": rate, "matrix_learning_rate": matrix_rate}
            variant = VariantParameters.model_validate({**alone, "optimiser": optimiser})
            loss = float("nan")
            try:
                _, history, _ = _train(headline, variant, 0, store, None)
                loss = _final_loss(history)
            except InputError as error:
                print(error)
            rows.append({**optimiser, "heldout_loss": loss})
            headline.write("rates.csv", pd.DataFrame(rows))
        best = min(rows, key=lambda row: row["heldout_loss"] if row["heldout_loss"] == row["heldout_loss"] else 1e9)
        kept.write_text(json.dumps({name: best[name] for name in ("learning_rate", "matrix_learning_rate")}))
    chosen = json.loads(kept.read_text())
    print(f"learning rates: {chosen}", flush=True)
    values = deep_merge(headline.shared.model_dump(), {"optimiser": chosen})
    return SharedPretraining.model_validate(values)


def _print_plan(headline: Headline) -> None:
    shared = headline.shared
    print(f"{len(shared.seeds)} seeds of {', '.join(headline.variants)}, {shared.tokens:,} tokens each", flush=True)


def _whole_seed(headline: Headline, seed: int) -> bool:
    """Pre-train all variants with a seed and fine-tune their models; false if there was no time."""
    store = RunStore(headline.work / "runs")
    for name, variant in headline.variants.items():
        if not headline.has_time(name):
            return False
        source = headline.models.get((SOURCES.get(name, ""), seed))
        started = monotonic()
        models, history, records = _train(headline, variant, seed, store, source)
        headline.models[name, seed] = models
        if (seconds := monotonic() - started) > 1:
            headline.seconds[name] = seconds
        history.to_csv(headline.results / f"history-{name}-{seed}.csv.gz", index=False)
        (headline.results / f"runs-{name}-{seed}.json").write_text(json.dumps(records))
        _write_losses(headline)
        print(f"{name}, seed {seed}: {seconds:.1f} s", flush=True)
    models = [(name, model) for name in headline.variants for model in headline.models[name, seed]]
    if headline.has_time("pairs"):
        _score_pairs(headline, f"seed {seed}", models)
    if not headline.has_time("finetuning"):
        return False
    started = monotonic()
    _finetune(headline, f"seed {seed}", models)
    if (seconds := monotonic() - started) > 5:
        headline.seconds["finetuning"] = seconds
    print(f"fine-tuning, seed {seed}: {seconds:.1f} s", flush=True)
    return True


def _score_pairs(headline: Headline, name: str, models: list[tuple[str, TrainedModel]]) -> None:
    """Score some models on minimal pairs, where the data folder has them."""
    target = f"pairs-{name.replace(' ', '-')}.csv"
    folder = PairFolder(headline.suite.folder.parent / "minimal_pairs")
    names = [each for each in PAIRS_PER_PARADIGM if folder.has(each)]
    if not names or (headline.results / target).is_file():
        return
    started = monotonic()
    sets = {each: sample_pairs(folder.read(each), PAIRS_PER_PARADIGM[each], PAIRS_SEED) for each in names}
    results = ArrayStore(headline.work / "pairs")
    tables = [
        score_pairs(ModelFolder(model.folder), sets, headline.execution, results).assign(
            variant=variant, role=model.role, run=model.run
        )
        for variant, model in models
    ]
    headline.write(target, pd.concat(tables, ignore_index=True))
    headline.seconds["pairs"] = monotonic() - started
    print(f"minimal pairs, {name}: {headline.seconds['pairs']:.1f} s", flush=True)


def _untrained(headline: Headline) -> None:
    """Fine-tune random weights: the control beside every score."""
    models, _, _ = _train(headline, UNTRAINED, headline.shared.seeds[0], RunStore(headline.work / "runs"), None)
    _score_pairs(headline, "untrained", [("untrained", model) for model in models])
    _finetune(headline, "untrained", [("untrained", model) for model in models])


def _train(
    headline: Headline, variant: VariantParameters, seed: int, store: RunStore, source: TrainedModels | None
) -> tuple[TrainedModels, pd.DataFrame, list[dict[str, Any]]]:
    shared = headline.shared.model_copy(update={"seeds": [seed]})
    return train_variant(variant, shared, headline.shards, headline.tokenizer, headline.execution, store, source)


def _finetune(headline: Headline, name: str, models: list[tuple[str, TrainedModel]]) -> None:
    """Fine-tune some models on all tasks, and add their scores to the table."""
    stores = Stores(ArrayStore(headline.work / "tokens"), ArrayStore(headline.work / "results"))
    folders = [ModelFolder(model.folder) for _, model in models]
    tasks = chosen_tasks(headline.finetuning)
    scored = score_models(folders, headline.suite, tasks, headline.finetuning, headline.execution, stores)
    tables = [
        each.scores.assign(variant=variant, role=model.role, pretraining_seed=model.pretraining_seed, run=model.run)
        for (variant, model), each in zip(models, scored, strict=True)
    ]
    headline.write(f"scores-{name.replace(' ', '-')}.csv", pd.concat(tables, ignore_index=True))
    for each in scored:
        for reason in each.failures["reason"]:
            print(reason)


def _final_loss(history: pd.DataFrame) -> float:
    return float(history.loc[history["metric"] == "heldout_loss", "value"].iloc[-1])


def _write_losses(headline: Headline) -> None:
    """The final held-out loss of every model so far."""
    rows = []
    for path in sorted(headline.results.glob("history-*.csv.gz")):
        table = pd.read_csv(path)
        last = table[table["metric"].isin(["heldout_loss", "heldout_accuracy"])]
        rows.append(last.assign(variant=path.name.split("-")[1]))
    table = pd.concat(rows, ignore_index=True)
    headline.write("heldout_losses.csv", table[["variant", "pretraining_seed", "role", "tokens", "metric", "value"]])


def bundle(results: Path, target: Path) -> None:
    """Put all tables into one file, which is small enough for any door."""
    shutil.make_archive(str(target), "gztar", results)
