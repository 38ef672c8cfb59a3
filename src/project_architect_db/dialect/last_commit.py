"""
What a transaction has changed, told from the state of the last commit.

One transaction writes at a time, so that what was committed before it is what it began
with, and a second cursor still sees that.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import duckdb
from sqlalchemy import func, select
from sqlalchemy.util.concurrency import await_

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from project_architect_db.dialect.foreign_keys import ForeignKey, Keys

    Rows = list[tuple[Any, ...]]


def committed(connection: Connection, query: Any) -> Rows:
    """
    What the query finds in the state from before this transaction.
    """
    dialect = connection.dialect
    compiled: Any = query.compile(dialect=dialect)
    values, processors = compiled.construct_params(), compiled._bind_processors
    parameters = [
        processors[name](values[name]) if name in processors else values[name]
        for name in compiled.positiontup
    ]
    driver: Any = connection.connection.driver_connection
    try:
        rows: Rows = await_(driver.ask_committed(compiled.string, parameters))
    except duckdb.ProgrammingError:
        return []  # there was no such table
    return converted(rows, [entry.type for entry in compiled._result_columns], dialect)


def converted(rows: Rows, types: list[Any], dialect: Any) -> Rows:
    """
    Rows as SQLAlchemy would return them for columns of these types.
    """
    found = [each._cached_result_processor(dialect, None) for each in types]
    if not any(found):
        return rows
    processors = [each or _as_it_is for each in found]
    return [
        tuple(process(value) for process, value in zip(processors, row, strict=True))
        for row in rows
    ]


def _as_it_is(value: Any) -> Any:
    return value


def new_keys(connection: Connection, key: ForeignKey, keys: Keys) -> Keys:
    """
    Those of the keys that children have now which did not have them before.

    A parent may have any number of children, so they are only looked at where their
    number and a sum of all of them differ.
    """
    size = len(key.columns)
    identity = list(key.child.primary_key)
    sums = [func.sum(func.hash(*identity))] if identity else []
    query = select(*key.columns, func.count(), *sums).where(key.is_among(keys))
    now, before = _both(connection, query.group_by(*key.columns))
    changed = {row[:size] for row in now.keys() - before.keys()}
    if not changed:
        return changed
    query = select(*key.columns, *identity).where(key.is_among(changed))
    now, before = _both(connection, query)
    return {row[:size] for row in now - before}


def _both(
    connection: Connection, query: Any
) -> tuple[Counter[tuple[Any, ...]], Counter[tuple[Any, ...]]]:
    now = [tuple(row) for row in connection.execute(query)]
    return Counter(now), Counter(committed(connection, query))
