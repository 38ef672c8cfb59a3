"""
What migrations say, and what revisions hold, down to the letter.
"""

from __future__ import annotations

import sys

import pytest
import sqlalchemy as sa

from project_architect_db import DatabaseEngine, MigrationError, RevisionFailedError
from project_architect_db.engine.migrations.folder import write_folder
from project_architect_db.migrating import Migrations

MODELS = """
import sqlalchemy as sa

metadata = sa.MetaData()
sa.Table(
    "goods", metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("price", sa.Integer, sa.CheckConstraint("price > 0")),
    sa.Column("stock", sa.Integer),
    sa.CheckConstraint("stock < 10"),
)
"""


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """
    An application with models of its own, and no revision yet.
    """
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "worded_models.py").write_text(MODELS)
    write_folder(tmp_path / "migrations", "worded_models:metadata")
    yield DatabaseEngine(
        tmp_path / "app.duckdb", metadata=sa.MetaData(),
        migrations=tmp_path / "migrations",
    )  # fmt: skip
    sys.modules.pop("worded_models", None)


async def test_checks_of_columns_are_in_the_revision_of_a_new_table(engine):
    """
    Alembic itself would leave them out, and the table would take any price.
    """
    async with engine:
        path = await Migrations(engine).new("goods", rev_id="1")
        code = path.read_text()
        assert (1, 1) == (code.count("price > 0"), code.count("stock < 10"))
        await engine.migrate()
        async with engine.engine.connect() as connection:
            found = await connection.run_sync(
                lambda c: sa.inspect(c).get_check_constraints("goods")
            )
        assert 2 == len(found)
        assert () == await Migrations(engine).drift()


async def test_where_no_migration_ran_there_is_none_to_go_back(engine):
    async with engine:
        for target in ("-1", "-2"):
            with pytest.raises(MigrationError, match="at no migration; there is none"):
                await Migrations(engine).downgrade(target)
        assert () == (await Migrations(engine).downgrade("base")).revisions


async def test_an_error_of_several_lines_is_told_in_one(engine, tmp_path):
    (tmp_path / "migrations" / "versions" / "1.py").write_text(
        "revision, down_revision = '1', None\n"
        "def upgrade(): raise ValueError('one\\ntwo')\n"
    )
    async with engine:
        with pytest.raises(RevisionFailedError, match=r"changed nothing: one two$"):
            await engine.migrate()


async def test_a_folder_is_not_put_in_the_place_of_an_empty_one(tmp_path):
    (tmp_path / "migrations").mkdir()
    with pytest.raises(MigrationError, match="it is there already"):
        write_folder(tmp_path / "migrations", "models:metadata")
    assert ["migrations"] == [path.name for path in tmp_path.iterdir()]


async def test_parents_of_a_new_folder_are_made(tmp_path):
    write_folder(tmp_path / "a" / "b", "models:metadata")
    assert ["b"] == [path.name for path in (tmp_path / "a").iterdir()]
