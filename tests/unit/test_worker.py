"""
The thread of a connection: calls run in order, and end before their tasks go on.
"""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import weakref

import pytest

from project_architect_db.dialect.worker import Worker, join_all
from project_architect_db.errors import ClosedError

PATIENCE = 20


class StoppedError(Exception):
    pass


class Query:
    """
    A function that runs until it is interrupted, as a query does.
    """

    def __init__(self):
        self.began = threading.Event()
        self.interrupted = threading.Event()
        self.ended = False

    def __call__(self):
        self.began.set()
        assert self.interrupted.wait(PATIENCE)
        self.ended = True
        raise StoppedError

    async def begin(self):
        await asyncio.to_thread(self.began.wait, PATIENCE)


@pytest.fixture
def worker():
    worker = Worker("test")
    yield worker
    worker.stop()
    worker.join(PATIENCE)
    assert not worker._thread.is_alive()


@pytest.fixture
def blocked(worker):
    """
    The worker is busy with something until this is set.
    """
    free = threading.Event()
    worker.post(lambda: free.wait(PATIENCE))
    yield free
    free.set()


async def test_a_result_comes_back(worker):
    assert await worker.call(lambda: 42) == 42
    assert await worker.call(threading.current_thread) is worker._thread


async def test_an_error_comes_back(worker):
    with pytest.raises(ZeroDivisionError):
        await worker.call(lambda: 1 / 0)
    assert await worker.call(lambda: 42) == 42


async def test_calls_run_in_order(worker):
    ran: list[int] = []
    worker.post(lambda: ran.append(1))
    await asyncio.gather(*(worker.call(lambda n=n: ran.append(n)) for n in (2, 3)))
    assert ran == [1, 2, 3]


async def test_an_error_nobody_waits_for_stops_nothing(worker):
    worker.post(lambda: 1 / 0)
    assert await worker.call(lambda: 42) == 42


# --- cancellation ---------------------------------------------------------------


async def test_a_cancelled_call_is_interrupted_and_has_ended(worker):
    query = Query()
    task = asyncio.create_task(worker.call(query, interrupt=query.interrupted.set))
    await query.begin()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert query.ended


async def test_an_interrupt_that_comes_too_early_is_sent_again(worker):
    query = Query()
    sent: list[int] = []

    def interrupt():
        sent.append(1)
        if len(sent) == 3:
            query.interrupted.set()

    task = asyncio.create_task(worker.call(query, interrupt=interrupt))
    await query.begin()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert query.ended
    assert len(sent) >= 3


async def test_a_task_cancelled_again_and_again_still_waits_for_the_end(worker):
    query = Query()
    sent = threading.Event()
    task = asyncio.create_task(worker.call(query, interrupt=sent.set))
    await query.begin()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0.005)
    assert sent.is_set()
    assert not task.done()
    query.interrupted.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert query.ended


async def test_what_is_cancelled_before_it_begins_never_does(worker, blocked):
    ran: list[int] = []
    interrupts: list[int] = []
    task = asyncio.create_task(
        worker.call(lambda: ran.append(1), interrupt=lambda: interrupts.append(1))
    )
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0.01)
    assert not task.done()  # its turn on the thread has to pass
    blocked.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ran == []
    assert interrupts == []  # they would have hit what ran before


async def test_what_cannot_be_interrupted_runs_to_its_end(worker):
    query = Query()
    task = asyncio.create_task(worker.call(query))
    await query.begin()
    task.cancel()
    await asyncio.sleep(0.01)
    assert not task.done()
    query.interrupted.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert query.ended


# --- timeouts -------------------------------------------------------------------


async def test_a_call_whose_time_is_up_is_interrupted(worker):
    query = Query()
    with pytest.raises(TimeoutError) as caught:
        await worker.call(query, interrupt=query.interrupted.set, timeout=0.01)
    assert isinstance(caught.value.__cause__, StoppedError)
    assert query.ended


async def test_a_timeout_never_interrupts_what_ran_before(worker, blocked):
    query = Query()
    interrupts: list[bool] = []

    def interrupt():
        interrupts.append(query.began.is_set())
        query.interrupted.set()

    task = asyncio.create_task(worker.call(query, interrupt=interrupt, timeout=0.001))
    await asyncio.sleep(0.02)
    assert interrupts == []
    blocked.set()
    with pytest.raises(TimeoutError):
        await task
    assert interrupts[0]


async def test_a_result_in_time_is_a_result(worker):
    interrupts: list[int] = []
    answer = await worker.call(
        lambda: 42, interrupt=lambda: interrupts.append(1), timeout=0.01
    )
    assert answer == 42
    await asyncio.sleep(0.03)
    assert interrupts == []


async def test_an_error_in_time_is_itself(worker):
    with pytest.raises(ZeroDivisionError):
        await worker.call(lambda: 1 / 0, interrupt=lambda: None, timeout=PATIENCE)


# --- to the end -----------------------------------------------------------------


async def test_to_the_end_means_whatever_is_cancelled(worker):
    free = threading.Event()
    task = asyncio.create_task(worker.call_to_the_end(lambda: free.wait(PATIENCE)))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0.01)
    assert not task.done()
    free.set()
    assert isinstance(await task, asyncio.CancelledError)


async def test_to_the_end_without_cancellation_returns_nothing(worker):
    assert await worker.call_to_the_end(lambda: 42) is None


async def test_a_cancellation_carries_the_error_of_what_ended(worker, blocked):
    task = asyncio.create_task(worker.call_to_the_end(lambda: 1 / 0))
    await asyncio.sleep(0)
    task.cancel()
    blocked.set()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("method", ["call", "call_to_the_end"])
@pytest.mark.parametrize("cancelled", ["just before", "just after"])
async def test_a_cancellation_that_comes_with_the_result(worker, method, cancelled):
    """
    Both are known to the event loop before the task has run again.
    """
    loop = asyncio.get_running_loop()

    def cancel():
        loop.call_soon_threadsafe(task.cancel)

    first, second = (
        (cancel, lambda: None) if cancelled == "just before" else (lambda: 42, cancel)
    )
    task = asyncio.create_task(getattr(worker, method)(first))
    await asyncio.sleep(0)
    worker.post(second)
    both_are_queued = threading.Event()
    worker.post(both_are_queued.set)
    assert both_are_queued.wait(PATIENCE)
    if method == "call":
        with pytest.raises(asyncio.CancelledError):
            await task
    else:
        assert isinstance(await task, asyncio.CancelledError)


# --- urgent calls and the end ---------------------------------------------------


async def test_an_urgent_call_interrupts_what_runs_before_it(worker):
    query = Query()
    ran: list[int] = []
    task = asyncio.create_task(worker.call(query, interrupt=query.interrupted.set))
    await query.begin()
    worker.post_urgent(lambda: ran.append(1), query.interrupted.set)
    with pytest.raises(StoppedError):
        await task
    assert await worker.call(lambda: ran) == [1]


async def test_an_urgent_call_is_not_interrupted_itself(worker):
    began, interrupts = threading.Event(), []

    def urgent():
        began.set()
        before = len(interrupts)
        threading.Event().wait(0.02)
        assert len(interrupts) == before

    worker.post_urgent(urgent, lambda: interrupts.append(1))
    await asyncio.to_thread(began.wait, PATIENCE)
    call = await worker.call(lambda: len(interrupts))
    await asyncio.sleep(0.02)
    assert len(interrupts) == call


def test_a_stopped_worker_runs_what_is_queued_and_refuses_more():
    worker = Worker("test")
    ran: list[int] = []
    worker.post(lambda: ran.append(1))
    worker.stop()
    worker.stop()
    worker.join(PATIENCE)
    assert ran == [1]
    with pytest.raises(ClosedError, match="this connection is closed"):
        worker.post(lambda: ran.append(2))


def test_join_all_waits_for_those_that_were_told():
    workers = [Worker("test") for _ in range(2)]
    for worker in workers:
        worker.stop()
    join_all(PATIENCE)
    assert not any(worker._thread.is_alive() for worker in workers)


def test_a_worker_of_another_process_is_refused(worker, monkeypatch):
    mine = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: mine + 1)
    with pytest.raises(ClosedError, match="forked"):
        worker.post(lambda: None)


def test_a_result_for_a_loop_that_is_closed_is_dropped(worker, blocked):
    loop = asyncio.new_event_loop()
    task = loop.create_task(worker.call(lambda: 42))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    blocked.set()
    assert asyncio.run(worker.call(lambda: 43)) == 43
    task._log_destroy_pending = False
    task.get_coro().close()


async def test_what_a_call_held_is_free_when_it_has_run(worker):
    query = Query()
    query.interrupted.set()
    alive = weakref.ref(query)
    worker.post(query)
    await worker.call(lambda: None)
    del query
    gc.collect()
    assert alive() is None
