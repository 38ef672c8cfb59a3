"""
A pool whose waiters are served in order, from any event loop and thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import TimeoutError as NoConnectionError
from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.util.concurrency import await_
from sqlalchemy.util.queue import Empty, Full, QueueCommon

from project_architect_db.dialect.handover import Handover
from project_architect_db.errors import ClosedError, PoolTimeoutError

if TYPE_CHECKING:
    from sqlalchemy.pool import ConnectionPoolEntry


class ConnectionQueue(QueueCommon[Any]):
    """
    The queue in the middle of the pool; SQLAlchemy's own belongs to one loop.
    """

    def __init__(self, maxsize: int = 0, use_lifo: bool = False) -> None:
        self.maxsize = maxsize
        self.use_lifo = use_lifo
        self._handover: Handover[ConnectionPoolEntry] = Handover()

    def empty(self) -> bool:
        """
        Whether no connection is idle.
        """
        return not self.qsize()

    def full(self) -> bool:
        """
        Whether another idle connection would be too many.
        """
        return 0 < self.maxsize <= self.qsize()

    def qsize(self) -> int:
        """
        How many connections are idle.
        """
        return len(self._handover)

    def waiting(self) -> int:
        """
        How many tasks wait for a connection.
        """
        return self._handover.waiting

    def put_nowait(self, item: Any) -> None:
        """
        Give a connection back.

        Raises:
            Full: There are idle ones enough.
        """
        if self.full():
            raise Full
        self._handover.put(item)

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """
        The same: a pool never waits to give back.
        """
        self.put_nowait(item)

    def get_nowait(self) -> Any:
        """
        An idle connection.

        Raises:
            Empty: There is none.
        """
        item = self._handover.take_nowait()
        if item is None:
            raise Empty
        return item

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """
        An idle connection, or the next one that is given back.

        Raises:
            Empty: None came in time.
        """
        if not block:
            return self.get_nowait()
        try:
            return await_(self._handover.take(timeout))
        except TimeoutError:
            raise Empty from None


class ConnectionPool(AsyncAdaptedQueuePool):
    """
    SQLAlchemy's queue pool over `ConnectionQueue`.
    """

    _queue_class = ConnectionQueue
    closed = False
    """Set to hand out no connections any more."""

    def _do_get(self) -> ConnectionPoolEntry:
        if self.closed:
            raise ClosedError("this engine is closed; open another one")
        try:
            return super()._do_get()
        except NoConnectionError as error:
            raise PoolTimeoutError(
                connections=self.size() + self._max_overflow, seconds=self._timeout
            ) from error

    def recreate(self) -> ConnectionPool:
        """
        What takes the place of this pool when it is disposed of.
        """
        pool: Any = super().recreate()
        pool.closed = self.closed
        return pool

    def waiting(self) -> int:
        """
        How many tasks wait for a connection.
        """
        queue: Any = self._pool
        waiting: int = queue.waiting()
        return waiting
