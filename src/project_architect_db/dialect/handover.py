"""
A fair hand-over of things between tasks of any event loop and any thread.

`asyncio.Queue` belongs to one loop and `queue.Queue` blocks the loop. Whoever
waits here is served first come, first served, wherever it runs; what was offered
to a waiter that is gone (cancelled, timed out, its loop dead) goes to the next.
The write gate is a hand-over of one token, the pool a hand-over of connections.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")


class _Waiter(Generic[ItemT]):
    __slots__ = ("items", "loop", "ready")

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.ready = self.loop.create_future()
        self.items: list[ItemT] = []

    def wake(self) -> None:
        if not self.ready.done():
            self.ready.set_result(None)


class Handover(Generic[ItemT]):
    """
    Items wait for takers, takers wait for items, both in order of arrival.
    """

    def __init__(self, *items: ItemT) -> None:
        self._items = deque(items)
        self._waiters: deque[_Waiter[ItemT]] = deque()
        self._offered: list[_Waiter[ItemT]] = []
        # Reentrant: the garbage collector may come in between, and with it a
        # forgotten connection that is put back, or a dead task that leaves.
        self._mutex = threading.RLock()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def waiting(self) -> int:
        """
        How many tasks wait for an item.
        """
        return len(self._waiters)

    def put(self, item: ItemT) -> None:
        """
        Give the item to the first live waiter, or keep it; never blocks.
        """
        with self._mutex:
            while self._waiters:
                waiter = self._waiters.popleft()
                waiter.items.append(item)
                self._offered.append(waiter)
                try:
                    waiter.loop.call_soon_threadsafe(waiter.wake)
                except RuntimeError:  # its loop is closed: it will never take it
                    self._leave(waiter)
                else:
                    return
            self._items.append(item)

    def reclaim(self) -> None:
        """
        Offer again what was offered to a task whose loop was closed since.
        """
        for waiter in tuple(self._offered):
            if waiter.loop.is_closed() and (item := self._leave(waiter)) is not None:
                self.put(item)

    def take_nowait(self) -> ItemT | None:
        """
        An item nobody waits for, or `None`.
        """
        with self._mutex:
            return self._items.popleft() if self._items else None

    async def take(self, seconds: float | None) -> ItemT:
        """
        Wait for an item.

        Raises:
            TimeoutError: None came in that many seconds.
        """
        self.reclaim()
        with self._mutex:
            if self._items:
                return self._items.popleft()
            waiter: _Waiter[ItemT] = _Waiter()
            self._waiters.append(waiter)
        timer = None
        if seconds is not None:
            timer = waiter.loop.call_later(seconds, waiter.wake)
        try:
            await waiter.ready
        except BaseException:
            # Cancelled, or the loop was closed around us (GeneratorExit).
            if (item := self._leave(waiter)) is not None:
                self.put(item)
            raise
        finally:
            if timer is not None:
                timer.cancel()
        if (item := self._leave(waiter)) is None:
            raise TimeoutError
        return item

    def _leave(self, waiter: _Waiter[ItemT]) -> ItemT | None:
        with self._mutex:
            if waiter.items:
                self._offered.remove(waiter)
                return waiter.items.pop()
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            return None
