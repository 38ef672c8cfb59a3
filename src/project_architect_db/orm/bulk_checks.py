"""
What has to be so before many rows are written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import exists, false, select

from project_architect_db.dialect.values_table import values_table
from project_architect_db.errors import DuplicateError, NotFoundError, row_number

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from sqlalchemy import ColumnElement, Select
    from sqlalchemy.ext.asyncio import AsyncConnection

    from project_architect_db.orm.fields import Fields


def any_of(
    columns: Sequence[ColumnElement[Any]], keys: Collection[Sequence[Any]]
) -> ColumnElement[bool]:
    """
    Whether these columns have one of these groups of values, however many there are.
    """
    if not keys:
        return false()
    given = values_table(columns, keys)
    return exists().where(*(a == b for a, b in zip(columns, given.c, strict=True)))


async def require_rows(
    connection: AsyncConnection, fields: Fields, rows: Sequence[dict[str, Any]],
    where: tuple[Collection[tuple[Any, ...]], Select[Any]],
) -> None:  # fmt: skip
    """
    Raise before anything is written if a row is not there.

    Args:
        where: The keys of the rows, and what finds those that may be changed.
    """
    keys, among = where
    given = values_table([fields.columns[name] for name in fields.key], keys)
    missing = select(given).where(~_is_among(given.c, fields, fields.key, among))
    row = (await connection.execute(missing.limit(1))).first()
    if row is not None:
        raise NotFoundError(
            model=fields.model.__name__, id=id_of(row),
            index=index_of(rows, fields.key, row),
        )  # fmt: skip


async def require_visible(
    connection: AsyncConnection, fields: Fields, rows: Sequence[dict[str, Any]],
    where: tuple[Sequence[str], Select[Any]],
) -> None:  # fmt: skip
    """
    Raise before anything is written if a row would change one that may not be.
    """
    match, among = where
    columns = [fields.columns[name] for name in match]
    keys = {tuple(map(row.get, match)) for row in rows if row.keys() >= {*match}}
    if not keys:
        return
    given = values_table(columns, keys)
    same = (a == b for a, b in zip(columns, given.c, strict=True))
    hidden = select(given).where(
        exists().where(*same), ~_is_among(given.c, fields, match, among)
    )
    row = (await connection.execute(hidden.limit(1))).first()
    if row is not None:
        key = ", ".join(f"{n}: {v}" for n, v in zip(match, row, strict=True))
        index = index_of(rows, match, row) if len(rows) > 1 else None
        error = DuplicateError(
            f"{row_number(index)}{fields.model.__name__} ({key}) exists already, out "
            "of sight: it was softly deleted, or base_query() leaves it out",
            key=key,
        )
        error.model, error.field = fields.model.__name__, ", ".join(match)
        error.index = index
        raise error


def _is_among(
    values: Iterable[ColumnElement[Any]], fields: Fields, names: Sequence[str],
    among: Select[Any],
) -> ColumnElement[bool]:  # fmt: skip
    columns = [getattr(fields.model, name) for name in names]
    found = among.with_only_columns(*columns, maintain_column_froms=True).subquery()
    return exists().where(*(a == b for a, b in zip(found.c, values, strict=True)))


def index_of(
    rows: Iterable[dict[str, Any]], names: Sequence[str], values: Sequence[Any]
) -> int | None:
    """
    The number of the first row that has these values.

    None has, where the code of a type gives other values back than it was given.
    """
    wanted = tuple(values)
    for number, row in enumerate(rows):
        if tuple([row.get(name) for name in names]) == wanted:
            return number
    return None


def id_of(key: Sequence[Any]) -> Any:
    """
    What an id is called: the value of the key, or a tuple of several.
    """
    return key[0] if len(key) == 1 else tuple(key)
