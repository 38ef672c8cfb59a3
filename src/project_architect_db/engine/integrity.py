"""
Whether a database is sound: its storage, keys, indexes, references and sequences.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from project_architect_db.dialect.foreign_keys import Index
from project_architect_db.engine.address import wal_of
from project_architect_db.engine.backup import table_names
from project_architect_db.engine.database import DatabaseEngine
from project_architect_db.engine.integrity_checks import (
    Problem,
    check_ids,
    check_keys,
    check_reference,
    keys_of,
    read_all,
)
from project_architect_db.errors import ArchitectError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from sqlalchemy import Connection, MetaData, Table

    from project_architect_db.dialect.foreign_keys import ForeignKey
    from project_architect_db.engine.backup import Progress

RESTORE = (
    "restore the last backup; `export` saves the tables that can still be read"
)  # fmt: skip


@dataclass(slots=True)
class Integrity:
    """
    What was looked at, and what is wrong.

    Attributes:
        database: The file.
        problems: Those found, in the order of the checks.
        tables: The rows read of each table, by ``schema.name``.
        keys: Primary keys, unique constraints and indexes.
        references: Foreign keys of the metadata.
    """

    database: str
    problems: list[Problem] = field(default_factory=list)
    tables: dict[str, int] = field(default_factory=dict)
    keys: int = 0
    references: int = 0


async def check_integrity(
    database: str | Path | None, *, metadata: MetaData | None = None,
    progress: Progress = lambda *_: None, **settings: Any,
) -> Integrity:  # fmt: skip
    """
    Read all of a database, and compare what has to agree in it.

    The log is replayed to its end, each block can be read, no key is there twice, an
    index finds the rows that are there, each foreign key of the metadata has its
    parent, and sequences are ahead of the ids.

    Args:
        database: A path or URL; `None` for what the settings say.
        metadata: Whose foreign keys and sequences to look at; by default `Base`'s.
        progress: Called with the name of the step, what is done, and of how much.
        **settings: Any fields of `DatabaseSettings`.

    Raises:
        DatabaseOpenError: It cannot even be opened.

    Example:
        >>> async with DatabaseEngine("app.duckdb") as engine:
        ...     await engine.create_all()
        >>> from project_architect_db.engine import check_integrity
        >>> (await check_integrity("app.duckdb")).problems
        []
    """
    unopened = DatabaseEngine(database, metadata=metadata, **settings)
    found = Integrity(unopened.name)
    kept_before = _kept(unopened.path)
    async with unopened as engine:
        if new := _kept(engine.path) - kept_before:
            found.problems.append(Problem(
                "log", found.database,
                "the write-ahead log was not replayed to its end; a copy is in "
                + ", ".join(sorted(new)),
                "see what the last transactions should have written",
            ))  # fmt: skip
        async for problem in _problems(engine, found, progress):
            found.problems.append(problem)
    return found


def _kept(path: Path | None) -> set[str]:
    """
    The logs that were kept aside because they could not be replayed to their end.
    """
    if path is None:
        return set()
    kept = path.parent.glob(f"{wal_of(path).name}.*.kept")
    # DuckDB empties a log whose checkpoint had come to its end: nothing is missing.
    return {file.name for file in kept if file.stat().st_size}


async def _problems(
    engine: DatabaseEngine, found: Integrity, progress: Progress
) -> AsyncIterator[Problem]:
    async with engine.session() as session:
        connection = await session.connection()
        names = await connection.run_sync(table_names)
        keys = await connection.run_sync(_references, engine.metadata)
    found.references = len(keys)
    tables = {t.name: t for t in engine.metadata.tables.values() if t.schema is None}
    total = len(names) + len(keys)
    steps: list[tuple[str, Callable[[Connection], list[Problem]]]] = []
    for name in names:
        table = tables.get(name[1]) if name[0] == "main" else None
        steps.append((".".join(name), partial(_of_table, name, table, found)))
    steps += [(key.child.name, partial(_of_reference, key)) for key in keys]
    for number, (where, look) in enumerate(steps):
        progress("check", number, total)
        try:
            async with engine.session() as session:
                connection = await session.connection()
                for problem in await connection.run_sync(look):
                    yield problem
        except ArchitectError as error:
            yield Problem("storage", where, _first_line(error), RESTORE)
    progress("check", total, total)


def _references(connection: Connection, metadata: MetaData) -> list[ForeignKey]:
    return list(Index.of(metadata).existing(connection))


def _of_table(
    name: tuple[str, str], table: Table | None, found: Integrity,
    connection: Connection,
) -> list[Problem]:  # fmt: skip
    found.tables[".".join(name)] = read_all(connection, name)
    keys = keys_of(connection, name, table)
    found.keys += len(keys)
    problems = check_keys(connection, name, keys)
    return problems if table is None else problems + check_ids(connection, table)


def _of_reference(key: ForeignKey, connection: Connection) -> list[Problem]:
    return check_reference(connection, key)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
