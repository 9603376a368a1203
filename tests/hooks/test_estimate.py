"""What is said before a long pre-training, and what is not."""

import copy
import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from kedro.config import OmegaConfigLoader
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline

from ctcd.datasets.source_dataset import SourceDataset
from ctcd.errors import InputError
from ctcd.hooks import estimate
from ctcd.hooks.declare import DeclareHook
from ctcd.hooks.estimate import EstimateHook, Machine, duration
from ctcd.lineage.digest import weights_fingerprint
from ctcd.lineage.run_store import RunStore, write_record
from ctcd.modeling.model_folder import ModelFolder
from ctcd.pipeline_registry import register_pipelines
from ctcd.pretraining.plan import plan_variants
from ctcd.pretraining.settings import SharedPretraining, VariantParameters
from ctcd.settings import CONFIG_LOADER_ARGS

CONF = Path(__file__).parents[2] / "conf"
Say = Callable[..., EstimateHook]


def tokenizer_source(source: str) -> SourceDataset:
    return SourceDataset(source=source, loader="ctcd.corpus.tokenizer.load_given_tokenizer")


def parameters_of(environment: str, **changes: Any) -> dict[str, Any]:
    """Parameters of an environment; `pretraining__epochs=1` changes one of them."""
    loader = OmegaConfigLoader(str(CONF), env=environment, **CONFIG_LOADER_ARGS)
    DeclareHook().after_context_created(SimpleNamespace(config_loader=loader, project_path=CONF.parent))
    parameters = copy.deepcopy(loader["parameters"])
    for dotted, value in changes.items():
        group, _, name = dotted.partition("__")
        parameters[group][name] = value
    return parameters


@pytest.fixture(scope="module")
def pipelines() -> dict[str, Pipeline]:
    return register_pipelines()


@pytest.fixture(autouse=True)
def slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is always the same: an effective 4 TFLOP/s."""
    machine = Machine("a processor", memory=16e9, speed=1e13, precision="bfloat16")
    monkeypatch.setattr(estimate, "_machine", lambda hardware: machine)


@pytest.fixture
def say(pipelines: dict[str, Pipeline], caplog: pytest.LogCaptureFixture, tmp_path: Path) -> Say:
    """Start a run; what is said is in caplog."""
    caplog.set_level(logging.INFO, logger="ctcd")

    def start(parameters: dict[str, Any], pipeline: str = "ctcd", catalog: DataCatalog | None = None) -> EstimateHook:
        parameters["execution"] |= {"device": "cpu"} if parameters["execution"]["device"] == "auto" else {}
        hook = EstimateHook()
        hook.after_context_created(SimpleNamespace(config_loader={"parameters": parameters}))
        ready = tokenizer_source("google-bert/bert-base-uncased")
        catalog = catalog or DataCatalog({"ready_tokenizer": ready})
        if "run_store" not in catalog:
            catalog["run_store"] = MemoryDataset(RunStore(tmp_path / "runs"), copy_mode="assign")
        hook.before_pipeline_run(pipelines[pipeline], catalog)
        return hook

    return start


def prepared(sequences: int, **more: Any) -> DataCatalog:
    """A catalog with a corpus of so many sequences of 128 tokens, and a vocabulary of 1,000."""
    metadata = {
        "splits": {"train": {"sequences": sequences}},
        "sequence_length": 128,
        "vocabulary_size": 1000,
        "fingerprint": "f00d",
    }
    shards = SimpleNamespace(sequence_length=128, metadata=metadata)
    datasets = {"ready_tokenizer": tokenizer_source("train")}
    datasets |= {"shards": MemoryDataset(shards, copy_mode="assign"), "tokenizer": MemoryDataset(range(1000))}
    return DataCatalog(datasets | more)


def test_a_short_run_gets_one_line(say: Say, caplog: pytest.LogCaptureFixture) -> None:
    say(parameters_of("base"))
    assert len(caplog.messages) == 1
    # 240 steps of 32 x 64 tokens with four seeds, in each of the two trainings of standalone and in the one of ctcd.
    expected = "pre-training ahead: 5.9 million tokens in standalone, ctcd, 4 seeds, about "
    assert caplog.messages[0].startswith(expected)
    assert caplog.messages[0].endswith(" seconds on a processor")


def test_a_long_run_gets_tokens_operations_time_and_memory(say: Say, caplog: pytest.LogCaptureFixture) -> None:
    say(parameters_of("paper"))
    text = "\n".join(" ".join(message.split()) for message in caplog.messages)
    # 30 million x 21 x 0.995 / 126 sequences x 20 epochs x 128 tokens, 424 million operations each, at 4e12 a second,
    # with one seed; standalone is two trainings, which read them apart.
    for name, billions in (("standalone", 25.5), ("ctcd", 12.7)):
        assert f"{name} {billions} billion tokens 5.4e+18 operations 16 days" in text
    assert "30,000,000 sentences of 21 word pieces (assumed) = 4,975,000 sequences of 128, 20 times" in text
    assert "vocabulary 30,522" in text
    assert (
        "31 days on a processor: its bfloat16 matrix products reach 10 TFLOP/s (measured), a training 40% of that"
        in text
    )
    assert "memory: about" in text
    assert "of 16 GB" in text


def test_what_the_machine_cannot_do_is_a_warning_each(
    say: Say, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine("a small GPU", memory=2e9, speed=1e13, precision="bfloat16")
    monkeypatch.setattr(estimate, "_machine", lambda hardware: machine)
    say(parameters_of("paper"))
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 2
    assert "a small GPU has 2 GB: lower pretraining.batch_size." in warnings[0]
    assert "Pre-training takes about 31 days on a small GPU: use a faster one" in warnings[1]


def test_a_machine_without_a_gpu_is_told_so(
    say: Say, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine("this CPU (2 threads)", 64e9, 2.5e11, "bfloat16", "use a GPU", lacks_gpu=True)
    monkeypatch.setattr(estimate, "_machine", lambda hardware: machine)
    say(parameters_of("paper"))
    assert any("no GPU found; 3.4 years on this CPU (2 threads)" in message for message in caplog.messages)
    assert "3.4 years on this CPU (2 threads): use a GPU, or lower the budget" in caplog.messages[-1]


def test_a_run_that_trains_nothing_says_nothing(say: Say, caplog: pytest.LogCaptureFixture) -> None:
    say(parameters_of("paper"), pipeline="report")
    say(parameters_of("paper"), pipeline="corpus")
    assert caplog.messages == []


def test_epochs_of_an_unknown_corpus_are_estimated_once_it_is_there(say: Say, caplog: pytest.LogCaptureFixture) -> None:
    hook = say(parameters_of("base", pretraining__epochs=2.0, pretraining__batch_size=10), catalog=prepared(1000))
    hook.after_dataset_saved("tokenizer")
    assert caplog.messages == []
    hook.after_dataset_saved("shards")
    assert len(caplog.messages) == 1
    assert "3.1 million tokens in standalone, ctcd" in caplog.messages[0]  # 4 x 3 x 2 x 1000 x 128
    hook.after_dataset_saved("shards")
    assert len(caplog.messages) == 1


def test_an_assumed_corpus_is_corrected_once_it_is_there(say: Say, caplog: pytest.LogCaptureFixture) -> None:
    hook = say(parameters_of("paper"), catalog=prepared(5_000_000))
    caplog.clear()
    hook.after_dataset_saved("shards")
    text = "\n".join(" ".join(message.split()) for message in caplog.messages)
    assert "tokens: 5,000,000 sequences of 128, 20 times, by each model; vocabulary 1,000" in text
    assert "assumed) =" not in text


def test_a_run_on_a_prepared_corpus_counts_it(say: Say, caplog: pytest.LogCaptureFixture) -> None:
    parameters = parameters_of("base", pretraining__epochs=1.0, pretraining__batch_size=10)
    say(parameters, pipeline="pretraining", catalog=prepared(1000))
    assert "1.5 million tokens in standalone, ctcd" in caplog.messages[0]


def test_variants_of_a_corpus_with_a_name_are_counted_by_that_corpus(
    say: Say, caplog: pytest.LogCaptureFixture
) -> None:
    catalog = prepared(1000)
    shards = catalog.load("shards")
    counts = {"en": 250, "de": 250, "fr": 500}
    sources = {name: {"train": {"sequences": count}} for name, count in counts.items()}
    shards.metadata |= {"source": "three languages", "sources": sources}
    own = DataCatalog({"multilingual.shards": MemoryDataset(shards, copy_mode="assign")})
    own["multilingual.ready_tokenizer"] = tokenizer_source("train")
    parameters = parameters_of("base", pretraining__epochs=1.0, pretraining__batch_size=10)
    pipelines = register_pipelines()
    only = pipelines["multilingual"].only_nodes("standalone_fr.pretrain", "ctcd_multilingual.pretrain")
    hook = EstimateHook()
    hook.after_context_created(SimpleNamespace(config_loader={"parameters": parameters}))
    own["run_store"] = MemoryDataset(RunStore(Path("nowhere")), copy_mode="assign")
    hook.before_pipeline_run(only, own)
    # An epoch with four seeds: of 500 sequences of 128 tokens by two trainings, of 1,000 by one.
    assert "1.0 million tokens in standalone_fr, ctcd_multilingual" in caplog.messages[0]


def finish(parameters: dict[str, Any], store: RunStore, *names: str, source: str | None = None) -> None:
    """Have the runs of some variants in the store, on the corpus that `prepared` gives; `source` teaches them."""
    variants = {name: VariantParameters.model_validate(parameters["variants"][name]) for name in names}
    shared, corpus = SharedPretraining(**parameters["pretraining"]), prepared(1000).load("shards").metadata
    for plans in plan_variants(variants, dict.fromkeys(names, source), shared, corpus).values():
        for plan in plans:
            folder = store.folder / plan.id
            folder.mkdir(parents=True)
            write_record(folder, {})


def test_trainings_that_are_finished_are_left_out(say: Say, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    parameters, store = parameters_of("base"), RunStore(tmp_path / "finished")
    catalog = prepared(1000, run_store=MemoryDataset(store, copy_mode="assign"))
    finish(parameters, store, "standalone")
    say(parameters, pipeline="pretraining", catalog=catalog)
    assert "3.9 million tokens in ctcd, 4 seeds, " in caplog.messages[0]  # 240 steps of 32 x 128, four times
    finish(parameters, store, "ctcd")
    caplog.clear()
    say(parameters, pipeline="pretraining", catalog=catalog)
    assert caplog.messages == []


def test_trainings_by_a_given_teacher_that_are_finished_are_left_out(
    say: Say, caplog: pytest.LogCaptureFixture, tmp_path: Path, make_model: Callable[[str], ModelFolder]
) -> None:
    parameters, store, folder = parameters_of("base"), RunStore(tmp_path / "finished"), make_model("bert").folder
    teacher = SourceDataset(source=str(folder), loader="")
    catalog = prepared(1000, run_store=MemoryDataset(store, copy_mode="assign"), given_teacher=teacher)
    finish(parameters, store, "untrained", "standalone")
    finish(parameters, store, "from_teacher", source=f"given/{weights_fingerprint(folder)}")
    say(parameters, pipeline="from_teacher", catalog=catalog).after_dataset_saved("shards")
    assert caplog.messages == []


def test_a_training_that_two_variants_have_is_counted_once(say: Say, caplog: pytest.LogCaptureFixture) -> None:
    parameters = parameters_of("base")
    parameters["variants"]["standalone_matched"] = {"name": "standalone_matched", "method": "teacher_alone"}
    say(parameters, pipeline="matched")
    assert "in standalone, ctcd, " in caplog.messages[0]


def test_a_corpus_that_was_prepared_before_is_waited_for(say: Say, caplog: pytest.LogCaptureFixture) -> None:
    hook = say(parameters_of("base"), catalog=prepared(1000))
    assert caplog.messages == []
    hook.after_dataset_saved("shards")
    assert "in standalone, ctcd, " in caplog.messages[0]


def test_a_vocabulary_in_a_folder_is_counted(
    say: Say, caplog: pytest.LogCaptureFixture, tokenizer, tmp_path: Path
) -> None:
    tokenizer.save_pretrained(tmp_path)
    say(parameters_of("paper"), catalog=DataCatalog({"ready_tokenizer": tokenizer_source(str(tmp_path))}))
    assert any(f"vocabulary {len(tokenizer):,}" in message for message in caplog.messages)


def test_a_failing_measurement_stops_no_run(
    say: Say, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(hardware: object) -> None:
        raise torch.OutOfMemoryError("The GPU is full.\nof others")

    monkeypatch.setattr(estimate, "_machine", fail)
    say(parameters_of("base"))
    assert caplog.messages == ["The run goes on without an estimate (The GPU is full)."]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_what_the_user_can_put_right_is_said_before_the_first_node(say: Say) -> None:
    with pytest.raises(InputError, match="PyTorch finds no GPU"):
        say(parameters_of("base", execution__device="cuda"))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (2.34, "2.3 seconds"),
        (99, "99 seconds"),
        (150, "2.5 minutes"),
        (3600, "60 minutes"),
        (5 * 3600, "5.0 hours"),
        (3 * 86400, "3.0 days"),
        (400 * 86400, "400 days"),
        (3 * 365 * 86400, "3.0 years"),
    ],
)
def test_a_duration_has_the_unit_that_suits_it(seconds: float, words: str) -> None:
    assert duration(seconds) == words
