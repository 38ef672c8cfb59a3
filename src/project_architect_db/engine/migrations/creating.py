"""
Make a new database, whole or not at all.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from project_architect_db.engine.address import wal_of
from project_architect_db.engine.database import DatabaseEngine
from project_architect_db.engine.migrations.migrations import Migrations
from project_architect_db.engine.migrations.results import Facts
from project_architect_db.engine.restore import fold_log, swap_in
from project_architect_db.errors import MigrationError

if TYPE_CHECKING:
    from project_architect_db.engine.backup import Progress


@dataclass(frozen=True, slots=True)
class CreatedDatabase(Facts):
    """
    A new database.

    Attributes:
        database: Its file.
        revision: What it is at; several with branches, or none.
        kept: Where the database that was there before is now; `None` if there was none.
    """

    database: Path
    revision: tuple[str, ...]
    kept: Path | None


async def create_database(
    migrations: Migrations, *, force: bool = False,
    progress: Progress = lambda *_: None,
) -> CreatedDatabase:  # fmt: skip
    """
    Create a database at the newest revision; it gets its name when it is complete.

    Args:
        migrations: Those of an engine that was not opened yet.
        force: Put it in the place of one that is there, which is kept.
        progress: As for `DatabaseEngine.migrate`.

    Raises:
        MigrationError: There is a database already, or no folder for it.
        DatabaseLockedError: Somebody has the old one open.
        RevisionFailedError: A migration failed; there is no new database.
    """
    engine = migrations.engine
    target = _allowed(engine.path, force=force)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    settings = engine.settings.model_copy(update={"url": str(partial)})
    try:
        async with DatabaseEngine(settings, metadata=engine.metadata) as new:
            made = await migrations.over(new).upgrade("heads", progress=progress)
            await new.checkpoint()
        await fold_log(target)
        kept = await asyncio.to_thread(swap_in, partial, target, "init")
    except OSError as error:
        raise MigrationError(f"{target} cannot be written: {error}") from error
    finally:
        for leftover in (partial, wal_of(partial)):
            with suppress(OSError):
                leftover.unlink(missing_ok=True)
    return CreatedDatabase(target, made.after, kept)


def _allowed(target: Path | None, *, force: bool) -> Path:
    if target is None:
        raise MigrationError("a database in memory need not be created; name a file")
    if target.is_dir():
        raise MigrationError(f"{target} is a folder; give the name of a file in it")
    if not target.parent.is_dir():
        raise MigrationError(f"there is no folder {target.parent}; create it first")
    if target.exists() and not force:
        raise MigrationError(
            f"{target} is there already; migrate brings it up to date, and --force "
            "makes a new one and keeps it under another name"
        )
    return target
