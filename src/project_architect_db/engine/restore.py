"""
Put a backup in the place of a database file.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from project_architect_db.dialect.database import open_files
from project_architect_db.engine.address import wal_of
from project_architect_db.engine.backup import (
    Backup,
    digest_of,
    read_content,
    read_manifest,
    sync_folder,
)
from project_architect_db.engine.copying import copy_file
from project_architect_db.engine.database import DatabaseEngine
from project_architect_db.engine.partial_files import partial_file
from project_architect_db.errors import (
    BackupError,
    CorruptDatabaseError,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from project_architect_db.engine.backup import Progress


@dataclass(frozen=True, slots=True)
class Restored:
    """
    What a restore did.

    Attributes:
        backup: What was restored.
        path: The database file.
        kept: Where the database that was there before is now; `None` if there was none.
    """

    backup: Backup
    path: Path
    kept: Path | None


async def verify_backup(
    path: str | Path, *, progress: Progress = lambda *_: None
) -> Backup:
    """
    Compare a backup with its manifest: the file, then each table in it.

    Raises:
        BackupError: It is none, or not what it was.
    """
    path = Path(path)
    backup = read_manifest(path)
    try:
        found = await asyncio.to_thread(digest_of, path, progress)
    except OSError as error:
        raise BackupError(f"cannot read the backup {path}: {error.strerror}") from error
    for name, value in found.items():
        if (expected := getattr(backup, name)) != value:
            raise BackupError(
                f"{path} is damaged: its {name} is {value}, and was {expected}"
            )
    return backup


async def restore(
    path: str | Path, database: str | Path, *,
    known_revisions: Collection[str] | None = None,
    progress: Progress = lambda *_: None,
) -> Restored:  # fmt: skip
    """
    Put a backup in the place of a database, which is kept under another name.

    The backup is verified, copied beside the database and read, before anything
    changes. Nobody may have the database open.

    Args:
        path: The backup.
        database: The file to restore; it need not be there.
        known_revisions: Refuse a backup that is at any other migration.
        progress: As for `DatabaseEngine.backup`.

    Raises:
        BackupError: The backup is damaged or newer than the code, or the files cannot
            be written.
        DatabaseLockedError: Somebody has the database open.
    """
    path = Path(path)
    backup = await verify_backup(path, progress=progress)
    _require_known(backup, known_revisions)
    target = _allowed(path, Path(database))
    try:
        with partial_file(target) as partial:
            await copy_file(
                path, partial, progress=lambda done, all_: progress("copy", done, all_)
            )
            _compare(backup, await read_content(partial, progress))
            await fold_log(target)
            kept = await asyncio.to_thread(swap_in, partial, target, "restore")
    except OSError as error:
        raise BackupError(f"{target} cannot be written: {error}") from error
    return Restored(backup, target, kept)


def _allowed(path: Path, database: Path) -> Path:
    """
    Where the database really is, if it may be replaced.
    """
    target = Path(os.path.realpath(database))
    if target in open_files():
        raise BackupError(f"{target} is open in this process; close its engine first")
    if target == Path(os.path.realpath(path)):
        raise BackupError(f"{target} is the backup itself")
    if target.is_dir():
        raise BackupError(f"{target} is a folder; give the name of a file in it")
    if not target.parent.is_dir():
        raise BackupError(f"there is no folder {target.parent}; create it first")
    return target


def _require_known(backup: Backup, known: Collection[str] | None) -> None:
    if known is None or backup.revision is None:
        return
    unknown = [r for r in backup.revision.split(", ") if r not in known]
    if unknown:
        raise BackupError(
            f"{backup.path} is at the migration {unknown[0]}, which this code does not "
            "know: a newer version made it, or other migrations did; update or name "
            "those first, or restore it nevertheless by --any-revision"
        )


def _compare(backup: Backup, found: dict[str, object]) -> None:
    """
    Raise if a copy does not hold what the manifest says.
    """
    tables = found["tables"]
    same_hash = found["duckdb"] == backup.duckdb  # versions may hash differently
    for name, content in backup.tables.items():
        other = tables.get(name)  # type: ignore[attr-defined]
        if (
            other is None
            or other.rows != content.rows
            or (same_hash and other != content)
        ):
            raise BackupError(
                f"{backup.path} is damaged: the table {name} holds {other}, and was "
                f"to hold {content}"
            )


async def fold_log(target: Path) -> None:
    """
    Make sure that nobody has the old database open, and move its log into it.
    """
    # A damaged one is what a backup is for.
    with suppress(CorruptDatabaseError):
        if await asyncio.to_thread(target.exists):
            async with DatabaseEngine(target) as engine:
                await engine.checkpoint()


def swap_in(partial: Path, target: Path, why: str) -> Path | None:
    """
    Exchange the files; at each moment one of them has the name of the database.

    Returns:
        Where the old one is now; `None` if there was none.
    """
    now = datetime.now(UTC)
    kept = target.with_name(f"{target.name}.before-{why}-{now:%Y%m%dT%H%M%S%f}")
    is_there = target.exists()
    if is_there:
        shutil.copymode(target, partial)
        _keep(target, kept)
    # Also that of a file that is gone: DuckDB would open no other one with it.
    if wal_of(target).exists():
        wal_of(target).replace(wal_of(kept))
    partial.replace(target)
    sync_folder(target.parent)
    return kept if is_there else None


def _keep(target: Path, kept: Path) -> None:
    """
    Give a file a second name; where the file system has none, copy it.
    """
    try:
        os.link(target, kept)
    except OSError:
        try:
            shutil.copyfile(target, kept)
        except OSError:
            kept.unlink(missing_ok=True)
            raise
