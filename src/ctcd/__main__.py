"""`ctcd` and `python -m ctcd`: the `run` command of the installed package, without a project folder around it."""

import logging
from pathlib import Path
from typing import Any


def main(*arguments: Any, **options: Any) -> Any:
    """Run a pipeline with the arguments of `kedro run`."""
    logging.disable(logging.INFO)  # Kedro announces the logging configuration that it found, before it uses ours
    from kedro.framework.cli.utils import find_run_command
    from kedro.framework.project import configure_project

    package = Path(__file__).parent.name
    configure_project(package)
    run = find_run_command(package)
    logging.disable(logging.NOTSET)
    return run(*arguments, **options)


if __name__ == "__main__":
    main()
