import errno
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from kedro.config import MissingConfigException
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import KedroCliError
from kedro.io import DataCatalog, DatasetError
from kedro.validation import ParameterValidationError
from kedro_datasets.text import TextDataset
from omegaconf import OmegaConf

from ctcd.cli import RunCommand, error_sentence, run
from ctcd.errors import InputError
from ctcd.modeling.settings import ModelParameters
from ctcd.reporting.settings import ReportingParameters

ROOT = Path(__file__).parents[1]


def caught(action: Callable[[], object]) -> BaseException:
    with pytest.raises(BaseException) as error:  # noqa: PT011
        action()
    return error.value


def raised_from(error: Exception, cause: Exception | None) -> Exception:
    def action() -> None:
        raise error from cause

    return caught(action)


def raised_while_handling(error: Exception, first: Exception) -> Exception:
    def action() -> None:
        try:
            raise first
        except type(first):
            raise error  # noqa: B904

    return caught(action)


class TestSentences:
    def test_an_input_error_is_found_below_what_it_caused(self):
        bottom = InputError("the corpus is empty:\n   name another folder")
        for error in (bottom, raised_from(DatasetError("x"), bottom), raised_while_handling(KeyError("x"), bottom)):
            assert error_sentence(error) == "the corpus is empty: name another folder"

    def test_an_input_error_that_was_dealt_with_is_not_the_reason(self):
        def action() -> None:
            try:
                raise InputError("dealt with")
            except InputError:
                raise KeyError("bug") from None

        assert error_sentence(caught(action)) is None

    @pytest.mark.parametrize(
        "bug", [ValueError("x"), KeyError("x"), DatasetError("Saving 'None' is not allowed"), OSError(errno.EIO, "x")]
    )
    def test_a_bug_has_no_sentence(self, bug):
        assert error_sentence(raised_from(RuntimeError("y"), bug)) is None

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
    def test_a_full_disk(self):
        full = caught(lambda: Path("/dev/full").write_text("x" * 100_000))
        assert error_sentence(DatasetError("x")) is None
        sentence = "no space left on the disk: free some and run the command again"
        assert error_sentence(raised_from(DatasetError("x"), full)) == sentence

    def test_a_full_disk_names_the_file_if_it_is_known(self):
        error = OSError(errno.EDQUOT, "Disk quota exceeded", "data/shards")
        assert "while writing 'data/shards'" in error_sentence(error)

    def test_a_full_disk_under_another_name(self):
        error = RuntimeError("safetensors: I/O error: No space left on device (os error 28)")
        assert error_sentence(error).startswith("no space left on the disk:")

    def test_wrong_parameters(self):
        error = caught(lambda: ReportingParameters(confidence=2))
        assert error_sentence(error) == "parameter 'confidence' is 2 but should be less than 1"
        shape = {"architecture": "bert", "layers": 1, "width": 9, "heads": 2, "feed_forward": 8}
        assert error_sentence(caught(lambda: ModelParameters(**shape))) == "width 9 is not a multiple of heads 2"
        assert error_sentence(ParameterValidationError("steps:\n- wrong")) == "steps: - wrong"

    def test_configuration_that_cannot_be_read(self):
        error = caught(lambda: OmegaConf.to_container(OmegaConf.create({"a": "${missing}"}), resolve=True))
        assert error_sentence(error).startswith("the configuration cannot be read: ")

    def test_a_missing_environment_names_those_there_are(self):
        kedro_says = "Given configuration path either does not exist or is not a valid directory"
        folder = ROOT / "conf" / "bugdet"
        sentence = error_sentence(MissingConfigException(f"{kedro_says}: {folder}"))
        assert sentence.startswith(f"there is no environment 'bugdet' in '{folder.parent}'; it has base, ")

    def test_a_wrong_choice_of_nodes(self):
        assert "leave none to run" in error_sentence(ValueError("Pipeline contains no nodes after applying all"))
        kedro_says = "Pipeline does not contain nodes named ['x']."
        assert error_sentence(ValueError(kedro_says)) == kedro_says

    @pytest.mark.parametrize("versioned", [True, False])
    def test_missing_data_name_the_dataset_and_its_place(self, tmp_path, versioned):
        path = (tmp_path / "shards").as_posix()
        entry = {"type": TextDataset, "filepath": path, "versioned": versioned}
        catalog = DataCatalog.from_config({"shards": entry})
        sentence = error_sentence(caught(lambda: catalog.load("shards")))
        assert sentence.startswith(f"'shards' has no data at '{path}': run the pipeline that makes it first")


class TestCommand:
    @staticmethod
    def invoke(error: BaseException) -> Result:
        def callback(**options: object) -> None:
            raise error

        return CliRunner().invoke(RunCommand("run", params=kedro_run.params, callback=callback), [])

    def test_what_the_user_can_put_right_is_one_line_on_standard_error(self):
        result = self.invoke(raised_from(DatasetError("x"), InputError("the corpus is empty")))
        assert (result.exit_code, result.stderr, result.stdout) == (1, "Error: the corpus is empty\n", "")

    def test_a_wrong_command_line_is_one_line_on_standard_error(self):
        result = self.invoke(KedroCliError("Options cannot be used together"))
        assert (result.exit_code, result.stderr) == (1, "Error: Options cannot be used together\n")

    def test_a_bug_keeps_its_traceback(self):
        result = self.invoke(KeyError("bug"))
        assert isinstance(result.exception, KeyError)
        assert result.stderr == ""

    def test_an_interrupt_is_one_line_and_exit_code_130(self):
        result = self.invoke(KeyboardInterrupt())
        assert result.exit_code == 130
        assert re.fullmatch("Interrupted.*\n", result.stderr)

    def test_the_help_is_kedros(self):
        def shown(command: click.Command) -> str:
            return command.get_help(click.Context(command, info_name="kedro run"))

        assert shown(run) == shown(kedro_run)


PIPELINE = """
from kedro.pipeline import Node, Pipeline

from ctcd.errors import InputError


def make_text(steps: int) -> str:
    if steps == 13:
        raise InputError("the corpus is empty: name another folder")
    return f"text of {steps} steps"


def make_summary(text: str) -> tuple[str, str]:
    if "14" in text:
        raise KeyError("a bug")
    return text.upper(), f"<html>{text}</html>"


def create_pipeline() -> Pipeline:
    return Pipeline(
        [
            Node(make_text, "params:pretraining.steps", "text", name="make_text"),
            Node(make_summary, "text", ["report.x.summary", "report.x.report"], name="make_summary"),
        ],
        tags="corpus",
    )
"""
REGISTRY = """
from tiny.pipelines.corpus import create_pipeline


def register_pipelines():
    whole = create_pipeline()
    corpus, reporting = whole.only_nodes("make_text"), whole.only_nodes("make_summary")
    return {"corpus": corpus, "reporting": reporting, "__default__": whole}
"""
PYPROJECT = """
[project]
name = "tiny"
version = "1"

[tool.kedro]
package_name = "tiny"
project_name = "tiny"
kedro_init_version = "1.7.0"
"""
CATALOG = """
text: {type: text.TextDataset, filepath: data/text.txt, versioned: true}
report.x.summary: {type: text.TextDataset, filepath: data/summary.txt, versioned: true}
report.x.report: {type: text.TextDataset, filepath: data/report.html, versioned: true}
"""


@pytest.fixture
def tiny(tmp_path) -> Path:
    """Make a Kedro project of two light nodes with the settings, command line, logging and parameters of this one."""
    folder = tmp_path / "tiny"
    files = {
        "pyproject.toml": PYPROJECT,
        "src/tiny/__init__.py": "",
        "src/tiny/__main__.py": (ROOT / "src" / "ctcd" / "__main__.py").read_text(encoding="utf-8"),
        "src/tiny/settings.py": "from ctcd.settings import *",
        "src/tiny/cli.py": "from ctcd.cli import cli, run",
        "src/tiny/pipeline_registry.py": REGISTRY,
        "src/tiny/pipelines/__init__.py": "",
        "src/tiny/pipelines/corpus.py": PIPELINE,
        "conf/base/catalog.yml": CATALOG,
        "conf/local/parameters.yml": "tracking: {enabled: false}",
        "conf/logging.yml": (ROOT / "conf" / "logging.yml").read_text(encoding="utf-8"),
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    for parameters in (ROOT / "conf" / "base").glob("parameters*"):
        shutil.copy(parameters, folder / "conf" / "base")
    return folder


def call(tiny: Path, *command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a module's command as a user without any settings of their own would."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("KEDRO", "DO_NOT_TRACK"))}
    environment |= {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{tiny / 'src'}", "HOME": str(tiny.parent)}
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=cwd or tiny, env=environment, capture_output=True, text=True, check=False
    )


def without_time(log: str) -> list[str]:
    return [re.sub(r" +\d+\.\d s|\d\d:\d\d:\d\d ", "", line) for line in log.splitlines()]


def test_a_run_is_readable_and_leaves_no_trace_of_telemetry(tiny):
    result = call(tiny, "kedro", "run", "--pipeline=__default__", "--params=pretraining.steps=7")
    assert without_time(result.stderr)[:-1] == ["INFO    corpus: make text", "INFO    corpus: make summary"]
    assert "INFO    finished in " in result.stderr
    assert re.fullmatch(r"\nTEXT OF 7 STEPS\n\nReport: data/report.html/.*/report.html\n", result.stdout)
    assert (tiny / "pyproject.toml").read_text(encoding="utf-8") == PYPROJECT
    assert not list(tiny.parent.rglob("telemetry.toml"))


def test_an_input_error_in_a_node_is_said_once(tiny):
    result = call(tiny, "kedro", "run", "--params=pretraining.steps=13")
    assert result.returncode == 1
    assert without_time(result.stderr) == [
        "ERROR   corpus: make text, failed",
        "Error: the corpus is empty: name another folder",
    ]


def test_a_bug_in_a_node_keeps_its_traceback_and_says_where_to_go_on(tiny):
    result = call(tiny, "kedro", "run", "--params=pretraining.steps=14")
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert result.stderr.endswith("KeyError: 'a bug'\n")
    assert result.stderr.count("'a bug'") == 1
    assert "ERROR   corpus: make summary" in result.stderr
    assert '--from-nodes "make_summary"' in result.stderr


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--params=stepz=3"], "there is no parameter 'stepz'; did you mean 'pretraining.steps'?"),
        (["--pipeline=reportin"], "there is no pipeline 'reportin'; did you mean 'reporting'?"),
        (["--env=bugdet"], "there is no environment 'bugdet' in '{conf}'; it has base, local"),
    ],
)
def test_a_wrong_request_is_one_sentence(tiny, options, sentence):
    result = call(tiny, "kedro", "run", *options)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"Error: {sentence.format(conf=tiny / 'conf')}\n"


def test_a_packaged_run_logs_alike_wherever_it_is_started(tiny, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    archive = shutil.make_archive(str(tmp_path / "conf"), "gztar", tiny, "conf")
    result = call(tiny, "tiny", f"--conf-source={archive}", cwd=elsewhere)
    assert without_time(result.stderr)[:-1] == ["INFO    corpus: make text", "INFO    corpus: make summary"]
    assert "TEXT OF" in result.stdout
    missing = call(tiny, "tiny", cwd=elsewhere)
    assert (
        missing.stderr
        == f"Error: there is no configuration in '{elsewhere / 'conf'}': name its folder with --conf-source\n"
    )


def test_listing_the_pipelines_imports_nothing_heavy():
    program = (
        "import sys\nfrom pathlib import Path\nfrom kedro.framework.cli.cli import KedroCLI\n"
        "try:\n    KedroCLI(Path.cwd()).main(['registry', 'list'])\n"
        "except SystemExit:\n    print(sorted(sys.modules))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert "- ctcd\n" in result.stdout
    assert result.stderr == ""
    for heavy in ("torch", "transformers", "datasets", "tokenizers", "mlflow", "plotly", "sklearn", "scipy"):
        assert f"'{heavy}'" not in result.stdout
