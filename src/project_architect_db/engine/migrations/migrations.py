"""
The migrations of a database: forward and back, for real or on a copy.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect

from project_architect_db.engine.migrations.authoring import MigrationAuthor
from project_architect_db.engine.migrations.checking import rehearse, throw_away_copy
from project_architect_db.engine.migrations.reading import silent
from project_architect_db.engine.migrations.results import (
    DryRun,
    Migrated,
    MigrationCheck,
)
from project_architect_db.engine.migrations.running import Steps, run_alembic
from project_architect_db.errors import MigrationError, RevisionFailedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from alembic.runtime.migration import MigrationContext
    from sqlalchemy import Connection

    from project_architect_db.engine.backup import Progress

VERSIONS = "alembic_version"
"""Where Alembic keeps the revision."""

Plan = Any
"""Of Alembic: from a revision, where the database is, the migrations to run."""


class Migrations(MigrationAuthor):
    """
    The migrations of a database.

    Args:
        engine: The database.
        folder: Your revisions; by default `DatabaseSettings.migrations`, or those of
            this library's models.
        environment: What revisions are told; by default what the settings say.

    Raises:
        MigrationError: The folder holds no migrations.
        ConfigurationError: The models are yours, and no folder was named.

    Example:
        >>> from project_architect_db.migrating import Migrations
        >>> async with DatabaseEngine("app.duckdb") as engine:
        ...     migrations = Migrations(engine)
        ...     print(len((await migrations.status()).pending) > 0)
        ...     done = await migrations.upgrade()
        ...     print((await migrations.status()).pending)
        True
        ()
    """

    # --- forward and back ---------------------------------------------------------

    async def upgrade(
        self, target: str = "head", *, backup: bool = True,
        progress: Progress = silent,
    ) -> Migrated:  # fmt: skip
        """
        Bring the database to a newer revision; see `DatabaseEngine.migrate`.
        """
        return await self._move(
            lambda scripts: scripts._upgrade_revs,  # noqa: SLF001 - as alembic.command
            target, backup=backup, progress=progress,
        )  # fmt: skip

    async def downgrade(
        self, target: str = "-1", *, backup: bool = True,
        progress: Progress = silent,
    ) -> Migrated:  # fmt: skip
        """
        Bring the database back to an older revision: by default the one before.

        Args:
            target: A revision, ``base`` or ``-2``.
            backup: As for `DatabaseEngine.migrate`; going back loses data.
            progress: As there.

        Raises:
            RevisionFailedError: A migration failed, and changed nothing.
            MigrationError: There is no such revision.
        """
        return await self._move(
            lambda scripts: scripts._downgrade_revs,  # noqa: SLF001 - likewise
            target, backup=backup, progress=progress,
        )  # fmt: skip

    async def _move(
        self, direction: Callable[[Any], Plan], target: str, *, backup: bool,
        progress: Progress,
    ) -> Migrated:  # fmt: skip
        started, steps, copy = time.perf_counter(), Steps(progress), None
        plan = partial(self._plan, direction, target)
        before, planned = await self._ask(lambda at, _: (at, plan(at)))
        after = before
        if planned:
            if backup:
                copy = await self._back_up(before, progress)
            await self._run_steps(plan, steps, progress)
            after = await self._ask(lambda at, _: at)
        seconds = time.perf_counter() - started
        return Migrated(before, after, tuple(steps.applied), copy, seconds)

    async def _run_steps(self, plan: Plan, steps: Steps, progress: Progress) -> None:
        def go(at: Any, _: MigrationContext) -> Any:
            # Another task may have migrated it before this one had the gate.
            return steps.each(plan(at), at)

        run = partial(self._run, go, steps=steps, progress=progress)
        try:
            async with self._connected(writes=True) as connection:
                await run_alembic(partial(run, connection.sync_connection))
        except RevisionFailedError as error:
            if steps.before or steps.applied or not await self._has_tables():
                raise
            raise RevisionFailedError(
                f"{error}; there are tables and no revision: if create_all() made "
                "them, `migrate stamp` says which revision that is",
                revision=error.revision, applied=(), original=error.original,
            ) from error.original  # fmt: skip

    def _plan(self, direction: Callable[[Any], Plan], target: str, at: Any) -> Any:
        """
        The migrations that lead from where the database is to a target.
        """
        self._require_known(at)
        if target.startswith("-") and not at:
            raise MigrationError(
                f"{self.engine.name} is at no migration; there is none to go back"
            )
        return direction(self.folder.scripts())(target, at)

    async def _back_up(self, at: tuple[str, ...], progress: Progress) -> Path | None:
        """
        Copy a file that has anything in it, beside it.
        """
        path = self.engine.path
        if path is None or not await self._has_tables():
            return None
        now = datetime.now(UTC)
        name = f"{path.stem}.{'-'.join(at) or 'base'}.{now:%Y%m%dT%H%M%S%f}"
        made = await self.engine.backup(
            path.with_name(f"{name}.backup.duckdb"), progress=progress
        )
        return made.path

    async def _has_tables(self) -> bool:
        def ask(connection: Connection) -> bool:
            return bool(set(inspect(connection).get_table_names()) - {VERSIONS})

        async with self._connected(writes=False) as connection:
            found: bool = await connection.run_sync(ask)
            return found

    async def stamp(self, target: str = "head") -> None:
        """
        Say that the database is at a revision, without running anything.

        For one whose tables were created by `create_all`.

        Raises:
            MigrationError: There is no such revision, or, for ``head``, models and
                database differ.
        """
        if target == "head" and (drift := await self.drift()):
            raise MigrationError(
                f"{self.engine.name} is not at head: its models and tables differ in "
                f"{', '.join(drift)}; name the revision it is at"
            )

        def stamp(at: Any, context: MigrationContext) -> list[Any]:
            return list(self.folder.scripts()._stamp_revs(target, at))  # noqa: SLF001 - likewise

        async with self._connected(writes=True) as connection:
            await run_alembic(partial(self._run, stamp, connection.sync_connection))

    async def dry_run(
        self, target: str = "head", *, progress: Progress = silent
    ) -> DryRun:
        """
        Upgrade a copy of the database file, which is gone again afterwards.

        Raises:
            MigrationError: There is no such revision, or the database is no file.
            BackupError: It cannot be copied.
        """
        async with throw_away_copy(self.engine, progress) as copy:
            return await rehearse(self.over(copy), target, progress)

    async def check(self, *, progress: Progress = silent) -> MigrationCheck:
        """
        Whether the database can be brought to where the models are: try it on a copy.

        Raises:
            MigrationError: It is at a revision that the folder does not know.
            BackupError: It cannot be copied.
        """
        status = await self.status()
        if status.pending:
            return MigrationCheck(
                status, await self.dry_run("heads", progress=progress)
            )
        return MigrationCheck(status, DryRun((), 0.0, {}, await self.drift(), None))
