"""
Where a database is among its migrations, changing nothing.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from alembic.autogenerate import compare_metadata

from project_architect_db.base import Base
from project_architect_db.engine.database import DatabaseEngine
from project_architect_db.engine.migrations.drift import described
from project_architect_db.engine.migrations.folder import (
    MigrationFolder,
    own_folder,
    revision_of,
)
from project_architect_db.engine.migrations.results import (
    MigrationStatus,
    Revision,
)
from project_architect_db.engine.migrations.running import (
    Steps,
    connected,
    run_alembic,
    run_environment,
)
from project_architect_db.errors import ConfigurationError, MigrationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from alembic.runtime.migration import MigrationContext
    from sqlalchemy import Connection

    from project_architect_db.engine.backup import Progress
    from project_architect_db.settings import Environment


def silent(*_: object) -> None:
    """
    No progress.
    """


class MigrationReader:
    """
    What there is to know about the migrations of a database.
    """

    def __init__(
        self, engine: DatabaseEngine, folder: str | Path | None = None, *,
        environment: Environment | None = None,
    ) -> None:  # fmt: skip
        self.engine = engine
        folder = folder or engine.settings.migrations
        if folder is None:
            if engine.metadata is not Base.metadata:
                raise ConfigurationError(
                    "which migrations? name the folder of those for your models, by "
                    "folder=, --migrations or PROJECT_ARCHITECT_DB_MIGRATIONS"
                )
            folder = own_folder()
        self.folder = MigrationFolder(Path(folder))
        self.environment = environment or engine.settings.environment

    def over(self, engine: DatabaseEngine) -> Self:
        """
        The same migrations over another database.
        """
        return type(self)(engine, self.folder.path, environment=self.environment)

    async def status(self) -> MigrationStatus:
        """
        Where the database is, and which migrations it is missing.

        Raises:
            MigrationError: It is at a revision that the folder does not know.
        """

        def look(at: Any, _: MigrationContext) -> MigrationStatus:
            self._require_known(at)
            scripts = self.folder.scripts()
            missing = scripts._upgrade_revs("heads", at)  # noqa: SLF001 - likewise
            return MigrationStatus(
                database=self.engine.name,
                current=tuple(at),
                heads=tuple(scripts.get_heads()),
                pending=tuple(revision_of(step.revision) for step in missing),
            )

        found: MigrationStatus = await self._ask(look)
        return found

    def history(self) -> list[Revision]:
        """
        All migrations in the folder, newest first.
        """
        return self.folder.history()

    async def drift(self) -> tuple[str, ...]:
        """
        What the models have and the database has not, or the other way.
        """

        def compare(_: Any, context: MigrationContext) -> tuple[str, ...]:
            models: Any = context.opts["target_metadata"]
            return described(compare_metadata(context, models))

        found: tuple[str, ...] = await self._ask(compare)
        return found

    def _require_known(self, at: tuple[str, ...]) -> None:
        known = {revision.id for revision in self.folder.history()}
        if unknown := sorted(set(at) - known):
            raise MigrationError(
                f"{self.engine.name} is at the migration {', '.join(unknown)}, which "
                f"{self.folder.path} does not know: a newer version of the code "
                "migrated it, or other migrations did"
            )

    # --- running ------------------------------------------------------------------

    def _connected(self, *, writes: bool) -> AbstractAsyncContextManager[Any]:
        return connected(self.engine, writes=writes)

    def _config(self, connection: Connection | None = None, **more: Any) -> Any:
        return self.folder.config(
            connection=connection, environment=self.environment, **more
        )

    def _run(
        self, function: Any, connection: Connection, *, steps: Steps | None = None,
        progress: Progress = silent, **options: Any,
    ) -> None:  # fmt: skip
        config = self._config(connection, progress=progress)
        run_environment(self.folder, config, function, steps=steps, **options)

    async def _ask(self, question: Callable[[Any, MigrationContext], Any]) -> Any:
        """
        Ask with what `env.py` has configured, changing nothing.
        """
        answers: list[Any] = []

        def ask(at: Any, context: MigrationContext) -> list[Any]:
            if context.connection is sync:
                answers.append(question(at, context))
            return []

        async with self._connected(writes=False) as connection:
            sync = connection.sync_connection
            await run_alembic(partial(self._run, ask, sync, dont_mutate=True))
        if not answers:
            raise MigrationError(
                f"{self.folder.path / 'env.py'} does not use the connection it is "
                "given; have it call project_architect_db.migrating.run_migrations"
            )
        return answers[0]
