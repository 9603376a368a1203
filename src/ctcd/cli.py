"""`kedro run`, unchanged but for its errors: what the user can put right is one sentence, without a traceback."""

import errno
import os
import re
import tarfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click
import yaml
from kedro import KedroDeprecationWarning
from kedro.config import MissingConfigException
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import KedroCliError
from kedro.framework.project import configure_logging, pipelines
from kedro.io import DatasetError, DatasetNotFoundError
from kedro.io.core import VersionNotFoundError
from kedro.utils import find_config_file
from kedro.validation import ParameterValidationError
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

import ctcd.settings  # noqa: F401  its warning filters are for every command
from ctcd.errors import InputError
from ctcd.hooks.checks import parameter_sentence
from ctcd.lineage.settings import Settings

INTERRUPTED = 130
NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
# Kedro raises plain ValueErrors for what is asked of it on the command line.
WRONG_REQUESTS = (
    "Failed to find the pipeline named",
    "Pipeline does not contain",
    "Pipeline contains no nodes",
    "Duplicate keys found in",
    "'load_versions' keys",
)
ABSENT = (VersionNotFoundError, FileNotFoundError, NotADirectoryError)


def error_sentence(error: BaseException) -> str | None:
    """Say in one sentence what the user can put right about an error; None if it is a bug."""
    chain = list(_chain(error))
    for describe in (_input, _space, _parameters, _configuration, _request, _missing_data):
        for link in chain:
            if sentence := describe(link):
                return " ".join(sentence.split())
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Give an error, what caused it or what it was raised in, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _input(error: BaseException) -> str | None:
    return str(error) if isinstance(error, InputError) else None


def _space(error: BaseException) -> str | None:
    # Arrow, safetensors and PyTorch have errors of their own for it.
    full = isinstance(error, OSError) and error.errno in NO_SPACE
    if not full and "No space left on device" not in str(error):
        return None
    place = f" while writing '{error.filename}'" if isinstance(error, OSError) and error.filename else ""
    return f"no space left on the disk{place}: free some and run the command again"


def _parameters(error: BaseException) -> str | None:
    if isinstance(error, ValidationError) and error.title in {each.__name__ for each in Settings.__subclasses__()}:
        return parameter_sentence(error)
    return str(error) if isinstance(error, ParameterValidationError) else None


def _configuration(error: BaseException) -> str | None:
    if isinstance(error, MissingConfigException):
        folder = re.search(r"not a valid directory: (.+)", str(error))
        return _missing_environment(Path(folder[1])) if folder else str(error)
    unreadable = isinstance(error, OmegaConfBaseException | yaml.YAMLError)
    return f"the configuration cannot be read: {error}" if unreadable else None


def _missing_environment(folder: Path) -> str:
    if folder.name == "base":
        return f"there is no configuration in '{folder.parent}': name its folder with --conf-source"
    known = ", ".join(sorted(entry.name for entry in folder.parent.glob("*/") if entry.is_dir()))
    return f"there is no environment '{folder.name}' in '{folder.parent}'" + (f"; it has {known}" if known else "")


def _request(error: BaseException) -> str | None:
    text = str(error)
    if not isinstance(error, ValueError | DatasetNotFoundError) or not text.startswith(WRONG_REQUESTS):
        return None
    if text.startswith("Pipeline contains no nodes"):
        return "the options that choose nodes (--tags, --namespaces, --nodes, --from-..., --to-...) leave none to run"
    if not (pipeline := re.match(r"Failed to find the pipeline named '(.*?)'", text)):
        return text
    close = get_close_matches(pipeline[1], pipelines, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(sorted(pipelines))}"
    return f"there is no pipeline '{pipeline[1]}'; {hint}"


def _missing_data(error: BaseException) -> str | None:
    if not isinstance(error, DatasetError) or not any(isinstance(link, ABSENT) for link in _chain(error)):
        return None
    name, _, text = str(error).partition(": ")
    place = re.search(r"filepath=\w*\(?'([^']+)'", text)
    where = f" at '{place[1]}'" if place else ""
    return f"'{name}' has no data{where}: run the pipeline that makes it first, or correct its path"


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn what the user can put right into one line on standard error and exit code 1; bugs keep their traceback."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo("Interrupted: what is finished is kept, pretraining goes on from its last checkpoint.", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None
    except KedroCliError as error:
        raise click.ClickException(error.message) from None
    except Exception as error:
        sentence = error_sentence(error)
        if sentence is None or isinstance(error, click.ClickException):
            raise
        raise click.ClickException(sentence) from None


class RunCommand(click.Command):
    """Kedro's `run` with plain errors."""

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        """Read the command line."""
        with plain_errors():
            return super().make_context(*arguments, **options)

    def invoke(self, context: click.Context) -> Any:
        """Run."""
        _use_logging_of(context.params["conf_source"])
        # Both spellings are documented; nobody has to change theirs.
        warnings.filterwarnings("ignore", "Option '--pipeline' is deprecated", KedroDeprecationWarning)
        with plain_errors():
            return super().invoke(context)


def _use_logging_of(conf_source: str | None) -> None:
    """Apply the `logging.yml` of a given folder or archive: Kedro itself looks below the working directory only."""
    if conf_source is None or "KEDRO_LOGGING_CONFIG" in os.environ or find_config_file("conf/logging"):
        return
    place = Path(conf_source)
    if (file := place / "logging.yml").is_file():
        configure_logging(yaml.safe_load(file.read_bytes()))
    elif place.is_file() and tarfile.is_tarfile(place):
        with tarfile.open(place) as archive:
            for member in archive:
                if member.name.endswith("/logging.yml") and (content := archive.extractfile(member)):
                    configure_logging(yaml.safe_load(content))


run = RunCommand("run", params=kedro_run.params, callback=kedro_run.callback, help=kedro_run.help)
# Kedro shows commands of a group with its own name among its own.
cli = click.Group("kedro", commands=[run])
