"""
What has to be so before many rows are written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import exists, false, select

from project_architect_db.dialect.values_table import values_table
from project_architect_db.errors import (
    DuplicateError,
    NotFoundError,
    StaleRecordError,
)

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
    connection: AsyncConnection, fields: Fields, keys: Collection[tuple[Any, ...]],
    among: Select[Any],
) -> None:  # fmt: skip
    """
    Raise before anything is written if a row is not there.
    """
    given = values_table([fields.columns[name] for name in fields.key], keys)
    missing = select(given).where(~_is_among(given.c, fields, fields.key, among))
    row = (await connection.execute(missing.limit(1))).first()
    if row is not None:
        raise NotFoundError(model=fields.model.__name__, id=_id(row))


async def require_visible(
    connection: AsyncConnection, fields: Fields, rows: Iterable[dict[str, Any]],
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
        raise DuplicateError(
            f"{fields.model.__name__} ({key}) exists already, out of sight: it was "
            "softly deleted, or base_query() leaves it out",
            key=key,
        )


def _is_among(
    values: Iterable[ColumnElement[Any]], fields: Fields, names: Sequence[str],
    among: Select[Any],
) -> ColumnElement[bool]:  # fmt: skip
    columns = [getattr(fields.model, name) for name in names]
    found = among.with_only_columns(*columns, maintain_column_froms=True).subquery()
    return exists().where(*(a == b for a, b in zip(found.c, values, strict=True)))


async def require_versions(
    connection: AsyncConnection, fields: Fields, rows: Iterable[dict[str, Any]]
) -> None:
    """
    Raise before anything is written if a row has another version than it says.
    """
    if fields.version is None:
        return
    names = (*fields.key, fields.version)
    expected = [row for row in rows if row.keys() >= {*names}]
    if not expected:
        return
    columns = [fields.columns[name] for name in names]
    given = values_table(columns, [[row[name] for name in names] for row in expected])
    *same, (version, wanted) = zip(columns, given.c, strict=True)
    stale = select(*given.c, version).where(
        *(a == b for a, b in same), version.is_distinct_from(wanted)
    )
    if (row := (await connection.execute(stale.limit(1))).first()) is not None:
        raise StaleRecordError(
            model=fields.model.__name__, id=_id(row[:-2]),
            expected=row[-2], found=row[-1],
        )  # fmt: skip


def _id(key: Sequence[Any]) -> Any:
    return key[0] if len(key) == 1 else tuple(key)
