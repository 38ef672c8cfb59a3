"""
The marks of repositories, bulk work and queries, each beside its yardstick.

The model has nine columns and no relations; "raw" is synchronous ``duckdb`` running the
same statements.
"""

from __future__ import annotations

import json
import time
from statistics import median
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from sqlalchemy import insert

from benchmarks.marks import _parameters, _raw
from benchmarks.measure import (
    Mark,
    milliseconds,
    peak_mib,
    ratio,
    side_by_side,
    tidy,
    watched_loop,
)
from benchmarks.models import COLUMNS, INSERT, SELECT, Base, Item, values
from project_architect_db import DatabaseEngine
from project_architect_db.orm.query import QueryBuilder
from project_architect_db.orm.repository import BaseRepository

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    Measure = Callable[["Path", float], Awaitable[list[Mark]]]

ROWS = 10_000
UPDATE = "UPDATE items SET status = $1 WHERE id = $2"
DELETE = "DELETE FROM items WHERE id = $1"
LIST = f"SELECT id, {COLUMNS} FROM items ORDER BY id LIMIT 100"
FILTER = f"""
SELECT id, {COLUMNS} FROM items
WHERE json_extract_string(architecture, '$.framework') = 'FastAPI'
ORDER BY score DESC LIMIT 50
"""


class Items(BaseRepository[Item]):
    """
    A plain repository.
    """


def _rows(count: int) -> list[dict[str, Any]]:
    return [values(number) for number in range(count)]


async def repository(folder: Path, share: float) -> list[Mark]:
    """
    One record at a time, in memory, inside a transaction.
    """
    rounds = int(500 * share) + 100
    count = 2 * (rounds + 20)
    raw = _raw(":memory:")
    for number in range(count):
        raw.execute(INSERT, _parameters(number))
    raw.begin()
    async with DatabaseEngine(":memory:", metadata=Base.metadata) as engine:
        await engine.create_all()
        async with engine.transaction() as session:
            items = Items(session)
            await items.bulk_create(_rows(count))
            session.expunge_all()
            steps: list[tuple[str, float, Any, Any]] = [
                ("get_by_id", 1.4, lambda i: items.get_by_id(i + 1),
                 lambda i: raw.execute(SELECT, [i + 1]).fetchall()),
                ("list(limit=100)", 2.5, lambda _: items.list(limit=100),
                 lambda _: raw.execute(LIST).fetchall()),
                ("create", 1.5, lambda i: items.create(values(i)),
                 lambda i: raw.execute(INSERT, _parameters(i)).fetchall()),
                ("update", 1.5, lambda i: items.update(i + 1, {"status": f"s{i}"}),
                 lambda i: (raw.execute(SELECT, [i + 1]).fetchall(),
                            raw.execute(UPDATE, [f"s{i}", i + 1]))),
                ("delete", 1.5, lambda i: items.delete(i + 1),
                 lambda i: raw.execute(DELETE, [i + 1])),
            ]  # fmt: skip
            marks = []
            for name, limit, ours, theirs in steps:
                took, yardstick = await side_by_side(ours, theirs, rounds=rounds)
                marks.append(ratio(f"repository.{name}", took, yardstick, limit, "raw"))
    raw.close()
    return marks


def _arrow_insert(raw: Any, rows: list[dict[str, Any]]) -> None:
    """
    The same rows with synchronous DuckDB: columns from dicts, INSERT, COMMIT.
    """
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    columns["architecture"] = [json.dumps(value) for value in columns["architecture"]]
    table = pa.table(columns)
    raw.begin()
    raw.register("given", table)
    raw.execute(f"INSERT INTO items ({COLUMNS}) SELECT {COLUMNS} FROM given")
    raw.commit()


async def bulk_records(folder: Path, share: float) -> list[Mark]:
    """
    10,000 records created as persistent objects, and changed by their ids.
    """
    rows, created, updated, stalls, yardstick = _rows(ROWS), [], [], [], []
    async with DatabaseEngine(folder / "k.duckdb", metadata=Base.metadata) as engine:
        await engine.create_all()
        for _ in range(max(3, int(9 * share)) + 1):
            tidy()
            async with watched_loop() as loop:
                started = time.perf_counter()
                async with engine.transaction() as session:
                    made = await Items(session).bulk_create(rows)
                created.append(milliseconds(started))
            stalls.append(loop.worst)
            changes = [{"id": item.id, "score": 2.5, "name": "x"} for item in made]
            del made, session
            tidy()
            started = time.perf_counter()
            async with engine.transaction() as session:
                await Items(session).bulk_update(changes)
            updated.append(milliseconds(started))
            raw = _raw(":memory:")
            started = time.perf_counter()
            _arrow_insert(raw, rows)
            yardstick.append(milliseconds(started))
            raw.close()
    took, arrow = median(created[1:]), median(yardstick[1:])
    return [
        Mark("bulk_create of 10,000 records", took, 50, "ms"),
        ratio("bulk_create of 10,000 records", took, arrow, 3, "raw Arrow"),
        Mark("… longest stall of the loop", median(stalls[1:]), 50, "ms"),
        Mark("bulk_update of 10,000 records", median(updated[1:]), 50, "ms"),
    ]


async def a_million_records(folder: Path, share: float) -> list[Mark]:
    """
    Rows that are made while they are written, and reads of one among many.
    """
    first, all_ = int(100_000 * share), int(1_000_000 * share)
    async with DatabaseEngine(
        folder / "m.duckdb", metadata=Base.metadata, memory_limit="256MB"
    ) as engine:
        await engine.create_all()
        times, reads, peaks = [], [], []
        tidy()
        async with watched_loop() as loop:
            for count in (first, all_ - first):
                started = time.perf_counter()
                async with engine.transaction() as session:
                    await Items(session).bulk_insert(values(i) for i in range(count))
                times.append(milliseconds(started) / count)
                peaks.append(peak_mib())
        for limit in (1000, all_):
            taken = []
            async with engine.session() as session:
                items = Items(session)
                for number in range(int(300 * share) + 50):
                    started = time.perf_counter()
                    await items.get_by_id(1 + number * 7919 % limit)
                    taken.append(milliseconds(started))
            reads.append(median(taken))
    return [
        ratio(f"a row of {all_:,} against one of {first:,}", times[1], times[0], 1.3,
              "the first ones"),
        Mark("… memory the others added to 256 MB of DuckDB", peaks[1] - peaks[0], 400,
             "MiB"),
        Mark("… longest stall of the loop", loop.worst, 50, "ms"),
        ratio("reads by key all over them", reads[1], reads[0], 1.5,
              "of the first thousand"),
    ]  # fmt: skip


async def json_filter(folder: Path, share: float) -> list[Mark]:
    """
    A filter on a JSON path, an order and a limit, over 100,000 rows.
    """
    count = int(100_000 * share)
    raw = _raw(":memory:")
    rows = _rows(count)
    for number, row in enumerate(rows):
        framework = ("FastAPI", "Django", "Flask")[number % 3]
        row["architecture"] = {"framework": framework, "number": number}
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    columns["architecture"] = [json.dumps(value) for value in columns["architecture"]]
    raw.register("given", pa.table(columns))
    raw.execute(f"INSERT INTO items ({COLUMNS}) SELECT {COLUMNS} FROM given")
    async with DatabaseEngine(":memory:", metadata=Base.metadata) as engine:
        await engine.create_all()
        async with engine.transaction() as session:
            await session.execute(insert(Item), rows)
        async with engine.session() as session:
            query = (
                QueryBuilder(Item, session)
                .filter_json("architecture", "$.framework", "FastAPI")
                .order_by("-score")
                .limit(50)
            )
            ours, yardstick = await side_by_side(
                lambda _: query.all(),
                lambda _: raw.execute(FILTER).fetchall(),
                rounds=int(40 * share) + 10, warm_up=3,
            )  # fmt: skip
    raw.close()
    return [ratio(f"JSON filter over {count:,} rows", ours, yardstick, 1.2, "raw")]


MEASURES: dict[str, Measure] = {
    function.__name__: function
    for function in (repository, bulk_records, a_million_records, json_filter)
}
