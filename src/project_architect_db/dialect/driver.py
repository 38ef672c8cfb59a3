"""
An asynchronous DuckDB connection.

The event loop's side of it: `worker` is its thread, `transaction` what that thread
does. One hop to the thread per statement: BEGIN if needed, execute and fetch happen
in a single call. A ROLLBACK is queued there and not waited for.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol, Self
from weakref import WeakSet

from project_architect_db.dialect.derived import Changes
from project_architect_db.dialect.references import References
from project_architect_db.dialect.transaction import (
    GateNeededError,
    Request,
    Transaction,
)
from project_architect_db.dialect.worker import Worker, join_all
from project_architect_db.dialect.write_gate import caller
from project_architect_db.errors import (
    ClosedError,
    QueryTimeoutError,
    SessionInUseError,
    StaleSnapshotError,
    StreamEndedError,
    UnsupportedOperationError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from project_architect_db.dialect.database import Database
    from project_architect_db.dialect.stream import Stream
    from project_architect_db.dialect.transaction import Answer
    from project_architect_db.dialect.write_gate import Lease

WRITE_TIMEOUT = 30.0
JOIN_SECONDS = 0.1
EXIT_SECONDS = 2.0
"""How long the end of the process waits for connections that were left open."""

_COMMIT = Request("COMMIT")


class Observer(Protocol):
    """
    Takes note of statements, on the event loop.
    """

    def __call__(
        self, statement: str, values: Any, *, seconds: float, rows: int | None = None,
        error: BaseException | None = None, operation: str | None = None,
    ) -> None:  # fmt: skip
        """
        A statement has run; `rows` is `None` where their number is not known.
        """


class Deferral:
    """
    Keeps a cancellation that arrives during COMMIT until the hooks have run.

    It is for the task that set it alone: others that are started meanwhile inherit
    the context variable, but nobody would raise their cancellations.
    """

    def __init__(self) -> None:
        self.task = asyncio.current_task()
        self.cancellation: asyncio.CancelledError | None = None


deferral: ContextVar[Deferral | None] = ContextVar("deferral", default=None)
"""Set by whoever runs the hooks of a commit; see `DriverConnection.commit`."""


class _Use:
    """
    One task's use of a connection; refuses a second one at the same time.
    """

    __slots__ = ("_connection",)

    def __init__(self, connection: DriverConnection) -> None:
        self._connection = connection

    def __enter__(self) -> Self:
        if self._connection._user is not None:
            raise SessionInUseError(
                "another task is using this session right now; give each task a "
                "session of its own"
            )
        self._connection._user = self
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._connection._user is self:
            self._connection._user = None


_connections: WeakSet[DriverConnection] = WeakSet()


@atexit.register
def _disconnect_all() -> None:
    """
    Leave DuckDB in order: a thread inside of it would abort the ending process.
    """
    for connection in tuple(_connections):
        connection.terminate()
    join_all(EXIT_SECONDS)


class DriverConnection:
    """
    One connection of a database, for one task at a time.

    Attributes:
        opened_at: Where its transaction was opened, for whoever waits for it.
        statement: The SQL that runs right now.
        references: What to make sure of before the transaction commits.
        changes: What it has written that other tables are derived from.
        query_timeout: Seconds for a statement that has no limit of its own.
    """

    def __init__(
        self, database: Database, *, config: Mapping[str, Any] | None = None,
        write_timeout: float = WRITE_TIMEOUT,
        query_timeout: float | None = None, observer: Observer | None = None,
    ) -> None:  # fmt: skip
        self.database = database
        self._config = config
        self._observer = observer
        self.opened_at: str | None = None
        self.statement: str | None = None
        self._write_timeout = write_timeout
        self.query_timeout = query_timeout
        self._waited = 0.0  # by the latest statement, for the gate
        self.references = References()
        self.changes = Changes()
        self._transaction = Transaction(database)
        self._worker = Worker("duckdb-connection")
        self._user: object | None = None
        self._streams: list[Stream] = []
        self._lease: Lease | None = None
        self._lease_is_sent = True
        _connections.add(self)

    async def open(self) -> None:
        """
        Connect, on the worker thread; the first connection opens the database.
        """
        try:
            await self._worker.call(
                functools.partial(self._transaction.connect, self._config)
            )
        except BaseException:
            self.terminate()
            raise

    @property
    def is_connected(self) -> bool:
        """
        Whether it keeps the database open.
        """
        return self._transaction.duck is not None

    @property
    def autocommit(self) -> bool:
        """
        Whether each statement commits itself.
        """
        return self._transaction.autocommit

    @autocommit.setter
    def autocommit(self, value: bool) -> None:
        self._transaction.autocommit = value

    @property
    def progress(self) -> float | None:
        """
        How far the running statement is, 0–100; `None` if nothing runs.
        """
        duck = self._transaction.duck
        if self.statement is None or duck is None:
            return None
        return max(0.0, duck.query_progress())

    # --- statements -------------------------------------------------------------

    async def execute(self, request: Request) -> Answer:
        """
        Run a statement; see `Request`.

        Raises:
            TransactionAbortedError: An earlier error ended the transaction.
            StaleSnapshotError: It writes, but read before another commit.
            WriteTimeoutError: It writes, and another transaction did not finish.
            QueryTimeoutError: It ran for too long.
            SessionInUseError: Another task uses this connection right now.
            duckdb.Error: DuckDB refused it.
        """
        with _Use(self) as user:
            started, self._waited = time.perf_counter(), 0.0
            run = functools.partial(self._transaction.run, request)
            try:
                try:
                    answer: Answer = await self._call(user, run, request)
                except GateNeededError:
                    await self._take_gate(user)
                    answer = await self._call(user, run, request)
            except BaseException as error:
                self._tell(request, started, error=error)
                raise
            if request.stream is not None:
                request.stream.statement = request.sql
                self._streams = [s for s in self._streams if not s.ended]
                self._streams.append(request.stream)
            self._tell(request, started, answer)
            return answer

    async def fetch(
        self, stream: Stream, size: int, timeout: float | None
    ) -> list[tuple[Any, ...]]:
        """
        The next rows of a stream, at most `size`; fewer mean that it has ended.

        Raises:
            StreamEndedError: Its transaction has ended.
        """
        if stream.ended:
            raise StreamEndedError(
                "the rest of this stream is gone: its transaction has ended"
            )
        request = Request(stream.statement, timeout=timeout)
        with _Use(self) as user:
            started, self._waited = time.perf_counter(), 0.0
            fetch = functools.partial(self._transaction.fetch, stream, size)
            try:
                rows: list[tuple[Any, ...]] = await self._call(user, fetch, request)
            except BaseException as error:
                self._tell(request, started, error=error)
                raise
            return rows

    def _tell(
        self, request: Request, started: float, answer: Answer | None = None,
        error: BaseException | None = None,
    ) -> None:  # fmt: skip
        """
        Tell the observer: here, because SQLAlchemy may run on another thread.
        """
        if self._observer is None:
            return
        rows = None
        if answer is not None and request.stream is None:
            count = answer.rowcount if answer.description is None else len(answer.rows)
            rows = count if count >= 0 else None
        self._observer(
            request.sql,
            request.rows or request.many or request.parameters,
            seconds=time.perf_counter() - started - self._waited,
            rows=rows,
            error=error,
            operation=request.operation,
        )

    def _end_streams(self) -> None:
        for stream in self._streams:
            stream.ended = True
        self._streams = []

    async def _call(
        self, user: object, function: Callable[[], Any], request: Request
    ) -> Any:
        duck = self._transaction.duck
        if duck is None:
            raise ClosedError("this connection is closed")
        self._send_lease()
        self.statement = request.sql
        try:
            answer = await self._worker.call(
                function, interrupt=duck.interrupt, timeout=request.timeout
            )
        except asyncio.CancelledError as cancellation:
            await self._stop(user, cancellation, request)
            raise
        except TimeoutError as error:
            timed_out = QueryTimeoutError(
                statement=request.sql, seconds=request.timeout or 0.0
            )
            await self._stop(user, timed_out, request)
            raise timed_out from error.__cause__
        except GeneratorExit:
            self.terminate()  # its event loop has died; nobody waits for the rest
            raise
        except Exception as error:
            self._require(user)
            if not isinstance(error, GateNeededError | UnsupportedOperationError):
                self._end_streams()
            raise
        else:
            self._require(user)
            return answer
        finally:
            if self._user is user:
                self.statement = None

    @property
    def unknown_texts(self) -> frozenset[str]:
        """
        The SQL of unknown effect that has run in this transaction.
        """
        return self._transaction.unknown_texts

    @property
    def unknown_statements(self) -> int:
        """
        How many statements of this transaction may have written any table.
        """
        return self._transaction.unknown_statements

    @property
    def is_writing(self) -> bool:
        """
        Whether it holds the gate.
        """
        return self._lease is not None

    @property
    def snapshot(self) -> int:
        """
        A commit that it sees, and perhaps some later ones.
        """
        snapshot = self._transaction.snapshot
        if snapshot is None or self.is_writing:
            return self.database.commits.sequence
        return snapshot

    async def fail(self, error: BaseException) -> None:
        """
        End the transaction because of an error that DuckDB does not know of.
        """
        with _Use(self) as user:
            fail = functools.partial(self._transaction.fail, error, lost_a_write=True)
            self._end_streams()
            await self._end(fail)
            self._require(user)

    async def ask_committed(
        self, sql: str, parameters: Sequence[Any]
    ) -> list[tuple[Any, ...]]:
        """
        Ask what was committed before this transaction, beside it.
        """

        def ask() -> list[tuple[Any, ...]]:
            duck = self.database.cursor()
            try:
                rows: list[tuple[Any, ...]] = duck.execute(sql, parameters).fetchall()
                return rows
            finally:
                self.database.close(duck)

        with _Use(self):
            return await self._worker.call(ask)

    async def _stop(self, user: object, error: BaseException, request: Request) -> None:
        """
        End the transaction of a statement that was cancelled or ran out of time.
        """
        if self._user is user:
            self._end_streams()
            await self._end(functools.partial(self._transaction.stop, error, request))

    async def _end(self, function: Callable[[], object]) -> None:
        with contextlib.suppress(ClosedError):  # then it has ended, too
            cancellation = await self._worker.call_to_the_end(function)
            if cancellation is not None:
                raise cancellation

    # --- transactions -----------------------------------------------------------

    async def _take_gate(self, user: object) -> None:
        """
        Become the writer; nothing of the transaction has been written so far.
        """
        lease: Lease | None = None
        started = time.perf_counter()
        try:
            self._require_latest_snapshot()  # do not wait in vain
            lease = await self.database.gate.acquire(
                timeout=self._write_timeout, opened_at=self.opened_at or caller()
            )
            self._require(user)
            self._require_latest_snapshot()
        except BaseException as error:
            if lease is not None:
                lease.release()
            if self._user is user and not isinstance(error, GeneratorExit):
                # It wanted to write and did not: COMMIT must not look like success.
                await self._end(
                    functools.partial(self._transaction.fail, error, lost_a_write=True)
                )
            raise
        finally:
            self._waited = time.perf_counter() - started
        self.adopt(lease)

    def _require_latest_snapshot(self) -> None:
        """
        Refuse to write over what this transaction has not seen.
        """
        if self._transaction.snapshot not in (None, self.database.commits.sequence):
            raise StaleSnapshotError

    def adopt(self, lease: Lease) -> None:
        """
        Be the writer from the next statement on, with a gate already taken.
        """
        lease.abandon = self.terminate
        self._lease, self._lease_is_sent = lease, False

    def _send_lease(self) -> None:
        """
        Hand the gate over to the thread, behind what is queued there for others.
        """
        if self._lease is not None and not self._lease_is_sent:
            self._worker.post(
                functools.partial(self._transaction.take_over, self._lease)
            )
            self._lease_is_sent = True

    def _end_lease(self) -> None:
        """
        What comes next on the thread gives the gate up.
        """
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.ending = True
            if not self._lease_is_sent:  # no statement came
                lease.release()

    async def commit(self) -> None:
        """
        Commit; once begun, it is finished even if the task is cancelled.

        Raises:
            TransactionAbortedError: An error had ended the transaction before.
            asyncio.CancelledError: After a COMMIT that went through, unless a
                `Deferral` of this task takes it; or after one that failed.
        """
        with _Use(self):
            self.opened_at = None
            commit = functools.partial(self._transaction.commit, self.changes.kept)
            self.references.clear()
            self.changes.clear()
            self._end_streams()
            writes = self._lease is not None
            self._end_lease()
            started, self._waited = time.perf_counter(), 0.0
            try:
                cancellation = await self._worker.call_to_the_end(commit)
            except BaseException as error:
                self._tell(_COMMIT, started, error=error)
                raise
            if writes:  # of one that only read there is nothing to tell
                self._tell(_COMMIT, started)
        if cancellation is not None:
            deferred = deferral.get()
            if deferred is None or deferred.task is not asyncio.current_task():
                raise cancellation
            deferred.cancellation = cancellation

    def rollback(self) -> None:
        """
        Queue a ROLLBACK behind whatever still runs, and do not wait for it.
        """
        self.opened_at = None
        self.references.clear()
        self.changes.clear()
        self._end_streams()
        if self._lease or self._user or self._transaction.has_state:
            self._end_lease()
            with contextlib.suppress(ClosedError):  # then it was rolled back before
                self._post(self._transaction.rollback)
            # Closed by one task while another one uses it?
            self._user = self.statement = None

    def _post(self, function: Callable[[], object]) -> None:
        """
        Queue a call that ends what runs; but COMMIT is never interrupted.
        """
        duck = self._transaction.duck
        if self.statement is None or duck is None:
            self._worker.post(function)
        else:
            self._worker.post_urgent(function, duck.interrupt)

    # --- the end ----------------------------------------------------------------

    async def close(self) -> None:
        """
        Roll back, disconnect and end the thread.
        """
        self._end_lease()
        try:
            await self._end(self._transaction.disconnect)
        finally:
            self._worker.stop()
            self._worker.join(JOIN_SECONDS)

    def interrupt(self) -> None:
        """
        Stop the running statement, if there is one.
        """
        duck = self._transaction.duck
        if duck is not None and self.statement is not None:
            duck.interrupt()

    def terminate(self) -> None:
        """
        Close from outside of any event loop, and without waiting.
        """
        self._end_lease()
        with contextlib.suppress(ClosedError):
            self._post(self._transaction.disconnect)
        self._worker.stop()

    def __del__(self) -> None:
        """
        End the thread of a forgotten connection.
        """
        if hasattr(self, "_lease_is_sent"):
            self.terminate()

    def _require(self, user: object) -> None:
        """
        Refuse to go on when another task has closed the session meanwhile.
        """
        if self._user is not user:
            raise SessionInUseError(
                "another task ended the transaction of this session while its "
                "statement ran; give each task a session of its own"
            )
