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
from configuration import CONFIGURATION

from ctcd.errors import InputError
from ctcd.reporting.evidence import FACTS, Evidence, load_all
from ctcd.reporting.evidence_pages import write_pages
from ctcd.studies.loading import all_studies

PROJECT = CONFIGURATION.parent
EVIDENCE = PROJECT / "docs" / "evidence"
QUOTES = EVIDENCE / "quoted.yml"


def main() -> int:
    """Collect or write, as the arguments say."""
    arguments = read_arguments()
    try:
        if arguments.action == "collect":
            for study in arguments.studies or list(all_studies()):
                collect(study, arguments.env, arguments.data or data_folder(arguments.env), arguments.evidence)
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
    parser.add_argument("--env", default="base", help="the environment that the studies ran in")
    parser.add_argument("--data", type=Path, help="its data folder, if it is another one")
    parser.add_argument("--evidence", type=Path, default=EVIDENCE, help="where tables and pages lie")
    return parser.parse_args()


def data_folder(environment: str) -> Path:
    """Where an environment keeps its data."""
    values: dict[str, Any] = {}
    for name in ("base", environment):
        values |= yaml.safe_load((CONFIGURATION / name / "globals.yml").read_text(encoding="utf-8")) or {}
    return PROJECT / str(values["data"])


def collect(study: str, scale: str, data: Path, evidence: Path) -> None:
    """Keep the newest report of a study; says so, or that there is none."""
    reports = data / "08_reporting" / study
    newest = sorted(reports.glob("measurements.csv/*/measurements.csv"))
    if not newest:
        print(f"{study}: no report in {data}")
        return
    version = newest[-1].parent.name
    provenance = json.loads((reports / "provenance.json" / version / "provenance.json").read_text(encoding="utf-8"))
    declared = all_studies()[study]
    environment = "" if scale == "base" else f" --env={scale}"
    found = Evidence(
        study,
        scale,
        declared.question,
        declared.claims,
        pd.read_csv(newest[-1]),
        provenance["settings"],
        provenance["differences"],
        provenance["facts"],
        f"kedro run --pipeline={study}{environment}",
    )
    kept = evidence / scale / study
    if (kept / FACTS).exists():
        found = Evidence.load(kept).joined(found)
    found.save(evidence)
    print(f"{study}: {found.seeds} seeds at the scale of {scale}")


if __name__ == "__main__":
    sys.exit(main())
