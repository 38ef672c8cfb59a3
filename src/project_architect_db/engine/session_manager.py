"""
Sessions and transactions over an engine.
"""

from __future__ import annotations

import asyncio
import functools
import random
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import event
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlalchemy.util.concurrency import greenlet_spawn

from project_architect_db.dialect.failures import raise_ours
from project_architect_db.dialect.write_gate import caller
from project_architect_db.engine.inner_session import WritingSession
from project_architect_db.engine.session import (
    ArchitectSession,
    InOurWords,
    committing,
    prepare_commit,
)
from project_architect_db.errors import ClosedError, RetryableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from sqlalchemy.ext.asyncio import AsyncEngine
    from sqlalchemy.orm import SessionTransaction

    from project_architect_db.dialect.write_gate import Lease, WriteGate

ResultT = TypeVar("ResultT")

_NO_GATE = nullcontext()

LONGEST_PAUSE = 1.0
"""Seconds between two tries of `SessionManager.run_in_transaction` at most."""


class SessionManager:
    """
    Hands out sessions and transactions over any `AsyncEngine`.

    `DatabaseEngine` has one; alone, it gives an existing engine the same API, and
    has it raise the errors of this library. On engines of other databases
    transactions are ordinary ones, without a gate, and errors are SQLAlchemy's.

    Args:
        engine: Where sessions get their connections.
        writer: Where transactions get theirs; by default `engine` too.
        write_timeout: Seconds to wait for another writer.

    Example:
        >>> from sqlalchemy.ext.asyncio import create_async_engine
        >>> manager = SessionManager(create_async_engine("duckdb+async://"))
        >>> async with manager.transaction() as session:
        ...     print(await session.scalar(text("SELECT 42")))
        42
    """

    def __init__(
        self, engine: AsyncEngine, *, writer: AsyncEngine | None = None,
        write_timeout: float = 30.0,
    ) -> None:  # fmt: skip
        self.engine = engine
        self.writer = writer or engine
        self.write_timeout = write_timeout
        self.closed = False
        for used in {self.engine, self.writer}:
            if used.dialect.name == "duckdb":
                event.listen(used.sync_engine, "handle_error", raise_ours)
        options: dict[str, Any] = {
            "class_": ArchitectSession,
            "expire_on_commit": False,
            "close_resets_only": False,
        }
        self._reading: async_sessionmaker[ArchitectSession] = async_sessionmaker(
            engine, **options
        )
        self._writing: async_sessionmaker[ArchitectSession] = async_sessionmaker(
            self.writer, sync_session_class=WritingSession, **options
        )

    def session(self) -> ArchitectSession:
        """
        An ordinary session: you commit what you write.

        It reads one snapshot of the database and never waits for writers. Its
        first write takes the write gate, and fails with `StaleSnapshotError` if
        something was committed since its first read: what reads and then writes
        belongs into `transaction()`.

        Raises:
            ClosedError: The engine is closed.
        """
        self._require_open()
        return self._reading(info={"opened_at": caller()})

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[ArchitectSession]:
        """
        A session that commits on exit, and rolls back if an error leaves the block.

        One transaction writes at a time. It waits for its turn at its first
        statement, and what it reads is the latest state.

        Raises:
            ClosedError: The engine is closed.
            WriteTimeoutError: The transaction before it took too long.
            NestedTransactionError: This task is in a transaction already.
            TransactionAbortedError: An error inside was swallowed; DuckDB had
                ended the transaction then.
        """
        self._require_open()
        gate, opened_at = await self._gate(), caller()
        info = {
            "opened_at": opened_at,
            "gate": gate,
            "write_timeout": self.write_timeout,
        }
        with gate.transaction(opened_at) if gate else _NO_GATE:
            session = self._writing(info=info)
            block = session.sync_session.begin().__enter__()
            with InOurWords(session):
                try:
                    yield session
                    await prepare_commit(session)
                except BaseException as error:
                    await greenlet_spawn(_end, session, block, error)
                    raise
                commit = functools.partial(greenlet_spawn, _end, session, block, None)
                await committing(commit)

    async def run_in_transaction(
        self, function: Callable[[ArchitectSession], Awaitable[ResultT]], *,
        retries: int = 3,
    ) -> ResultT:  # fmt: skip
        """
        Run a function in a transaction, again if it met a conflict.

        Args:
            function: Is given the session; it may run several times, so it
                should change nothing but the database.
            retries: How often to run it again after the first time.

        Raises:
            RetryableError: The last try met a conflict too.
        """
        for attempt in range(retries):
            try:
                async with self.transaction() as session:
                    return await function(session)
            except RetryableError:
                longest = min(0.01 * 2**attempt, LONGEST_PAUSE)
                await asyncio.sleep(random.uniform(0, longest))  # noqa: S311
        async with self.transaction() as session:
            return await function(session)

    async def _gate(self) -> WriteGate | None:
        dialect: Any = self.writer.dialect
        if dialect.name != "duckdb":
            return None
        if dialect.database is None:
            async with self.writer.connect():
                pass
        gate: WriteGate = dialect.database.gate
        return gate

    def _require_open(self) -> None:
        if self.closed:
            raise ClosedError("this engine is closed; open another one")


def _end(
    session: ArchitectSession, block: SessionTransaction, error: BaseException | None
) -> None:
    """
    Commit or roll back, and close: all of it in one greenlet.
    """
    try:
        if error is None:
            block.__exit__(None, None, None)
        else:
            block.__exit__(type(error), error, error.__traceback__)
    finally:
        del session.info["gate"]
        session.sync_session.close()
        lease: Lease | None = session.info.get("lease")
        if lease is not None and "driver" not in session.info:
            lease.release()  # there was no connection to go with it
