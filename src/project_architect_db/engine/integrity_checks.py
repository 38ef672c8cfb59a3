"""
What is looked at in one table, and between two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    and_,
    func,
    inspect,
    select,
    text,
)

from project_architect_db.dialect.ddl_compiler import implicit_sequence
from project_architect_db.dialect.foreign_keys import SHOWN
from project_architect_db.engine.backup import HASH

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from project_architect_db.dialect.foreign_keys import ForeignKey

Keys = list[tuple[tuple[str, ...], bool]]
"""Columns, and whether their values are unique."""

LOOKED_UP = 200
"""How many keys of each index are looked up by it; spread over the whole table."""

REBUILD = (
    "rebuild the indexes with `compact`; keep a copy of the file if it happens again"
)


@dataclass(frozen=True, slots=True)
class Problem:
    """
    Something that is wrong in a database.

    Attributes:
        kind: ``storage``, ``log``, ``index``, ``duplicate``, ``orphan``, ``sequence``.
        table: Where; or the name of the file.
        detail: What is wrong.
        advice: What to do.
        rows: How many rows are affected, where that is known.
    """

    kind: str
    table: str
    detail: str
    advice: str
    rows: int | None = None


def read_all(connection: Connection, name: tuple[str, str]) -> int:
    """
    Read each block of a table, and count its rows.
    """
    quoted = ".".join(map(_quoted, name))
    everything = f"SELECT count(*), sum({HASH}) FROM {quoted}"  # noqa: S608 - quoted
    return int(connection.execute(text(everything)).one()[0])


def check_keys(
    connection: Connection, name: tuple[str, str], keys: Keys
) -> list[Problem]:
    """
    Look for double keys, and for rows that an index has lost.
    """
    full, quoted = ".".join(name), ".".join(map(_quoted, name))
    problems = []
    for columns, is_unique in keys:
        listed = ", ".join(columns)
        if is_unique and (count := _doubles(connection, quoted, columns)):
            problems.append(Problem(
                "duplicate", full, f"{count:,} values of ({listed}) are there more "
                "than once", "delete or change all but one of each", count,
            ))  # fmt: skip
        if lost := _lost(connection, name, columns):
            problems.append(Problem(
                "index", full, f"the index of ({listed}) does not find {lost} of "
                f"{LOOKED_UP} rows that are there", REBUILD, lost,
            ))  # fmt: skip
    return problems


def keys_of(connection: Connection, name: tuple[str, str], table: Table | None) -> Keys:
    """
    The columns of the keys and indexes that the database has, and that it should have.
    """
    inspector, (schema, known) = inspect(connection), name
    unique = [inspector.get_pk_constraint(known, schema)["constrained_columns"]]
    unique += [
        constraint["column_names"]
        for constraint in inspector.get_unique_constraints(known, schema)
    ]
    if table is not None:
        unique += [
            [column.name for column in constraint.columns]
            for constraint in table.constraints
            if isinstance(constraint, PrimaryKeyConstraint | UniqueConstraint)
        ]
    found = {tuple(columns): True for columns in unique if columns}
    for index in inspector.get_indexes(known, schema):
        if None not in index["column_names"]:  # of an expression
            found[tuple(map(str, index["column_names"]))] = bool(index["unique"])
    there = {column["name"] for column in inspector.get_columns(known, schema)}
    return [(columns, is_) for columns, is_ in found.items() if there >= {*columns}]


def _doubles(connection: Connection, table: str, columns: tuple[str, ...]) -> int:
    listed = ", ".join(map(_quoted, columns))
    known = " AND ".join(f"{_quoted(column)} IS NOT NULL" for column in columns)
    count = connection.scalar(text(
        f"SELECT count(*) FROM (SELECT 1 FROM {table} WHERE {known} "  # noqa: S608 - quoted
        f"GROUP BY {listed} HAVING count(*) > 1)"
    ))  # fmt: skip
    return int(count or 0)


def _lost(
    connection: Connection, name: tuple[str, str], columns: tuple[str, ...]
) -> int:
    """
    How many of some rows are not found by their key.
    """
    types = dict(tuple(row) for row in connection.execute(text(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE schema_name = "
        ":schema AND table_name = :table AND database_name = current_database()"
    ), {"schema": name[0], "table": name[1]}))  # fmt: skip
    table = ".".join(map(_quoted, name))
    # As text, for Python has no nanoseconds, and no infinite dates.
    listed = ", ".join(f"CAST({_quoted(column)} AS VARCHAR)" for column in columns)
    keys = connection.execute(text(
        f"SELECT {listed} FROM {table} "  # noqa: S608 - quoted
        f"USING SAMPLE reservoir({LOOKED_UP} ROWS) REPEATABLE (1)"
    )).all()  # fmt: skip
    same = " AND ".join(
        f"{_quoted(column)} = CAST(${number} AS {types[column]})"
        for number, column in enumerate(columns, start=1)
    )
    lookup = f"SELECT 1 FROM {table} WHERE {same} LIMIT 1"  # noqa: S608 - quoted
    return sum(
        connection.exec_driver_sql(lookup, tuple(key)).first() is None
        for key in keys
        if None not in key
    )


def check_ids(connection: Connection, table: Table) -> list[Problem]:
    """
    A sequence whose next value is already an id.
    """
    sequence, column = implicit_sequence(table), table.autoincrement_column
    if sequence is None or column is None:
        return []
    row = connection.execute(text(
        "SELECT coalesce(last_value + increment_by, start_value) "
        "FROM duckdb_sequences() WHERE sequence_name = :name"
    ), {"name": sequence.name}).one_or_none()  # fmt: skip
    largest = connection.scalar(select(func.max(column)).select_from(table))
    if row is None or largest is None or row[0] > largest:
        return []
    detail = f"the next id would be {row[0]:,}, and there are ids up to {largest:,}"
    advice = f"run SELECT setval('{sequence.name}', {largest})"
    return [Problem("sequence", table.name, detail, advice)]


def check_reference(connection: Connection, key: ForeignKey) -> list[Problem]:
    """
    Rows that refer to one which is not there.
    """
    condition = and_(
        *(column.is_not(None) for column in key.columns),
        ~key.parent_of(key.columns, alive=False),
    )
    count = connection.scalar(
        select(func.count()).select_from(key.child).where(condition)
    )
    return [_orphan(connection, key, condition, count)] if count else []


def _orphan(
    connection: Connection, key: ForeignKey, condition: Any, count: int
) -> Problem:
    some = select(*key.columns).where(condition).distinct().order_by(*key.columns)
    values = [row[0] if len(row) == 1 else tuple(row)
              for row in connection.execute(some.limit(SHOWN))]  # fmt: skip
    names = ", ".join(column.name for column in key.columns)
    listed = ", ".join(map(str, values))
    return Problem(
        "orphan", key.child.name,
        f"{count:,} rows refer by {names} to {key.parent.name} that are not there: "
        f"{listed}", "delete these rows, or add what they refer to", count,
    )  # fmt: skip


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
