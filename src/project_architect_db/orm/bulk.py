"""
Many records at once, by columns.
"""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import insert

from project_architect_db.garbage_collector import collector
from project_architect_db.orm.bulk_checks import require_rows, require_visible
from project_architect_db.orm.bulk_errors import naming_the_row
from project_architect_db.orm.bulk_steps import (
    alike_rows,
    alike_to_upsert,
    delete_by_key,
    flushed,
    insert_rows,
    marked,
    next_version_of,
    refresh,
    update_by_key,
    upsert_statement,
    writing,
)
from project_architect_db.orm.eager import load_eagerly
from project_architect_db.orm.hydration import loaded, mark_deleted, persistent
from project_architect_db.orm.refusals import each_of
from project_architect_db.orm.versions import (
    counts_in_sql,
    next_versions,
    refuse_versioned_kinds,
    require_versions,
)

if TYPE_CHECKING:
    from collections.abc import (
        Callable,
        Iterable,
        Iterator,
        Sequence,
    )

    from sqlalchemy import Select
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

    from project_architect_db.orm.fields import Fields
    from project_architect_db.orm.incoming import Data

    Progress = Callable[[int, int], object]

ItemT = TypeVar("ItemT")

CHECKED_AT_A_TIME = 2_000
"""Rows whose values are checked before the event loop gets its turn, about 2 ms."""

ROWS_AT_A_TIME = 10_000
"""Rows of one statement."""


async def create(
    session: AsyncSession, fields: Fields, rows: Iterable[Data], *,
    progress: Progress | None = None,
) -> list[Any]:  # fmt: skip
    """
    Insert rows and return them as persistent objects, in their order.
    """
    rows = each_of(fields, rows)
    checked, objects = await checked_by(fields.for_create, rows), list[Any]()
    async with writing(session, fields) as connection:
        for piece in _pieces(checked):
            with collector.paused():
                await insert_rows(connection, fields, piece, first=len(objects))
                objects += persistent(session.sync_session, fields, piece)
            _tell(progress, len(objects), len(checked))
        await load_eagerly(session, fields, objects)
    return objects


async def insert_many(
    session: AsyncSession, fields: Fields, rows: Iterable[Data], *,
    progress: Progress | None = None,
) -> int:  # fmt: skip
    """
    Insert rows that are made while they are written, and return how many there were.
    """
    coming, done = each_of(fields, rows), 0
    async with writing(session, fields) as connection:
        while checked := await checked_by(
            fields.for_create, islice(coming, ROWS_AT_A_TIME), first=done
        ):
            await insert_rows(connection, fields, checked, first=done)
            done += len(checked)
            _tell(progress, done, done)
    return done


async def update_many(
    session: AsyncSession, fields: Fields, rows: Iterable[Data], *,
    among: Select[Any], progress: Progress | None = None,
) -> int:  # fmt: skip
    """
    Change the rows that have these keys, each by what it says.

    Args:
        session: Where.
        fields: Of the model.
        rows: A row that is there twice is changed once, by all of what it says.
        among: What finds all rows that may be changed.
        progress: Told after each piece.
    """
    checked = await checked_by(fields.for_update, each_of(fields, rows))
    fields.require_keys(checked)
    merged: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in checked:
        merged.setdefault(tuple([row[name] for name in fields.key]), {}).update(row)
    if not merged:
        return 0
    connection, done = await flushed(session, fields), 0
    await require_rows(connection, fields, checked, (merged, among))
    await require_versions(connection, fields, checked, fields.key)
    await refuse_versioned_kinds(connection, fields, fields.key, checked)
    async with writing(session, fields) as connection:
        for names, alike in alike_rows(merged.values()):
            statement = update_by_key(fields, names)
            for piece in _pieces(alike):
                async with naming_the_row(fields, checked, connection):
                    if statement is not None:
                        given = await _to_update(connection, fields, piece)
                        await connection.execute(statement, given)
                done += len(piece)
                _tell(progress, done, len(merged))
        await refresh(session, fields, merged)
    return done


async def upsert_many(
    session: AsyncSession, fields: Fields, rows: Iterable[Data], *,
    match: Sequence[str], among: Select[Any] | None, progress: Progress | None = None,
) -> int:  # fmt: skip
    """
    Insert rows, and update those that are there already with the same `match` fields.

    Args:
        session: Where.
        fields: Of the model.
        rows: The data.
        match: Fields that are unique.
        among: What finds all rows that may be changed; `None` if any may.
        progress: Told after each piece.
    """
    fields.require_known(match)
    given = await checked_by(fields.for_upsert, each_of(fields, rows))
    checked = [each.row for each in given]
    connection, done = await flushed(session, fields), 0
    if among is not None:
        await require_visible(connection, fields, checked, (match, among))
    await require_versions(connection, fields, checked, match)
    await refuse_versioned_kinds(connection, fields, match, checked)
    async with writing(session, fields) as connection:
        for piece in _pieces(given):
            for names, alike in alike_to_upsert(piece):
                statement: Any = insert(fields.table)
                if alike[0].keys() >= {*match}:  # else the key is a new one
                    statement = upsert_statement(fields, names, match)
                versions = await _to_upsert(connection, fields, match, alike)
                for row in alike:
                    fields.add_defaults(row)
                for row, version in zip(alike, versions, strict=False):
                    row[str(fields.version)] = version
                async with naming_the_row(fields, checked, connection):
                    await connection.execute(statement, fields.by_column(alike))
                done += len(alike)
                _tell(progress, done, len(checked))
        await refresh(session, fields, None)
    return done


async def delete_many(
    session: AsyncSession, fields: Fields, keys: Iterable[tuple[Any, ...]], *,
    progress: Progress | None = None,
) -> int:  # fmt: skip
    """
    Delete the rows that have these keys, and return how many there were.
    """
    gone, done, seen = dict.fromkeys(keys), 0, 0
    statement = delete_by_key(fields)
    async with writing(session, fields) as connection:
        for piece in _pieces(gone):
            rows = [dict(zip(fields.key, key, strict=True)) for key in piece]
            result = await connection.execute(statement, marked(fields, rows))
            done, seen = done + result.rowcount, seen + len(piece)
            _tell(progress, seen, len(gone))
    here = session.sync_session
    mark_deleted(here, loaded(here, fields.model, gone).values())
    return done


async def _to_update(
    connection: AsyncConnection, fields: Fields, rows: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    given = marked(fields, rows)
    if fields.counts_versions and not counts_in_sql(fields):
        versions = await next_versions(connection, fields, fields.key, rows)
        for parameters, version in zip(given, versions, strict=True):
            parameters[next_version_of(fields)] = version
    return given


async def _to_upsert(
    connection: AsyncConnection, fields: Fields, match: Sequence[str],
    rows: list[dict[str, Any]],
) -> list[Any]:  # fmt: skip
    if not fields.counts_versions or counts_in_sql(fields):
        return []
    return await next_versions(connection, fields, match, rows)


async def checked_by(
    check: Callable[..., list[ItemT]], rows: Iterable[Any], *, first: int = 0
) -> list[ItemT]:
    """
    The rows with checked values, while other tasks get their turn.
    """
    checked: list[ItemT] = []
    for piece in _pieces(rows, CHECKED_AT_A_TIME):
        with collector.paused():
            checked += check(piece, first=first + len(checked))
        await asyncio.sleep(0)
    return checked


def _pieces(rows: Iterable[ItemT], size: int = ROWS_AT_A_TIME) -> Iterator[list[ItemT]]:
    rows = iter(rows)
    while piece := list(islice(rows, size)):
        yield piece


def _tell(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)
