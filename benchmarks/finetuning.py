"""How fast ctcd fine-tunes, against Hugging Face's `Trainer`, on RTE, MRPC and CoLA.

    pip install --no-deps -r benchmarks/requirements.txt
    python benchmarks/finetuning.py --data-root <folder that holds glue/>

prints one table and writes one JSON file. A contender that cannot be run, for want of a library, is named, and the
others are measured. Contenders take turns, round by round, at the same job: the same model,
tokens, epochs, batch size in examples, learning rate, schedule and seeds, up to the predictions of the validation
examples. Timed is everything from the tokenized examples on, loading the model and starting processes included. Figures
are medians over the rounds; a ratio compares two contenders in the same round. Scores stand beside, as means over the
seeds.

ctcd chooses by itself how to compute: processes, bfloat16 from a width of 128 on where the processor has it. The
`Trainer` runs as it comes: on a CPU in float32 on all cores, on a GPU in bfloat16.
"""

import argparse
import json
import logging
import os
import sys
import tempfile
from pathlib import Path
from statistics import mean, median, stdev
from time import perf_counter
from typing import Any

import torch
import transformers
from finetuning_contenders import CONTENDERS, Scores
from finetuning_jobs import Work, make_model, prepare, read_data
from transformers import AutoTokenizer

from ctcd.engine.hardware import usable_cores
from ctcd.errors import first_line
from ctcd.modeling.model_folder import find_model

WARM_UP_SHARE = 0.01

logger = logging.getLogger(__name__)


def main() -> int:
    """Measure, print, write."""
    arguments = _parse_arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s  %(message)s")
    data = read_data(arguments.data_root, arguments.tasks, arguments.share)
    with tempfile.TemporaryDirectory() as folder:
        if arguments.model:
            model = find_model(arguments.model)
        else:
            tokenizer = AutoTokenizer.from_pretrained(arguments.tokenizer) if arguments.tokenizer else None
            model = make_model(Path(folder), arguments.layers, arguments.width, data, tokenizer)
        work = prepare(
            model, data, arguments.epochs, arguments.batch_size, arguments.seeds, in_full_size=arguments.full_size
        )
        few = read_data(arguments.data_root, arguments.tasks, WARM_UP_SHARE)
        unavailable = _warm_up(prepare(model, few, 1, arguments.batch_size, 1), arguments.only)
        available = [name for name in arguments.only if name not in unavailable]
        seconds, scores = _measure(work, arguments.rounds, available)
    report = _report(arguments, seconds, scores, unavailable)
    arguments.output.write_text(json.dumps(report, indent=2), encoding="utf-8")
    if seconds:
        print(_table(report))
    for name, problem in unavailable.items():
        print(f"not measured: {name} ({problem})")
    print(f"\nWritten to {arguments.output}")
    return 0 if seconds else 1


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    root = os.environ.get("CTCD_DATA")
    parser.add_argument("--data-root", type=Path, default=root, required=root is None, help="folder that holds glue/")
    parser.add_argument("--tasks", nargs="+", default=["rte", "mrpc", "cola"])
    parser.add_argument("--share", type=float, default=0.1, help="of the examples of every task (default 0.1; 1: all)")
    parser.add_argument("--full-size", action="store_true", help="repeat the examples of tasks that are there in part")
    parser.add_argument("--model", help="folder or hub name (default: a BERT with random weights)")
    parser.add_argument("--layers", type=int, default=4, help="of the BERT with random weights")
    parser.add_argument("--width", type=int, default=256, help="of the BERT with random weights")
    parser.add_argument("--tokenizer", type=Path, help="its tokenizer, a folder (default: trained on the tasks' texts)")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, help="examples (default: the usual one of each task)")
    parser.add_argument("--seeds", type=int, default=1, help="fine-tunings of each task")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=list(CONTENDERS), default=list(CONTENDERS), help="contenders")
    parser.add_argument("--output", type=Path, default=Path("finetuning_benchmark.json"), help="the JSON file")
    return parser.parse_args()


def _warm_up(work: Work, names: list[str]) -> dict[str, str]:
    """Run every contender once; returns what those lack that cannot be run."""
    unavailable = {}
    for name in names:
        logger.info("%s: warming up", name)
        try:
            CONTENDERS[name](work)
        except ImportError as error:
            unavailable[name] = first_line(error)
    return unavailable


def _measure(work: Work, rounds: int, names: list[str]) -> tuple[dict[str, list[float]], dict[str, Scores]]:
    """Seconds by contender and round, and the scores, which are those of every round."""
    seconds: dict[str, list[float]] = {name: [] for name in names}
    scores: dict[str, Scores] = {}
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            started = perf_counter()
            scores[name] = CONTENDERS[name](work)
            seconds[name].append(perf_counter() - started)
            logger.info("round %d of %d: %s %.1f s", number + 1, rounds, name, seconds[name][-1])
    return seconds, scores


def _report(
    arguments: argparse.Namespace,
    seconds: dict[str, list[float]],
    scores: dict[str, Scores],
    unavailable: dict[str, str],
) -> dict[str, Any]:
    ratios = {
        name: median(theirs / own for theirs, own in zip(values, seconds["ctcd"], strict=True))
        for name, values in seconds.items()
        if name != "ctcd" and "ctcd" in seconds
    }
    return {
        "arguments": {name: str(value) for name, value in vars(arguments).items()},
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "cores": usable_cores(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "median_seconds": {name: median(values) for name, values in seconds.items()},
        "seconds_by_round": seconds,
        "times_faster_than": ratios,
        "scores": scores,
        "not_measured": unavailable,
    }


def _table(report: dict[str, Any]) -> str:
    tasks = list(next(iter(report["scores"].values())))
    lines = [f"{'':28}{'seconds':>9}{'ctcd is':>15}" + "".join(f"{task:>16}" for task in tasks)]
    for name, seconds in report["median_seconds"].items():
        ratio = report["times_faster_than"].get(name)
        faster = f"{ratio:.2f}x faster" if ratio else ""
        cells = "".join(f"{_score(report['scores'][name][task]):>16}" for task in tasks)
        lines.append(f"{name:28}{seconds:9.1f}{faster:>15}{cells}")
    return "\n".join(lines)


def _score(values: list[float]) -> str:
    spread = f" ± {100 * stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * mean(values):.1f}{spread}"


if __name__ == "__main__":
    sys.exit(main())
