"""
Heavy Python work of SQLAlchemy, off the event loop.

Flushing 10,000 objects is 200 ms of Python, during which no other task would run.
So it runs on a thread of its own, and gives the loop back its turns: the thread
does what SQLAlchemy computes, the task does what SQLAlchemy awaits.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from greenlet import getcurrent, greenlet

from project_architect_db.dialect.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ResultT = TypeVar("ResultT")

HEAVY = 1_000
"""Objects or rows from which on a thread costs less than it frees."""


class _Collector:
    """
    The cyclic garbage collector, paused while anybody needs it paused.

    Thousands of new objects make it look through all objects of the process
    several times, which doubles the time of a large flush and stops every
    thread for 50 ms and more. What is unreachable is collected afterwards.
    """

    def __init__(self) -> None:
        self._pauses = 0
        self._was_enabled = False
        self._mutex = threading.Lock()

    @contextmanager
    def paused(self) -> Iterator[None]:
        with self._mutex:
            if not self._pauses:
                self._was_enabled = gc.isenabled()
                gc.disable()
            self._pauses += 1
        try:
            yield
        finally:
            with self._mutex:
                self._pauses -= 1
                if not self._pauses and self._was_enabled:
                    gc.enable()


collector = _Collector()


class _Greenlet(greenlet):  # type: ignore[misc]
    __sqlalchemy_greenlet_provider__ = True  # so that its await_() switches to us


async def run_off_loop(function: Callable[[], ResultT]) -> ResultT:
    """
    SQLAlchemy's `greenlet_spawn`, with the function on a thread of its own.

    What the function waits for is awaited by the calling task, so cancellation,
    context variables and the write gate see no difference.
    """
    worker, context = Worker("session-flush"), copy_context()
    inner = _Greenlet(function)

    def start() -> Any:
        # The greenlet belongs to the thread that first switches to it.
        inner.parent = getcurrent()
        inner.gr_context = context
        return inner.switch()

    async def step(on_thread: Callable[[], Any]) -> Any:
        results: list[Any] = []
        with collector.paused():  # not while the database is waited for
            cancellation = await worker.call_to_the_end(
                lambda: results.append(on_thread())
            )
        if cancellation is None:
            return results[0]
        if inner.dead:
            raise cancellation
        if asyncio.iscoroutine(results[0]):
            results[0].close()  # it would have been awaited next
        return await step(lambda: inner.throw(cancellation))

    try:
        result = await step(start)
        while not inner.dead:
            try:
                value = await result
            except BaseException:  # noqa: BLE001 - raised where it was awaited
                result = await step(partial(inner.throw, *sys.exc_info()))
            else:
                result = await step(partial(inner.switch, value))
        return result  # type: ignore[no-any-return]
    finally:
        worker.stop()
