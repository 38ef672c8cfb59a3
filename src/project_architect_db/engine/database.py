"""
The database of an application: its connections, sessions and state.
"""

from __future__ import annotations

import asyncio
import time
import warnings
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar
from weakref import WeakSet

from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import create_async_engine

import project_architect_db.dialect  # noqa: F401 - registers duckdb+async://
from project_architect_db.base import Base
from project_architect_db.dialect.database import open_files
from project_architect_db.dialect.failures import raise_ours
from project_architect_db.dialect.write_gate import caller
from project_architect_db.engine.address import path_of, settings_of, url_of, wal_of
from project_architect_db.engine.backup import Backup, back_up
from project_architect_db.engine.backup import Progress as BackupProgress
from project_architect_db.engine.monitor import (
    Health,
    Monitor,
    QueryHook,
    RunningQuery,
)
from project_architect_db.engine.session_manager import SessionManager
from project_architect_db.errors import ArchitectError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from sqlalchemy import MetaData
    from sqlalchemy.engine import URL
    from sqlalchemy.ext.asyncio import AsyncEngine

    from project_architect_db.dialect.commit_log import CommitLog
    from project_architect_db.dialect.database import Database
    from project_architect_db.dialect.driver import DriverConnection
    from project_architect_db.engine.migrations.results import Migrated
    from project_architect_db.engine.session import ArchitectSession
    from project_architect_db.settings import DatabaseSettings, Environment

ResultT = TypeVar("ResultT")

WRITERS = 2
"""Connections for transactions: of the one that writes, and of the one before it."""

MIGRATIONS = "project_architect_db.engine.migrations"

POLL_SECONDS = 0.005

INTERRUPTED_SECONDS = 1.0
"""How long `close` waits for interrupted work to clean up after itself."""


class DatabaseEngine:
    """
    An asynchronous DuckDB database.

    Args:
        database: A path, ``:memory:``, a SQLAlchemy URL, or `DatabaseSettings`;
            by default what the environment says.
        metadata: The tables of `create_all`; by default those of `Base`.
        **settings: Any fields of `DatabaseSettings`.

    Raises:
        ConfigurationError: The URL or a setting is wrong.

    Example:
        >>> async with DatabaseEngine(":memory:") as engine:
        ...     await engine.create_all()
        ...     async with engine.transaction() as session:
        ...         session.add(Project(name="apollo", project_idea="the moon"))
        ...     async with engine.session() as session:
        ...         print(await session.scalar(select(Project.name)))
        apollo
    """

    def __init__(
        self, database: str | Path | URL | DatabaseSettings | None = None, *,
        metadata: MetaData | None = None, **settings: Any,
    ) -> None:  # fmt: skip
        self._opened = self._closed = self._closing = False
        self._created_at = caller()
        self.settings = settings_of(database, settings)
        self.metadata = Base.metadata if metadata is None else metadata
        self.monitor = Monitor(
            slow_query_seconds=self.settings.slow_query_seconds,
            log_values=self.settings.log_values,
        )
        self._connections: WeakSet[DriverConnection] = WeakSet()
        url = url_of(self.settings)
        self.engine = self._create(
            url,
            pool_size=self.settings.pool_size,
            max_overflow=self.settings.max_overflow,
        )
        self._path = path_of(url)
        # The writer has connections of its own, whatever the readers do. The gate
        # lets one in, but the one before may be slow to give its connection back.
        self._writer = self._create(url, pool_size=WRITERS, max_overflow=-1)
        self.sessions = SessionManager(
            self.engine,
            writer=self._writer,
            write_timeout=self.settings.write_timeout,
        )

    def _create(self, url: URL, *, pool_size: int, max_overflow: int) -> AsyncEngine:
        settings = self.settings
        connect_args = {
            "config": settings.duckdb_config(),
            "write_timeout": settings.write_timeout,
            "query_timeout": settings.query_timeout,
            "observer": self.monitor.record,
        }
        engine = create_async_engine(
            url,
            connect_args=connect_args,
            emit_foreign_keys=settings.emit_foreign_keys,
            pool_size=pool_size,
            max_overflow=max_overflow,
            pool_timeout=settings.pool_timeout,
        )
        engine.dialect.metadata = self.metadata  # type: ignore[attr-defined]
        event.listen(engine.sync_engine, "connect", self._connected)
        return engine

    def migration_engine(self) -> AsyncEngine:
        """
        One more connection, which knows nothing of the models: for migrations.

        The models may be ahead of the database, so foreign keys are not looked after.
        Dispose of it afterwards.
        """
        engine = self._create(self.engine.url, pool_size=1, max_overflow=0)
        engine.dialect.metadata = None  # type: ignore[attr-defined]
        event.listen(engine.sync_engine, "handle_error", raise_ours)
        return engine

    def _connected(self, connection: Any, _: object) -> None:
        self._opened = True
        self._connections.add(connection.driver_connection)

    # --- sessions ---------------------------------------------------------------

    def session(self) -> ArchitectSession:
        """
        An ordinary session; see `SessionManager.session`.
        """
        return self.sessions.session()

    def transaction(self) -> AbstractAsyncContextManager[ArchitectSession]:
        """
        A session that commits on exit; see `SessionManager.transaction`.
        """
        return self.sessions.transaction()

    async def run_in_transaction(
        self, function: Callable[[ArchitectSession], Awaitable[ResultT]], *,
        retries: int = 3,
    ) -> ResultT:  # fmt: skip
        """
        Run a function in a transaction; see `SessionManager.run_in_transaction`.
        """
        return await self.sessions.run_in_transaction(function, retries=retries)

    # --- the schema -------------------------------------------------------------

    async def create_all(self) -> None:
        """
        Create the tables that are not there yet.
        """
        async with self.transaction() as session:
            connection = await session.connection()
            await connection.run_sync(self.metadata.create_all)

    async def drop_all(self) -> None:
        """
        Drop the tables, with all that is in them.
        """
        async with self.transaction() as session:
            connection = await session.connection()
            await connection.run_sync(self.metadata.drop_all)

    async def migrate(
        self, target: str = "head", *, folder: str | Path | None = None,
        backup: bool = True, environment: Environment | None = None,
        progress: BackupProgress = lambda *_: None,
    ) -> Migrated:  # fmt: skip
        """
        Bring the database to a newer revision; each migration is a transaction.

        `project_architect_db.migrating.Migrations` has everything else: rollback,
        status, history, and a rehearsal on a copy.

        Args:
            target: A revision, ``head``, ``heads`` or ``+1``.
            folder: Your revisions; by default `DatabaseSettings.migrations`, or those
                of this library's models.
            backup: Copy a database file that has tables before the first migration.
            environment: What revisions are told; by default what the settings say.
            progress: Called with the name of the step, what is done, and of how much.

        Raises:
            RevisionFailedError: A migration failed, and changed nothing.
            MigrationError: There is no such revision, or folder.
            BackupError: The backup cannot be made; nothing was migrated.
            WriteTimeoutError: Another transaction wrote for too long.

        Example:
            >>> async with DatabaseEngine("app.duckdb") as engine:
            ...     done = await engine.migrate()
            ...     again = await engine.migrate()
            ...     print(done.before, len(again.revisions))
            () 0
        """
        # Alembic takes most of a second to import.
        module = await asyncio.to_thread(import_module, MIGRATIONS)
        migrations = module.Migrations(self, folder, environment=environment)
        done: Migrated = await migrations.upgrade(
            target, backup=backup, progress=progress
        )
        return done

    # --- monitoring -------------------------------------------------------------

    def on_query(self, hook: QueryHook) -> Callable[[], None]:
        """
        Call a hook after each statement; the function returned takes it off.

        Example:
            >>> engine = DatabaseEngine(":memory:")
            >>> stop = engine.on_query(lambda query: print(query.seconds))
        """
        return self.monitor.add_hook(hook)

    def running(self) -> list[RunningQuery]:
        """
        The statements that are running now, with their progress.
        """
        return [
            RunningQuery(connection.statement, connection.progress or 0.0)
            for connection in self._connections
            if connection.statement is not None
        ]

    @property
    def name(self) -> str:
        """
        The path of the database file, or ``:memory:``.
        """
        return str(self._path or ":memory:")

    @property
    def path(self) -> Path | None:
        """
        The database file; `None` for a database in memory.
        """
        return self._path

    @property
    def commits(self) -> CommitLog | None:
        """
        Which tables each commit wrote; `None` until the database is open.
        """
        return self._database.commits if self._database else None

    def files(self) -> list[Path]:
        """
        The database files of this engine, and of all others in this process.

        Do not open them yourself: on POSIX systems closing a file gives up all
        locks the process has on it, DuckDB's among them.
        """
        own = [self._path] if self._path else []
        others = [path for path in open_files() if path != self._path]
        return [file for path in own + others for file in (path, wal_of(path))]

    async def health(self) -> Health:
        """
        Ask the database something simple; never raises this library's errors.
        """
        started, version, error = time.perf_counter(), None, None
        try:
            async with self.session() as session:
                version = await session.scalar(text("SELECT version()"))
        except (ArchitectError, OSError, TimeoutError) as problem:
            error = str(problem)
        return Health(
            ok=error is None,
            seconds=time.perf_counter() - started,
            error=error,
            version=version,
            database=self.name,
            file_bytes=_size(self._path),
            wal_bytes=_size(self._path and wal_of(self._path)),
        )

    def stats(self) -> dict[str, float]:
        """
        Counters and gauges under stable names.

        ``connections_open``, ``connections_in_use``, ``connections_max``,
        ``connections_waiting``, ``writer_active`` (0 or 1), ``writer_seconds``
        (how long it has been writing), ``writers_waiting``, ``commits``,
        ``queries``, ``query_errors``, ``query_seconds`` (all together),
        ``slow_queries``, ``queries_running``.
        """
        database = self._database
        lease = database.gate.lease if database else None
        return {
            "connections_open": sum(
                p.checkedin() + p.checkedout() for p in self._pools
            ),
            "connections_in_use": self._in_use(),
            "connections_max": (
                self.settings.pool_size + self.settings.max_overflow + WRITERS
            ),
            "connections_waiting": self._pools[0].waiting(),
            "writer_active": int(lease is not None),
            "writer_seconds": lease.seconds if lease else 0.0,
            "writers_waiting": database.gate.waiting if database else 0,
            "commits": database.commits.sequence if database else 0,
            "queries": self.monitor.queries,
            "query_errors": self.monitor.query_errors,
            "query_seconds": self.monitor.query_seconds,
            "slow_queries": self.monitor.slow_queries,
            "queries_running": len(self.running()),
        }

    # --- maintenance ------------------------------------------------------------

    async def checkpoint(self) -> None:
        """
        Move the write-ahead log into the database file.
        """
        # Not with the writer's connection, which belongs to whoever has the gate.
        async with self.engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.execute(text("CHECKPOINT"))

    async def backup(
        self, path: str | Path, *, overwrite: bool = False,
        progress: BackupProgress = lambda *_: None,
    ) -> Backup:  # fmt: skip
        """
        Copy the database into another file while it is in use, and verify the copy.

        Writers wait while the file is copied, readers do not. The copy gets its name
        when all of it is there and was read; beside it is a manifest.

        Args:
            path: The file of the backup; its folder has to exist.
            overwrite: Replace a file that is there.
            progress: Called with the name of the step, what is done, and of how much.

        Raises:
            BackupError: It cannot be written, or does not hold what it has to.
            WriteTimeoutError: Another transaction wrote for too long.

        Example:
            >>> async with DatabaseEngine("app.duckdb") as engine:
            ...     await engine.create_all()
            ...     backup = await engine.backup("app.backup.duckdb")
            ...     print(backup.tables["main.projects"].rows, backup.manifest.name)
            0 app.backup.duckdb.json
        """
        return await back_up(self, Path(path), overwrite=overwrite, progress=progress)

    async def open(self) -> Self:
        """
        Open the database now instead of with the first statement.

        Raises:
            DatabaseOpenError: It is locked, damaged, no database …
        """
        async with self.engine.connect():
            return self

    async def close(self) -> None:
        """
        Let running work finish for `close_timeout` seconds, then stop it.

        Afterwards the file is free for other processes. Closing twice is fine; if
        the first time was cancelled, all work has been told to stop at once, and
        the second time waits for that.
        """
        while self._closing:  # noqa: ASYNC110 - by another task, maybe of another loop
            await asyncio.sleep(POLL_SECONDS)
        patience = 0.0 if self._closed else self.settings.close_timeout
        self._closed = self._closing = self.sessions.closed = True
        for pool in self._pools:
            pool.closed = True
        try:
            await self._wait(self._is_idle, patience)
            for connection in tuple(self._connections):
                connection.interrupt()
            await self._wait(self._is_idle, INTERRUPTED_SECONDS)
            await self.engine.dispose()
            await self._writer.dispose()
        finally:
            for connection in tuple(self._connections):
                connection.terminate()  # what somebody still holds
            self._closing = False
        await self._wait(self._is_disconnected, INTERRUPTED_SECONDS)
        if (database := self._database) is not None:
            database.shut()

    async def _wait(self, condition: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition() and time.monotonic() < deadline:  # noqa: ASYNC110 - pools send no events
            await asyncio.sleep(POLL_SECONDS)

    def _is_idle(self) -> bool:
        return not self._in_use() or self._is_disconnected()

    def _is_disconnected(self) -> bool:
        return not any(c.is_connected for c in tuple(self._connections))

    def _in_use(self) -> int:
        return sum(pool.checkedout() for pool in self._pools)

    @property
    def _pools(self) -> tuple[Any, Any]:
        return self.engine.pool, self._writer.pool

    @property
    def _database(self) -> Database | None:
        dialects: tuple[Any, Any] = self.engine.dialect, self._writer.dialect
        return next((d.database for d in dialects if d.database is not None), None)

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    def __del__(self) -> None:
        """
        Shout about an engine that was never closed.
        """
        if self._opened and not self._closed:
            warnings.warn(
                f"{self!r}, created at {self._created_at}, was never closed; use "
                "`async with` or `await close()`",
                ResourceWarning,
                source=self,
                stacklevel=1,
            )

    def __repr__(self) -> str:
        return f"DatabaseEngine({self.settings.url!r})"


def _size(path: Path | None) -> int:
    with suppress(OSError):
        return path.stat().st_size if path else 0
    return 0
