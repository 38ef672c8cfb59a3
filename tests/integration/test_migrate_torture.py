"""
All there is in models, through the migration system: what is the same does not differ.
"""

from __future__ import annotations

import re

import pytest
from sqlalchemy import text
from test_alembic_autogenerate import torture

from project_architect_db import DatabaseEngine
from project_architect_db.engine.migrations.folder import write_folder
from project_architect_db.migrating import Migrations

ENV = """
from project_architect_db.migrating import run_migrations
from test_alembic_autogenerate import torture

run_migrations(torture(), include_schemas=True)
"""


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "migrations"
    write_folder(path, "torture:metadata")
    (path / "env.py").write_text(ENV)
    return path


async def opened(path, folder):
    """
    An engine over a new file, in which the schema of some tables is there.
    """
    engine = DatabaseEngine(path, metadata=torture(), migrations=folder)
    async with engine.transaction() as session:
        await session.execute(text('CREATE SCHEMA "a schema"'))
    return engine


async def differences(engine):
    """
    What the models and the database differ in, and what a new revision would hold.
    """
    migrations = Migrations(engine)
    written = await migrations.new("nothing to write")
    return await migrations.drift(), written


async def schema(engine):
    """
    All that the catalog knows but for the revision, whatever order it was made in.
    """
    async with engine.session() as session:
        rows = await session.scalars(
            text(
                "SELECT concat(sql, comment) FROM duckdb_tables()"
                " UNION ALL SELECT concat(sql, comment) FROM duckdb_indexes()"
                " UNION ALL SELECT sql FROM duckdb_sequences()"
                " UNION ALL SELECT concat(table_name, column_name, comment)"
                " FROM duckdb_columns() WHERE NOT internal"
            )
        )
        # Alembic writes no sequence that the client counts with: a revision has the
        # key of shelves count by itself, and nothing else differs for anybody.
        left_out = re.compile("alembic|shelves_id_seq|TABLE shelves")
        return sorted(
            ",".join(sorted(re.split(r",\s*", row)))
            for row in rows
            if not left_out.search(row)
        )


@pytest.mark.slow
async def test_nothing_differs_after_an_upgrade_and_after_going_back_and_again(
    tmp_path, folder
):
    engine = await opened(tmp_path / "app.duckdb", folder)
    async with engine:
        migrations = Migrations(engine)
        first = await migrations.new("all there is", rev_id="1")
        assert first is not None
        for _ in range(2):
            await engine.migrate(backup=False)
            assert ((), None) == await differences(engine)
            await migrations.downgrade("base", backup=False)
            assert [] == await schema(engine)
        await engine.migrate(backup=False)
        assert (await migrations.check()).ok


@pytest.mark.slow
async def test_nothing_differs_after_create_all(tmp_path, folder):
    """
    And what it has made can be stamped, taken down and made again by the revision.
    """
    async with await opened(tmp_path / "new.duckdb", folder) as engine:
        await Migrations(engine).new("all there is", rev_id="1")
        await engine.migrate(backup=False)
        migrated = await schema(engine)
    async with await opened(tmp_path / "app.duckdb", folder) as engine:
        await engine.create_all()
        migrations = Migrations(engine)
        assert migrated == await schema(engine)
        await migrations.stamp()
        assert ((), None) == await differences(engine)
        await migrations.downgrade("base", backup=False)
        await engine.migrate(backup=False)
        assert ((), None) == await differences(engine)
        assert migrated == await schema(engine)
