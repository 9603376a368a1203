"""The catalog and the graph, without running them."""

from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.io import MemoryDataset

from ctcd.reporting.minimal_pairs import COLUMNS, collect_minimal_pairs, measure_minimal_pairs, summarise_minimal_pairs

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", params=["base", "test", "paper"])
def context(request: pytest.FixtureRequest):
    bootstrap_project(ROOT)
    with KedroSession.create(ROOT, env=request.param) as session:
        yield session.load_context()


@pytest.mark.parametrize("pipeline", ["ctcd", "evaluation", "multilingual"])
def test_every_dataset_is_declared_and_has_a_layer(context, pipeline: str) -> None:
    catalog = context.catalog  # a new one at each access
    for name in pipelines[pipeline].datasets():
        if name.startswith("params:") or name == "parameters":
            continue
        dataset = catalog.get(name)
        assert not isinstance(dataset, MemoryDataset), name
        assert dataset.metadata["kedro-viz"]["layer"], name


@pytest.mark.parametrize("pipeline", ["ctcd", "evaluation", "multilingual"])
def test_everything_a_run_makes_is_versioned(context, pipeline: str) -> None:
    catalog = context.catalog
    for name in pipelines[pipeline].all_outputs():
        assert catalog.get(name)._version is not None, name


@pytest.mark.parametrize("environment", sorted(path.parent.name for path in ROOT.glob("conf/*/catalog.yml")))
def test_what_an_environment_reads_can_be_opened(environment: str) -> None:
    bootstrap_project(ROOT)
    with KedroSession.create(ROOT, env=environment) as session:
        catalog = session.load_context().catalog
    for name in ("documents", "ready_tokenizer", "glue"):
        assert catalog.get(name)._describe()


@pytest.mark.parametrize("name", ["ctcd.minimal_pairs", "evaluation.minimal_pairs", "report.ctcd.minimal_pairs"])
def test_paradigms_and_sets_may_be_called_as_numbers_or_as_nothing(context, name: str) -> None:
    arguments = context.catalog.get(name)._load_args
    rows = [("ctcd", "student", 1, "2024", name, name, 10, 0.5, None, None) for name in ("1", "null")]
    written = pd.DataFrame(rows, columns=COLUMNS)
    table = pd.read_csv(StringIO(written.to_csv(index=False)), **arguments)
    parts = measure_minimal_pairs(collect_minimal_pairs({"ctcd": table}, {}))["part"]
    assert parts.tolist() == ["all", "2024", "2024/1", "2024/null"]
    empty = pd.read_csv(StringIO(written[:0].to_csv(index=False)), **arguments)
    assert summarise_minimal_pairs(collect_minimal_pairs({"ctcd": empty}, {})).empty
    assert measure_minimal_pairs(empty).empty


def test_the_default_pipeline_is_the_study(context) -> None:
    assert pipelines["__default__"].nodes == pipelines["ctcd"].nodes


def test_the_graph_stays_readable(context) -> None:
    assert len(pipelines["ctcd"].nodes) < 60


def test_a_study_prepares_the_corpora_of_its_variants_and_no_other(context) -> None:
    outputs = pipelines["multilingual"].all_outputs()
    assert {"multilingual.shards", "multilingual.tokenizer", "multilingual.corpus_report"} <= outputs
    assert not {"shards", "tokenizer", "probes", "corpus_report"} & (outputs | pipelines["multilingual"].inputs())
    nodes = {node.name: node for node in pipelines["multilingual"].nodes}
    assert {"multilingual.shards", "multilingual.tokenizer"} <= set(nodes["ctcd_de.pretrain"].inputs)
    assert "multilingual.probes" in nodes["ctcd_de.finetune"].inputs
    assert "params:corpora.multilingual" in nodes["multilingual.make_tokenizer"].inputs


def test_what_all_studies_need_is_in_every_installation(context) -> None:
    assert not any(name.endswith(".documents") for name in pipelines["all_studies"].inputs())


def test_no_two_nodes_share_a_name(context) -> None:
    names = [node.name for node in pipelines["ctcd"].nodes]
    assert len(names) == len(set(names))
