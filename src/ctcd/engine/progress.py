"""Progress of a long loop: a live bar in a terminal, plain lines elsewhere, and metrics for whoever listens."""

import logging
import sys
from collections.abc import Mapping
from time import monotonic
from types import TracebackType
from typing import Any, Self

logger = logging.getLogger(__name__)

metrics_logger = logging.getLogger("ctcd.metrics")
metrics_logger.setLevel(logging.DEBUG)
metrics_logger.propagate = False  # numbers are for trackers, never for the console


def log_metrics(label: str, step: int, metrics: Mapping[str, float]) -> None:
    """Send metrics to the logger `ctcd.metrics`, as attributes `label`, `step` and `metrics` of the record."""
    metrics_logger.debug("metrics", extra={"label": label, "step": step, "metrics": dict(metrics)})


def clock(seconds: float) -> str:
    """Seconds as `m:ss` or `h:mm:ss`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class Progress:
    """Shows how far a loop is. `update` may be called at every step; it shows something only now and then.

    A terminal gets a live bar, anything else a log line at most every `log_seconds`; both get one line at the end.
    """

    def __init__(self, label: str, total: int, log_seconds: float) -> None:
        """`total` is the number of the last step, counted from 1; it may be set later, where it is only foreseen."""
        self.label = label
        self.total = total
        self.log_seconds = log_seconds
        self._bar = _Bar(label, total) if sys.stderr.isatty() else None

    def __enter__(self) -> Self:
        self._started = self._logged_at = monotonic()
        self._logged_step = 0
        self._first: tuple[int, float] | None = None
        self._latest: tuple[int, Mapping[str, float], float] | None = None
        if self._bar:
            self._bar.start()
        return self

    def update(self, step: int, metrics: Mapping[str, float], tokens_per_second: float) -> None:
        """Tell that `step` is done. `metrics` are named numbers, shown in their order."""
        now = monotonic()
        self._latest = (step, metrics, tokens_per_second)
        if self._first is None:
            self._first = (step, now)
        if self._bar:
            text = self._text(metrics, tokens_per_second)
            self._bar.update(step, self.total, text, self._seconds_left(step, now))
        elif now - self._logged_at >= self.log_seconds:
            self._log(now)

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()
        if self._latest and self._latest[0] != self._logged_step:
            self._log(monotonic())

    def _seconds_left(self, step: int, now: float) -> float | None:
        # The first step is the mark: a resumed run starts late, and the first step carries the warming up.
        first_step, first_time = self._first or (step, now)
        if step == first_step:
            return None
        return (self.total - step) * (now - first_time) / (step - first_step)

    def _text(self, metrics: Mapping[str, float], tokens_per_second: float) -> str:
        named = "".join(f"{name} {value:#.3g}  " for name, value in metrics.items())
        return f"{named}{tokens_per_second:,.0f} tokens/s"

    def _log(self, now: float) -> None:
        if self._latest is None:
            return
        step, metrics, tokens_per_second = self._latest
        left = self._seconds_left(step, now)
        if step >= self.total:
            time = f"  {clock(now - self._started)} in all"
        else:
            time = "" if left is None else f"  {clock(left)} left"
        logger.info("%s  step %d/%d  %s%s", self.label, step, self.total, self._text(metrics, tokens_per_second), time)
        self._logged_at, self._logged_step = now, step


class _Bar:
    """A live line on standard error. While it shows, log lines go through it, so that neither breaks the other."""

    def __init__(self, label: str, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self._progress = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.completed:.0f}/{task.total:.0f}  {task.fields[text]}  {task.fields[left]}", markup=False),
            console=Console(stderr=True, highlight=False),
            refresh_per_second=4,
            transient=True,
        )
        self._task = self._progress.add_task(label, total=total, text="", left="")
        self._redirected: list[tuple[Any, Any]] = []

    def start(self) -> None:
        before = sys.stderr
        self._progress.start()
        for handler in logging.getLogger().handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream is before:
                self._redirected.append((handler, handler.setStream(sys.stderr)))

    def update(self, step: int, total: int, text: str, seconds_left: float | None) -> None:
        left = "" if seconds_left is None else f"{clock(seconds_left)} left"
        self._progress.update(self._task, completed=step, total=total, text=text, left=left)

    def stop(self) -> None:
        while self._redirected:
            handler, stream = self._redirected.pop()
            handler.setStream(stream)
        self._progress.stop()
