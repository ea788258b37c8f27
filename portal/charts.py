"""Charts, drawn on the server as bars of an SVG picture (R18)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from fetcher.models import FetchRun

#: The size of a lane's drawing, in its own units: one for a run in width.
SLOTS = 50
HEIGHT = 20
_LEAST = 0.6


@dataclass(frozen=True, slots=True)
class Bar:
    """One run in a lane: where it stands and how high it is, in units of the drawing, and what it says."""

    x: int
    height: float
    title: str
    is_failed: bool

    @property
    def y(self) -> float:
        """The upper edge; 0 is the top of the drawing."""
        return HEIGHT - self.height


@dataclass(frozen=True, slots=True)
class Lane:
    """One quantity over the runs, oldest first, the highest bar as high as the drawing."""

    title: str
    most: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """Lanes over the same runs, and when the first and the last of them began."""

    lanes: tuple[Lane, ...]
    since: datetime
    until: datetime
    any_failed: bool


def run_chart(runs: Sequence[FetchRun], *, counts: bool) -> Chart | None:
    """New mail and duration of ended runs, given newest first, failed ones marked; new mail only with `counts` (R25).

    None while fewer than two have ended: a chart compares.
    """
    ended = [run for run in runs if not run.is_open][:SLOTS][::-1]
    if len(ended) < 2:
        return None
    lanes = [_lane("Seconds", ended, lambda run: run.seconds, lambda value: f"{value:.1f}")]
    if counts:
        lanes.insert(0, _lane("New messages", ended, lambda run: run.new, lambda value: f"{value:.0f}"))
    return Chart(
        lanes=tuple(lanes),
        since=ended[0].started,
        until=ended[-1].started,
        any_failed=any(run.state == FetchRun.State.FAILED for run in ended),
    )


def _lane(
    title: str, runs: list[FetchRun], value_of: Callable[[FetchRun], float], shown: Callable[[float], str]
) -> Lane:
    values = [value_of(run) for run in runs]
    most = max(values)
    bars = [
        Bar(
            x=SLOTS - len(runs) + place,
            height=max(_LEAST, round(HEIGHT * value / most, 2)) if most else _LEAST,
            title=f"{run.error or run.get_state_display()} {title}: {shown(value)}",
            is_failed=run.state == FetchRun.State.FAILED,
        )
        for place, (run, value) in enumerate(zip(runs, values, strict=True))
    ]
    return Lane(title, shown(most), tuple(bars))
