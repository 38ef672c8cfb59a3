"""
The transaction of one connection, as its worker thread sees it.

- BEGIN is sent with the first statement: READ ONLY while the statements look like
  reads. The first that is, or turns out to be, a write needs the write gate.
- An error ends the transaction on the spot. DuckDB would answer OK to its COMMIT
  and roll back (duckdb-facts §0.C), so COMMIT is refused here instead.

Everything here runs on the worker thread, one call after the other.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import duckdb

from project_architect_db.dialect.failures import (
    explained,
    is_duplicate,
    is_read_only_refusal,
)
from project_architect_db.dialect.row_texts import ROWS
from project_architect_db.dialect.stream import rows_in_turns
from project_architect_db.errors import (
    ClosedError,
    TransactionAbortedError,
    UnsupportedOperationError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from project_architect_db.dialect.columnar import RowsStatement
    from project_architect_db.dialect.database import Database
    from project_architect_db.dialect.row_texts import DeletedRows
    from project_architect_db.dialect.statements import Parsed, Script
    from project_architect_db.dialect.stream import Stream
    from project_architect_db.dialect.write_gate import Lease


class Request(NamedTuple):
    """
    A statement to execute.

    Attributes:
        sql: Its text; several statements are run one after the other.
        parameters: Values for the last statement.
        many: Runs it once for each of these instead.
        rows: The rows of an INSERT, UPDATE or DELETE, by column.
        tables: The tables it writes; `None` when only its text can tell.
        stream: Through which to fetch the rows; `None` to fetch all of them at once.
        timeout: Seconds after which to stop it.
        operation: What the application does with it.
        keeps_rows: It changes no row of any table: a CREATE TABLE, for example.
        deleted: Where to tell which rows a DELETE deletes.
        appends: It adds rows to `tables`, and leaves those that are there.
    """

    sql: str
    parameters: Sequence[Any] = ()
    many: Sequence[Sequence[Any]] | None = None
    rows: RowsStatement | None = None
    tables: frozenset[str] | None = None
    stream: Stream | None = None
    timeout: float | None = None
    operation: str | None = None
    keeps_rows: bool = False
    deleted: DeletedRows | None = None
    appends: bool = False


class Answer(NamedTuple):
    """
    What a statement returned; `description` is `None` if it has no rows.
    """

    description: list[tuple[Any, ...]] | None
    rows: list[tuple[Any, ...]]
    rowcount: int


class GateNeededError(Exception):
    """
    Nothing has happened: the statement writes, and the gate is not held.
    """


class Transaction:
    """
    A DuckDB connection and what it is in the middle of.

    Attributes:
        autocommit: Each statement commits itself.
        begun: BEGIN has been sent.
        lease: The right to write, if it has been taken.
        snapshot: The last commit that its first read may not have seen; kept
            over errors, until COMMIT or ROLLBACK.
        failure: The error that ended it.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.autocommit = False
        self.begun = False
        self.lease: Lease | None = None
        self.snapshot: int | None = None
        self.failure: BaseException | None = None
        self.duck: duckdb.DuckDBPyConnection | None = None
        self._written: set[str] | None = set()
        self._changed: set[str] = set()  # more than rows were added to
        self._texts: set[str] = set()  # that wrote rows nobody knows of
        self._unknown_statements = 0
        self._live: Stream | None = None  # the one DuckDB has the rows of
        self._streams: list[Stream] = []

    @property
    def has_state(self) -> bool:
        """
        Whether a ROLLBACK would change anything.
        """
        return self.begun or self.snapshot is not None or self.failure is not None

    @property
    def unknown_texts(self) -> frozenset[str]:
        """
        SQL that may have written any row of any table.
        """
        return frozenset(self._texts if self.lease is not None else ())

    @property
    def unknown_statements(self) -> int:
        """
        How many statements have run that may have written, or changed, any table.
        """
        return self._unknown_statements if self.lease is not None else 0

    def connect(self, config: Mapping[str, Any] | None = None) -> None:
        """
        Open the connection, and the database with it if it is the first.
        """
        self.duck = self.database.cursor(config)

    def disconnect(self) -> None:
        """
        Roll back and close the connection.
        """
        self.rollback()
        duck, self.duck = self.duck, None
        if duck is not None:
            self.database.close(duck)

    # --- statements -------------------------------------------------------------

    def run(self, request: Request) -> Answer:
        """
        Execute a statement, after BEGIN if it is the first.

        Raises:
            GateNeededError: Take the gate, and ask again.
        """
        duck = self._connection()
        if self.failure is not None:
            raise TransactionAbortedError(self.failure) from self.failure
        snapshot = self.snapshot
        try:
            script = self.database.statements.parse(duck, request.sql)
            if not script.statements:
                return Answer(None, [], -1)
            self._check(script)
            if not (self.begun or self.autocommit):
                self._begin(duck)
            self._note_tables(request, script)
            if self.autocommit and self.lease is not None:
                self.database.in_step.before_commit(self._written, {})
            return self._execute(duck, script.statements, request)
        except (GateNeededError, UnsupportedOperationError):
            raise  # it never reached the database
        except Exception as error:
            if self.lease is None and is_read_only_refusal(error):
                self._send_rollback()
                self.snapshot = snapshot  # it has read nothing
                self._written = None
                self._texts.add(request.sql)
                self._unknown_statements += 1
                raise GateNeededError from error
            self.fail(error)
            raise
        finally:
            if request.rows is not None:  # after a rollback: it fails before
                duck.unregister(ROWS)

    def _connection(self) -> duckdb.DuckDBPyConnection:
        if self.duck is None:
            raise ClosedError("this connection is closed")
        return self.duck

    def _check(self, script: Script) -> None:
        if script.controls:
            raise UnsupportedOperationError(
                "BEGIN, COMMIT and ROLLBACK are sent for you; use "
                "engine.transaction(), session.commit() or session.rollback()"
            )
        # In AUTOCOMMIT no READ ONLY transaction backs our judgement up.
        reads = script.surely_reads if self.autocommit else script.reads
        if self.lease is None and not reads:
            self._set_live_aside()  # here, where it can be interrupted
            raise GateNeededError

    def _begin(self, duck: duckdb.DuckDBPyConnection) -> None:
        sql = "BEGIN TRANSACTION"
        if self.lease is None:
            sql = "BEGIN TRANSACTION READ ONLY"
            if self.snapshot is None:
                # Before DuckDB takes its snapshot: too old is safe, too new is not.
                self.snapshot = self.database.commits.sequence
        self.begun = True  # even if an interrupt hits BEGIN itself
        self._control(duck, sql)

    def _control(self, duck: duckdb.DuckDBPyConnection, sql: str) -> None:
        (parsed,) = self.database.statements.parse(duck, sql).statements
        duck.execute(parsed.statement)

    def _note_tables(self, request: Request, script: Script) -> None:
        if request.tables is not None and self._written is not None:
            self._written |= request.tables
            if not request.appends:
                self._changed |= request.tables
        elif not script.leaves_tables:
            self._written = None
            self._unknown_statements += 1
            if not request.keeps_rows:
                self._texts.add(request.sql)

    def _execute(
        self, duck: duckdb.DuckDBPyConnection, statements: Sequence[Parsed],
        request: Request,
    ) -> Answer:  # fmt: skip
        if self._streams:
            self._set_live_aside()
        *others, last = statements
        for parsed in others:
            duck.execute(parsed.statement)
            duck.fetchall()
        if request.rows is not None:
            return self._committed(self._send_rows(last, request.rows, request))
        if request.many is not None:
            return self._committed(self._send_many(last, request.many, request))
        self._send(last, request.parameters, request)
        rowcount = duck.rowcount
        if not last.answers or rowcount >= 0:
            return self._committed(Answer(None, [], rowcount))
        description = duck.description
        if request.stream is not None and not (self.autocommit and self.lease):
            self._live = request.stream
            self._streams.append(request.stream)
            return Answer(description, [], -1)
        rows = _fetch_all(duck)
        return self._committed(Answer(description, rows, len(rows)))

    def _send(
        self, parsed: Parsed, parameters: Sequence[Any], request: Request
    ) -> None:
        """
        Execute one statement; of a DELETE, ask first what it will delete.
        """
        duck = self._connection()
        if request.deleted is not None:
            statement: Any = parsed.statement
            sql = request.deleted.query(statement.query)
            (query,) = self.database.statements.parse(duck, sql).statements
            duck.execute(query.statement, parameters)
            request.deleted.rows.extend(duck.fetchall())
        duck.execute(parsed.statement, parameters)

    def _send_many(
        self, parsed: Parsed, parameter_sets: Iterable[Sequence[Any]], request: Request
    ) -> Answer:
        duck = self._connection()
        returned: list[tuple[Any, ...]] = []
        count = -1
        for parameters in parameter_sets:
            self._send(parsed, parameters, request)
            if duck.rowcount >= 0:
                count = max(count, 0) + duck.rowcount
            else:
                returned += duck.fetchall()
        return Answer(duck.description if count < 0 else None, returned, count)

    def _send_rows(self, last: Parsed, rows: RowsStatement, request: Request) -> Answer:
        duck, table = self._connection(), rows.arrow_table()
        one = self._combine(duck, rows) if table is not None and rows.mixed else last
        if table is None or one is None:  # slower, but stored as they are
            (single,) = self.database.statements.parse(duck, rows.single).statements
            return self._send_many(single, rows.rows(), request)
        duck.register(ROWS, table)
        self._send(one, rows.constants, request)
        if duck.rowcount >= 0:
            return Answer(None, [], duck.rowcount)
        return Answer(duck.description, _fetch_all(duck), -1)

    def _combine(
        self, duck: duckdb.DuckDBPyConnection, rows: RowsStatement
    ) -> Parsed | None:
        """
        The INSERT of rows with several kinds of values in a column.

        Each kind is cast to the type of the column, as DuckDB does with a single
        value; `None` where the kind itself is stored, or the type is not known.
        """
        query = rows.types_query()
        if query is None:
            return None
        duck.execute(query)
        types = [str(column[1]) for column in duck.description]
        if any(re.search("UNION|VARIANT|BIT", type_) for type_ in types):
            return None
        sql = rows.from_table(dict(zip(rows.mixed, types, strict=True)))
        (parsed,) = self.database.statements.parse(duck, sql).statements
        return parsed

    def fetch(self, stream: Stream, size: int) -> list[tuple[Any, ...]]:
        """
        The next rows of a stream.
        """
        if stream is not self._live:
            return stream.fetch(size)
        try:
            rows = self._connection().fetchmany(size)
        except Exception as error:
            self.fail(error)
            raise
        if len(rows) < size:
            self._live = None
        return rows

    def _set_live_aside(self) -> None:
        """
        Save the rows of a stream from the statement that comes next.
        """
        for stream in self._streams:
            if stream.ended:
                stream.close()
        self._streams = [stream for stream in self._streams if not stream.ended]
        live, self._live = self._live, None
        if live is not None and not live.ended:
            live.set_aside(self._connection())
        elif live is not None:
            self._connection().interrupt()  # the next statement would wait for its end

    def _end_streams(self) -> None:
        for stream in self._streams:
            stream.ended = True
        self._set_live_aside()

    # --- beginning and end ------------------------------------------------------

    def take_over(self, lease: Lease) -> None:
        """
        Be the writer from here on; what was read so far is still the latest.
        """
        self.lease = lease
        self._send_rollback()

    def commit(self, kept: Mapping[str, frozenset[str]] | None = None) -> None:
        """
        COMMIT, then the commit log, then the gate.

        It ends the transaction even if it fails: SQLAlchemy sends no ROLLBACK then.

        Args:
            kept: The derived tables it has kept in step; see `InStep`.

        Raises:
            TransactionAbortedError: An error had ended the transaction.
            duckdb.ConstraintException: A key turned out to exist already.
        """
        try:
            if self.failure is not None:
                raise TransactionAbortedError(self.failure) from self.failure
            if self.begun:
                duck = self._connection()
                self._end_streams()
                writes = self.lease is not None and self._written != set()
                if writes:
                    self.database.in_step.before_commit(self._written, kept or {})
                self._control(duck, "COMMIT")
                self.begun = False
                if writes:
                    self._log(kept)
                elif kept:  # it has compared, and nobody else could write
                    self.database.in_step.after_commit(
                        self.database.commits.sequence, kept
                    )
        except duckdb.Error as error:
            if is_duplicate(error):  # raised as a mere TransactionException
                raise duckdb.ConstraintException(str(error)) from error
            raise
        finally:
            self.rollback()

    def rollback(self) -> None:
        """
        ROLLBACK, then the gate.
        """
        self._roll_back()
        self.snapshot = self.failure = None
        self._release()

    def stop(self, error: BaseException, request: Request) -> None:
        """
        End it with a statement that was stopped, or had not even begun.
        """
        try:
            script = self.database.statements.parse(self._connection(), request.sql)
        except (duckdb.Error, ClosedError):
            self.fail(error)
        else:
            self.fail(error, lost_a_write=not script.surely_reads)

    def fail(self, error: BaseException, *, lost_a_write: bool = False) -> None:
        """
        Roll back at once, so that a dead transaction keeps nobody waiting.

        One that only read goes on with a new snapshot; but it stays as old as
        its first one when it wants to write.
        """
        if self.autocommit:
            if self.lease is not None:
                self._log()  # of several statements, the first ones may have run
        elif lost_a_write or self.lease is not None or self.failure is not None:
            # A second one says why there was an interrupt: a timeout, for example.
            self.failure = explained(error)
        self._roll_back()
        self._release()

    def _committed(self, answer: Answer) -> Answer:
        """
        In AUTOCOMMIT the end of the statement was the end of the transaction.
        """
        if self.autocommit and self.lease is not None:
            self._log()
            self._release()
        return answer

    def _log(self, kept: Mapping[str, frozenset[str]] | None = None) -> None:
        written = self._written
        sequence = self.database.commits.append(
            None if written is None else frozenset(written), frozenset(self._changed)
        )
        self.database.in_step.after_commit(sequence, kept or {})

    def _roll_back(self) -> None:
        self._end_streams()
        self._send_rollback()

    def _send_rollback(self) -> None:
        while self.duck is not None and self.begun:
            try:
                self._control(self.duck, "ROLLBACK")
            except duckdb.InterruptException:
                continue  # it was meant for the statement before
            except duckdb.Error:
                pass  # a failed COMMIT has ended it already, or the database is dead
            self.begun = False

    def _release(self) -> None:
        lease, self.lease, self._written = self.lease, None, set()
        self._changed = set()
        self._texts = set()
        self._unknown_statements = 0
        if lease is not None:
            self.database.in_step.end_commit()
            lease.release()


def _fetch_all(duck: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for some in rows_in_turns(duck):
        rows += some
    return rows
