"""
Other libraries on the same work, beside ours and raw DuckDB: all on files.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from benchmarks.marks import _parameters, _raw
from benchmarks.measure import Mark, side_by_side
from benchmarks.models import INSERT, SELECT, Base, values
from benchmarks.repository_marks import (
    DELETE,
    LIST,
    ROWS,
    UPDATE,
    Items,
    _arrow_insert,
    _rows,
)
from project_architect_db import DatabaseEngine

if TYPE_CHECKING:
    from pathlib import Path

    Measure = Callable[["Path", float], Awaitable[list[Mark]]]
    Work = Callable[[int], object]

HOW_TO_INSTALL = "Without peers; to see them beside it: pip install -e '.[peers]'"
FIRST = "advanced-alchemy"
"""The peer that marks are about."""
CHECKSUM = "SELECT count(*), sum(id), sum(score), max(name), max(status) FROM items"


async def peers(folder: Path, share: float) -> list[Mark]:
    """
    One record at a time and 10,000 at once, with the commit that makes them last.
    """
    from benchmarks.peer_libraries import LIBRARIES

    raw = _raw(str(folder / "raw.duckdb"))
    others = [library(folder / f"{library.name}.duckdb") for library in LIBRARIES]
    names = ["raw DuckDB", *(other.name for other in others)]
    marks: list[Mark] = []
    rows = _rows(ROWS)
    changes = [{"id": 1 + n, "score": 2.5, "name": "x"} for n in range(ROWS)]
    one, many = int(200 * share) + 20, max(1, int(3 * share))

    async def compare(
        name: str, least: float, ours: Work, alone: Work, theirs: Callable[..., object],
        rounds: int = one, warm_up: int = 20,
    ) -> None:  # fmt: skip
        works = [lambda i, other=other: theirs(other, i) for other in others]
        took, *times = await side_by_side(
            ours, alone, *works, rounds=rounds, warm_up=warm_up
        )
        compared = dict(zip(names, times, strict=True))
        slower = compared[FIRST] / took
        marks.append(
            Mark(name, slower, least, "×", took, compared[FIRST], FIRST, is_least=True,
                 peers=compared)
        )  # fmt: skip

    async with DatabaseEngine(folder / "ours.duckdb", metadata=Base.metadata) as engine:
        await engine.create_all()

        async def committed(call: Callable[[Items], Awaitable[object]]) -> object:
            async with engine.transaction() as session:
                return await call(Items(session))

        await compare(
            "bulk_create of 10,000 + commit, on a file", 15,
            lambda _: committed(lambda items: items.bulk_create(rows)),
            lambda _: _arrow_insert(raw, rows),
            lambda other, _: other.bulk_create(rows),
            rounds=many, warm_up=1,
        )  # fmt: skip
        await compare(
            "bulk_update of 10,000 + commit, on a file", 0,
            lambda _: committed(lambda items: items.bulk_update(changes)),
            lambda _: _arrow_update(raw, changes),
            lambda other, _: other.bulk_update(changes),
            rounds=many, warm_up=0,
        )  # fmt: skip
        async with engine.session() as session:
            items = Items(session)
            raw.begin()
            await compare(
                "get_by_id, on a file", 0,
                lambda i: items.get_by_id(i + 1),
                lambda i: raw.execute(SELECT, [i + 1]).fetchall(),
                lambda other, i: other.get(i + 1),
            )  # fmt: skip
            await compare(
                "list(limit=100), on a file", 0,
                lambda _: items.list(limit=100),
                lambda _: raw.execute(LIST).fetchall(),
                lambda other, _: other.page(),
            )  # fmt: skip
            raw.commit()
        for other in others:
            other.open.close()
        await compare(
            "create + commit, on a file", 2.5,
            lambda i: committed(lambda items: items.create(values(i))),
            lambda i: _committed(raw, (INSERT, _parameters(i))),
            lambda other, i: other.create(values(i)),
        )  # fmt: skip
        await compare(
            "update + commit, on a file", 2.5,
            lambda i: committed(lambda items: items.update(i + 1, _status(i))),
            lambda i: _committed(
                raw, (SELECT, [i + 1]), (UPDATE, [*_status(i).values(), i + 1])
            ),
            lambda other, i: other.update(i + 1, _status(i)),
        )  # fmt: skip
        await compare(
            "delete + commit, on a file", 2.5,
            lambda i: committed(lambda items: items.delete(i + 1)),
            lambda i: _committed(raw, (DELETE, [i + 1])),
            lambda other, i: other.delete(i + 1),
        )  # fmt: skip
    raw.close()
    for other in others:
        other.close()
    files = sorted(folder.glob("*.duckdb"))
    assert len({_checksum(file) for file in files}) == 1, "not the same work"
    return marks


def _status(number: int) -> dict[str, str]:
    return {"status": f"s{number}"}


def _committed(raw: Any, *statements: tuple[str, list[Any]]) -> None:
    raw.begin()
    for statement, parameters in statements:
        raw.execute(statement, parameters).fetchall()
    raw.commit()


def _arrow_update(raw: Any, changes: list[dict[str, Any]]) -> None:
    raw.begin()
    raw.register("given", pa.Table.from_pylist(changes))
    raw.execute(
        "UPDATE items SET score = given.score, name = given.name FROM given "
        "WHERE items.id = given.id"
    )
    raw.commit()


def _checksum(path: Path) -> tuple[Any, ...] | None:
    with duckdb.connect(str(path)) as connection:
        found: tuple[Any, ...] | None = connection.execute(CHECKSUM).fetchone()
    return found


MEASURES: dict[str, Measure] = {}
if all(find_spec(name) for name in ("advanced_alchemy", "sqlmodel")):
    MEASURES["peers"] = peers
