"""
Many writers on the same rows: what each of them added is there in the end.
"""

from __future__ import annotations

import asyncio
import functools
import random
from collections import Counter as Tally

import pytest
from concurrency_support import Counter, Model, assert_at_rest
from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from project_architect_db import DatabaseEngine, StaleSnapshotError

TASKS = 16
UPDATES = 100
ROWS = (1, 2, 3, 4)
STORMS = [
    pytest.param(1, UPDATES // 4, id="a twentieth"),  # in the four tests together
    pytest.param(
        20, UPDATES, id="full", marks=[pytest.mark.storm, pytest.mark.timeout(900)]
    ),
]
counter = Counter.__table__

# DuckDB loses one of two updates when one is made in place and the other rewrites
# the row: it has an indexed column, is an upsert, or returns something
# (duckdb/duckdb#17223). So the storm mixes them all.


async def in_place(session, row):
    await session.execute(
        update(counter).where(counter.c.id == row).values(plain=counter.c.plain + 1)
    )
    return [(row, "plain")]


async def of_an_indexed_column(session, row):
    await session.execute(
        update(counter).where(counter.c.id == row).values(indexed=counter.c.indexed + 1)
    )
    return [(row, "indexed")]


async def returning(session, row):
    await session.scalar(
        update(counter)
        .where(counter.c.id == row)
        .values(plain=counter.c.plain + 1)
        .returning(counter.c.plain)
    )
    return [(row, "plain")]


async def upserts(session, row):
    await session.execute(
        upsert(Counter)
        .values(id=row, plain=-1, indexed=-1)
        .on_conflict_do_update(
            index_elements=["id"], set_={"plain": counter.c.plain + 1}
        )
    )
    return [(row, "plain")]


async def of_all_other_rows(session, row):
    await session.execute(
        update(counter)
        .where(counter.c.id == bindparam("row"))
        .values(plain=counter.c.plain + 1, indexed=counter.c.indexed + 1),
        [{"row": other} for other in ROWS if other != row],
    )
    return [
        (other, column)
        for other in ROWS
        if other != row
        for column in ("plain", "indexed")
    ]


async def read_then_written_by_the_orm(session, row):
    found = await session.get_one(Counter, row)
    await asyncio.sleep(0)
    found.plain += 1
    return [(row, "plain")]


CHANGES = (
    in_place,
    of_an_indexed_column,
    returning,
    upserts,
    of_all_other_rows,
    read_then_written_by_the_orm,
)


async def in_a_transaction(engine, change):
    async with engine.transaction() as session:
        return await change(session)


async def in_a_transaction_run_again(engine, change):
    return await engine.run_in_transaction(change)


async def in_a_session(engine, change):
    try:
        async with engine.session() as session:
            changed = await change(session)
            await session.commit()
            return changed
    except StaleSnapshotError:  # it read before another one wrote
        return await in_a_transaction(engine, change)


ROADS = (in_a_transaction, in_a_transaction_run_again, in_a_session)


async def add(engine, number, updates, acknowledged):
    """
    One task of the storm: what it has committed is noted.
    """
    chance = random.Random(number)
    for _ in range(updates):
        change = functools.partial(chance.choice(CHANGES), row=chance.choice(ROWS))
        acknowledged.update(await chance.choice(ROADS)(engine, change))


async def storm(engine, numbers, updates, acknowledged):
    async with asyncio.TaskGroup() as group:
        for number in numbers:
            group.create_task(add(engine, number, updates, acknowledged))


async def set_up(engine):
    await engine.create_all()
    async with engine.transaction() as session:
        session.add_all(Counter(id=row) for row in ROWS)


async def found(engine):
    async with engine.session() as session:
        rows = (await session.scalars(select(Counter))).all()
    return {
        (row.id, column): getattr(row, column)
        for row in rows
        for column in ("plain", "indexed")
    }


@pytest.mark.parametrize(("runs", "updates"), STORMS)
async def test_no_update_is_lost_between_tasks(tmp_path, runs, updates):
    for run in range(runs):
        acknowledged = Tally()
        async with DatabaseEngine(
            tmp_path / f"{run}.duckdb", metadata=Model.metadata, threads=2
        ) as engine:
            await set_up(engine)

            numbers = range(run * TASKS, (run + 1) * TASKS)
            await storm(engine, numbers, updates, acknowledged)

            assert await found(engine) == acknowledged
            await assert_at_rest(engine)


def in_another_loop(open_engine, numbers, updates, acknowledged):
    async def main():
        async with open_engine() as engine:
            await storm(engine, numbers, updates, acknowledged)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("runs", "updates"),
    [
        pytest.param(1, UPDATES // 4, id="a twentieth", marks=pytest.mark.slow),
        STORMS[1],
    ],
)
async def test_no_update_is_lost_between_threads_with_engines_of_their_own(
    tmp_path, runs, updates
):
    half = TASKS // 2
    for run in range(runs):
        tallies = [Tally(), Tally()]
        open_engine = functools.partial(
            DatabaseEngine,
            tmp_path / f"{run}.duckdb",
            metadata=Model.metadata,
            threads=2,
        )
        async with open_engine() as engine:
            await set_up(engine)

            await asyncio.gather(
                storm(engine, range(half), updates, tallies[0]),
                asyncio.to_thread(
                    in_another_loop,
                    open_engine,
                    range(half, TASKS),
                    updates,
                    tallies[1],
                ),
            )

            assert await found(engine) == tallies[0] + tallies[1]
            await assert_at_rest(engine)
