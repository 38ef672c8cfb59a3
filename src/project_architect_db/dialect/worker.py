"""
One thread that runs the calls of one DuckDB connection, in order.

DuckDB has no async API, and a connection may be used by one thread at a time.
A call is awaited from any event loop; a cancelled call is interrupted in the
database and waited for, so that the connection is free when the task goes on.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from project_architect_db.errors import ClosedError

if TYPE_CHECKING:
    from collections.abc import Callable

ResultT = TypeVar("ResultT")

INTERRUPT_EVERY = 0.002
"""Seconds between interrupts: one sent before DuckDB has begun is lost."""


class Call(Generic[ResultT]):
    """
    A call on its way to the worker thread and back.
    """

    __slots__ = ("done", "drained", "error", "function", "future", "loop", "result",
                 "running", "skipped")  # fmt: skip

    def __init__(self, function: Callable[[], ResultT]) -> None:
        self.function = function
        self.loop: asyncio.AbstractEventLoop | None = None
        self.future: asyncio.Future[ResultT] | None = None
        self.drained: asyncio.Future[None] | None = None
        self.running = self.done = self.skipped = False
        self.error: BaseException | None = None

    def run(self) -> None:
        """
        Run it, on the worker thread.
        """
        self.running = True
        try:
            if not self.skipped:
                self.result = self.function()
        except BaseException as error:  # noqa: BLE001 - handed to the awaiting task
            self.error = error
        self.running = False
        if self.loop is not None:
            try:  # noqa: SIM105 - on every statement's way; half the cost of suppress()
                self.loop.call_soon_threadsafe(self.finish)
            except RuntimeError:  # closed: nobody waits any more
                pass

    def finish(self) -> None:
        """
        Tell the awaiting task, on its event loop.
        """
        self.done = True
        if self.drained is not None:
            self.drained.set_result(None)
        elif self.future is not None and not self.future.done():
            if self.error is not None:
                self.future.set_exception(self.error)
            else:
                self.future.set_result(self.result)


class _WorkerThread(threading.Thread):
    """
    A thread of ours, told apart from others.
    """


class Worker:
    """
    A daemon thread with a queue of calls.

    It references nothing but its queue, so that a forgotten connection can be
    collected while its thread still waits.
    """

    def __init__(self, name: str) -> None:
        self._queue: SimpleQueue[Call[Any] | None] = SimpleQueue()
        self._mutex = threading.Lock()
        self._stopped = False
        self._process = os.getpid()
        self._thread = _WorkerThread(
            target=_serve, args=(self._queue,), name=name, daemon=True
        )
        self._thread.start()

    def post(self, function: Callable[[], object]) -> None:
        """
        Queue a call and do not wait for it.

        Raises:
            ClosedError: The thread has been told to end.
        """
        self._put(Call(function))

    def post_urgent(
        self, function: Callable[[], object], interrupt: Callable[[], None]
    ) -> None:
        """
        Queue a call, and interrupt what runs or waits before it until it begins.

        Needs no event loop: the one that waits for what runs may be dead.

        Raises:
            ClosedError: The thread has been told to end.
        """
        begun, mutex = threading.Event(), threading.Lock()

        def run() -> None:
            with mutex:
                begun.set()
            function()

        def hurry() -> None:
            while True:
                with mutex:
                    if begun.is_set():
                        return
                    interrupt()
                begun.wait(INTERRUPT_EVERY)

        self._put(Call(run))
        threading.Thread(target=hurry, name="duckdb-interrupt", daemon=True).start()

    def stop(self) -> None:
        """
        End the thread when all queued calls have run.
        """
        with self._mutex:
            if not self._stopped:
                self._stopped = True
                self._queue.put(None)

    def join(self, seconds: float) -> None:
        """
        Wait for the end of the thread, which is close once it has been told.
        """
        self._thread.join(seconds)

    async def call(
        self,
        function: Callable[[], ResultT],
        *,
        interrupt: Callable[[], None] | None = None,
        timeout: float | None = None,
    ) -> ResultT:
        """
        Run the function on the thread and wait for its result.

        Args:
            function: What to run.
            interrupt: Stops the running function from outside; without it the
                function always runs to its end.
            timeout: Seconds after which to interrupt.

        Raises:
            TimeoutError: It was interrupted because its time was up.
            asyncio.CancelledError: The task was cancelled; the function has been
                interrupted and has returned.
        """
        call, future = self._submit(function)
        timer = expired = None
        if timeout is not None and interrupt is not None:
            expired = _Expiry(call, interrupt)
            timer = future.get_loop().call_later(timeout, expired.stop)
        try:
            return await future
        except asyncio.CancelledError:
            if not call.done:
                await _drain(call, interrupt)
            raise
        except Exception as error:
            if expired is not None and expired.due:
                raise TimeoutError from error
            raise
        finally:
            if timer is not None:
                timer.cancel()

    async def call_to_the_end(
        self, function: Callable[[], object]
    ) -> asyncio.CancelledError | None:
        """
        Run the function to its end even if the task is cancelled meanwhile.

        Returns:
            The cancellation, which the caller has to raise again.

        Raises:
            asyncio.CancelledError: The task was cancelled, and the function failed.
        """
        call, future = self._submit(function)
        try:
            await future
        except asyncio.CancelledError as cancellation:
            if not call.done:
                await _drain(call, None)
            if call.error is not None:
                raise cancellation from call.error
            return cancellation
        return None

    def _submit(
        self, function: Callable[[], ResultT]
    ) -> tuple[Call[ResultT], asyncio.Future[ResultT]]:
        call = Call(function)
        call.loop = asyncio.get_running_loop()
        call.future = future = call.loop.create_future()
        self._put(call)
        return call, future

    def _put(self, call: Call[Any]) -> None:
        with self._mutex:
            if self._stopped:
                raise ClosedError("this connection is closed")
            if self._process != os.getpid():
                raise ClosedError(
                    "this connection belongs to the process that forked this one, "
                    "which has to open its own"
                )
            self._queue.put(call)


class _Expiry:
    """
    Interrupts a call whose time is up, again and again until it returns.
    """

    def __init__(self, call: Call[Any], interrupt: Callable[[], None]) -> None:
        self.call = call
        self.interrupt = interrupt
        self.due = False

    def stop(self) -> None:
        if not self.call.done and self.call.loop is not None:
            self.due = True
            if self.call.running:
                self.interrupt()
            self.call.loop.call_later(INTERRUPT_EVERY, self.stop)


async def _drain(call: Call[Any], interrupt: Callable[[], None] | None) -> None:
    """
    Wait until a cancelled call has left the thread, however often we are cancelled.
    """
    loop = asyncio.get_running_loop()
    call.drained = loop.create_future()
    if interrupt is not None:
        call.skipped = True  # if it has not begun, it never will
    while not call.done:
        if interrupt is not None and call.running:
            interrupt()
        try:
            await asyncio.wait((call.drained,), timeout=INTERRUPT_EVERY)
        except asyncio.CancelledError:
            continue


def join_all(seconds: float) -> None:
    """
    Wait for the end of all threads of workers, which have to be told before.
    """
    deadline = time.monotonic() + seconds
    for thread in threading.enumerate():
        if isinstance(thread, _WorkerThread):
            thread.join(max(0.0, deadline - time.monotonic()))


def _serve(queue: SimpleQueue[Call[Any] | None]) -> None:
    while (call := queue.get()) is not None:
        call.run()
        del call
