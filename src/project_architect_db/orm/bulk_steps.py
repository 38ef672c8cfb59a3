"""
The statements of bulk work, and what goes with them.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm.attributes import set_committed_value

from project_architect_db.dialect.ddl_compiler import next_keys
from project_architect_db.dialect.driver import DriverConnection
from project_architect_db.errors import UnsupportedOperationError
from project_architect_db.orm.bulk_checks import any_of
from project_architect_db.orm.bulk_errors import naming_the_row
from project_architect_db.orm.hydration import loaded
from project_architect_db.orm.staleness import flush_others
from project_architect_db.orm.versions import counts_in_sql

if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterator,
        Collection,
        Iterable,
        Iterator,
        Sequence,
    )

    from sqlalchemy import Delete, Update
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

    from project_architect_db.orm.fields import Fields
    from project_architect_db.orm.incoming import Given


async def flushed(session: AsyncSession, fields: Fields) -> AsyncConnection:
    """
    The connection, and with it the gate, before anything is computed.
    """
    if fields.is_joined:
        raise UnsupportedOperationError(
            f"the rows of {fields.model.__name__} are in several tables, and bulk "
            "methods write one; add them one by one, with create() and update()"
        )
    await flush_others(session)
    await session.flush()
    return await session.connection(bind_arguments={"mapper": fields.model})


@asynccontextmanager
async def writing(
    session: AsyncSession, fields: Fields
) -> AsyncIterator[AsyncConnection]:
    """
    All or nothing: an error that the database knows nothing of ends the transaction.
    """
    connection = await flushed(session, fields)
    try:
        yield connection
    except BaseException as error:
        driver = (await connection.get_raw_connection()).driver_connection
        if isinstance(driver, DriverConnection):
            await driver.fail(error)
        else:
            await session.rollback()
        raise


async def insert_rows(
    connection: AsyncConnection, fields: Fields, rows: list[dict[str, Any]], *,
    first: int,
) -> None:  # fmt: skip
    """
    Insert rows, and complete them with what the database knows.
    """
    await _give_keys(connection, fields, rows)
    for row in rows:
        fields.add_defaults(row)
    for names, alike in alike_rows(rows):
        absent = [name for name in fields.columns if name not in names]
        made = [name for name in absent if fields.is_made_by_database(name)]
        statement: Any = insert(fields.table)
        if made:
            statement = statement.returning(*(fields.columns[name] for name in made))
        async with naming_the_row(fields, rows, connection, first=first):
            result = await connection.execute(statement, fields.by_column(alike))
        if absent:
            answers = result.all() if made else [()] * len(alike)
            empty = dict.fromkeys(absent)
            for row, answer in zip(alike, answers, strict=True):
                row.update(empty, **dict(zip(made, answer, strict=True)))


async def _give_keys(
    connection: AsyncConnection, fields: Fields, rows: list[dict[str, Any]]
) -> None:
    name = fields.counting
    without = [row for row in rows if name and name not in row]
    if name is None or not without:
        return
    keys = next_keys(fields.table, len(without))
    # As a rule they follow each other, so two of them tell the others.
    next_one = keys.subquery().c[0]
    ends = await connection.execute(select(func.min(next_one), func.max(next_one)))
    first, last = ends.one()
    found: Sequence[int] = range(first, last + 1)
    if len(found) != len(without):
        found = (await connection.scalars(keys)).all()
    for row, key in zip(without, found, strict=True):
        row[name] = key


def marked(fields: Fields, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """
    The rows by the parameters of statements by key.
    """
    mark = fields.mark
    return [{mark + name: value for name, value in row.items()} for row in rows]


def next_version_of(fields: Fields) -> str:
    """
    The parameter for the next version, where SQL cannot count it.
    """
    return f"{fields.mark * 2}version"


def delete_by_key(fields: Fields) -> Delete:
    """
    The DELETE of rows with these keys.
    """
    same = [
        fields.columns[name] == bindparam(fields.mark + name) for name in fields.key
    ]
    return delete(fields.table).where(*same)


def update_by_key(fields: Fields, names: Collection[str]) -> Update | None:
    """
    The UPDATE of rows that say this, if they say anything but which ones they are.
    """
    mark, aside = fields.mark, (*fields.key, fields.version)
    changed = [name for name in names if name not in aside]
    if not changed:
        return None
    values: dict[Any, Any] = {
        fields.columns[name]: bindparam(mark + name, type_=fields.columns[name].type)
        for name in changed
    }
    if fields.counts_versions:
        version: Any = fields.columns[str(fields.version)]
        values[version] = (
            version + 1
            if counts_in_sql(fields)
            else bindparam(next_version_of(fields), type_=version.type)
        )
    compared = [name for name in names if name in aside]
    same = [fields.columns[name] == bindparam(mark + name) for name in compared]
    return update(fields.table).where(*same).values(values)


def upsert_statement(
    fields: Fields, given: Collection[str], match: Sequence[str]
) -> Any:
    """
    The INSERT that changes these fields of a row that is there.
    """
    statement = upsert(fields.table)
    kept = {*match, *fields.key, fields.version}
    changed = [fields.columns[name].key for name in given if name not in kept]
    keys = [fields.columns[name] for name in match]
    if not changed:
        return statement.on_conflict_do_nothing(index_elements=keys)
    # SQLAlchemy leaves what an UPDATE sets by itself to us.
    set_: dict[str, Any] = fields.set_by_updates()
    set_ |= {name: statement.excluded[name] for name in changed}
    if fields.counts_versions:
        version: Any = fields.columns[str(fields.version)]
        # what SQL cannot count was put into the row
        counted = version + 1 if counts_in_sql(fields) else None
        set_[version.key] = (
            statement.excluded[version.key] if counted is None else counted
        )
    return statement.on_conflict_do_update(index_elements=keys, set_=set_)


async def refresh(
    session: AsyncSession, fields: Fields, keys: Collection[Any] | None
) -> None:
    """
    Bring objects of the session up to date with what was written beside them.
    """
    objects = loaded(session.sync_session, fields.model, keys)
    if not objects:
        return
    names = [*fields.columns, *fields.computed]
    found = select(*(getattr(fields.model, name) for name in names)).where(
        any_of([fields.columns[name] for name in fields.key], objects)
    )
    for row in await session.execute(found):
        values = dict(zip(names, row, strict=True))
        item = objects[tuple([values[name] for name in fields.key])]
        for name, value in values.items():
            set_committed_value(item, name, value)


def alike_rows(
    rows: Iterable[dict[str, Any]],
) -> Iterator[tuple[Collection[str], list[dict[str, Any]]]]:
    """
    The rows by the fields they have, so that each group is one statement.
    """
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row), []).append(row)
    yield from groups.items()


def alike_to_upsert(
    given: Iterable[Given],
) -> Iterator[tuple[Collection[str], list[dict[str, Any]]]]:
    """
    The rows by the fields they have and those they change.
    """
    groups: dict[Any, list[dict[str, Any]]] = {}
    for row, names in given:
        groups.setdefault((tuple(row), frozenset(names)), []).append(row)
    for (_, names), alike in groups.items():
        yield names, alike
