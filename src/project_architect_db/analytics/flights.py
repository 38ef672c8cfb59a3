"""
Computations under way, each once for all who ask for it at the same time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from project_architect_db.analytics.questions import Progress
    from project_architect_db.dialect.commit_log import CommitLog

Make: TypeAlias = "Callable[[Progress], Awaitable[Any]]"
"""What computes, and says how far it is."""


@dataclass(slots=True)
class Flight:
    """
    A computation under way.

    Attributes:
        commit: What it has certainly seen.
        listeners: Who want to know how far it is.
        waiting: How many wait for it.
        task: That computes.
    """

    commit: int
    listeners: list[Progress] = field(default_factory=list)
    waiting: int = 0
    task: asyncio.Task[Any] | None = None

    def tell(self, progress: float) -> None:
        """
        Say how far it is.
        """
        for listener in self.listeners:
            listener(progress)


class Flights:
    """
    The computations of one event loop.

    Args:
        at_once: How many are asked of the database at once.
    """

    def __init__(self, at_once: int) -> None:
        self.turns = asyncio.Semaphore(at_once)
        self._flights: dict[Hashable, Flight] = {}

    def joined(
        self, key: Hashable, tables: frozenset[str], log: CommitLog
    ) -> Flight | None:
        """
        The one that is under way, if it began after the last commit that matters.
        """
        flight = self._flights.get(key)
        if flight is not None and log.last_write(tables) <= flight.commit:
            return flight
        return None

    def begin(self, key: Hashable, log: CommitLog, make: Make) -> Flight:
        """
        Begin a new one.
        """
        # What is read then may be newer than this commit, but not older.
        flight = self._flights[key] = Flight(log.sequence)
        flight.task = asyncio.ensure_future(self._fly(key, flight, make))
        return flight

    async def wait(
        self, key: Hashable, flight: Flight, tell: Progress | None = None
    ) -> Any:
        """
        Wait for one; when nobody does so any more, it is stopped.
        """
        task: asyncio.Task[Any] = flight.task  # type: ignore[assignment]
        flight.waiting += 1
        if tell is not None:
            flight.listeners.append(tell)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if flight.waiting == 1 and not task.done():
                self._forget(key, flight)  # before somebody joins what is to end
                task.cancel()
                await asyncio.wait([task])  # its connection is free again
            raise
        finally:
            flight.waiting -= 1
            if tell is not None:
                flight.listeners.remove(tell)

    async def _fly(self, key: Hashable, flight: Flight, make: Make) -> Any:
        try:
            return await make(flight.tell)
        finally:
            self._forget(key, flight)

    def _forget(self, key: Hashable, flight: Flight) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]


class FlightsOfLoops:
    """
    Those of each event loop: a task of one cannot be waited for in another.

    Args:
        at_once: How many each of them has at once.
    """

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._known: WeakKeyDictionary[asyncio.AbstractEventLoop, Flights] = (
            WeakKeyDictionary()
        )

    def here(self) -> Flights:
        """
        Those of the running loop.
        """
        loop = asyncio.get_running_loop()
        found = self._known.get(loop)
        if found is None:
            found = self._known[loop] = Flights(self._at_once)
        return found
