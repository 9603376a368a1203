import copy
import logging
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from kedro.config import OmegaConfigLoader
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline
from kedro_datasets.text import TextDataset

from ctcd import pipeline_registry
from ctcd.datasets.minimal_pairs_dataset import MinimalPairsDataset
from ctcd.errors import InputError
from ctcd.hooks.checks import check_data_folder, check_inputs, check_methods, check_minimal_pairs, check_parameters
from ctcd.hooks.declare import DeclareHook
from ctcd.hooks.stages import ProjectHooks, stage_name
from ctcd.pipelines import LONG
from ctcd.settings import CONFIG_LOADER_ARGS
from ctcd.studies.study import Study, Variant
from ctcd.tasks.settings import MinimalPairsParameters

RUN = {"only_missing_outputs": False, "load_versions": None}


@pytest.fixture(scope="module")
def base_parameters() -> dict[str, Any]:
    """Load the parameters that a bare `kedro run` has."""
    conf = Path(__file__).parents[2] / "conf"
    loader = OmegaConfigLoader(str(conf), env="base", **CONFIG_LOADER_ARGS)
    DeclareHook().after_context_created(SimpleNamespace(config_loader=loader, project_path=conf.parent))
    return loader["parameters"]


def changed(parameters: dict[str, Any], dotted: str, value: Any) -> dict[str, Any]:
    result = copy.deepcopy(parameters)
    *parents, last = dotted.split(".")
    level = result
    for name in parents:
        level = level[name]
    level[last] = value
    return result


def test_the_parameters_of_base_are_right(base_parameters):
    assert check_parameters(base_parameters).pretraining.steps == base_parameters["pretraining"]["steps"]


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("stepz", 3, "there is no parameter 'stepz'; did you mean 'pretraining.steps'?"),
        ("executoin", {}, "there is no parameter 'executoin'; did you mean 'execution'?"),
        ("pretraining.step", 3, "there is no parameter 'pretraining.step'; did you mean 'pretraining.steps'?"),
        ("pretraining.teacher.layer", 3, "did you mean 'pretraining.teacher.layers'?"),
        ("variants.ctcd.methods", "x", "'variants.ctcd.methods'; did you mean 'variants.ctcd.method'?"),
        ("variants.ctdc", {"temperature": 3}, "there is no variant 'ctdc'; did you mean 'ctcd'?"),
        ("tracking.zzz", 1, "there is no parameter 'tracking.zzz'; tracking has enabled"),
        ("pretraining.steps", "many", "'pretraining.steps' is 'many' but should be a valid integer"),
        ("pretraining.steps", -1, "'pretraining.steps' is -1 but should be greater than or equal to 0"),
        ("execution.device", "gpu", "'execution.device' is 'gpu' but should be 'auto', 'cpu' or 'cuda'"),
        ("pretraining.teacher.width", 33, "pretraining.teacher: width 33 is not a multiple of heads"),
        ("reporting", {}, "parameter 'reporting.confidence' is missing"),
        ("corpus", "x" * 100, "parameter 'corpus' is 'xxx"),
    ],
)
def test_a_wrong_parameter_is_named_with_what_is_allowed(base_parameters, name, value, sentence):
    with pytest.raises(InputError) as error:
        check_parameters(changed(base_parameters, name, value))
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 250


def test_a_corpus_with_a_name_has_the_shared_settings_but_not_the_sources() -> None:
    parameters = {"corpus": {"sequence_length": 8, "sources": {"mine": {"characters": 9}}}, "corpora": {"a": {}}}
    loader = {"parameters": parameters, "globals": {}}
    DeclareHook().after_context_created(SimpleNamespace(config_loader=loader, project_path=Path()))
    assert loader["parameters"]["corpora"] == {"a": {"sequence_length": 8, "sources": {}}}


def test_the_first_of_many_wrong_parameters_are_named(base_parameters):
    parameters = {**base_parameters, **{f"unknown{number}": 1 for number in range(5)}}
    with pytest.raises(InputError) as error:
        check_parameters(parameters)
    assert str(error.value).count("there is no parameter") == 3
    assert str(error.value).endswith("; and 2 more")


def test_parameters_are_checked_when_a_context_is_made(base_parameters):
    wrong = SimpleNamespace(config_loader={"parameters": changed(base_parameters, "stepz", 3)})
    with pytest.raises(InputError, match="stepz"):
        ProjectHooks().after_context_created(wrong)


def make(name: str) -> str:
    return name


def use(text: str) -> str:
    return text.upper()


class TestInputs:
    @pytest.fixture(autouse=True)
    def _registry(self, monkeypatch):
        corpus = Pipeline([Node(make, "documents", "shards", name="write_shards")])
        training = Pipeline([Node(use, "shards", "model", name="train")])
        registry = {"__default__": corpus + training, "ctcd": corpus + training, "corpus": corpus, "training": training}
        monkeypatch.setattr(pipeline_registry, "register_pipelines", lambda: registry)
        self.training = training
        self.corpus = corpus

    @pytest.fixture
    def catalog(self, tmp_path) -> DataCatalog:
        return DataCatalog({"shards": TextDataset(filepath=str(tmp_path / "shards")), "documents": MemoryDataset()})

    def test_a_run_that_lacks_its_input_names_the_pipeline_that_makes_it(self, catalog):
        with pytest.raises(InputError, match="'shards' does not exist yet: run the pipeline 'corpus' first"):
            check_inputs(self.training, catalog, None)

    def test_a_run_that_has_its_input_may_start(self, catalog):
        catalog.save("shards", "text")
        check_inputs(self.training, catalog, None)

    def test_a_version_that_does_not_exist_is_named(self, catalog):
        with pytest.raises(InputError, match="'shards' has no version '2020'"):
            check_inputs(self.training, catalog, {"shards": "2020"})

    def test_raw_data_are_left_to_their_dataset(self, catalog):
        check_inputs(self.corpus, catalog, None)

    def test_text_of_a_corpus_with_a_name_that_the_catalog_lacks_is_one_sentence(self, catalog):
        corpus = Pipeline([Node(make, "tickets.documents", "tickets.shards", name="write_shards")])
        with pytest.raises(InputError, match=r"describe 'tickets\.documents' in the catalog"):
            check_inputs(corpus, catalog, None)

    def test_data_that_nothing_is_read_from_need_not_be_there(self, catalog):
        check_inputs(self.training, catalog, None, unread={"shards"})

    def test_a_run_of_missing_outputs_may_start_without_its_inputs(self, catalog):
        ProjectHooks().before_pipeline_run({**RUN, "only_missing_outputs": True}, self.training, catalog)


def run_node(hooks: ProjectHooks, node: Node, outputs: dict[str, Any]) -> None:
    """Call the hooks as Kedro's runner does."""
    for _ in node.inputs:
        hooks.before_dataset_loaded(node)
    hooks.before_node_run(node)
    hooks.after_node_run(node)
    for name, data in outputs.items():
        hooks.after_dataset_saved(name, data, node)


def started(pipeline: Pipeline, catalog: DataCatalog) -> ProjectHooks:
    hooks = ProjectHooks()
    hooks.before_pipeline_run(RUN, pipeline, catalog)
    return hooks


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, logger="ctcd")
    return lambda: [message.split("  ")[0] for message in caplog.messages]


def test_a_stage_is_named_after_its_pipeline_and_variant():
    node = Node(use, "a", "b", name="train_tokenizer", tags="corpus")
    assert stage_name(node) == "corpus: train tokenizer"
    variant = Pipeline([Node(use, "a", "b", name="pretrain", tags="pretraining")], namespace="ctcd").nodes[0]
    assert stage_name(variant) == "pretraining: pretrain (ctcd)"


def test_a_stage_is_one_line_once_all_its_outputs_are_saved(lines):
    node = Node(use, "a", ["b", "c"], name="split", tags="corpus")
    hooks = started(Pipeline([node]), DataCatalog())
    run_node(hooks, node, {"b": 1})
    assert lines() == []
    hooks.after_dataset_saved("c", 2, node)
    assert lines() == ["corpus: split"]


def test_a_long_stage_says_that_it_starts(lines):
    node = Node(use, "a", "b", name="pretrain", tags=["pretraining", LONG])
    run_node(started(Pipeline([node]), DataCatalog()), node, {"b": 1})
    assert lines() == ["pretraining: pretrain ...", "pretraining: pretrain"]


def test_a_stage_that_fails_is_named_once(lines):
    node = Node(use, "a", "b", name="split", tags="corpus")
    hooks = started(Pipeline([node]), DataCatalog())
    hooks.before_dataset_loaded(node)
    hooks.on_node_error(node)
    hooks.on_pipeline_error(Pipeline([node]))
    assert lines() == ["corpus: split"]


def test_a_stage_that_cannot_load_its_input_is_named(lines):
    node = Node(use, "a", "b", name="split", tags="corpus")
    hooks = started(Pipeline([node]), DataCatalog())
    hooks.before_dataset_loaded(node)
    hooks.on_pipeline_error(Pipeline([node]))
    assert lines() == ["corpus: split"]


def test_the_end_shows_the_summary_and_where_the_report_is(tmp_path, monkeypatch, capsys, caplog):
    caplog.set_level(logging.INFO, logger="ctcd")
    monkeypatch.chdir(tmp_path)
    node = Node(use, "a", ["report.x.report", "report.x.summary"], name="write_report", tags="reporting")
    catalog = DataCatalog({"report.x.report": TextDataset(filepath=(tmp_path / "data" / "report.html").as_posix())})
    hooks = started(Pipeline([node]), catalog)
    run_node(hooks, node, {"report.x.report": "<html>", "report.x.summary": "student 71.3\n"})
    hooks.after_pipeline_run(RUN, Pipeline([node]), catalog)
    assert capsys.readouterr().out == "\nstudent 71.3\n\nReport: data/report.html\n"
    assert re.fullmatch(r"finished in [\d:]+", caplog.messages[-1])


def test_the_end_of_a_run_that_skipped_stages_says_so(caplog):
    caplog.set_level(logging.INFO, logger="ctcd")
    nodes = [Node(use, name, name.upper(), name=name) for name in "ab"]
    hooks = started(Pipeline(nodes), DataCatalog())
    run_node(hooks, nodes[0], {"A": 1})
    hooks.after_pipeline_run({**RUN, "only_missing_outputs": True}, Pipeline(nodes), DataCatalog())
    assert re.fullmatch(r"finished in [\d:]+; 1 skipped because their outputs exist", caplog.messages[-1])


def test_failed_fine_tunings_end_the_run_with_an_error_after_the_summary(capsys):
    node = Node(use, "a", ["x.failures", "report.x.summary"], name="finetune", tags="finetuning")
    hooks = started(Pipeline([node]), DataCatalog())
    failures = pd.DataFrame({"task": ["rte", "cola"], "seed": [0, 1], "reason": ["It diverged.", "It broke."]})
    run_node(hooks, node, {"x.failures": failures, "report.x.summary": "scores"})
    with pytest.raises(InputError, match=r"2 fine-tunings failed .*: It diverged\."):
        hooks.after_pipeline_run(RUN, Pipeline([node]), DataCatalog())
    assert "scores" in capsys.readouterr().out


def test_without_failures_the_run_ends_well():
    node = Node(use, "a", "x.failures", name="finetune", tags="finetuning")
    hooks = started(Pipeline([node]), DataCatalog())
    run_node(hooks, node, {"x.failures": pd.DataFrame({"task": [], "seed": [], "reason": []})})
    hooks.after_pipeline_run(RUN, Pipeline([node]), DataCatalog())


def test_one_run_leaves_nothing_to_the_next(capsys):
    node = Node(use, "a", "report.x.summary", name="write_report", tags="reporting")
    hooks = started(Pipeline([node]), DataCatalog())
    run_node(hooks, node, {"report.x.summary": "old"})
    hooks.before_pipeline_run(RUN, Pipeline([node]), DataCatalog())
    hooks.after_pipeline_run(RUN, Pipeline([node]), DataCatalog())
    assert capsys.readouterr().out == ""


def test_several_studies_in_one_command_have_a_summary_and_a_report_each(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    hooks, catalog, nodes = ProjectHooks(), DataCatalog(), []
    for study in ("one", "two"):
        outputs = [f"report.{study}.report", f"report.{study}.summary"]
        nodes.append(Node(use, "a", outputs, name=f"write_{study}", tags="report"))
        catalog[outputs[0]] = TextDataset(filepath=(tmp_path / f"{study}.html").as_posix())
    hooks.before_pipeline_run(RUN, Pipeline(nodes), catalog)
    for study, node in zip(("one", "two"), nodes, strict=True):
        run_node(hooks, node, {f"report.{study}.report": "<html>", f"report.{study}.summary": f"of {study}"})
    hooks.after_pipeline_run(RUN, Pipeline(nodes), catalog)
    shown = capsys.readouterr().out
    assert [line for line in shown.splitlines() if line] == [
        "of one",
        "of two",
        "Report: one.html",
        "Report: two.html",
    ]


def test_a_data_folder_of_an_older_version_is_refused(tmp_path):
    check_data_folder(tmp_path)
    (tmp_path / "06_models/runs/f00d/teacher").mkdir(parents=True)
    (tmp_path / "06_models/ctcd/2026/ctcd/teacher-seed-1").mkdir(parents=True)
    check_data_folder(tmp_path)
    (tmp_path / "06_models/ctcd/student").mkdir()
    with pytest.raises(InputError, match="was filled by an older version of this project: move it away"):
        check_data_folder(tmp_path)


class TestMethods:
    """What `--params` may make of a variant that its study has declared."""

    @pytest.fixture
    def check(self, base_parameters):
        def check(method: str, **settings) -> None:
            mine = {"name": "mine", "method": method, **settings}
            parameters = check_parameters(changed(base_parameters, "variants.mine", mine))
            pipeline = Pipeline([Node(use, "a", "b", name="pretrain")], namespace="mine")
            declared = Variant("mine", ("teacher", "student"), None, None, {"method": "ctcd"})
            check_methods(pipeline, parameters, {"own": Study("own", "Which?", {"mine": declared}, ())})

        base_parameters = copy.deepcopy(base_parameters)
        base_parameters["variants"]["mine"] = {"name": "mine", "method": "ctcd"}
        return check

    def test_another_method_that_trains_the_same_models_is_fine(self, check):
        check("self_distillation")

    def test_a_method_that_trains_others_is_one_sentence(self, check):
        with pytest.raises(InputError, match="'one_way' trains other models than the study declares .* 'mine'"):
            check("one_way")

    def test_another_corpus_than_the_study_declares_is_one_sentence(self, check):
        with pytest.raises(InputError, match="trains the variant 'mine' on another corpus than 'multilingual'"):
            check("ctcd", corpus="multilingual")

    def test_relation_heads_that_do_not_divide_a_width_are_one_sentence(self, check):
        term = {"learner": "student", "signal": "attention_relations"}
        check("ctcd", terms=[term | {"relation_heads": 2}])
        with pytest.raises(InputError, match="Attention 64 wide cannot be cut into 3 relation heads"):
            check("ctcd", terms=[term | {"relation_heads": 3}])


def test_environments_and_the_command_line_change_what_a_study_declares(base_parameters, tmp_path):
    changed = {"ctcd": {"temperature": 2, "weights": {"student_soft": 1}}}
    loader = {"parameters": {"variants": changed}, "globals": {}}
    DeclareHook().after_context_created(SimpleNamespace(config_loader=loader, project_path=tmp_path))
    variants = loader["parameters"]["variants"]
    expected = {"name": "ctcd", "method": "ctcd", "temperature": 2, "weights": {"student_soft": 1}}
    assert variants.pop("ctcd") == expected
    assert variants == {name: each for name, each in base_parameters["variants"].items() if name != "ctcd"}


def test_a_set_of_minimal_pairs_that_is_not_there_is_refused_where_it_would_be_scored(tmp_path: Path) -> None:
    catalog = DataCatalog({"minimal_pair_files": MinimalPairsDataset(filepath=str(tmp_path))})
    score = Node(max, ["a", "minimal_pair_results"], "b", name="score_minimal_pairs")
    for sets in (["zorro"], ["heldout_text", "zorro"]):
        with pytest.raises(InputError, match="no set of minimal pairs 'zorro'"):
            check_minimal_pairs(Pipeline([score]), pair_settings(sets), catalog)
        check_minimal_pairs(Pipeline([Node(use, "a", "b", name="other")]), pair_settings(sets), catalog)
    check_minimal_pairs(Pipeline([score]), pair_settings(["heldout_text", "hub:owner/name"]), catalog)
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "own.csv").write_text("sentence_good,sentence_bad\nIt is.,It are.\n")
    same_name = pair_settings([str(tmp_path / folder / "own.csv") for folder in ("one", "other")])
    with pytest.raises(InputError, match="names two sets 'own'"):
        check_minimal_pairs(Pipeline([score]), same_name, catalog)


def pair_settings(sets: list[str]) -> MinimalPairsParameters:
    return MinimalPairsParameters(sets=sets, pairs_per_paradigm=None, examples=1, seed=1)
