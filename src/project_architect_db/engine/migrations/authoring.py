"""
Write revisions, and the SQL of those there are.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alembic import command

from project_architect_db.engine.migrations.folder import our_errors
from project_architect_db.engine.migrations.reading import MigrationReader, silent
from project_architect_db.engine.migrations.running import (
    Steps,
    run_alembic,
    run_environment,
)

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext
    from sqlalchemy import Connection


class MigrationAuthor(MigrationReader):
    """
    What makes files and text of migrations.
    """

    async def sql(self, target: str = "head", *, start: str = "base") -> str:
        """
        The SQL of an upgrade, for a database that somebody else will run it on.

        Args:
            target: Up to which revision.
            start: From which one.

        Raises:
            RevisionFailedError: A migration needs the database itself.
            MigrationError: There is no such revision.
        """
        config, steps = self._config(), Steps(silent)

        def go(at: Any, _: MigrationContext) -> Any:
            found = self.folder.scripts()._upgrade_revs(target, at)  # noqa: SLF001 - likewise
            return steps.each(found)

        def run() -> None:
            run_environment(
                self.folder, config, go, steps=steps, as_sql=True, starting_rev=start,
                destination_rev=target,
            )  # fmt: skip

        await run_alembic(run)
        text: str = config.output_buffer.getvalue()
        return text

    async def new(
        self, message: str, *, empty: bool = False, **more: Any
    ) -> Path | None:
        """
        Write a new revision: what has to change for the database to be as the models.

        Args:
            message: What it does, in a few words.
            empty: Compare nothing, for a revision that you write yourself.
            **more: For `alembic.command.revision`, as ``head`` or ``rev_id``.

        Returns:
            Its file; `None` if there is nothing to do.

        Raises:
            MigrationError: The database is not at the newest revision.
        """
        written: list[Path] = []

        def keep(_: Any, __: Any, directives: list[Any]) -> None:
            if not empty and directives[0].upgrade_ops.is_empty():
                directives.clear()

        def write(connection: Connection) -> None:
            with our_errors(self.folder.path):
                script: Any = command.revision(
                    self._config(connection), message, autogenerate=not empty,
                    process_revision_directives=keep, **more,
                )  # fmt: skip
                written.extend(Path(s.path) for s in [script] if s)

        async with self._connected(writes=True) as connection:
            await run_alembic(partial(write, connection.sync_connection))
        return written[0] if written else None
