"""
Rehearse a migration on a copy of the database.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from sqlalchemy import func, select
from sqlalchemy import table as table_clause

from project_architect_db.engine.address import wal_of
from project_architect_db.engine.backup import copy_database, table_names
from project_architect_db.engine.database import DatabaseEngine
from project_architect_db.engine.migrations.results import DryRun, RowChange
from project_architect_db.errors import MigrationError, RevisionFailedError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from project_architect_db.engine.backup import Progress
    from project_architect_db.engine.migrations.migrations import Migrations


async def rehearse(copy: Migrations, target: str, progress: Progress) -> DryRun:
    """
    Upgrade a copy, and see what has become of its tables.
    """
    before = await _rows(copy.engine)
    try:
        done = await copy.upgrade(target, backup=False, progress=progress)
    except RevisionFailedError as error:
        seconds = sum(revision.seconds for revision in error.applied)
        return DryRun(error.applied, seconds, {}, (), str(error))
    after = await _rows(copy.engine)
    rows = {
        name: RowChange(before.get(name), after.get(name))
        for name in sorted(before.keys() | after.keys())
    }
    return DryRun(done.revisions, done.seconds, rows, await copy.drift(), None)


@asynccontextmanager
async def throw_away_copy(
    engine: DatabaseEngine, progress: Progress
) -> AsyncIterator[DatabaseEngine]:
    """
    A copy of a database file, beside it, for as long as the block lasts.

    Raises:
        MigrationError: It is no file.
        BackupError: It cannot be copied.
    """
    source = engine.path
    if source is None:
        raise MigrationError("a database in memory has no file to try it on")
    copy = source.with_name(f".{source.name}.{os.getpid()}.rehearsal")
    settings = engine.settings.model_copy(update={"url": str(copy)})
    try:
        await copy_database(engine, source, copy, progress)
        async with DatabaseEngine(settings, metadata=engine.metadata) as other:
            yield other
    finally:
        for file in (copy, wal_of(copy)):
            with suppress(OSError):
                file.unlink(missing_ok=True)


async def _rows(engine: DatabaseEngine) -> dict[str, int]:
    async with engine.engine.connect() as connection:
        return await connection.run_sync(_count)


def _count(connection: Connection) -> dict[str, int]:
    return {
        f"{schema}.{name}": connection.scalar(
            select(func.count()).select_from(table_clause(name, schema=schema))
        )
        or 0
        for schema, name in table_names(connection)
    }
