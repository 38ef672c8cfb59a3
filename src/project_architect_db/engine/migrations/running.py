"""
Run Alembic on a connection of ours, or on its own.

Alembic is synchronous and keeps what it is doing in global variables. So it runs off
the event loop, one run after the other in the whole process.
"""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from alembic import context
from alembic.operations.ops import CreateTableOp
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import CheckConstraint, Column, MetaData, event
from sqlalchemy.ext.asyncio import AsyncConnection

from project_architect_db.dialect.handover import Handover
from project_architect_db.dialect.write_gate import caller
from project_architect_db.engine.database import DatabaseEngine
from project_architect_db.engine.event_loop import run
from project_architect_db.engine.migrations.folder import message_of, our_errors
from project_architect_db.engine.migrations.results import AppliedRevision
from project_architect_db.engine.off_loop import run_off_loop
from project_architect_db.errors import RevisionFailedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    from alembic.config import Config
    from alembic.operations.ops import MigrationScript
    from alembic.runtime.migration import MigrationContext, RevisionStep

    from project_architect_db.dialect.driver import DriverConnection
    from project_architect_db.engine.backup import Progress
    from project_architect_db.engine.migrations.folder import MigrationFolder

ResultT = TypeVar("ResultT")

_turn = Handover(True)
"""Alembic's global variables, which one run at a time has."""


@asynccontextmanager
async def connected(
    engine: DatabaseEngine, *, writes: bool
) -> AsyncIterator[AsyncConnection]:
    """
    A connection for Alembic; one that writes has the write gate all the time.
    """
    plain, lease = engine.migration_engine(), None
    try:
        async with plain.connect() as connection:
            if writes:
                raw = await connection.get_raw_connection()
                driver: Any = raw.driver_connection
                lease = await driver.database.gate.acquire(
                    timeout=engine.settings.write_timeout, opened_at=caller()
                )
                lease.kept = True
                _share(connection, driver, lease)
            yield connection
    finally:
        await plain.dispose()  # waits for ROLLBACK
        if lease is not None:
            lease.end()


def _share(connection: AsyncConnection, driver: DriverConnection, lease: Any) -> None:
    """
    Have each transaction of a connection write with a gate that is taken already.
    """

    def begin(*_: object) -> None:
        lease.ending = False
        driver.adopt(lease)

    def statement(*_: object) -> None:
        if driver.autocommit:  # each statement is a transaction
            begin()

    event.listen(connection.sync_connection, "begin", begin)
    event.listen(connection.sync_connection, "before_cursor_execute", statement)


async def run_alembic(function: Callable[[], ResultT]) -> ResultT:
    """
    Run a function that uses Alembic, when nobody else does, off the event loop.
    """
    await _turn.take(None)
    try:
        return await run_off_loop(function)
    finally:
        _turn.put(True)


class Steps:
    """
    The migrations of one run, as they go by.

    Attributes:
        before: Where the database was.
        running: The one that runs right now.
        applied: Those that are through.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.before: tuple[str, ...] = ()
        self.running: RevisionStep | None = None
        self.applied: list[AppliedRevision] = []

    def each(
        self, steps: list[RevisionStep], before: Iterable[str] = ()
    ) -> Iterator[RevisionStep]:
        """
        The steps for Alembic, which asks for the next one after a COMMIT.
        """
        self.before = tuple(before)
        for number, step in enumerate(steps):
            self._progress("migrate", number, len(steps))
            self.running, started = step, time.perf_counter()
            yield step
            self.running = None
            script = step.revision
            self.applied.append(
                AppliedRevision(
                    script.revision, message_of(script), time.perf_counter() - started
                )
            )
        self._progress("migrate", len(steps), len(steps))

    def failed(self, step: RevisionStep, error: Exception) -> RevisionFailedError:
        """
        The error, and which migration it was.
        """
        script = step.revision
        what = " ".join(str(error).splitlines()) or type(error).__name__
        return RevisionFailedError(
            f"the migration {script.revision} ({message_of(script)}) failed, and "
            f"changed nothing: {what}",
            revision=script.revision, applied=self.applied, original=error,
        )  # fmt: skip


def run_environment(
    folder: MigrationFolder, config: Config,
    function: Callable[[Any, MigrationContext], Any], *, steps: Steps | None = None,
    **options: Any,
) -> None:  # fmt: skip
    """
    Run `env.py`, which calls the function with where the database is.
    """
    with our_errors(folder.path):
        scripts = ScriptDirectory.from_config(config)
        try:
            with EnvironmentContext(config, scripts, fn=function, **options):
                scripts.run_env()
        except Exception as error:
            if steps is None or steps.running is None:
                raise
            raise steps.failed(steps.running, error) from error


# --- what env.py calls --------------------------------------------------------------


def run_migrations(target: Any, **options: Any) -> None:
    """
    Run migrations from `env.py`, however it was started.

    By ``project-architect-db migrate``, by `DatabaseEngine.migrate`, or by ``alembic``;
    with ``--sql``, too. Each migration is a transaction.

    Args:
        target: Your models: a `DatabaseEngine`, a declarative base, or their metadata,
            or a list of metadata.
        **options: More for Alembic's ``context.configure``, as ``include_object``.

    Example:
        An ``env.py``::

            from myapp.db import engine
            from project_architect_db.migrating import run_migrations

            run_migrations(engine)
    """
    options = {
        "target_metadata": metadata_of(target),
        "transaction_per_migration": True,
        "process_revision_directives": _as_it_can_be_written,
        **options,
    }
    connection = context.config.attributes.get("connection")
    if context.is_offline_mode():
        _configured(options | {"url": "duckdb+async://", "literal_binds": True})
    elif connection is not None:
        _configured(options | {"connection": connection})
    else:
        run(_alone(_engine_of(target), options))


def _as_it_can_be_written(
    _: object, __: object, directives: list[MigrationScript]
) -> None:
    """
    New tables without their `info`, which may be any object, and with all CHECKs.

    Alembic would forget those that stand at a column, and write only the others.
    """
    for script in directives:
        for operations in (*script.upgrade_ops_list, *script.downgrade_ops_list):
            for operation in operations.ops:
                if isinstance(operation, CreateTableOp):
                    operation.info = {}
                    checks = _checks_of_columns(operation.columns)
                    operation.columns = [*operation.columns, *checks]


def _checks_of_columns(items: Iterable[object]) -> list[CheckConstraint]:
    return [
        CheckConstraint(check.sqltext, name=check.name)
        for column in items
        if isinstance(column, Column)
        for check in column.constraints
        if isinstance(check, CheckConstraint)
    ]


def metadata_of(target: Any) -> Any:
    """
    The tables of an engine, of a declarative base, or themselves.
    """
    if isinstance(target, MetaData | list | tuple):
        return target
    return target.metadata


def _configured(options: dict[str, Any]) -> None:
    context.configure(**options)
    with context.begin_transaction():
        context.run_migrations()


def _engine_of(target: Any) -> DatabaseEngine:
    """
    The database that ``alembic`` is to migrate: that of its ini file goes first.
    """
    metadata = metadata_of(target)
    if url := context.config.get_main_option("sqlalchemy.url"):
        return DatabaseEngine(url, metadata=metadata)
    if isinstance(target, DatabaseEngine):
        return DatabaseEngine(target.settings, metadata=metadata)
    return DatabaseEngine(metadata=metadata)


async def _alone(engine: DatabaseEngine, options: dict[str, Any]) -> None:
    async with engine, connected(engine, writes=True) as connection:
        await connection.run_sync(
            lambda sync: _configured(options | {"connection": sync})
        )
