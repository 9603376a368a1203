"""The report: one HTML file that needs nothing from anywhere else."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from ctcd.reporting.claims import DECIDED
from ctcd.reporting.formatting import number, percent
from ctcd.reporting.minimal_pairs import sets_of
from ctcd.reporting.page_tables import (
    claim_row,
    corpus_facts,
    model_lines,
    pair_set,
    sampling_error,
    score_groups,
    seed_lines,
    setting_differences,
    source_lines,
    task_headings,
    uneven_seeds,
)
from ctcd.reporting.robustness import tabulate_robustness
from ctcd.reporting.statistics import MEANS
from ctcd.reporting.tables import losses_by_source

FIGURE_CONFIGURATION = {"displayModeBar": False, "responsive": True}
# Room for the names of the panels, in pixels; the figures' own titles are taken off.
FIGURE_TOP = 28


def render_report(
    *,
    question: str,
    claims: pd.DataFrame,
    controls: Sequence[Mapping[str, str]],
    scores: pd.DataFrame,
    comparison: pd.DataFrame,
    losses: pd.DataFrame,
    minimal_pairs: pd.DataFrame,
    measurements: pd.DataFrame,
    figures: Mapping[str, go.Figure],
    corpora: Mapping[str | None, Mapping[str, Any]],
    provenance: Mapping[str, Any],
    confidence: float,
) -> str:
    """Write the whole report.

    Args:
        question: of the study.
        claims: as `check_claims` makes it.
        controls: as `find_controls` makes it.
        scores: as `collect_scores` makes it.
        comparison: as `compare` makes it.
        losses: as `final_losses` makes it.
        minimal_pairs: as `summarise_minimal_pairs` makes it.
        measurements: as `collect_measurements` makes it.
        figures: `differences`, `scores` and `losses`.
        corpora: the metadata of the shards by the name of the corpus, None for the one that has no name.
        provenance: as `describe_runs` makes it.
        confidence: of all intervals.

    Returns:
        HTML with its styles and plotly.js inside; everything that comes from data is escaped.
    """
    environment = Environment(
        loader=PackageLoader("ctcd.reporting", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, typeset=_typeset)
    rows = [claim_row(row) for row in claims.to_dict("records")]
    ordered = sorted(rows, key=lambda row: row["verdict"] not in DECIDED)
    return environment.get_template("report.html.j2").render(
        question=question,
        headlines=[row for row in ordered if row["primary"] or row["verdict"] in DECIDED] or ordered[:1],
        claims=ordered,
        controls=controls,
        confidence=percent(confidence),
        seed_count=losses["pretraining_seed"].nunique(),
        seed_list=", ".join(map(str, sorted(losses["pretraining_seed"].unique()))),
        models=model_lines(comparison, losses),
        has_perplexity="heldout_perplexity" in losses,
        loss_sources=list(losses_by_source(losses)),
        losses_by_source=source_lines(losses),
        tasks=task_headings(scores),
        means=[task for task in comparison["task"].unique() if task in MEANS],
        score_groups=score_groups(comparison),
        pair_sets=[pair_set(name, rows) for name, rows in sets_of(minimal_pairs)],
        uneven_seeds=uneven_seeds(comparison),
        robustness=tabulate_robustness(measurements, confidence),
        by_seed=seed_lines(measurements),
        corpora=[
            {
                "name": name or "",
                "unigram_entropy": corpus["unigram_entropy"],
                "facts": corpus_facts(corpus),
                "sample": corpus["sample"],
            }
            for name, corpus in corpora.items()
        ],
        provenance=[(name, "; ".join(values)) for name, values in provenance["facts"].items() if values],
        runs=provenance["runs"],
        settings=json.dumps(provenance["settings"], indent=2, ensure_ascii=False),
        setting_differences=setting_differences(provenance["differences"]),
        sampling_error=sampling_error(scores),
        figures={name: _figure(f"{name}-figure", figure) for name, figure in figures.items()},
        plotly=Markup(get_plotlyjs()),
    )


def _figure(name: str, figure: go.Figure) -> dict[str, str]:
    """Draw a figure without background, its title apart for the page to print."""
    bare = go.Figure(figure).update_layout(
        title=None, margin_t=FIGURE_TOP, paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)"
    )
    html = bare.to_html(full_html=False, include_plotlyjs=False, div_id=name, config=FIGURE_CONFIGURATION)
    return {"title": figure.layout.title.text, "html": Markup(html)}


def _typeset(text: str) -> str:
    """Set minus signs before numbers, and keep numbers with their per cent signs."""
    return re.sub(r"(?<!\w)-(?=\d)", "−", text).replace(" %", "\N{NO-BREAK SPACE}%")
