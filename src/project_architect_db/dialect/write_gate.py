"""
One writer at a time.

DuckDB loses updates without a word: when one transaction changes a row in place
and another rewrites it (an indexed column, a list, RETURNING …), both commit and
one change is gone (duckdb/duckdb#17223). A single process owns a database file,
so a gate inside the process is complete. Readers never pass through it.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import weakref
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast
from weakref import WeakKeyDictionary

from project_architect_db.dialect.handover import Handover
from project_architect_db.errors import NestedTransactionError, WriteTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

logger = logging.getLogger(__name__)

LONG_HOLD = 1.0
"""Seconds after which a held gate is worth a warning."""

_LIBRARIES = ("project_architect_db", "sqlalchemy", "asyncio", "contextlib", "greenlet")

_own_lease: ContextVar[Lease | None] = ContextVar("own_lease", default=None)


def caller() -> str:
    """
    The user's line that led here: ``file:line in function``.
    """
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.partition(".")[0] not in _LIBRARIES:
            code = frame.f_code
            return f"{code.co_filename}:{frame.f_lineno} in {code.co_name}"
        frame = frame.f_back
    return "an unknown place"


class Lease:
    """
    The right to write, from the first statement to the end of the transaction.
    """

    def __init__(self, gate: WriteGate, opened_at: str) -> None:
        self._gate = gate
        task = asyncio.current_task()
        self.holder = task.get_name() if task else "a task"
        self._task = weakref.ref(task) if task else None
        self._loop = weakref.ref(asyncio.get_running_loop())
        self.opened_at = opened_at
        self.since = datetime.now(UTC)
        self.abandon: Callable[[], None] = self.release
        """What ends the transaction when its event loop has died."""
        self.ending = False
        """Its ROLLBACK is on the way."""
        self.kept = False
        """Several transactions of one connection share it; `end` gives it up."""
        self._started = time.monotonic()
        self._warned = False

    @property
    def seconds(self) -> float:
        """
        How long it has been held.
        """
        return time.monotonic() - self._started

    @property
    def is_mine(self) -> bool:
        """
        Whether the current task took it.
        """
        return self._task is not None and self._task() is asyncio.current_task()

    @property
    def is_orphaned(self) -> bool:
        """
        Whether its event loop will never run again.
        """
        loop = self._loop()
        return loop is None or loop.is_closed()

    def warn_if_long(self) -> None:
        """
        Say once that this transaction keeps all other writers waiting.
        """
        if self.seconds > LONG_HOLD and not (self._warned or self.kept):
            self._warned = True
            logger.warning(
                "%s has been writing for %.1f s in the transaction opened at %s; "
                "all other writers wait for it",
                self.holder,
                self.seconds,
                self.opened_at,
            )

    def release(self) -> None:
        """
        Let the next writer in; safe from any thread, and more than once.
        """
        if not self.kept or self.is_orphaned:
            self._gate._release(self)

    def end(self) -> None:
        """
        Let the next writer in, after the last of several transactions.
        """
        self.kept = False
        self._warned = True  # it was meant to be long
        self.release()


class WriteGate:
    """
    A fair gate that lets one writer in, over all event loops and threads.
    """

    def __init__(self) -> None:
        self._token: Handover[bool] = Handover(True)
        self._mutex = threading.Lock()
        self._transactions: WeakKeyDictionary[asyncio.Task[object], str]
        self._transactions = WeakKeyDictionary()
        self.lease: Lease | None = None

    @property
    def waiting(self) -> int:
        """
        How many writers wait.
        """
        return self._token.waiting

    async def acquire(self, *, timeout: float, opened_at: str | None = None) -> Lease:
        """
        Wait for the right to write.

        Args:
            timeout: Seconds to wait at most.
            opened_at: Where the transaction was opened; by default the caller.

        Raises:
            NestedTransactionError: This very task holds the gate already.
            WriteTimeoutError: The holder did not finish in time.
        """
        self.refuse_nesting()
        if self._token.take_nowait() is None:
            await self._wait(timeout)
        lease = Lease(self, opened_at or caller())
        self.lease = lease
        _own_lease.set(lease)
        return lease

    @contextmanager
    def transaction(self, opened_at: str) -> Iterator[None]:
        """
        A block that will write, which the current task can be in once.

        Raises:
            NestedTransactionError: It is in one already, or holds the gate.
        """
        self.refuse_nesting()
        task = cast("asyncio.Task[object]", asyncio.current_task())
        if (other := self._transactions.get(task)) is not None:
            raise NestedTransactionError(other)
        self._transactions[task] = opened_at
        try:
            yield
        finally:
            del self._transactions[task]

    def refuse_nesting(self) -> None:
        """
        Raise when the current task holds the gate: it would wait for itself.
        """
        lease = self.lease
        if lease is not None and lease.is_mine and not lease.ending:
            raise NestedTransactionError(lease.opened_at)

    async def _wait(self, seconds: float) -> None:
        loop, started = asyncio.get_running_loop(), time.monotonic()

        timers: list[asyncio.Handle] = []

        def watch() -> None:
            self._watch_holder()
            timers[:] = [loop.call_later(LONG_HOLD, watch)]

        watch()
        try:
            await self._token.take(seconds)
        except TimeoutError:
            raise self._timeout_error(time.monotonic() - started) from None
        finally:
            timers[0].cancel()

    def _watch_holder(self) -> None:
        lease = self.lease
        if lease is None:
            self._token.reclaim()
        else:
            # A connection whose ROLLBACK is queued may have a new user already.
            if lease.is_orphaned and not lease.ending:
                lease.abandon()
            lease.warn_if_long()

    def _timeout_error(self, waited: float) -> WriteTimeoutError:
        lease = self.lease
        if lease is None:
            return WriteTimeoutError(
                f"could not write within {waited:.1f} s: too many writers wait",
                waited=waited,
                holder="nobody",
                held_since=datetime.now(UTC),
                opened_at="an unknown place",
            )
        who = f"{lease.holder} in the transaction opened at {lease.opened_at}"
        if lease is _own_lease.get():
            who += (
                ", which started this task: pass its session on, or start the "
                "task after the transaction"
            )
        return WriteTimeoutError(
            f"could not write within {waited:.1f} s; the write gate is held since "
            f"{lease.since:%H:%M:%S} UTC ({lease.seconds:.1f} s) by {who}",
            waited=waited,
            holder=lease.holder,
            held_since=lease.since,
            opened_at=lease.opened_at,
        )

    def _release(self, lease: Lease) -> None:
        with self._mutex:
            if self.lease is not lease:
                return
            self.lease = None
        lease.warn_if_long()
        self._token.put(True)
