"""The table of `pretraining.py`."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from summary import Row

NARROWEST = 132  # columns; a smaller terminal wraps rather than cuts
SECTIONS = {"ladder": "ladder, each rung on top of the last", "method": "ours, by method", "peer": "peers"}


def print_report(report: dict[str, Any], rows: list[Row], output: Path) -> None:
    """Print one table and what belongs to it."""
    console = Console(highlight=False, width=max(NARROWEST, Console().width))
    table = Table(title=_title(report), title_justify="left", caption=_caption(report, output), caption_justify="left")
    table.add_column("contender", no_wrap=True)
    for name in ("tokens/s", "ratio", "gain", "memory", "of plain", "process", "of peak", "difference"):
        table.add_column(name, justify="right", no_wrap=True)
    section = None
    for row in rows:
        if row.section != section:
            section = row.section
            table.add_section()
            table.add_row(f"[bold]{SECTIONS[section]}")
        table.add_row(*_cells(row))
    console.print(table)
    for row in rows:
        if row.unavailable:
            console.print(f"[yellow]Not measured:[/] {row.name} ({row.unavailable})", soft_wrap=True)
        if not row.agrees:
            console.print(f"[red]Other losses than plain:[/] {row.name}, by {row.difference:.1e}", soft_wrap=True)


def _cells(row: Row) -> list[str]:
    if row.unavailable:
        return [f"  {row.name}", "–"]
    return [
        f"  {row.name}",
        _format(row.tokens_per_second, ",.0f"),
        _format(row.ratio, ".2f"),
        _format(row.gain, ".2f"),
        _format(row.memory_rise, ",.0f", " MB"),
        _format(row.memory_of_baseline, ".2f"),
        _format(row.process_peak, ",.0f", " MB"),
        _format(row.peak_share, ".0%"),
        _format(row.difference, ".1e") + ("" if row.agrees else " !"),
    ]


def _format(value: float | None, pattern: str, unit: str = "") -> str:
    return "" if value is None else f"{value:{pattern}}{unit}"


def _title(report: dict[str, Any]) -> str:
    shape, machine = report["shape"], report["machine"]
    return (
        f"{shape['name']}: {shape['width']} wide, vocabulary {shape['vocabulary']:,}, "
        f"{shape['batch_size']} x {shape['length']} tokens, 6 + 4 layers; {machine['gpu'] or machine['processor']}, "
        f"{machine['threads']} threads, {report['rounds']} rounds"
    )


def _caption(report: dict[str, Any], output: Path) -> str:
    peak, packing, cost = report["matrix_peak"], report["packing"], report["cost_of_codistillation"]
    lines = [
        "ratio: to plain; gain: over the rung before; memory: rise of the peak while training; process: its peak; "
        "of peak: needed operations per second / best matrix product; difference: of the losses from plain's, "
        f"relative, {report['check_steps']} steps.",
        "Best matrix product: " + ", ".join(f"{speed / 1e9:,.0f} GFLOP/s {name}" for name, speed in peak.items()) + ".",
    ]
    if cost is not None:
        lines.append(f"Cost of co-distillation, time of ctcd / time of standalone: {cost:.3f}.")
    if trainer := report["speed_against_trainer"]:
        figures = ", ".join(f"{ratio:.2f} ({which})" for which, ratio in trainer.items())
        lines.append(f"Tokens/s of our fastest rung, both models / of the Trainer, teacher alone: {figures}.")
    lines += [
        f"Packing: of positions padded to {packing['length']}, {packing['padded_documents']:.0%} would be real tokens "
        f"with one document per sequence and {packing['padded_paragraphs']:.0%} with one paragraph "
        f"({packing['corpus']}); packed {packing['packed']:.0%}, a further {packing['factor']:.2f}x for all ours.",
        f"All figures: {output}",
    ]
    return "\n".join(lines)
