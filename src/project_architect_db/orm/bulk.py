"""
Many records at once, by columns.
"""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import (
    and_,
    bindparam,
    delete,
    exists,
    false,
    func,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm.attributes import set_committed_value

from project_architect_db.dialect.ddl_compiler import next_keys
from project_architect_db.dialect.values_table import values_table
from project_architect_db.errors import NotFoundError, StaleRecordError
from project_architect_db.garbage_collector import collector
from project_architect_db.orm.fields import fields_of
from project_architect_db.orm.hydration import persistent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sqlalchemy import ColumnElement, Update
    from sqlalchemy.ext.asyncio import AsyncSession

    from project_architect_db.orm.fields import Data, Fields

    Progress = Callable[[int, int], object]

ModelT = TypeVar("ModelT")

CHECKED_AT_A_TIME = 2_000
"""Rows whose values are checked before the event loop gets its turn, about 2 ms."""

ROWS_AT_A_TIME = 10_000
"""Rows of one statement."""


async def create(
    session: AsyncSession, model: type[ModelT], rows: Sequence[Data], *,
    progress: Progress | None = None,
) -> list[ModelT]:  # fmt: skip
    """
    Insert rows and return them as persistent objects, in their order.
    """
    fields, objects = fields_of(model), list[ModelT]()
    checked = await _checked(fields.for_create, rows)
    await _flush(session)
    for piece in _pieces(checked):
        with collector.paused():
            await _insert(session, fields, piece)
            objects += persistent(session.sync_session, model, piece, fields.key)
        _tell(progress, len(objects), len(checked))
    return objects


async def insert_many(
    session: AsyncSession, model: type[Any], rows: Iterable[Data], *,
    progress: Progress | None = None,
) -> int:  # fmt: skip
    """
    Insert rows that are made while they are written, and return how many there were.
    """
    fields, done = fields_of(model), 0
    await _flush(session)
    for piece in _pieces(rows):
        try:
            checked = await _checked(fields.for_create, piece, first=done)
        except BaseException:
            await session.rollback()  # what was written before must not stay
            raise
        await _insert(session, fields, checked)
        done += len(checked)
        _tell(progress, done, done)
    return done


async def update_many(
    session: AsyncSession, model: type[Any], rows: Sequence[Data], *,
    progress: Progress | None = None,
) -> int:  # fmt: skip
    """
    Change the rows that have these keys, each by what it says.
    """
    fields = fields_of(model)
    checked = await _checked(fields.for_update, rows)
    fields.require_keys(checked)
    await _flush(session)
    await _require_rows(session, fields, checked)
    done = 0
    for names, piece in _alike(checked):
        statement = _update_by_key(fields, names)
        renamed = [{f"_{name}": value for name, value in row.items()} for row in piece]
        connection = await session.connection()
        result = await connection.execute(statement, renamed)
        done += result.rowcount
        _tell(progress, done, len(checked))
    await _refresh(session, fields, checked)
    return done


async def upsert_many(
    session: AsyncSession, model: type[Any], rows: Sequence[Data], *,
    match: Sequence[str], progress: Progress | None = None,
) -> int:  # fmt: skip
    """
    Insert rows, and update those that are there already with the same `match` fields.
    """
    fields = fields_of(model)
    checked = await _checked(fields.for_create, rows)
    await _flush(session)
    done = 0
    for piece in _pieces(checked):
        for given, alike in _alike(piece):
            statement = _upsert(fields, given, match)
            for row in alike:
                fields.add_defaults(row)
            connection = await session.connection()
            await connection.execute(statement, fields.by_column(alike))
            done += len(alike)
            _tell(progress, done, len(checked))
    await _refresh(session, fields, None)
    return done


async def delete_many(
    session: AsyncSession, model: type[Any], keys: Sequence[tuple[Any, ...]], *,
    progress: Progress | None = None,
) -> int:  # fmt: skip
    """
    Delete the rows that have these keys, and return how many there were.
    """
    fields, done, seen = fields_of(model), 0, 0
    names = [f"_{name}" for name in fields.key]
    compared = zip(fields.key, names, strict=True)
    same = [fields.columns[name] == bindparam(bind) for name, bind in compared]
    statement = delete(fields.table).where(*same)
    await _flush(session)
    connection = await session.connection()
    for piece in _pieces(dict.fromkeys(keys)):
        rows = [dict(zip(names, key, strict=True)) for key in piece]
        result = await connection.execute(statement, rows)
        done, seen = done + result.rowcount, seen + len(piece)
        _tell(progress, seen, len(keys))
    gone = set(keys)
    for instance in _loaded(session, model):
        if inspect(instance).identity in gone:
            session.expunge(instance)
    return done


def any_of(fields: Fields, keys: Sequence[tuple[Any, ...]]) -> ColumnElement[bool]:
    """
    Whether a row has one of these keys, however many there are.
    """
    columns = [fields.columns[name] for name in fields.key]
    if not keys:
        return false()
    given = values_table(columns, keys)
    return exists().where(*(a == b for a, b in zip(columns, given.c, strict=True)))


# --- steps -------------------------------------------------------------------------


async def _checked(
    check: Callable[..., list[Any]], rows: Sequence[Data], *, first: int = 0
) -> list[dict[str, Any]]:
    """
    The rows with checked values, while other tasks get their turn.
    """
    checked: list[dict[str, Any]] = []
    for start in range(0, len(rows), CHECKED_AT_A_TIME):
        piece = rows[start : start + CHECKED_AT_A_TIME]
        with collector.paused():
            checked += check(piece, first=first + start)
        await asyncio.sleep(0)
    return checked


async def _flush(session: AsyncSession) -> None:
    await session.flush()
    await session.connection()  # the gate, before anything is computed


async def _insert(
    session: AsyncSession, fields: Fields, rows: list[dict[str, Any]]
) -> None:
    """
    Insert rows, and complete them with what the database knows.
    """
    await _give_keys(session, fields, rows)
    for row in rows:
        fields.add_defaults(row)
    connection = await session.connection()
    for names, alike in _alike(rows):
        absent = [name for name in fields.columns if name not in names]
        made = [name for name in absent if fields.is_made_by_database(name)]
        statement: Any = insert(fields.table)
        if made:
            statement = statement.returning(*(fields.columns[name] for name in made))
        result = await connection.execute(statement, fields.by_column(alike))
        if absent:
            answers = result.all() if made else [()] * len(alike)
            empty = dict.fromkeys(absent)
            for row, answer in zip(alike, answers, strict=True):
                row.update(empty, **dict(zip(made, answer, strict=True)))


async def _give_keys(
    session: AsyncSession, fields: Fields, rows: list[dict[str, Any]]
) -> None:
    if len(fields.key) != 1:
        return
    (name,) = fields.key
    without = [row for row in rows if row.get(name) is None]
    keys = next_keys(fields.table, len(without)) if without else None
    if keys is None:
        return
    # As a rule they follow each other, so two of them tell the others.
    next_one = keys.subquery().c[0]
    ends = await session.execute(select(func.min(next_one), func.max(next_one)))
    first, last = ends.one()
    found: Sequence[int] = range(first, last + 1)
    if len(found) != len(without):
        found = (await session.scalars(keys)).all()
    for row, key in zip(without, found, strict=True):
        row[name] = key


async def _require_rows(
    session: AsyncSession, fields: Fields, rows: list[dict[str, Any]]
) -> None:
    """
    Raise before anything is written if a row is not there, or has another version.
    """
    columns = [fields.columns[name] for name in fields.key]
    given = values_table(columns, [[row[name] for name in fields.key] for row in rows])
    same = [a == b for a, b in zip(columns, given.c, strict=True)]
    there = exists().where(*same, *fields.alive())
    missing = await session.execute(select(given).where(~there).limit(1))
    if (row := missing.first()) is not None:
        raise NotFoundError(
            model=fields.model.__name__, id=row[0] if len(row) == 1 else tuple(row)
        )
    await _require_versions(session, fields, rows)


async def _require_versions(
    session: AsyncSession, fields: Fields, rows: list[dict[str, Any]]
) -> None:
    version = fields.version
    expected = [row for row in rows if version is not None and version in row]
    if version is None or not expected:
        return
    names = (*fields.key, version)
    columns = [fields.columns[name] for name in names]
    given = values_table(columns, [[row[name] for name in names] for row in expected])
    pairs = list(zip(columns, given.c, strict=True))
    stale = (
        select(*given.c, columns[-1])
        .where(*(a == b for a, b in pairs[:-1]), pairs[-1][0] != pairs[-1][1])
        .limit(1)
    )
    if (row := (await session.execute(stale)).first()) is not None:
        raise StaleRecordError(
            model=fields.model.__name__, id=row[0], expected=row[-2], found=row[-1]
        )


def _update_by_key(fields: Fields, names: frozenset[str]) -> Update:
    values: dict[Any, Any] = {
        fields.columns[name]: bindparam(f"_{name}", type_=fields.columns[name].type)
        for name in names - {*fields.key, fields.version}
    }
    compared = [*fields.key]
    if fields.version is not None:
        version = fields.columns[fields.version]
        values[version] = version + 1
        compared += [fields.version] if fields.version in names else []
    conditions = [fields.columns[name] == bindparam(f"_{name}") for name in compared]
    return update(fields.table).where(*conditions).values(values)


def _upsert(fields: Fields, given: frozenset[str], match: Sequence[str]) -> Any:
    statement = upsert(fields.table)
    set_: dict[Any, Any] = {
        fields.columns[name].key: statement.excluded[fields.columns[name].key]
        for name in given - {*match, *fields.key}
    }
    if set_:  # SQLAlchemy leaves what an UPDATE sets by itself to us
        set_ = {**fields.set_by_updates(), **set_}
    if set_ and fields.version is not None:
        version = fields.columns[fields.version]
        set_[version.key] = version + 1
    keys = [fields.columns[name] for name in match]
    if not set_:
        return statement.on_conflict_do_nothing(index_elements=keys)
    return statement.on_conflict_do_update(index_elements=keys, set_=set_)


async def _refresh(
    session: AsyncSession, fields: Fields, rows: Sequence[dict[str, Any]] | None
) -> None:
    """
    Bring objects of the session up to date with what was written beside them.
    """
    loaded = {inspect(item).identity: item for item in _loaded(session, fields.model)}
    if rows is not None:
        keys = {tuple(row[name] for name in fields.key) for row in rows}
        loaded = {key: item for key, item in loaded.items() if key in keys}
    if not loaded:
        return
    names, columns = list(fields.columns), list(fields.columns.values())
    key_columns = [fields.columns[name] for name in fields.key]
    given = values_table(key_columns, loaded)
    same = [a == b for a, b in zip(key_columns, given.c, strict=True)]
    for row in await session.execute(select(*columns).join(given, and_(*same))):
        values = dict(zip(names, row, strict=True))
        item = loaded[tuple(values[name] for name in fields.key)]
        for name, value in values.items():
            set_committed_value(item, name, value)


def _loaded(session: AsyncSession, model: type[ModelT]) -> list[ModelT]:
    return [
        item
        for item in session.sync_session.identity_map.values()
        if isinstance(item, model)
    ]


def _pieces(rows: Iterable[Any]) -> Iterator[list[Any]]:
    rows = iter(rows)
    while piece := list(islice(rows, ROWS_AT_A_TIME)):
        yield piece


def _alike(
    rows: Iterable[dict[str, Any]],
) -> Iterator[tuple[frozenset[str], list[dict[str, Any]]]]:
    """
    The rows by the fields they have, so that each group is one statement.
    """
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row), []).append(row)
    for names, alike in groups.items():
        yield frozenset(names), alike


def _tell(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)
