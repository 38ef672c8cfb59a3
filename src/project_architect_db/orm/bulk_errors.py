"""
Which row of many it was that the database refused.
"""

from __future__ import annotations

import re
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn

from sqlalchemy import CheckConstraint, PrimaryKeyConstraint, UniqueConstraint
from sqlalchemy.exc import StatementError

from project_architect_db.errors import (
    ConstraintError,
    DuplicateError,
    InvalidDataError,
    InvalidValueError,
    row_number,
)
from project_architect_db.orm.column_schemas import unbindable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from sqlalchemy import Dialect
    from sqlalchemy.ext.asyncio import AsyncConnection

    from project_architect_db.orm.fields import Fields

    Rows = Sequence[dict[str, Any]]


@asynccontextmanager
async def naming_the_row(
    fields: Fields, rows: Rows, connection: AsyncConnection, *, first: int | None = 0
) -> AsyncIterator[None]:
    """
    Say which row and field it is, if the database or the code of a type refuses one.

    Args:
        first: The number of the first row; `None` for a single one.
    """
    try:
        yield
    except DuplicateError as error:
        found = duplicate(fields, rows, error.key or "")
        _say(error, fields, found, first)
    except ConstraintError as error:
        found = await _unchecked(fields, rows, connection)
        _say(error, fields, found, first)
    except (StatementError, InvalidValueError) as error:
        unbound = unbindable(fields.columns, rows, connection.dialect)
        if unbound is None:
            raise
        index, name, problem = unbound
        raise InvalidDataError(
            str(problem), model=fields.model.__name__, field=name,
            value=rows[index][name], index=None if first is None else first + index,
        ) from error  # fmt: skip


def _say(
    error: ConstraintError, fields: Fields, found: tuple[int, str] | None,
    first: int | None,
) -> NoReturn:  # fmt: skip
    error.model = fields.model.__name__
    if found is not None:
        number, error.field = found
        error.index = None if first is None else first + number
        error.args = (f"{row_number(error.index)}{error}",)
    raise error


def duplicate(fields: Fields, rows: Rows, key: str) -> tuple[int, str] | None:
    """
    The row that has a key, in DuckDB's words; of several such rows, the second.
    """
    names: dict[Any, str] = {column: name for name, column in fields.columns.items()}
    for columns in _keys(fields):
        found = [n for n, row in enumerate(rows) if key in _texts(row, columns, names)]
        if found:
            field = ", ".join(names.get(column, column.name) for column in columns)
            return found[:2][-1], field
    return None


def _texts(row: dict[str, Any], columns: list[Any], names: dict[Any, str]) -> list[str]:
    """
    How DuckDB names a key that is there, and one that its statement has twice.
    """
    values = {column.name: row.get(names.get(column, "")) for column in columns}
    return [
        ", ".join(f"{name}: {value}" for name, value in values.items()),
        ", ".join(map(str, values.values())),
    ]


def _keys(fields: Fields) -> Iterator[list[Any]]:
    for constraint in fields.table.constraints:
        if isinstance(constraint, PrimaryKeyConstraint | UniqueConstraint):
            yield [*constraint.columns]
    for index in fields.table.indexes:
        if index.unique:
            yield [*index.columns]


async def _unchecked(
    fields: Fields, rows: Rows, connection: AsyncConnection
) -> tuple[int, str] | None:
    """
    The row that a CHECK constraint refuses, asked beside the transaction that ended.
    """
    driver: Any = (await connection.get_raw_connection()).driver_connection
    for constraint in fields.table.constraints:
        if isinstance(constraint, CheckConstraint):
            with suppress(Exception):  # the error there is must not become another one
                text = _as_text(constraint, connection.dialect)
                found = await _first_unchecked(fields, rows, (driver, text))
                if found is not None:
                    return found
    return None


def _as_text(constraint: CheckConstraint, dialect: Dialect) -> str:
    options = {"literal_binds": True, "include_table": False}
    return str(constraint.sqltext.compile(dialect=dialect, compile_kwargs=options))


async def _first_unchecked(
    fields: Fields, rows: Rows, where: tuple[Any, str]
) -> tuple[int, str] | None:
    driver, text = where
    names = [n for n, c in fields.columns.items() if re.search(rf"\b{c.name}\b", text)]
    known = [n for n, row in enumerate(rows) if row.keys() >= {*names}]
    lists, parameters = ["unnest(?) AS number"], [known]
    for name in names:
        lists.append(f'unnest(?) AS "{fields.columns[name].name}"')
        parameters.append([rows[n][name] for n in known])
    sql = f"SELECT number FROM (SELECT {', '.join(lists)}) WHERE NOT ({text}) LIMIT 1"  # noqa: S608 - of the model
    found = await driver.ask_committed(sql, parameters)
    return (found[0][0], ", ".join(names)) if found else None
