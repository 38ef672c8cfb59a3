"""
Whole migrations, as `alembic` runs them: one transaction each, all of it or nothing.
"""

from __future__ import annotations

import asyncio
import io
import re
import subprocess
import sys
import textwrap

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import event
from sqlalchemy.ext.asyncio import create_async_engine

from project_architect_db import UnsupportedOperationError

ENV = """
import asyncio

from alembic import context
from sqlalchemy.ext.asyncio import async_engine_from_config
from models import metadata


def run(connection):
    context.configure(
        connection=connection, target_metadata=metadata, transaction_per_migration=True
    )
    with context.begin_transaction():
        context.run_migrations()


async def main():
    engine = async_engine_from_config(
        context.config.get_section("alembic", {}), prefix="sqlalchemy."
    )
    try:
        async with engine.connect() as connection:
            await connection.run_sync(run)
    finally:
        await engine.dispose()


if context.is_offline_mode():
    context.configure(
        url=context.config.get_main_option("sqlalchemy.url"),
        target_metadata=metadata, literal_binds=True,
    )
    with context.begin_transaction():
        context.run_migrations()
else:
    asyncio.run(main())
"""
MODELS = """
import sqlalchemy as sa

metadata = sa.MetaData()
notes = sa.Table(
    "notes", metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("text", sa.String, nullable=False, unique=True, comment="what to do"),
)
"""
SECOND = """
    op.add_column("notes", sa.Column("length", sa.Integer))
    op.execute("UPDATE notes SET length = length(text)")
    op.create_index("ix_length", "notes", ["length"])
    op.create_check_constraint("ck", "notes", "length > 0")
    op.rename_table("notes", "memos")
    op.bulk_insert(
        sa.table("memos", sa.column("text"), sa.column("length")),
        [{"text": "three", "length": 5}],
    )
"""


@pytest.fixture
def app(tmp_path, monkeypatch):
    """
    The folder of an app with models and Alembic's files, and their configuration.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "models", raising=False)
    config = Config("alembic.ini", stdout=io.StringIO())
    config.set_main_option("script_location", "migrations")
    config.set_main_option("sqlalchemy.url", "duckdb+async:///app.duckdb")
    command.init(config, "migrations", template="async")
    (tmp_path / "migrations" / "env.py").write_text(ENV)
    (tmp_path / "models.py").write_text(MODELS)
    yield config
    sys.modules.pop("models", None)


def ask(sql):
    async def run():
        engine = create_async_engine("duckdb+async:///app.duckdb")
        try:
            async with engine.begin() as connection:
                result = await connection.exec_driver_sql(sql)
                return result.all() if result.returns_rows else None
        finally:
            await engine.dispose()

    return asyncio.run(run())


def state():
    """
    All there is in the database.
    """
    tables = ask(
        "SELECT sql FROM duckdb_tables() UNION ALL SELECT sql FROM duckdb_indexes()"
        " UNION ALL SELECT sequence_name FROM duckdb_sequences() ORDER BY ALL"
    )
    names = ask("SELECT table_name FROM duckdb_tables() ORDER BY ALL")
    return tables, [ask(f"FROM {name} ORDER BY ALL") for (name,) in names]


def write_second(tmp_path, config, body):
    script = command.revision(config, "second", rev_id="two")
    path = tmp_path / "migrations" / "versions" / "two_second.py"
    assert script is not None
    text = path.read_text()
    upgrade = f"def upgrade() -> None:\n{body}\n\ndef downgrade() -> None:\n    pass\n"
    path.write_text(text[: text.index("def upgrade")] + upgrade)


@pytest.mark.slow
def test_autogenerate_upgrade_downgrade_upgrade(app, tmp_path):
    """
    With the environment for asyncio that Alembic comes with, and no import of ours.
    """
    command.revision(app, "first", autogenerate=True, rev_id="one")
    script = (tmp_path / "migrations" / "versions" / "one_first.py").read_text()
    assert "op.create_table('notes'" in script
    for _ in range(2):
        command.upgrade(app, "head")
        command.check(app)
        assert [("one",)] == ask("FROM alembic_version")
        ask("INSERT INTO notes (text) VALUES ('one'), ('two')")
        command.downgrade(app, "base")
        assert [] == ask("FROM alembic_version")
        assert [] == ask("FROM duckdb_sequences()")


@pytest.mark.slow
def test_an_error_after_any_statement_changes_nothing(app, tmp_path):
    """
    And it is the error that is raised; without it, the same migration succeeds.
    """
    command.revision(app, "first", autogenerate=True, rev_id="one")
    command.upgrade(app, "head")
    ask("INSERT INTO notes (text) VALUES ('one'), ('two')")
    write_second(tmp_path, app, SECOND)
    before, fail_at, errors = state(), 0, []
    changes = re.compile(r"\s*(CREATE|ALTER|DROP|INSERT|UPDATE|COMMENT)")

    def fail(connection, cursor, statement, *_):
        nonlocal left
        left -= changes.match(statement) is not None
        if left < 0:
            raise RuntimeError(f"before {statement}")

    event.listen(sa.Engine, "before_cursor_execute", fail)
    try:
        while len(errors) == fail_at:
            left = fail_at
            try:
                command.upgrade(app, "head")
            except RuntimeError as error:
                errors.append(str(error))
                left = 1000
                assert before == state()
            fail_at += 1
    finally:
        event.remove(sa.Engine, "before_cursor_execute", fail)
    assert ["before "] * len(errors) == [error[:7] for error in errors]
    assert 15 < len(errors)
    assert [(1, "one", 3), (2, "two", 3), (3, "three", 5)] == ask(
        "FROM memos ORDER BY id"
    )
    assert [("two",)] == ask("FROM alembic_version")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        pytest.param(
            "SELECT nonsense", 'Referenced column "nonsense"', marks=pytest.mark.slow
        ),
        pytest.param(
            "INSERT INTO memos (text, length) VALUES ('one', 1)", "[Dd]uplicate key",
            marks=pytest.mark.slow,
        ),
        (
            "INSERT INTO memos (text, length) VALUES ('x', -1)",
            "CHECK constraint failed",
        ),
    ],
    ids=["nonsense", "duplicate", "check"],
)  # fmt: skip
def test_an_error_of_the_database_is_the_one_that_is_shown(app, tmp_path, bad, message):
    command.revision(app, "first", autogenerate=True, rev_id="one")
    command.upgrade(app, "head")
    ask("INSERT INTO notes (text) VALUES ('one'), ('two')")
    write_second(tmp_path, app, f'{SECOND}\n    op.execute("""{bad}""")')
    before = state()
    with pytest.raises(sa.exc.DBAPIError, match=message):
        command.upgrade(app, "head")
    assert before == state()


def test_the_first_migration_fails_without_a_trace(app, tmp_path):
    write_second(
        tmp_path, app, '    op.execute("CREATE TABLE t (a INTEGER)")\n    1 / 0'
    )
    with pytest.raises(ZeroDivisionError):
        command.upgrade(app, "head")
    assert ([], []) == state()


# --- without a database -------------------------------------------------------------


def offline(*steps, **options):
    """
    The SQL of some operations.
    """
    buffer = io.StringIO()
    context = MigrationContext.configure(
        url="duckdb+async://", opts={"as_sql": True, "output_buffer": buffer, **options}
    )
    for step in steps:
        step(Operations(context))
    return re.sub(r"\s+", " ", buffer.getvalue()).strip()


def test_sql_without_a_database():
    table = sa.table("notes", sa.column("a", sa.String))

    def batch(op):
        with op.batch_alter_table("notes") as batch:
            batch.add_column(sa.Column("g", sa.Integer))

    assert (
        "ALTER TABLE notes ADD COLUMN b INTEGER; COMMENT ON COLUMN notes.b IS 'c'; "
        "ALTER TABLE notes DROP COLUMN c; "
        "ALTER TABLE notes ALTER COLUMN d DROP NOT NULL; "
        "ALTER TABLE notes ALTER COLUMN d SET DEFAULT '5'; "
        "ALTER TABLE notes ALTER COLUMN d TYPE BIGINT; "
        "ALTER TABLE notes RENAME d TO e; "
        "ALTER TABLE notes ADD CONSTRAINT u UNIQUE (e); "
        "CREATE INDEX ix ON notes (e); DROP INDEX ix; "
        "COMMENT ON TABLE notes IS 'new'; COMMENT ON TABLE notes IS NULL; "
        "INSERT INTO notes (a) VALUES ('1'); UPDATE notes SET a = 1; "
        "ALTER TABLE notes ADD COLUMN g INTEGER; DROP TABLE notes;"
    ) == offline(
        lambda op: op.add_column("notes", sa.Column("b", sa.Integer, comment="c")),
        lambda op: op.drop_column("notes", "c"),
        lambda op: op.alter_column(
            "notes", "d", nullable=True, server_default="5", type_=sa.BigInteger,
            new_column_name="e",
        ),
        lambda op: op.create_unique_constraint("u", "notes", ["e"]),
        lambda op: op.create_foreign_key("f", "notes", "others", ["e"], ["id"]),
        lambda op: op.drop_constraint("f", "notes", type_="foreignkey"),
        lambda op: op.create_index("ix", "notes", ["e"]),
        lambda op: op.drop_index("ix", table_name="notes"),
        lambda op: op.create_table_comment("notes", "new"),
        lambda op: op.drop_table_comment("notes"),
        lambda op: op.bulk_insert(table, [{"a": "1"}]),
        lambda op: op.execute("UPDATE notes SET a = 1"),
        batch,
        lambda op: op.drop_table("notes"),
        literal_binds=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    "operation",
    [
        lambda op: op.add_column("t", sa.Column("b", sa.Integer, sa.Computed("a + 1"))),
        lambda op: op.add_column("t", sa.Column("b", sa.Integer, sa.Identity())),
        lambda op: op.add_column(
            "t", sa.Column("b", sa.Integer, sa.CheckConstraint("b > 0"))
        ),
        lambda op: op.alter_column("t", "b", server_default=sa.Identity()),
        lambda op: op.alter_column("t", "b", server_default=sa.Computed("1")),
        lambda op: op.create_check_constraint("c", "t", "b > 0"),
        lambda op: op.drop_constraint("c", "t", type_="check"),
        lambda op: op.rename_table("t", "u"),
    ],
    ids=["computed", "counting", "check", "count", "compute", "add", "drop", "rename"],
)
def test_what_needs_the_database_is_refused_without_one(operation):
    with pytest.raises(UnsupportedOperationError, match="--sql cannot"):
        offline(operation)


@pytest.mark.slow
def test_the_whole_upgrade_as_sql_runs_on_a_database(app, tmp_path):
    command.revision(app, "first", autogenerate=True, rev_id="one")
    app.output_buffer = io.StringIO()
    command.upgrade(app, "head", sql=True)
    sql = app.output_buffer.getvalue()
    assert sql.startswith("BEGIN;")
    ask(sql.replace("BEGIN;", "").replace("COMMIT;", ""))
    command.check(app)


# --- who imports whom ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("import project_architect_db\nprint('alembic' in sys.modules)", "False"),
        (
            """
            from sqlalchemy.ext.asyncio import create_async_engine
            dialect = create_async_engine('duckdb+async://').dialect
            import alembic.ddl.impl as ddl
            print(ddl.DefaultImpl.get_by_dialect(dialect).__name__, dialect.name)
            """,
            "DuckDBImpl duckdb",
        ),
    ],
    ids=["not imported", "found"],
)
def test_alembic_finds_us_and_we_do_not_import_it(program, expected):
    found = subprocess.run(
        [sys.executable, "-c", "import sys\n" + textwrap.dedent(program)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert expected == found.stdout.strip()
