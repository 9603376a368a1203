import io
import logging
import logging.handlers
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from ctcd.engine import progress
from ctcd.engine.progress import Progress, clock, log_metrics

LOSSES = {"teacher": 5.1234, "student": 5.2}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Time:
    """A clock that only moves when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch) -> Time:
    stopped = Time()
    monkeypatch.setattr(progress, "monotonic", stopped)
    return stopped


@pytest.fixture
def lines(caplog) -> Callable[[], list[str]]:
    caplog.set_level(logging.INFO, logger="ctcd")
    return lambda: list(caplog.messages)


@contextmanager
def terminal(monkeypatch) -> Iterator[Terminal]:
    """Put a terminal in the place of standard error, with the handler that conf/logging.yml makes."""
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    handler = logging.StreamHandler(stream)
    logging.getLogger().addHandler(handler)
    yield stream
    assert handler.stream is stream
    logging.getLogger().removeHandler(handler)


def test_a_line_names_step_losses_speed_and_time_left(time, lines):
    with Progress("ctcd", 1000, log_seconds=10) as bar:
        bar.update(100, LOSSES, 30_000)
        time.now += 21
        bar.update(400, LOSSES, 31_200.4)
        assert lines() == ["ctcd  step 400/1000  teacher 5.12  student 5.20  31,200 tokens/s  0:42 left"]


def test_there_is_one_line_per_interval_and_one_at_the_end(time, lines):
    with Progress("ctcd", 1000, log_seconds=10) as bar:
        for step in range(1, 1001):
            time.now += 0.1
            bar.update(step, LOSSES, 1000)
    assert 9 <= len(lines()) <= 11
    assert lines()[-1] == "ctcd  step 1000/1000  teacher 5.12  student 5.20  1,000 tokens/s  1:40 in all"
    assert len([line for line in lines() if "step 1000/" in line]) == 1


def test_time_left_counts_only_the_steps_of_this_run(time, lines):
    with Progress("ctcd", 1000, log_seconds=10) as bar:
        bar.update(901, LOSSES, 1000)
        time.now += 10
        bar.update(906, LOSSES, 1000)
    assert lines()[0].endswith("3:08 left")  # 94 steps at 2 s


def test_a_loop_that_fails_still_says_how_far_it_came(time, lines):
    def loop():
        with Progress("ctcd", 10, log_seconds=10) as bar:
            bar.update(3, LOSSES, 1000)
            raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        loop()
    assert lines() == ["ctcd  step 3/10  teacher 5.12  student 5.20  1,000 tokens/s"]


def test_a_loop_without_steps_says_nothing(time, lines):
    with Progress("untrained", 0, log_seconds=10):
        pass
    assert lines() == []


def test_a_terminal_shows_a_live_bar_and_one_line_at_the_end(time, lines, monkeypatch):
    with terminal(monkeypatch) as screen:
        with Progress("ctcd [1]", 10, log_seconds=1) as bar:
            bar.update(1, LOSSES, 1000)
            time.now += 20
            bar.update(6, LOSSES, 2000)
            bar._bar._progress.refresh()
            shown = screen.getvalue()
            time.now += 20
            bar.update(10, LOSSES, 2000)
        assert all(part in shown for part in ("ctcd [1]", "6/10", "teacher 5.12", "2,000 tokens/s", "0:16 left"))
        assert "step" not in shown
        assert screen.getvalue().count("ctcd [1]  step 10/10") == 1
    assert len(lines()) == 1


def test_log_lines_stand_alone_while_a_bar_is_shown(lines, monkeypatch):
    with terminal(monkeypatch) as screen, Progress("ctcd", 10, log_seconds=1) as bar:
        bar.update(1, LOSSES, 1000)
        logging.getLogger("ctcd").info("corpus: done")
        shown = screen.getvalue()
    assert "corpus: done" in re.split(r"\x1b\[2K|\r|\n", shown)


def test_metrics_go_to_listeners_and_not_to_the_console(monkeypatch):
    listener = logging.handlers.BufferingHandler(10)
    progress.metrics_logger.addHandler(listener)
    with terminal(monkeypatch) as screen:
        monkeypatch.setattr(logging.getLogger(), "level", logging.DEBUG)
        log_metrics("ctcd", 7, {"heldout_loss": 4.5})
    progress.metrics_logger.removeHandler(listener)
    (record,) = listener.buffer
    assert (record.label, record.step, record.metrics) == ("ctcd", 7, {"heldout_loss": 4.5})
    assert screen.getvalue() == ""


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (59.6, "1:00"), (754, "12:34"), (3725, "1:02:05")])
def test_clock(seconds, text):
    assert clock(seconds) == text
