"""Pages of kept evidence in Markdown: the index, and one for each study."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, TypedDict

import pandas as pd

from ctcd.reporting.claims import DECIDED
from ctcd.reporting.evidence import Evidence
from ctcd.reporting.formatting import counted, interval, number, percent, signed
from ctcd.reporting.measurements import seed_by_seed
from ctcd.reporting.measures import MEASURES, on_part

FIGURE, REMARKS = "claims.svg", "remarks.md"
CONFIDENCE = 0.95


class Quote(TypedDict):
    """What others report of a study's question."""

    text: str
    source: str


def index_page(evidence: Sequence[Evidence], others: Mapping[str, str]) -> str:
    """The index: what every study came out with, its primary claim first.

    Args:
        evidence: of all studies and scales.
        others: further pages of the folder, title by file name.
    """
    lines = [
        "# What came out?",
        "",
        "Every row is one claim of a study, written down before the study ran. A difference above zero says that the",
        "first-named model is better. Verdicts are corrected for the number of the study's claims.",
        "How to read them: [Can I trust the numbers?](../numbers.md)",
        "",
    ]
    rows = [_index_row(each) for each in evidence]
    lines += _table(["study", "scale", "primary claim", "difference", "interval", "seeds", "verdict", "others"], rows)
    lines += ["", "`others` counts the study's other claims that are decided.", ""]
    if others:
        lines += ["Written by hand:", "", *(f"- [{title}]({name})" for name, title in others.items()), ""]
    return "\n".join(lines)


def study_page(evidence: Sequence[Evidence], quotes: Iterable[Quote], remarks: Mapping[str, str]) -> str:
    """A study's page.

    Args:
        evidence: of the study, one for each scale.
        quotes: what others report.
        remarks: by scale, written by hand.
    """
    latest = evidence[-1]
    lines = [f"# {latest.study}: {latest.question}", ""]
    for each in evidence:
        lines += _scale_section(each, remarks.get(each.scale, ""))
    told = [f"- {quote['text']} ({quote['source']})" for quote in quotes]
    if told:
        lines += ["## What others report", "", *told, ""]
    return "\n".join(lines)


def write_pages(folder: Path, evidence: Sequence[Evidence], quotes: Mapping[str, Sequence[Quote]]) -> list[Path]:
    """Write the index, all pages and their figures into the folder that holds the tables; returns what was written."""
    from ctcd.reporting.evidence_figure import draw_claims

    written = [folder / "README.md"]
    pages = {"README", *(each.study for each in evidence)}
    others = {path.name: _title(path) for path in sorted(folder.glob("*.md")) if path.stem not in pages}
    written[0].write_text(index_page(evidence, others), encoding="utf-8")
    by_study = sorted(evidence, key=lambda each: each.study)
    for study, group in groupby(by_study, key=lambda each: each.study):
        found = sorted(group, key=lambda each: each.scale)
        remarks = {}
        for each in found:
            draw_claims(each.checked_claims(CONFIDENCE), folder / each.scale / study / FIGURE)
            path = folder / each.scale / study / REMARKS
            if path.exists():
                remarks[each.scale] = path.read_text(encoding="utf-8").strip()
        page = folder / f"{study}.md"
        page.write_text(study_page(found, quotes.get(study, ()), remarks), encoding="utf-8")
        written.append(page)
    return written


def _title(page: Path) -> str:
    return page.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")


def _index_row(evidence: Evidence) -> list[str]:
    claims = evidence.checked_claims(CONFIDENCE).to_dict("records")
    link = f"[{evidence.study}]({evidence.study}.md)"
    if not claims:
        return [link, evidence.scale, *["–"] * 6]
    first, others = claims[0], claims[1:]
    decided = sum(claim["verdict"] in DECIDED for claim in others)
    return [link, evidence.scale, *_claim_cells(first), f"{decided} of {len(others)}"]


def _claim_cells(claim: Mapping[Hashable, Any]) -> list[str]:
    """Claim, difference, interval, seeds, verdict."""
    on, part = str(claim["on"]), str(claim["part"])
    measure = MEASURES[on]
    difference, low, high = (float(claim[name]) for name in ("difference", "low", "high"))
    return [
        f"{claim['model']} − {claim['reference']}, {on_part(measure.heading.lower(), on, part)}",
        f"{signed(difference, measure.decimals)} {measure.unit}",
        interval(low, high, measure.decimals),
        str(claim["seeds"]),
        f"**{claim['verdict']}**" if claim["verdict"] in DECIDED else str(claim["verdict"]),
    ]


def _scale_section(evidence: Evidence, remarks: str) -> list[str]:
    claims = evidence.checked_claims(CONFIDENCE)
    rows = [
        [
            *_claim_cells(claim),
            number(float(claim["p_holm"]), 3),
            "" if pd.isna(claim["paper"]) else signed(claim["paper"]),
        ]
        for claim in claims.to_dict("records")
    ]
    headings = ["claim", "difference", f"{percent(CONFIDENCE)} interval", "seeds", "verdict", "p (Holm)", "paper"]
    lines = [f"## At the scale of `{evidence.scale}`", ""]
    if len(claims):
        lines += [str(claims["sentence"].iloc[0]), ""]
    lines += [remarks, ""] if remarks else []
    lines += [f"![Differences with their intervals]({evidence.scale}/{evidence.study}/{FIGURE})", ""]
    lines += [*_table(headings, rows), "", *_model_table(evidence), ""]
    lines += ["<details><summary>How it was made</summary>", "", f"    {evidence.command}", ""]
    lines += _table(["fact", "value"], [[name, "; ".join(values)] for name, values in evidence.facts.items()])
    lines += ["", *_table(["setting of all", "value"], [[name, f"`{value}`"] for name, value in _plain(evidence)])]
    lines += ["", "</details>", ""]
    return lines


def _plain(evidence: Evidence) -> list[tuple[str, object]]:
    """The settings of all trainings; what is empty says nothing."""
    return [(name, value) for name, value in evidence.settings.items() if value not in (None, {}, [])]


def _model_table(evidence: Evidence) -> list[str]:
    """Mean and standard deviation over seeds of every model and measure."""
    table = seed_by_seed(evidence.measurements)
    measures = [name for name in MEASURES if name in table]
    rows = []
    for model, values in table.groupby("model", sort=False):
        cells = [
            f"{number(values[name].mean(), MEASURES[name].decimals)} ({number(values[name].std(), 3)})"
            for name in measures
        ]
        rows.append([str(model), *cells])
    headings = [f"{MEASURES[name].heading.lower()}, {MEASURES[name].unit}" for name in measures]
    seeds = counted(evidence.seeds, "pre-training seed")
    return [f"Mean and standard deviation over {seeds}:", "", *_table(["model", *headings], rows)]


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [headings, ["---"] * len(headings), *rows]
    return [f"| {' | '.join(_escaped(cell) for cell in line)} |" for line in lines]


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")
