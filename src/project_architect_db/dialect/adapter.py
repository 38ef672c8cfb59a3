"""
The shapes of a DBAPI that SQLAlchemy expects, over the asynchronous driver.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
from sqlalchemy.engine import AdaptedConnection
from sqlalchemy.util.concurrency import await_

from project_architect_db.dialect.columnar import RowsStatement
from project_architect_db.dialect.stream import Stream
from project_architect_db.dialect.transaction import Request

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from project_architect_db.dialect.driver import DriverConnection
    from project_architect_db.dialect.row_texts import DeletedRows
    from project_architect_db.dialect.transaction import Answer


class DuckDBModule:
    """
    What SQLAlchemy looks for in a DBAPI module.
    """

    paramstyle = "numeric_dollar"
    version = duckdb.__version__
    Binary = bytes
    Error = duckdb.Error
    DatabaseError = duckdb.DatabaseError
    DataError = duckdb.DataError
    IntegrityError = duckdb.IntegrityError
    InternalError = duckdb.InternalError
    NotSupportedError = duckdb.NotSupportedError
    OperationalError = duckdb.OperationalError
    ProgrammingError = duckdb.ProgrammingError
    InterfaceError = duckdb.OperationalError  # DuckDB has none


class DuckDBCursor:
    """
    A statement and its rows, all of which are here already.
    """

    arraysize = 1
    lastrowid = None
    server_side = False

    def __init__(self, driver: DriverConnection) -> None:
        self._driver = driver
        self.description: list[tuple[Any, ...]] | None = None
        self.rowcount = -1
        self.tables: frozenset[str] | None = None
        self.operation: str | None = None
        self.keeps_rows = False
        self.appends = False
        self.deleted: DeletedRows | None = None
        self.timeout = driver.query_timeout
        self.statement = ""
        self._rows: list[tuple[Any, ...]] = []
        self._next = 0
        self._done = False
        self._stream: Stream | None = None

    def execute(
        self, operation: str, parameters: Sequence[Any] | RowsStatement = ()
    ) -> None:
        """
        Run a statement, and fetch its rows unless it is a stream.
        """
        if isinstance(parameters, RowsStatement):
            self._send(operation, rows=parameters)
        else:
            self._send(operation, parameters)

    def executemany(self, operation: str, parameters: Sequence[Sequence[Any]]) -> None:
        """
        Run a statement once for each set of parameters.
        """
        self._send(operation, many=parameters)

    def _send(
        self, operation: str, parameters: Sequence[Any] = (), *,
        many: Sequence[Sequence[Any]] | None = None, rows: RowsStatement | None = None,
    ) -> None:  # fmt: skip
        self.statement = operation
        request = Request(
            operation, parameters, many, rows, self.tables, self._stream, self.timeout,
            self.operation, self.keeps_rows, self.deleted, self.appends,
        )  # fmt: skip
        answer: Answer = await_(self._driver.execute(request))
        self.description, self._rows, self.rowcount = answer
        self._next = 0

    @property
    def returned_rows(self) -> list[tuple[Any, ...]] | None:
        """
        The rows; `None` while they are in the database.
        """
        return None if self._stream is not None and not self._rows else self._rows

    def fetchone(self) -> tuple[Any, ...] | None:
        """
        The next row, or `None`.
        """
        rows = self.fetchmany(1)
        return rows[0] if rows else None

    def fetchmany(self, size: int | None = None) -> list[tuple[Any, ...]]:
        """
        The next rows, at most so many.
        """
        start, self._next = self._next, self._next + (size or self.arraysize)
        return self._rows[start : self._next]

    def fetchall(self) -> list[tuple[Any, ...]]:
        """
        All rows that are left.
        """
        rows = self._rows[self._next :] if self._next else self._rows
        self._rows, self._next = [], 0
        return rows

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        yield from self.fetchall()

    async def _async_soft_close(self) -> None:
        """
        Called by SQLAlchemy before a result is used outside of its greenlet.
        """

    def close(self) -> None:
        """
        Forget the rows.
        """
        self._rows, self._next = [], 0

    def setinputsizes(self, *sizes: Any) -> None:
        """
        Nothing: DuckDB takes types from values.
        """


class DuckDBStreamCursor(DuckDBCursor):
    """
    A statement whose rows stay in the database until they are asked for.
    """

    server_side = True
    _stream: Stream

    def __init__(self, driver: DriverConnection) -> None:
        super().__init__(driver)
        self._stream = Stream()

    def fetchmany(self, size: int | None = None) -> list[tuple[Any, ...]]:
        """
        The next rows, at most so many, in one hop to the worker thread.
        """
        if self._done or self.description is None:
            return []
        if self._rows:  # in AUTOCOMMIT, what writes is run to its end at once
            return super().fetchmany(size)
        size = size or self.arraysize
        rows = await_(self._driver.fetch(self._stream, size, self.timeout))
        self._done = len(rows) < size
        return rows

    def fetchall(self) -> list[tuple[Any, ...]]:
        """
        All rows that are left.
        """
        rows: list[tuple[Any, ...]] = []
        while chunk := self.fetchmany(1000):
            rows += chunk
        return rows

    def close(self) -> None:
        """
        Drop what is left of the stream, so that the connection is free again.
        """
        self._done = self._stream.ended = True


class AsyncDuckDBConnection(AdaptedConnection):
    """
    A DBAPI connection whose calls wait without blocking the event loop.
    """

    __slots__ = ()
    _connection: DriverConnection  # type: ignore[assignment]

    def __init__(self, driver: DriverConnection) -> None:
        self._connection = driver

    def cursor(self, *, stream: bool = False) -> DuckDBCursor:
        """
        A cursor; all cursors of a connection share its one transaction.
        """
        return (DuckDBStreamCursor if stream else DuckDBCursor)(self._connection)

    def commit(self) -> None:
        """
        Commit.
        """
        await_(self._connection.commit())

    def rollback(self) -> None:
        """
        Roll back, without waiting for it.
        """
        self._connection.rollback()

    def close(self) -> None:
        """
        Disconnect, and wait for it.
        """
        await_(self._connection.close())

    def terminate(self) -> None:
        """
        Disconnect without waiting: used where there is no event loop to wait in.
        """
        self._connection.terminate()
