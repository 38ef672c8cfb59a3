"""
Clocks, probes and the shape of a result.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import resource
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


@dataclass
class Mark:
    """
    One measured number beside its limit.

    Attributes:
        name: What was measured.
        value: The number that is compared with `limit`.
        limit: What it may be at most; or, with `is_least`, has to be at least.
        unit: ``×`` for a ratio to the yardstick, else a unit of measure.
        ours: Our time in milliseconds, where a ratio is compared.
        yardstick: The yardstick's time in milliseconds.
        beside: What the yardstick is.
        floor: The ratio of SQLAlchemy alone, without a thread or a gate.
        peak_mib: The largest memory of the process that measured it.
        reached: What is reached today, where that misses the limit: a regression is
            told from there.
        is_least: Whether more is better: the yardstick's time is compared with ours.
        peers: The times of other libraries in milliseconds, by their names.
    """

    name: str
    value: float
    limit: float
    unit: str
    ours: float | None = None
    yardstick: float | None = None
    beside: str = ""
    floor: float | None = None
    peak_mib: float = 0.0
    is_least: bool = False
    reached: float = 0.0
    peers: dict[str, float] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        """
        Whether the number is within its limit.
        """
        return self.is_within(1.0)

    def is_within(self, slack: float) -> bool:
        """
        Whether the number misses its limit by no more than a factor.
        """
        if self.is_least:
            return self.value * slack >= self.limit
        limit = self.limit if slack == 1.0 else max(self.limit, self.reached)
        return self.value <= limit * slack

    def as_dict(self) -> dict[str, Any]:
        """
        For JSON.
        """
        return {**asdict(self), "met": self.met}


def percentile(values: list[float], share: float) -> float:
    """
    The value below which that share of all values lies.
    """
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def milliseconds(started: float) -> float:
    """
    Since a `time.perf_counter()`.
    """
    return (time.perf_counter() - started) * 1000


def peak_mib() -> float:
    """
    The largest resident memory of this process so far.
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024**2 if sys.platform == "darwin" else 1024)


async def side_by_side(
    *things: Callable[[int], object], rounds: int, warm_up: int = 20
) -> list[float]:
    """
    Medians in milliseconds of things done in turn, so that drift hits all of them.
    """
    times: list[list[float]] = [[] for _ in things]
    for number in range(warm_up + rounds):
        for thing, taken in zip(things, times, strict=True):
            started = time.perf_counter()
            result = thing(number)
            if inspect.isawaitable(result):
                await result
            taken.append(milliseconds(started))
    return [median(taken[warm_up:]) for taken in times]


def ratio(
    name: str, ours: float, yardstick: float, limit: float, beside: str, *,
    alone: float | None = None,
) -> Mark:  # fmt: skip
    """
    A mark that compares two times.
    """
    floor = None if alone is None else alone / yardstick
    return Mark(
        name, ours / yardstick, limit, "×", ours, yardstick, beside, floor=floor
    )


class Stalls:
    """
    How late the event loop was, at worst, in milliseconds.
    """

    worst = 0.0


@asynccontextmanager
async def watched_loop() -> AsyncIterator[Stalls]:
    """
    Ask the loop for a turn every millisecond, and note how late it comes.
    """
    stalls = Stalls()

    async def probe() -> None:
        while True:
            started = time.perf_counter()
            await asyncio.sleep(0.001)
            stalls.worst = max(stalls.worst, milliseconds(started) - 1)

    task = asyncio.create_task(probe())
    await asyncio.sleep(0.02)
    stalls.worst = 0.0
    try:
        yield stalls
        await asyncio.sleep(0.005)
    finally:
        task.cancel()


def tidy() -> None:
    """
    Start from a collected heap, as a long-running process would.
    """
    gc.collect()
