"""
One database for the tests of a module, in which nothing is left of the test before.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary

from sqlalchemy import text

HOW_TO_MAKE = """
    SELECT format('CREATE SEQUENCE "{}";', sequence_name) FROM duckdb_sequences()
    UNION ALL
    SELECT sql FROM duckdb_tables() UNION ALL
    SELECT sql FROM duckdb_indexes()
"""
HOW_TO_DROP = """
    SELECT format('DROP TABLE "{}";', table_name) FROM duckdb_tables() UNION ALL
    SELECT format('DROP SEQUENCE "{}";', sequence_name) FROM duckdb_sequences()
"""

_scripts = WeakKeyDictionary()


@asynccontextmanager
async def rolled_back(engine):
    """
    A session of whose writes, all of which are sent, nothing is left.
    """
    async with engine.session() as session:
        yield session
        await session.flush()
        await session.rollback()


async def made_anew(engine):
    """
    This engine, whose tables are empty and whose ids begin with 1 again.

    With the statements that DuckDB keeps of them, which takes a third of the time of
    `drop_all()` and `create_all()`; its tables must be there, and do not refer to
    each other.
    """
    async with engine.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        if engine not in _scripts:
            script = [
                line
                for query in (HOW_TO_DROP, HOW_TO_MAKE)
                for line in await connection.scalars(text(query))
            ]
            _scripts[engine] = "".join(script)
        await connection.exec_driver_sql(_scripts[engine])
    return engine
