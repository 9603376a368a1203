"""`kedro run` for some minutes at a time, on a host that ends every command after a while."""

import ctypes
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from time import monotonic
from typing import IO, Any

from project import project_folder, record, recorded, results_folder
from unpack import UNFINISHED

SECONDS_TO_SAVE = 60.0  # a step may be the one that is being compiled
SECONDS_TO_CLOSE = 10.0  # a process that the command left may still hold what it printed to
LOG = "run.log"
_PR_SET_PDEATHSIG = 1


def run_pipeline(pipeline: str, env: str, device: str, parameters: str, minutes: float) -> int:
    """Go on with a pipeline; returns 0 once it is finished, 75 if there is more to do."""
    settings = ",".join(filter(None, [parameters, f"execution.device={device}"]))
    options = [f"--pipeline={pipeline}", f"--env={env}", f"--params={settings}", "--only-missing-outputs"]
    started = datetime.now(UTC).isoformat(timespec="seconds")
    begin = monotonic()
    with (results_folder() / LOG).open("a", encoding="utf-8") as log:
        log.write(f"{started} kedro run {' '.join(options)}\n")
        code, stopped = run_for([sys.executable, "-m", "kedro", "run", *options], 60 * minutes, log)
    ended = "finished" if code == 0 else "stopped" if stopped else "failed"
    this = {"started": started, "seconds": round(monotonic() - begin, 1), "exit_code": code, "ended": ended}
    runs: list[dict[str, Any]] = [*recorded("run").get("runs", []), this]
    record("run", {"runs": runs, "seconds": round(sum(each["seconds"] for each in runs), 1)})
    if ended == "stopped":
        print(f"stopped after {this['seconds']:.0f} s: what is finished is kept; give the same command again")
        return UNFINISHED
    print(f"{ended} after {this['seconds']:.0f} s, {len(runs)} runs altogether")
    return code


def run_for(command: Sequence[str], seconds: float, log: IO[str]) -> tuple[int, bool]:
    """Run a command, ask it to stop with SIGTERM after some seconds, and end it if it does not.

    A SIGTERM or Ctrl-C to this process is passed on; if this process is killed, the command gets a SIGTERM too.

    Args:
        command: program and arguments, run in the project's folder.
        seconds: until it is asked to stop.
        log: what it prints goes here, too.

    Returns:
        Its exit code, and whether it was asked to stop.
    """
    process = subprocess.Popen(
        command,
        cwd=project_folder(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        preexec_fn=_end_with_parent if sys.platform == "linux" else None,
    )
    stopped = threading.Event()

    def stop(*_: object) -> None:
        stopped.set()
        process.terminate()

    alarms = [threading.Timer(seconds, stop), threading.Timer(seconds + SECONDS_TO_SAVE, process.kill)]
    previous = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        for alarm in alarms:
            alarm.daemon = True
            alarm.start()
        copying = threading.Thread(target=_copy, args=(process.stdout, log), daemon=True)
        copying.start()
        code = process.wait()
        copying.join(SECONDS_TO_CLOSE)
        return code, stopped.is_set()
    finally:
        for alarm in alarms:
            alarm.cancel()
        for number, handler in previous.items():
            signal.signal(number, handler)


def _copy(output: IO[str], log: IO[str]) -> None:
    for line in output:
        print(line, end="", flush=True)
        log.write(line)
        log.flush()


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
