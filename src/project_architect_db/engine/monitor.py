"""
What ran, how long it took, and what is running now.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class QueryEvent:
    """
    A statement that has run; the COMMIT of what wrote is one, too.

    Attributes:
        statement: The SQL text, with placeholders.
        seconds: From sending it to having all its rows; for a stream, the first.
        rows: Rows returned or changed; `None` for a stream or a failure.
        error: The name of the driver's error, such as ``ConstraintException``.
        values: The bound values, only if the setting `log_values` is on.
        exception: The error itself, likewise: its text may quote values.
        operation: What it was for, such as ``ProjectRepository.list``: what
            repositories and query builders say, or the execution option `operation`.
    """

    statement: str
    seconds: float
    rows: int | None = None
    error: str | None = None
    values: Any = None
    exception: BaseException | None = None
    operation: str | None = None


class QueryHook(Protocol):
    """
    Called after each statement, on the event loop: it has to be quick.
    """

    def __call__(self, query: QueryEvent, /) -> None:
        """
        Take note of a statement.
        """


@dataclass(frozen=True, slots=True)
class Health:
    """
    Whether the database answers.

    Attributes:
        ok: It answered.
        seconds: How long that took, connection included.
        error: Why it did not.
        version: DuckDB's version.
        database: The file, or ``:memory:``.
        file_bytes: Size of the file.
        wal_bytes: Size of the write-ahead log, not yet in the file.
    """

    ok: bool
    seconds: float
    error: str | None
    version: str | None
    database: str
    file_bytes: int
    wal_bytes: int


@dataclass(frozen=True, slots=True)
class RunningQuery:
    """
    A statement that is running now.

    Attributes:
        statement: The SQL text.
        progress: How far it is, 0–100, as DuckDB estimates it.
    """

    statement: str
    progress: float


class Monitor:
    """
    Counts statements, logs slow ones, and calls the hooks.
    """

    def __init__(self, *, slow_query_seconds: float | None, log_values: bool) -> None:
        self.hooks: list[QueryHook] = []
        self.queries = self.query_errors = self.slow_queries = 0
        self.query_seconds = 0.0
        self._slow = slow_query_seconds
        self._log_values = log_values
        self._mutex = threading.Lock()

    def add_hook(self, hook: QueryHook) -> Callable[[], None]:
        """
        Call the hook after each statement; the function returned takes it off.
        """
        self.hooks.append(hook)

        def stop() -> None:
            with suppress(ValueError):
                self.hooks.remove(hook)

        return stop

    def record(
        self, statement: str, values: Any, *, seconds: float, rows: int | None = None,
        error: BaseException | None = None, operation: str | None = None,
    ) -> None:  # fmt: skip
        """
        Take note of a statement that has run.
        """
        slow = self._slow is not None and seconds > self._slow
        with self._mutex:
            self.queries += 1
            self.query_seconds += seconds
            self.query_errors += error is not None
            self.slow_queries += slow
        if slow:
            logger.warning("slow query, %.2f s: %s", seconds, statement)
        if self.hooks:
            query = QueryEvent(
                statement,
                seconds,
                rows,
                error=None if error is None else type(error).__name__,
                values=values if self._log_values else None,
                exception=error if self._log_values else None,
                operation=operation,
            )
            for hook in tuple(self.hooks):
                try:
                    hook(query)
                except Exception:
                    logger.exception("the query hook %r failed", hook)
