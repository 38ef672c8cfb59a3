"""
``duckdb+async://``: DuckDB for SQLAlchemy's asyncio extension.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from sqlalchemy import event, pool
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.sql.compiler import InsertmanyvaluesSentinelOpts, _InsertManyValuesBatch
from sqlalchemy.util.concurrency import await_

from project_architect_db.dialect import types
from project_architect_db.dialect.adapter import AsyncDuckDBConnection, DuckDBModule
from project_architect_db.dialect.compiler import (
    DuckDBCompiler,
    DuckDBIdentifierPreparer,
)
from project_architect_db.dialect.connection_pool import ConnectionPool
from project_architect_db.dialect.database import Database, shared_database
from project_architect_db.dialect.ddl_compiler import DuckDBDDLCompiler
from project_architect_db.dialect.driver import DriverConnection
from project_architect_db.dialect.execution import DuckDBExecutionContext, in_seconds
from project_architect_db.dialect.reflection import DuckDBReflection
from project_architect_db.dialect.statements import NO_SAVEPOINTS
from project_architect_db.dialect.type_compiler import DuckDBTypeCompiler
from project_architect_db.errors import ConfigurationError, UnsupportedOperationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import MetaData
    from sqlalchemy.engine.interfaces import ConnectArgsType
    from sqlalchemy.engine.url import URL


class _Name:
    """
    The name ``duckdb``; the first to ask for it after Alembic was imported is Alembic.

    It looks up what it knows of a database by that name, and so learns of ours
    without anybody importing it, nor this package importing Alembic.
    """

    def __get__(self, dialect: object, owner: type) -> str:
        if "alembic.ddl.impl" in sys.modules:
            from project_architect_db.dialect import alembic_impl

            DuckDBDialect_async.name = alembic_impl.DuckDBImpl.__dialect__
        return "duckdb"


class DuckDBDialect_async(DuckDBReflection, DefaultDialect):
    """
    The dialect ``duckdb+async://``.

    URLs: ``duckdb+async:///relative.duckdb``, ``duckdb+async:////absolute.duckdb``,
    ``duckdb+async://`` (in memory, one database per engine) and
    ``duckdb+async:///:memory:name`` (in memory, shared by name in this process).

    Foreign keys are kept by the dialect, not by DuckDB; see `references`. After SQL
    that is text alone, those of the attribute `metadata`.

    Options in the query of the URL: `emit_foreign_keys`, `write_timeout`,
    `query_timeout`; all others are DuckDB's own settings, such as `memory_limit`.

    Coroutines that share one connection share its one transaction; give each
    task a connection or session of its own.

    Example:
        >>> from sqlalchemy import text
        >>> from sqlalchemy.ext.asyncio import create_async_engine
        >>> engine = create_async_engine("duckdb+async://?threads=2")
    """

    name: Any = _Name()
    driver = "async"
    is_async = True
    has_terminate = True
    supports_statement_cache = True
    default_paramstyle = "numeric_dollar"
    execution_ctx_cls = DuckDBExecutionContext
    statement_compiler = DuckDBCompiler
    ddl_compiler = DuckDBDDLCompiler
    type_compiler_cls = DuckDBTypeCompiler
    preparer = DuckDBIdentifierPreparer
    colspecs = types.COLUMN_TYPES
    max_identifier_length = 255

    supports_server_side_cursors = True
    supports_sane_rowcount = True
    supports_sane_multi_rowcount = True
    supports_native_boolean = True
    supports_native_decimal = True
    supports_native_uuid = True
    supports_sequences = True
    sequences_optional = True
    preexecute_autoincrement_sequences = True  # only where RETURNING is forbidden
    postfetch_lastrowid = False
    supports_default_values = True
    supports_default_metavalue = True
    supports_empty_insert = False
    supports_multivalues_insert = True
    supports_comments = True
    inline_comments = False
    supports_schemas = True
    supports_views = True
    supports_alter = False  # so cyclic foreign keys do not become ALTER TABLE
    supports_is_distinct_from = True
    _backslash_escapes = False  # asked by PostgreSQL's compiler
    tuple_in_values = True
    div_is_floordiv = False
    requires_name_normalize = False
    cte_follows_insert = False
    delete_returning = True
    insert_returning = True
    # UPDATE … RETURNING rewrites the row, and then collides with in-place updates:
    # the lost updates of duckdb-facts §0.A. So it is there for whoever writes it,
    # and never used by itself.
    update_returning = False
    favor_returning_over_lastrowid = True
    use_insertmanyvalues = True
    use_insertmanyvalues_wo_returning = True
    insertmanyvalues_implicit_sentinel = InsertmanyvaluesSentinelOpts.ANY_AUTOINCREMENT

    default_schema_name = "main"
    default_isolation_level = "SNAPSHOT"  # type: ignore[assignment]

    def __init__(
        self,
        emit_foreign_keys: bool = False,
        json_serializer: Callable[[Any], str] | None = None,
        json_deserializer: Callable[[str], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.emit_foreign_keys = emit_foreign_keys
        self._json_serializer = json_serializer or types.compact_json
        self._json_deserializer = json_deserializer
        self.database: Database | None = None
        self.metadata: MetaData | None = None
        event.listen(self, "handle_error", _keep_connection)

    @classmethod
    def import_dbapi(cls) -> Any:
        """
        What stands in for a DBAPI module.
        """
        return DuckDBModule

    @classmethod
    def get_pool_class(cls, url: URL) -> type[pool.Pool]:
        """
        A queue of connections; DuckDB's reads run beside each other.
        """
        return ConnectionPool

    @classmethod
    def engine_created(cls, engine: Any) -> None:
        """
        Whatever happens, no connection goes back in the middle of a transaction.
        """
        event.listen(engine, "reset", _end_transaction)

    def create_connect_args(self, url: URL) -> ConnectArgsType:
        """
        The file, and DuckDB's settings from the query of the URL.
        """
        if url.host or url.username or url.password or url.port:
            raise ConfigurationError(
                f"{url!r} names a host; a DuckDB URL has three slashes and a path: "
                "duckdb+async:///app.duckdb"
            )
        if not _is_file_name(url.database or ""):
            raise ConfigurationError(
                f"{url.database!r}: the name of a DuckDB file is UTF-8 text without "
                "'?' and NUL"
            )
        config: dict[str, Any] = dict(url.query)
        if (flag := config.pop("emit_foreign_keys", None)) is not None:
            self.emit_foreign_keys = _flag("emit_foreign_keys", flag)
        options: dict[str, Any] = {
            name: in_seconds(name, config.pop(name))
            for name in ("write_timeout", "query_timeout")
            if name in config
        }
        return (url.database or ":memory:",), {"config": config, **options}

    def connect(self, *args: Any, **kwargs: Any) -> AsyncDuckDBConnection:  # type: ignore[override]
        """
        A new connection, with a thread of its own.
        """
        return self._connect(*args, **kwargs)

    def _connect(
        self, path: str, **options: Any
    ) -> AsyncDuckDBConnection:  # fmt: skip
        if self.database is None:
            if path == ":memory:":
                self.database = Database(path)
            else:
                self.database = shared_database(path)
        driver = DriverConnection(self.database, **options)
        await_(driver.open())
        return AsyncDuckDBConnection(driver)

    def get_driver_connection(self, connection: Any) -> DriverConnection:
        """
        Our `DriverConnection`, for `AsyncConnection.get_raw_connection`.
        """
        driver: DriverConnection = connection._connection
        return driver

    def do_commit(self, dbapi_connection: Any) -> None:
        """
        Commit, unless a foreign key refers to nothing; see `references`, `derived`.
        """
        driver: DriverConnection = dbapi_connection.driver_connection
        try:
            if not self.emit_foreign_keys:
                driver.references.check(self.metadata, texts=driver.unknown_texts)
            connection = driver.references.connection
            driver.changes.before_commit(driver, connection, self.metadata)
        except BaseException:
            dbapi_connection.rollback()  # SQLAlchemy takes it for ended
            raise
        dbapi_connection.commit()

    def do_terminate(self, dbapi_connection: Any) -> None:
        """
        Disconnect where no event loop is there to wait in.
        """
        dbapi_connection.terminate()

    def _get_server_version_info(self, connection: Any) -> tuple[int, ...]:
        version = connection.exec_driver_sql("SELECT version()").scalar()
        return tuple(int(part) for part in version.lstrip("v").split("-")[0].split("."))

    def _get_default_schema_name(self, connection: Any) -> str:
        schema: str = connection.exec_driver_sql("SELECT current_schema()").scalar()
        return schema

    # --- transactions -----------------------------------------------------------

    def do_savepoint(self, connection: Any, name: str) -> None:
        """
        Refused before DuckDB sees it: the parser error would end the transaction.
        """
        raise UnsupportedOperationError(NO_SAVEPOINTS)

    def get_isolation_level_values(self, dbapi_connection: Any) -> list[str]:  # type: ignore[override]
        """
        Snapshot isolation is all DuckDB has.
        """
        return ["SNAPSHOT", "AUTOCOMMIT"]

    def get_isolation_level(self, dbapi_connection: Any) -> Any:
        """
        The level in force.
        """
        return "AUTOCOMMIT" if dbapi_connection._connection.autocommit else "SNAPSHOT"

    def set_isolation_level(self, dbapi_connection: Any, level: Any) -> None:
        """
        Set the level for the statements to come.
        """
        dbapi_connection._connection.autocommit = level == "AUTOCOMMIT"

    def get_default_isolation_level(self, dbapi_conn: Any) -> Any:
        """
        SNAPSHOT.
        """
        return "SNAPSHOT"

    def detect_autocommit_setting(self, dbapi_conn: Any) -> bool:
        """
        Whether each statement commits itself.
        """
        return bool(dbapi_conn._connection.autocommit)

    # --- many rows --------------------------------------------------------------

    def _deliver_insertmanyvalues_batches(
        self, connection: Any, cursor: Any, statement: Any, parameters: Any,
        generic_setinputsizes: Any, context: Any,
    ) -> Iterator[_InsertManyValuesBatch]:  # fmt: skip
        """
        An INSERT of many rows as statements that read them from Arrow tables.

        DuckDB returns RETURNING rows in the order of the rows inserted, so that
        no sentinel column is needed to match them.
        """
        if context._rows is None:
            yield from super()._deliver_insertmanyvalues_batches(
                connection, cursor, statement, parameters, generic_setinputsizes,
                context,
            )  # fmt: skip
            return
        returning = bool(context.compiled.effective_returning)
        if returning:
            context._insertmanyvalues_rows = []
        inserts = list(context.rows_inserts(statement))
        for number, rows in enumerate(inserts, 1):
            yield _InsertManyValuesBatch(
                replaced_statement=rows.statement,
                replaced_parameters=rows,
                processed_setinputsizes=None,
                batch=(),
                sentinel_values=(),
                current_batch_size=rows.size,
                batchnum=number,
                total_batches=len(inserts),
                rows_sorted=True,
                is_downgraded=False,
            )
            if returning:
                context._insertmanyvalues_rows += cursor.fetchall()

    def do_executemany(
        self, cursor: Any, statement: str, parameters: Any, context: Any = None
    ) -> None:
        """
        Upserts, and UPDATE and DELETE by key, go through columns too.
        """
        rows = context.rows_statement() if context is not None else None
        if rows is None:
            cursor.executemany(statement, parameters)
        else:
            cursor.execute(rows.statement, rows)


def _keep_connection(context: Any) -> None:
    """
    Keep a connection whose statement was cancelled.

    SQLAlchemy would throw it away; but it has been interrupted and rolled back,
    and is as good as new.
    """
    if isinstance(context.original_exception, asyncio.CancelledError):
        context.is_disconnect = False


def _end_transaction(dbapi_connection: Any, _: Any, state: Any) -> None:
    """
    Roll back, even where SQLAlchemy takes the transaction for ended.

    It does after a COMMIT that was refused: because another task was using the
    connection, for example.
    """
    if state.asyncio_safe:
        dbapi_connection.rollback()


def _is_file_name(text: str) -> bool:
    """
    Whether DuckDB can open it; with '?' it would look for the log elsewhere.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "?" not in text and "\0" not in text


def _flag(name: str, value: Any) -> bool:
    flags = {"1": True, "true": True, "on": True, "yes": True,
             "0": False, "false": False, "off": False, "no": False}  # fmt: skip
    try:
        return flags[str(value).lower()]
    except KeyError:
        raise ConfigurationError(f"{name}={value}: expected true or false") from None
