"""
The session: SQLAlchemy's, with our errors and a free event loop.
"""

from __future__ import annotations

import functools
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from sqlalchemy import exc as sa_exc
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction

from project_architect_db.dialect.driver import Deferral, DriverConnection, deferral
from project_architect_db.dialect.statements import NO_SAVEPOINTS
from project_architect_db.engine.inner_session import ReadingSession
from project_architect_db.engine.off_loop import HEAVY, run_off_loop
from project_architect_db.errors import (
    ArchitectError,
    ClosedError,
    NestedTransactionError,
    SessionInUseError,
    TransactionAbortedError,
    UnsupportedOperationError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from types import TracebackType

FLUSHING = ("commit", "execute", "scalar", "scalars", "stream", "stream_scalars")
"""Methods that flush pending changes first."""

STREAMING = ("stream", "stream_scalars")
OBJECTS_AT_A_TIME = 500
"""How many objects of a stream are built at a time, some milliseconds of work."""

OTHERS = ("close", "connection", "delete", "flush", "get", "get_one", "merge",
          "refresh", "rollback", "run_sync")  # fmt: skip


class ArchitectSession(AsyncSession):
    """
    An `AsyncSession` that raises this library's errors.

    Everything else is SQLAlchemy's. It belongs to one task at a time. What would
    keep the event loop busy for long (a flush of 1,000 objects and more, an INSERT
    of as many rows) is computed on a thread; so are then the mapper events of that
    flush, which find no running event loop there.

    Example:
        >>> async with DatabaseEngine(":memory:") as engine:
        ...     async with engine.session() as session:
        ...         print(await session.scalar(text("SELECT 40 + 2")))
        42
    """

    sync_session_class = ReadingSession

    @property
    def progress(self) -> float | None:
        """
        How far the running statement is, 0–100; `None` if nothing runs.
        """
        driver: DriverConnection | None = self.info.get("driver")
        if driver is None or not self.in_transaction():
            return None
        return driver.progress

    def has_heavy_changes(self) -> bool:
        """
        Whether a flush would keep the event loop busy for long.
        """
        heavy: bool = self.sync_session.has_heavy_changes()  # type: ignore[attr-defined]
        return heavy

    async def flush(self, objects: Any = None) -> None:
        """
        Write pending changes.
        """
        if objects is None and self.has_heavy_changes():
            await run_off_loop(self.sync_session.flush)
        else:
            await super().flush(objects)

    def begin(self) -> AsyncSessionTransaction:
        """
        A block that commits on exit, and rolls back if an error leaves it.
        """
        return _Block(self)

    def add(self, instance: object, *, _warn: bool = True) -> None:
        """
        Have the object written with the next flush.
        """
        with InOurWords(self):
            super().add(instance, _warn=_warn)

    def add_all(self, instances: Iterable[object]) -> None:
        """
        Have all of these objects written with the next flush.
        """
        with InOurWords(self):
            super().add_all(instances)

    def begin_nested(self) -> NoReturn:
        """
        DuckDB has no savepoints.

        Raises:
            UnsupportedOperationError: Always.
        """
        raise UnsupportedOperationError(NO_SAVEPOINTS)

    def __del__(self) -> None:
        """
        Shout about a session that was never closed.
        """
        if hasattr(self, "sync_session") and self.in_transaction():
            warnings.warn(
                f"the session opened at {self.info.get('opened_at')} was never "
                "closed; use `async with engine.session() as session:`",
                ResourceWarning,
                source=self,
                stacklevel=1,
            )
            if isinstance(self.info.get("driver"), DriverConnection):
                with suppress(Exception):  # ours waits for nothing to be closed
                    self.sync_session.close()


class _Block(AsyncSessionTransaction):
    """
    What `session.begin()` is.
    """

    __slots__ = ()

    async def start(self, is_ctxmanager: bool = False) -> AsyncSessionTransaction:
        with InOurWords(self.session):
            return await super().start(is_ctxmanager)

    async def commit(self) -> None:
        with InOurWords(self.session):
            await prepare_commit(self.session)
            await committing(super().commit)

    async def __aexit__(
        self, type_: type[BaseException] | None, value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:  # fmt: skip
        leave = super().__aexit__
        with InOurWords(self.session):
            if value is not None:
                await leave(type_, value, traceback)
                return
            try:
                await prepare_commit(self.session)
            except BaseException as error:
                await leave(type(error), error, error.__traceback__)
                raise
            await committing(functools.partial(leave, None, None, None))


async def flush_heavy(session: AsyncSession) -> None:
    """
    Flush now, off the loop, what would be flushed on it.
    """
    if session.sync_session.has_heavy_changes():  # type: ignore[attr-defined]
        await session.flush()


async def prepare_commit(session: AsyncSession) -> None:
    """
    Flush, and refuse to go on when an earlier flush had failed.

    SQLAlchemy's blocks would end without an error then, and without a commit.
    """
    if session.in_transaction() and not session.is_active:
        original = _error_of(session)
        raise TransactionAbortedError(original) from original
    await flush_heavy(session)


def _error_of(session: AsyncSession) -> BaseException:
    """
    The error that ended the transaction of a session.
    """
    transaction = session.sync_session.get_transaction()
    error: BaseException = getattr(transaction, "_rollback_exception", None) or (
        sa_exc.PendingRollbackError("a flush or a commit failed")
    )
    return error


async def committing(commit: Callable[[], Awaitable[None]]) -> None:
    """
    Commit; a cancellation during COMMIT is raised when all hooks have run.
    """
    deferred = Deferral()
    token = deferral.set(deferred)
    try:
        await commit()
    finally:
        deferral.reset(token)
    if deferred.cancellation is not None:
        raise deferred.cancellation


class InOurWords:
    """
    A block that raises our errors for SQLAlchemy's about the use of a session.
    """

    __slots__ = ("_session",)

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, type_: type[BaseException] | None, error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:  # fmt: skip
        if isinstance(error, sa_exc.InvalidRequestError):
            ours = _translated(error, self._session)
            if ours is not None:
                raise ours from error


IN_USE = (
    "another task is using this session right now; give each task a session of its own"
)
_MEANINGS: tuple[tuple[str, type[ArchitectError], str], ...] = (
    ("already flushing", SessionInUseError, IN_USE),
    (
        "permanently closed",
        ClosedError,
        "this session is closed; open another one",
    ),
    (
        "transaction is closed",
        ClosedError,
        "this transaction has ended already; give each task a session of its own",
    ),
    (
        "closed transaction",
        ClosedError,
        "this transaction was rolled back; leave its block and open another one",
    ),
)
"""What SQLAlchemy says about the use of a session, and what it means here."""


def _translated(
    error: sa_exc.InvalidRequestError, session: AsyncSession
) -> Exception | None:
    if error.code == "isce":  # an illegal state change: two tasks at once
        return SessionInUseError(IN_USE)
    text = str(error)
    if isinstance(error, sa_exc.PendingRollbackError) or (
        "rolled back due to an exception" in text
    ):
        return TransactionAbortedError(_error_of(session))
    if "already begun" in text:
        return NestedTransactionError(str(session.info.get("opened_at")))
    for theirs, ours, meaning in _MEANINGS:
        if theirs in text:
            return ours(meaning)
    return None


def _wrapped(name: str) -> Callable[..., Any]:
    """
    A method of the session that flushes off the loop, and raises our errors.
    """
    method = getattr(ArchitectSession, name)

    @functools.wraps(method)
    async def call(self: ArchitectSession, *args: Any, **kwargs: Any) -> Any:
        session: Any = self.sync_session
        with InOurWords(self):
            if name in ("close", "commit") and "gate" in self.info:
                raise UnsupportedOperationError(
                    f"transaction() ends when its block ends; leave {name}() out"
                )
            if name == "commit":
                await prepare_commit(self)
                return await committing(functools.partial(method, self))
            if name in FLUSHING and session.autoflush:
                await flush_heavy(self)
            if name == "execute" and _has_many_rows(*args, **kwargs):
                options = {
                    **kwargs.pop("execution_options", {}),
                    "prebuffer_rows": True,
                }
                execute = functools.partial(
                    session.execute, *args, execution_options=options, **kwargs
                )
                return await run_off_loop(execute)
            if name in STREAMING:
                return await _stream(functools.partial(method, self), *args, **kwargs)
            return await method(self, *args, **kwargs)

    return call


async def _stream(
    method: Callable[..., Any], statement: Any, params: Any = None, *,
    execution_options: Mapping[str, Any] | None = None, **others: Any,
) -> Any:  # fmt: skip
    """
    Stream objects in batches; SQLAlchemy builds all of them before the first, else.

    Two of its strategies need all rows at once: `joinedload` of collections and
    `subqueryload`.
    """
    options = dict(execution_options or {})
    if "yield_per" not in {**statement.get_execution_options(), **options}:
        batches = {**options, "yield_per": OBJECTS_AT_A_TIME}
        try:
            return await method(statement, params, execution_options=batches, **others)
        except sa_exc.InvalidRequestError as error:
            if "yield_per" not in str(error):
                raise
    return await method(statement, params, execution_options=options, **others)


def _has_many_rows(_: Any, params: Any = None, **__: Any) -> bool:
    return isinstance(params, list | tuple) and len(params) >= HEAVY


for _name in (*FLUSHING, *OTHERS):
    setattr(ArchitectSession, _name, _wrapped(_name))
