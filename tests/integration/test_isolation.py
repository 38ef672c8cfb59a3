"""
Transactions are the driver's business: what users may say about them in SQL.
"""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from project_architect_db import DatabaseEngine, UnsupportedOperationError


@pytest.fixture
async def engine():
    engine = create_async_engine("duckdb+async:///:memory:isolation")
    async with engine.begin() as connection:
        await connection.exec_driver_sql("CREATE TABLE t (n INTEGER)")
    yield engine
    await engine.dispose()
    engine.dialect.database.shut()


@pytest.fixture
async def connection(engine):
    async with engine.connect() as connection:
        yield connection


async def run(connection, sql):
    return await connection.exec_driver_sql(sql)


async def seen_by_others(engine):
    async with engine.connect() as connection:
        found = await run(connection, "SELECT n FROM t ORDER BY n")
        return list(found.scalars())


# --- transactions -----------------------------------------------------------------


async def test_what_is_not_committed_is_not_there(engine, connection):
    await run(connection, "INSERT INTO t VALUES (1)")
    assert [] == await seen_by_others(engine)
    await connection.commit()
    assert [1] == await seen_by_others(engine)
    await run(connection, "INSERT INTO t VALUES (2)")
    await connection.rollback()
    assert [1] == await seen_by_others(engine)


async def test_a_reader_keeps_its_snapshot(engine, connection):
    assert [] == (await run(connection, "FROM t")).all()
    async with engine.begin() as writer:
        await run(writer, "INSERT INTO t VALUES (1)")

    assert [] == (await run(connection, "FROM t")).all()
    await connection.commit()
    assert [(1,)] == (await run(connection, "FROM t")).all()


@pytest.mark.parametrize(
    "sql",
    ["BEGIN", "begin transaction", "START TRANSACTION", "COMMIT", "ROLLBACK", "abort",
     "END", "SELECT 1; COMMIT", "INSERT INTO t VALUES (1); COMMIT", "/* x */ commit"],
)  # fmt: skip
@pytest.mark.parametrize("level", ["SNAPSHOT", "AUTOCOMMIT"])
async def test_transactions_are_not_controlled_in_text(engine, connection, sql, level):
    await connection.execution_options(isolation_level=level)
    with pytest.raises(UnsupportedOperationError, match="are sent for you"):
        await run(connection, sql)

    assert [] == (await run(connection, "FROM t")).all()  # it goes on


async def test_a_refused_commit_in_text_ends_nothing(engine, connection):
    await run(connection, "INSERT INTO t VALUES (1)")
    with pytest.raises(UnsupportedOperationError):
        await run(connection, "COMMIT")
    await connection.commit()

    assert [1] == await seen_by_others(engine)


# --- savepoints -------------------------------------------------------------------


async def test_savepoints_are_refused_before_the_database_sees_them(engine, connection):
    await run(connection, "INSERT INTO t VALUES (1)")
    with pytest.raises(UnsupportedOperationError, match="no savepoints"):
        await connection.begin_nested()
    await connection.commit()

    assert [1] == await seen_by_others(engine)


async def test_an_ordinary_session_has_no_savepoints_either(engine):
    async with AsyncSession(engine) as session:
        await session.begin_nested()
        with pytest.raises(UnsupportedOperationError, match="no savepoints"):
            await session.execute(sa.text("FROM t"))


async def test_our_session_refuses_savepoints_and_goes_on():
    async with DatabaseEngine(":memory:") as database:
        async with database.transaction() as session:
            await session.execute(sa.text("CREATE TABLE t AS SELECT 5 AS n"))
            with pytest.raises(UnsupportedOperationError, match="no savepoints"):
                session.begin_nested()
        async with database.session() as session:
            assert 5 == await session.scalar(sa.text("FROM t"))


# --- AUTOCOMMIT -------------------------------------------------------------------


@pytest.fixture
async def autocommit(engine):
    async with engine.connect() as connection:
        yield await connection.execution_options(isolation_level="AUTOCOMMIT")


async def test_in_autocommit_each_statement_is_there_at_once(engine, autocommit):
    await run(autocommit, "INSERT INTO t VALUES (1)")
    assert [1] == await seen_by_others(engine)
    found = await run(autocommit, "INSERT INTO t VALUES (2) RETURNING n")
    assert [(2,)] == found.all()
    assert [1, 2] == await seen_by_others(engine)
    await autocommit.rollback()
    assert [1, 2] == await seen_by_others(engine)


async def test_in_autocommit_many_rows_are_there_at_once(engine, autocommit):
    table = sa.table("t", sa.column("n", sa.Integer))
    await autocommit.execute(table.insert(), [{"n": 1}, {"n": 2}])
    await autocommit.execute(
        table.delete().where(table.c.n == sa.bindparam("x")), [{"x": 1}, {"x": 5}]
    )

    assert [2] == await seen_by_others(engine)


async def test_in_autocommit_an_error_ends_its_statement_only(engine, autocommit):
    await run(autocommit, "INSERT INTO t VALUES (1)")
    with pytest.raises(sa.exc.ProgrammingError):
        await run(autocommit, "INSERT INTO missing VALUES (1)")
    with pytest.raises(sa.exc.ProgrammingError):
        await run(autocommit, "SELECT nonsense")
    await run(autocommit, "INSERT INTO t VALUES (2)")

    assert [1, 2] == await seen_by_others(engine)


async def test_in_autocommit_rows_can_be_streamed(autocommit):
    sql = sa.text("SELECT i FROM range(5000) t(i)")
    async with autocommit.stream(sql) as result:
        assert [*range(5000)] == [i async for (i,) in result]


async def test_in_autocommit_what_writes_answers_at_once(engine, autocommit):
    sql = sa.text("INSERT INTO t SELECT i FROM range(3) x(i) RETURNING n")
    async with autocommit.stream(sql) as result:
        assert [0, 1, 2] == [n async for (n,) in result]
    assert [0, 1, 2] == await seen_by_others(engine)


async def test_a_checkpoint_needs_autocommit_or_not(autocommit):
    await run(autocommit, "INSERT INTO t VALUES (1)")
    await run(autocommit, "CHECKPOINT")


async def test_the_isolation_level_is_known_and_reset(engine):
    async with engine.connect() as connection:
        assert "SNAPSHOT" == await connection.get_isolation_level()
        assert "SNAPSHOT" == connection.sync_connection.default_isolation_level
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        assert "AUTOCOMMIT" == await connection.get_isolation_level()
    async with engine.connect() as connection:
        assert "SNAPSHOT" == await connection.get_isolation_level()
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver.autocommit is False


async def test_an_engine_may_be_autocommit_altogether():
    engine = create_async_engine("duckdb+async://", isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await run(connection, "CREATE TABLE t (n INTEGER)")
        await connection.rollback()
        assert [] == (await run(connection, "FROM t")).all()
        sync = connection.sync_connection
        assert engine.dialect.detect_autocommit_setting(
            sync.connection.dbapi_connection
        )
    await engine.dispose()


async def test_other_isolation_levels_are_refused(connection):
    with pytest.raises(ArgumentError, match="SNAPSHOT, AUTOCOMMIT"):
        await connection.execution_options(isolation_level="SERIALIZABLE")


# --- several statements at once ---------------------------------------------------


async def test_several_statements_run_in_order_and_the_last_answers(connection):
    found = await run(
        connection,
        "INSERT INTO t VALUES (1); INSERT INTO t VALUES (2); -- a comment\n"
        "SELECT n, ';' FROM t ORDER BY n;",
    )

    assert [(1, ";"), (2, ";")] == found.all()


async def test_the_parameters_belong_to_the_last_statement(connection):
    found = await connection.exec_driver_sql(
        "INSERT INTO t VALUES (1); SELECT n + $1 FROM t", (5,)
    )

    assert [(6,)] == found.all()


async def test_several_statements_are_written_together_or_not_at_all(
    engine, connection
):
    with pytest.raises(sa.exc.DataError):
        await run(connection, "INSERT INTO t VALUES (1); INSERT INTO t VALUES ('x')")
    await connection.rollback()

    assert [] == await seen_by_others(engine)


@pytest.mark.parametrize("sql", ["", " ", ";", "-- nothing", "/* nothing */;;"])
async def test_nothing_at_all_is_fine(connection, sql):
    result = await run(connection, sql)

    assert result.returns_rows is False


async def test_statements_without_rows_return_none(connection):
    for sql in (
        "SET threads = 2",
        "CREATE TABLE u (n INTEGER)",
        "INSERT INTO t VALUES (1)",
        "UPDATE t SET n = 2",
        "DELETE FROM t",
        "COMMENT ON TABLE t IS 'x'",
    ):
        assert (await run(connection, sql)).returns_rows is False, sql


async def test_statements_with_rows_return_them(connection):
    await run(connection, "INSERT INTO t VALUES (1), (2)")
    for sql in ("DESCRIBE t", "SHOW TABLES", "PRAGMA table_info('t')", "EXPLAIN FROM t",
                "UPDATE t SET n = n RETURNING n", "PIVOT t ON n USING count(*)",
                "CALL duckdb_settings()", "WITH x AS (FROM t) FROM x", "VALUES (1)",
                "DELETE FROM t RETURNING n"):  # fmt: skip
        assert (await run(connection, sql)).first() is not None, sql


async def test_for_update_is_left_out(connection):
    table = sa.table("t", sa.column("n"))
    await connection.execute(sa.select(table).with_for_update(nowait=True))
