"""How fast ctcd trains a teacher and a student together, and what each step from plain code to it brings.

    python benchmarks/pretraining.py --shape small

prints one table and writes one JSON file. Measured are, in one run and in turn, round by round:

- the ladder: from two `BertForMaskedLM` as most people would train them ("plain") to ctcd with everything on;
- ours by method, as ctcd runs them by itself (not compiled), hence the cost of co-distillation;
- peers: Hugging Face's `Trainer` on the teacher alone, TextBrewer's one-way distillation
  (`pip install --no-deps -r benchmarks/requirements.txt`).

Each contender lives in a process of its own; the others sleep while one works. All see the same token ids, drawn by
Zipf's law. Figures are medians over the rounds; a ratio compares two blocks of the same round.

Memory is the rise of the process's peak over what it had before the models were built (on a GPU: the most that
tensors took). The share of the machine's peak counts the floating-point operations of the matrix products that the
step needs, which are the fewest that any contender executes for the same models and losses: work that could have been
skipped flatters nobody. The JSON file also has what each one executes. The peak is the best square matrix product
of the same data type with the same number of threads.

At the end each rung trains without dropout from the same weights on the same batches. If its losses
are not the plain ones, within rounding, the command fails.
"""

import argparse
import json
import logging
import sys
from pathlib import Path

from contenders import all_contenders
from ladder import PLAIN
from machine import chosen_device, describe
from measurement import Plan, Result, measure
from packing import measure_packing
from pretraining_table import print_report
from summary import as_dictionaries, cost_of_codistillation, speed_against_trainer, summarize
from worker import Assignment, Worker
from workload import SHAPES

from ctcd.engine.hardware import usable_cores

LARGEST_SIDE = {"tiny": 256}  # of the square matrices that measure the peak


def main() -> int:
    """Measure, print, write; 1 if a rung computes something else than the baseline."""
    arguments = _parse_arguments()
    logging.basicConfig(level=logging.WARNING if arguments.quiet else logging.INFO, format="%(asctime)s  %(message)s")
    plan = _plan(arguments)
    contenders = [
        contender
        for contender in all_contenders(plan.shape, plan.device)
        if contender.name == PLAIN or _is_wanted(contender.name, arguments)
    ]
    side = LARGEST_SIDE.get(plan.shape.name, 1 << 20)
    with Worker(Assignment(PLAIN, plan.shape, plan.device, plan.threads)) as peak_worker:
        peak = peak_worker("matrix_peak", side)
        results = measure(plan, contenders)
        peak = {name: max(speed, peak[name]) for name, speed in peak_worker("matrix_peak", side).items()}

    rows = summarize(results, plan.shape, peak)
    report = {
        "machine": describe(plan.device, plan.threads),
        "shape": vars(plan.shape),
        "rounds": plan.rounds,
        "block_seconds": plan.block_seconds,
        "check_steps": plan.check_steps,
        "matrix_peak": peak,
        "contenders": as_dictionaries(rows),
        "losses": _losses(results),
        "cost_of_codistillation": cost_of_codistillation(results),
        "speed_against_trainer": speed_against_trainer(rows),
        "packing": measure_packing(plan.shape).as_dictionary(),
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(report, indent=2), encoding="utf-8")
    print_report(report, rows, arguments.output)
    return 0 if all(row.agrees for row in rows) else 1


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--shape", choices=list(SHAPES), default="small", help="size of the models")
    parser.add_argument("--rounds", type=int, default=5, help="blocks per contender (default 5)")
    parser.add_argument("--block-seconds", type=float, default=8.0, help="length of a block (default 8)")
    parser.add_argument("--check-steps", type=int, default=3, help="steps whose losses are compared (default 3)")
    parser.add_argument("--batch-size", type=int, help="sequences in a step (default: the shape's)")
    parser.add_argument("--threads", type=int, help="default: one per core that this process may use")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--only", nargs="+", metavar="WORDS", help="contenders whose name contains one of these")
    parser.add_argument("--skip", nargs="+", metavar="WORDS", default=[], help="leave these out")
    parser.add_argument("--at-once", type=int, help="processes alive together (default: what the memory holds)")
    parser.add_argument("--output", type=Path, default=Path("pretraining_benchmark.json"), help="the JSON file")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    return parser.parse_args()


def _plan(arguments: argparse.Namespace) -> Plan:
    return Plan(
        shape=SHAPES[arguments.shape].with_batch_size(arguments.batch_size),
        device=chosen_device(arguments.device),
        threads=arguments.threads or usable_cores(),
        rounds=arguments.rounds,
        block_seconds=arguments.block_seconds,
        check_steps=arguments.check_steps,
        at_once=arguments.at_once,
    )


def _is_wanted(name: str, arguments: argparse.Namespace) -> bool:
    wanted = arguments.only is None or any(words in name for words in arguments.only)
    return wanted and not any(words in name for words in arguments.skip)


def _losses(results: list[Result]) -> dict[str, list[tuple[float, float, float, float]]]:
    """Teacher's hard and soft, student's hard and soft loss of the first steps, by rung."""
    return {result.contender.name: result.losses for result in results if result.losses}


if __name__ == "__main__":
    sys.exit(main())
