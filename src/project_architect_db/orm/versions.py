"""
Versions of rows: which one is next, and whether a row still has the expected one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, Integer, inspect, select

from project_architect_db.dialect.values_table import values_table
from project_architect_db.errors import StaleRecordError, UnsupportedOperationError
from project_architect_db.orm.bulk_checks import any_of, id_of, index_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from project_architect_db.orm.fields import Fields


def generator_of(fields: Fields) -> Callable[[Any], Any]:
    """
    What makes the version after another one; after `None`, the first.
    """
    generate: Any = inspect(fields.model).version_id_generator
    return generate  # type: ignore[no-any-return]


def counts_in_sql(fields: Fields) -> bool:
    """
    Whether the next version is one more, so that no row has to be read for it.
    """
    is_own = generator_of(fields).__module__ != "sqlalchemy.orm.mapper"
    return not is_own and isinstance(fields.columns[str(fields.version)].type, Integer)


async def stored_versions(
    connection: AsyncConnection, fields: Fields, match: Sequence[str],
    rows: Sequence[dict[str, Any]],
) -> dict[int, Any]:  # fmt: skip
    """
    The versions of rows that are there, by the numbers of the rows that mean them.
    """
    known = [n for n, row in enumerate(rows) if row.keys() >= {*match}]
    if not known:
        return {}
    columns: list[Any] = [fields.columns[name] for name in match]
    number: Column[int] = Column("number", Integer)
    keys = [(*(rows[n][name] for name in match), n) for n in known]
    given = values_table([*columns, number], keys)
    *same, number_given = given.c
    found = select(number_given, fields.columns[str(fields.version)]).where(
        *(a == b for a, b in zip(columns, same, strict=True))
    )
    return {row[0]: row[1] for row in await connection.execute(found)}


async def next_versions(
    connection: AsyncConnection, fields: Fields, match: Sequence[str],
    rows: Sequence[dict[str, Any]],
) -> list[Any]:  # fmt: skip
    """
    What each row makes the version, where SQL cannot count it.
    """
    stored = await stored_versions(connection, fields, match, rows)
    generate, last = generator_of(fields), dict[Any, Any]()
    versions = []
    for number, row in enumerate(rows):
        key = tuple([row.get(name) for name in match])
        if None in key:
            versions.append(generate(None))
            continue
        last[key] = generate(last.get(key, stored.get(number)))
        versions.append(last[key])
    return versions


async def require_versions(
    connection: AsyncConnection, fields: Fields, rows: Sequence[dict[str, Any]],
    match: Sequence[str],
) -> None:  # fmt: skip
    """
    Raise before anything is written if a row has another version than it says.

    Args:
        match: The fields that tell which row is meant.
    """
    if fields.version is None:
        return
    names = (*match, fields.version)
    expected = [row for row in rows if row.keys() >= {*names}]
    if not expected:
        return
    columns = [fields.columns[name] for name in names]
    given = values_table(columns, [[row[name] for name in names] for row in expected])
    *same, (version, wanted) = zip(columns, given.c, strict=True)
    key = [fields.columns[name] for name in fields.key]
    stale = select(*given.c, version, *key).where(
        *(a == b for a, b in same), version.is_distinct_from(wanted)
    )
    row = (await connection.execute(stale.limit(1))).first()
    if row is not None:
        end = len(names)
        raise StaleRecordError(
            model=fields.model.__name__, id=id_of(row[end + 1 :]),
            expected=row[end - 1], found=row[end],
            index=index_of(rows, names, row[:end]),
        )  # fmt: skip


async def refuse_versioned_kinds(
    connection: AsyncConnection, fields: Fields, match: Sequence[str],
    rows: Sequence[dict[str, Any]],
) -> None:  # fmt: skip
    """
    Raise if a row is of a subclass whose versions this model knows nothing of.
    """
    mapper = inspect(fields.model)
    kinds = {
        kind.polymorphic_identity: kind.class_.__name__
        for kind in mapper.self_and_descendants
        if kind.version_id_col is not None and mapper.version_id_col is None
    }
    keys = [[row[name] for name in match] for row in rows if row.keys() >= {*match}]
    if not kinds or not keys:
        return
    columns = [fields.columns[name] for name in match]
    kind: Any = mapper.polymorphic_on
    found = select(kind).where(kind.in_([*kinds]), any_of(columns, keys)).limit(1)
    if (identity := await connection.scalar(found)) is not None:
        raise UnsupportedOperationError(
            f"rows of {kinds[identity]} have versions, which bulk methods of "
            f"{fields.model.__name__} would not count; change them by the repository "
            f"of {kinds[identity]}, or one by one"
        )
