"""Keep what studies came out with, and write the pages of docs/evidence from it.

    python benchmarks/evidence.py collect --env hour methods controls    # from the newest reports in data/hour
    python benchmarks/evidence.py write

Seeds of another time join those that are kept, if all settings are the same.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from configuration import BASE, CONFIGURATION

from ctcd.errors import InputError
from ctcd.reporting.evidence import FACTS, Evidence, load_all
from ctcd.reporting.evidence_pages import write_pages
from ctcd.studies.loading import all_studies
from ctcd.studies.study import Study

PROJECT = CONFIGURATION.parent
EVIDENCE = PROJECT / "docs" / "evidence"
QUOTES = EVIDENCE / "quoted.yml"


def main() -> int:
    """Collect or write, as the arguments say."""
    arguments = read_arguments()
    try:
        if arguments.action == "collect":
            studies = all_studies()
            if unknown := [name for name in arguments.studies if name not in studies]:
                raise InputError(f"There is no study '{unknown[0]}': choose from {', '.join(studies)}.")
            data = arguments.data or data_folder(arguments.env)
            for name in arguments.studies or studies:
                collect(studies[name], arguments.env, data, arguments.evidence)
        else:
            quotes = yaml.safe_load(QUOTES.read_text(encoding="utf-8")) if QUOTES.exists() else {}
            for path in write_pages(arguments.evidence, load_all(arguments.evidence), quotes):
                print(path)
    except InputError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["collect", "write"])
    parser.add_argument("studies", nargs="*", help="default: all that have a report")
    parser.add_argument("--env", default=BASE, help="the environment that the studies ran in")
    parser.add_argument("--data", type=Path, help="its data folder, if it is another one")
    parser.add_argument("--evidence", type=Path, default=EVIDENCE, help="where tables and pages lie")
    return parser.parse_intermixed_args()


def data_folder(environment: str) -> Path:
    """Where an environment keeps its data.

    Raises:
        InputError: if there is no such environment.
    """
    if not (CONFIGURATION / environment).is_dir():
        raise InputError(f"There is no environment '{environment}' in '{CONFIGURATION}': correct --env.")
    values: dict[str, Any] = {}
    for name in (BASE, environment):
        if (settings := CONFIGURATION / name / "globals.yml").is_file():
            values |= yaml.safe_load(settings.read_text(encoding="utf-8")) or {}
    return PROJECT / str(values["data"])


def collect(study: Study, scale: str, data: Path, evidence: Path) -> None:
    """Keep the newest whole report of a study; says so, or that there is none."""
    reports = data / "08_reporting" / study.name
    provenances = sorted(reports.glob("provenance.json/*/provenance.json"))
    measured = {path.parent.name: path for path in reports.glob("measurements.csv/*/measurements.csv")}
    whole = [path for path in provenances if path.parent.name in measured]
    if not whole:
        print(f"{study.name}: no report in {data}")
        return
    provenance = json.loads(whole[-1].read_text(encoding="utf-8"))
    environment = "" if scale == BASE else f" --env={scale}"
    found = Evidence(
        study.name,
        scale,
        study.question,
        study.claims,
        pd.read_csv(measured[whole[-1].parent.name]),
        provenance["settings"],
        provenance["differences"],
        provenance["facts"],
        f"kedro run --pipeline={study.name}{environment}",
    )
    kept = evidence / scale / study.name
    if (kept / FACTS).exists():
        found = Evidence.load(kept).joined(found)
    found.save(evidence)
    print(f"{study.name}: {found.seeds} seeds at the scale of {scale}")


if __name__ == "__main__":
    sys.exit(main())
