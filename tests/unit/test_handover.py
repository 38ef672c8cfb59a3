"""
The hand-over: every item has one taker, whoever comes first is served first.
"""

from __future__ import annotations

import asyncio
import threading

import pytest

from project_architect_db.dialect.handover import Handover


async def waiting(handover, number):
    async with asyncio.timeout(20):
        while handover.waiting != number:
            await asyncio.sleep(0)


async def test_items_come_out_in_order():
    handover = Handover(1, 2)
    handover.put(3)
    assert len(handover) == 3
    assert [await handover.take(None) for _ in range(3)] == [1, 2, 3]
    assert len(handover) == 0


async def test_takers_are_served_in_order():
    handover: Handover[int] = Handover()
    takers = [asyncio.create_task(handover.take(None)) for _ in range(3)]
    await waiting(handover, 3)
    for item in range(3):
        handover.put(item)
    assert await asyncio.gather(*takers) == [0, 1, 2]


def test_nobody_waits_who_will_not():
    handover = Handover("item")
    assert handover.take_nowait() == "item"
    assert handover.take_nowait() is None


@pytest.mark.parametrize("seconds", [0, 0.001])
async def test_patience_ends(seconds):
    handover: Handover[int] = Handover()
    with pytest.raises(TimeoutError):
        await handover.take(seconds)
    assert handover.waiting == 0
    handover.put(1)
    assert handover.take_nowait() == 1


async def test_what_is_there_is_taken_without_patience():
    assert await Handover(1).take(0) == 1


async def test_an_item_given_to_a_cancelled_taker_goes_to_the_next():
    handover: Handover[int] = Handover()
    first, second = (asyncio.create_task(handover.take(None)) for _ in range(2))
    await waiting(handover, 2)
    handover.put(1)
    first.cancel()  # it has been chosen, but has not run yet
    assert await second == 1
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_cancelled_taker_leaves_the_queue():
    handover: Handover[int] = Handover()
    taker = asyncio.create_task(handover.take(60))
    await waiting(handover, 1)
    taker.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taker
    assert handover.waiting == 0
    handover.put(1)
    assert handover.take_nowait() == 1


async def test_an_item_that_comes_with_the_end_of_patience_is_taken():
    handover: Handover[int] = Handover()
    loop = asyncio.get_running_loop()
    taker = asyncio.create_task(handover.take(0.01))
    await waiting(handover, 1)
    loop.call_later(0.01, handover.put, 1)
    try:
        assert await taker == 1
    except TimeoutError:
        async with asyncio.timeout(20):
            assert await handover.take(None) == 1


def dead_loop(handover, after=lambda: None):
    """
    A loop that was closed while one of its tasks waited.
    """
    loop = asyncio.new_event_loop()
    task = loop.create_task(handover.take(None))
    while not handover.waiting:
        loop.run_until_complete(asyncio.sleep(0))
    after()
    loop.close()
    return task


# A loop that dies cannot end its coroutines properly: Python complains.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("when", ["before it was chosen", "after it was chosen"])
def test_a_taker_whose_loop_is_dead_is_passed_over(when):
    handover: Handover[int] = Handover()
    if when == "before it was chosen":
        task = dead_loop(handover)
        handover.put(1)
    else:
        task = dead_loop(handover, after=lambda: handover.put(1))
        assert len(handover) == 0
        handover.reclaim()
    assert handover.take_nowait() == 1
    assert handover.waiting == 0
    assert not task.done()
    task._log_destroy_pending = False


async def test_what_a_live_taker_was_given_is_not_reclaimed():
    handover: Handover[int] = Handover()
    taker = asyncio.create_task(handover.take(None))
    await waiting(handover, 1)
    handover.put(1)
    handover.reclaim()
    assert handover.take_nowait() is None
    assert await taker == 1


def test_loops_of_many_threads_share_one_item_at_a_time():
    handover = Handover("token")
    inside: list[int] = []
    most: list[int] = []

    async def work():
        for _ in range(50):
            await handover.take(None)
            inside.append(1)
            most.append(len(inside))
            await asyncio.sleep(0)
            inside.pop()
            handover.put("token")

    async def main():
        await asyncio.gather(*(work() for _ in range(4)))

    threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 4 * 4 * 50
    assert set(most) == {1}
    assert len(handover) == 1
