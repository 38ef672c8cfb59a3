"""
Heavy Python work of SQLAlchemy, off the event loop.

Flushing 10,000 objects is 200 ms of Python, during which no other task would run.
So it runs on a thread of its own, and gives the loop back its turns: the thread
does what SQLAlchemy computes, the task does what SQLAlchemy awaits.
"""

from __future__ import annotations

import asyncio
import sys
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from greenlet import getcurrent, greenlet

from project_architect_db.dialect.worker import Worker
from project_architect_db.garbage_collector import collector

if TYPE_CHECKING:
    from collections.abc import Callable

ResultT = TypeVar("ResultT")

HEAVY = 1_000
"""Objects or rows from which on a thread costs less than it frees."""


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
