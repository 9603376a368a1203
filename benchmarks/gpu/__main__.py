"""The headline on a GPU host without network, command by command; see docs/gpu.md.

    python benchmarks/gpu pack         at home: the prepared corpus and GLUE as pieces
    python benchmarks/gpu unpack       there: the pieces as the project's datasets
    python benchmarks/gpu check        there: is the device right?
    python benchmarks/gpu throughput   there: how fast is it?
    python benchmarks/gpu run          there: the study, some minutes at a time
    python benchmarks/gpu headline     there: the headline, library alone, in minutes
    python benchmarks/gpu collect      there: the results as pieces
    python benchmarks/gpu assemble     at home: the pieces as the results

Each prints a few lines, writes what it measured to data/gpu/<command>.json, keeps what is finished when it is given
again, and exits with 75 where it wants that.
"""

import argparse
import json
import logging
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))  # engine, machine, worker, workload

from ctcd.engine.hardware import usable_cores
from ctcd.errors import InputError

PIECES = Path("data/gpu/pieces")


def main() -> int:
    """Carry out one command; what the user can put right is one line."""
    arguments = _parse_arguments()
    logging.disable(logging.INFO)  # Kedro's words about its configuration
    try:
        return _carry_out(arguments)
    except InputError as error:
        print(error, file=sys.stderr)
        return 1


def _carry_out(arguments: argparse.Namespace) -> int:
    """Import only what the command needs: packing and unpacking do without PyTorch."""
    match arguments.command:
        case "pack":
            from pack import pack

            pack(arguments.env, arguments.data_root, arguments.to, arguments.mib)
            return 0
        case "unpack":
            from unpack import unpack

            return unpack(arguments.pieces, arguments.to)
        case "check":
            from check import check

            return check(arguments.device, arguments.shape, arguments.compiled, usable_cores())
        case "throughput":
            from throughput import measure_throughput

            compiled = {"both": [False, True], "never": [False], "always": [True]}[arguments.compile]
            return measure_throughput(
                arguments.device,
                arguments.shape,
                arguments.batch_sizes,
                compiled,
                arguments.block_seconds,
                arguments.seconds,
                usable_cores(),
            )
        case "run":
            from limited_run import run_pipeline

            return run_pipeline(
                arguments.pipeline, arguments.env, arguments.device, arguments.params, arguments.minutes
            )
        case "headline":
            from headline import VARIANTS, run_headline

            return run_headline(
                arguments.data,
                arguments.work,
                arguments.results,
                arguments.device,
                arguments.env,
                arguments.minutes,
                json.loads(arguments.variants or VARIANTS),
                json.loads(arguments.settings),
            )
        case "collect":
            from collect import collect

            collect(
                arguments.env,
                arguments.pipeline,
                arguments.model,
                arguments.part,
                arguments.to,
                arguments.mib,
                arguments.part_mib,
            )
            return 0
        case _:
            from collect import assemble

            return assemble(arguments.parts, arguments.to)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gpu", description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)

    project = argparse.ArgumentParser(add_help=False)
    project.add_argument("--env", default="budget", help="Kedro's environment (default budget)")
    study = argparse.ArgumentParser(add_help=False, parents=[project])
    study.add_argument("--pipeline", default="ctcd", help="the study (default ctcd)")
    device = argparse.ArgumentParser(add_help=False)
    device.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    shape = {"choices": ["tiny", "small", "base"], "help": "size of the models (default %(default)s)"}

    command = commands.add_parser("pack", parents=[project], help="the prepared corpus and GLUE as pieces")
    command.add_argument(
        "--data-root", type=Path, required=True, help="folder that holds glue/, minimal_pairs/ and corpus/"
    )
    command.add_argument("--to", type=Path, default=PIECES, help=f"folder of the pieces (default {PIECES})")
    command.add_argument("--mib", type=float, default=60, help="most MiB of a piece (default 60)")

    command = commands.add_parser("unpack", help="the pieces as the project's datasets")
    command.add_argument("--pieces", type=Path, nargs="+", default=[PIECES], help=f"where they are (default {PIECES})")
    command.add_argument("--to", type=Path, required=True, help="the data_root to be: gets glue/ and minimal_pairs/")

    command = commands.add_parser("check", parents=[device], help="is the device right?")
    command.add_argument("--shape", default="small", **shape)
    command.add_argument("--compiled", action="store_true", help="the compiled training step, too")

    command = commands.add_parser("throughput", parents=[device], help="how fast is it?")
    command.add_argument("--shape", default="base", **shape)
    command.add_argument("--batch-sizes", type=int, nargs="+", default=[128, 256, 512], metavar="SEQUENCES")
    command.add_argument("--compile", choices=["both", "never", "always"], default="both")
    command.add_argument("--block-seconds", type=float, default=0.5, help="length of a block (default 0.5)")
    command.add_argument("--seconds", type=float, default=170, help="start nothing new after these (default 170)")

    command = commands.add_parser("run", parents=[study, device], help="the study, some minutes at a time")
    command.add_argument("--params", default="", help="of `kedro run`, data_root among them")
    command.add_argument("--minutes", type=float, default=8.5, help="until it is asked to stop (default 8.5)")

    command = commands.add_parser("headline", parents=[device], help="the headline, library alone, in minutes")
    command.add_argument("--env", default="quarter", help="Kedro's environment (default quarter)")
    command.add_argument("--data", type=Path, required=True, help="folder that holds shards/, tokenizer/ and glue/")
    command.add_argument("--work", type=Path, required=True, help="folder of what is kept between two commands")
    command.add_argument("--results", type=Path, required=True, help="folder of the tables")
    command.add_argument("--minutes", type=float, default=9, help="start nothing that ends later (default 9)")
    command.add_argument("--variants", help="as JSON, in place of standalone, one_way and ctcd")
    command.add_argument("--settings", default="{}", help="changes of `pretraining` and `finetuning`, as JSON")

    command = commands.add_parser("collect", parents=[study], help="the results as pieces")
    command.add_argument("--model", default="ctcd.student", help="brought in half precision (default ctcd.student)")
    command.add_argument("--part", type=int, default=1, help="which of the transfers (default 1)")
    command.add_argument("--to", type=Path, required=True, help="folder that is brought home")
    command.add_argument("--mib", type=float, default=14, help="most MiB of a piece (default 14)")
    command.add_argument("--part-mib", type=float, default=60, help="most MiB of a transfer (default 60)")

    command = commands.add_parser("assemble", help="the pieces as the results")
    command.add_argument("--parts", type=Path, nargs="+", required=True, help="folders that `collect` filled")
    command.add_argument("--to", type=Path, required=True, help="folder of the results")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
