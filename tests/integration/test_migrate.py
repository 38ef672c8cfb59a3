"""
The migration system: `engine.migrate()` and `Migrations`, on real files.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import duckdb
import pytest
import sqlalchemy as sa
from alembic.config import main
from sqlalchemy import event, text

from project_architect_db import (
    Base,
    ConfigurationError,
    DatabaseEngine,
    DatabaseLockedError,
    InvalidStatementError,
    MigrationError,
    NestedTransactionError,
    Project,
    RevisionFailedError,
    UnsupportedOperationError,
    WriteTimeoutError,
    restore,
    verify_backup,
)
from project_architect_db.domain.tables import OWN_TABLES
from project_architect_db.engine.migrations.creating import create_database
from project_architect_db.engine.migrations.folder import (
    MigrationFolder,
    own_folder,
    write_folder,
)
from project_architect_db.migrating import Migrations

ROOT = Path(__file__).parents[2]

MODELS = """
import sqlalchemy as sa

metadata = sa.MetaData()
books = sa.Table(
    "books", metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("title", sa.String, nullable=False),
    info={"label": object()},
)
"""

FIRST = (
    """\
op.create_table(
    "books",
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("title", sa.String, nullable=False),
)
op.execute("INSERT INTO books (title) VALUES ('Emma'), ('Ulysses')")""",
    'op.drop_table("books")',
)
SECOND = (
    """\
op.add_column("books", sa.Column("length", sa.Integer))
op.execute("UPDATE books SET length = length(title)")
op.create_index("ix_books_length", "books", ["length"])
op.create_check_constraint("length", "books", "length > 0")""",
    """\
op.drop_constraint("books_length_check", "books", type_="check")
op.drop_column("books", "length")""",
)
THIRD = (
    """\
op.rename_table("books", "volumes")
op.execute("INSERT INTO volumes (title, length) VALUES ('Stoner', 6)")""",
    """\
op.execute("DELETE FROM volumes WHERE title = 'Stoner'")
op.rename_table("volumes", "books")""",
)


class App:
    """
    An application with models and a folder of migrations of its own.
    """

    def __init__(self, path):
        self.path = path
        self.folder = path / "migrations"
        self.database = path / "app.duckdb"
        (path / "models.py").write_text(MODELS)
        self.files = write_folder(self.folder, "models:metadata")

    def add(self, id, body, *, after=None, more=""):
        up, down = body if isinstance(body, tuple) else (body, "pass")
        after = after if after is not None or id == "1" else str(int(id) - 1)
        (self.folder / "versions" / f"{id}.py").write_text(
            f'"""\nRevision {id}.\n"""\n'
            "import sqlalchemy as sa\nfrom alembic import op\n"
            "from project_architect_db.migrating import in_chunks, in_environment\n"
            f"{more}\nrevision, down_revision = {id!r}, {after!r}\n\n\n"
            f"def upgrade():\n{textwrap.indent(up, '    ')}\n\n\n"
            f"def downgrade():\n{textwrap.indent(down, '    ')}\n"
        )

    def engine(self, database=None, **settings):
        return DatabaseEngine(
            database or self.database, metadata=sa.MetaData(), migrations=self.folder,
            **settings,
        )  # fmt: skip

    def state(self):
        return state(self.database)

    def backups(self):
        return sorted(path.name for path in self.path.glob("*.backup.duckdb"))


@pytest.fixture
def app(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "models", raising=False)
    yield App(tmp_path)
    sys.modules.pop("models", None)


def state(path):
    """
    All there is in a database: schema, rows, revision.
    """
    with duckdb.connect(str(path)) as connection:
        ask = lambda sql: connection.execute(sql).fetchall()  # noqa: E731
        schema = ask(
            "SELECT sql FROM duckdb_tables() UNION ALL SELECT sql FROM duckdb_indexes()"
            " UNION ALL SELECT sequence_name || start_value FROM duckdb_sequences()"
            " UNION ALL SELECT concat(table_name, column_name, comment)"
            " FROM duckdb_columns() WHERE NOT internal ORDER BY ALL"
        )
        names = ask("SELECT table_name FROM duckdb_tables() ORDER BY ALL")
        return schema, [(n, ask(f"FROM {n} ORDER BY ALL")) for (n,) in names]


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


# --- the models of the library ------------------------------------------------------


@pytest.mark.slow
async def test_upgrade_makes_what_create_all_makes(tmp_path):
    """
    And models and database differ in nothing: then, after going back, and again.
    """
    async with DatabaseEngine(tmp_path / "migrated.duckdb") as engine:
        migrations = Migrations(engine)
        assert (("create", "0001"),) == tuple(
            (r.message.partition(" ")[0].lower(), r.id)
            for r in reversed(migrations.history())
        )
        for _ in range(2):
            await engine.migrate()
            assert () == await migrations.drift()
            assert () == (await migrations.status()).pending
            await migrations.downgrade("base", backup=False)
            assert () == (await migrations.status()).current
        await engine.migrate(backup=False)
    async with DatabaseEngine(tmp_path / "created.duckdb") as engine:
        await engine.migration_engine().dispose()
        async with engine.transaction() as session:
            tables = [Base.metadata.tables[name] for name in OWN_TABLES]
            await (await session.connection()).run_sync(
                lambda c: Base.metadata.create_all(c, tables=tables)
            )
        assert () == await Migrations(engine).drift()
    migrated, created = (
        {line for line in state(tmp_path / name)[0] if "alembic" not in str(line)}
        for name in ("migrated.duckdb", "created.duckdb")
    )
    assert created == migrated


def test_the_migrations_are_about_the_tables_of_all_own_models():
    own = f"{DatabaseEngine.__module__.partition('.')[0]}."
    assert OWN_TABLES >= {
        mapper.local_table.name
        for mapper in Base.registry.mappers
        if mapper.class_.__module__.startswith(own)
    }


@pytest.mark.slow
def test_the_migrations_are_about_all_own_tables():
    """
    As they are when no application has added its own.
    """
    code = "import project_architect_db as p; print(*p.Base.metadata.tables)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert OWN_TABLES == set(done.stdout.split())


async def test_tables_and_sequences_of_the_application_are_none_of_their_business(
    tmp_path,
):
    async with DatabaseEngine(tmp_path / "app.duckdb") as engine:
        await engine.migrate()
        async with engine.transaction() as session:
            await session.execute(text("CREATE SEQUENCE theirs"))
            await session.execute(text("CREATE TABLE theirs (a INTEGER)"))
            await session.execute(text("ALTER TABLE projects ADD COLUMN extra INTEGER"))
        assert ("remove column projects.extra",) == await Migrations(engine).drift()


@pytest.mark.slow
async def test_tables_made_by_create_all_can_be_stamped(tmp_path):
    async with DatabaseEngine(tmp_path / "app.duckdb") as engine:
        await engine.create_all()
        with pytest.raises(RevisionFailedError, match="migrate stamp") as caught:
            await engine.migrate(backup=False)
        assert "already exists" in str(caught.value)
        migrations = Migrations(engine)
        await migrations.stamp()
        assert ("0001",) == (await migrations.status()).current
        assert () == (await engine.migrate()).revisions
        async with engine.transaction() as session:
            session.add(Project(name="a", project_idea="b"))


async def test_what_differs_from_head_cannot_be_stamped_so(app):
    app.add("1", FIRST)
    async with app.engine() as engine:
        with pytest.raises(MigrationError, match="differ in add table books"):
            await Migrations(engine).stamp()
        await Migrations(engine).stamp("1")
        assert ("1",) == (await Migrations(engine).status()).current


# --- forward and back ---------------------------------------------------------------


async def test_forward_back_and_what_is_told(app):
    app.add("1", FIRST)
    app.add("2", SECOND)
    seen = []
    async with app.engine() as engine:
        done = await engine.migrate(progress=lambda *step: seen.append(step))
        assert ((), ("2",), None) == (done.before, done.after, done.backup)
        assert [("1", "Revision 1"), ("2", "Revision 2")] == [
            (r.id, r.message) for r in done.revisions
        ]
        assert done.seconds > sum(r.seconds for r in done.revisions) > 0
        assert [("migrate", 0, 2), ("migrate", 1, 2), ("migrate", 2, 2)] == seen
        again = await engine.migrate()
        assert ((), None, ("2",)) == (again.revisions, again.backup, again.after)
        back = await Migrations(engine).downgrade()
        assert (("2",), ("1",)) == (back.before, back.after)
        assert back.as_dict()["revisions"][0]["id"] == "2"
        with pytest.raises(MigrationError, match=r"migrations: .*x"):
            await engine.migrate("x")
    assert ["books"] == [n for n, _ in app.state()[1] if n != "alembic_version"]


async def test_status_and_history(app):
    app.add("1", FIRST)
    app.add("2", SECOND)
    async with app.engine() as engine:
        migrations = Migrations(engine)
        status = await migrations.status()
        assert ((), ("2",), ["1", "2"]) == (
            status.current, status.heads, [r.id for r in status.pending]
        )  # fmt: skip
        await engine.migrate("+1")
        status = await migrations.status()
        assert (("1",), ["2"]) == (status.current, [r.id for r in status.pending])
        assert str(app.database) == status.database
    newest, first = migrations.history()
    assert ("2", "Revision 2", ("1",)) == (newest.id, newest.message, newest.after)
    assert (app.folder / "versions" / "1.py", ()) == (first.path, first.after)
    assert ("2",) == migrations.folder.heads()


async def test_a_database_in_memory(app):
    app.add("1", FIRST)
    async with app.engine(":memory:") as engine:
        assert (await engine.migrate()).backup is None
        assert (await Migrations(engine).downgrade()).backup is None
        with pytest.raises(MigrationError, match="no file to try it on"):
            await Migrations(engine).dry_run()


@pytest.mark.slow
async def test_a_backup_is_made_of_what_has_something_in_it(app):
    app.add("1", FIRST)
    async with app.engine() as engine:
        assert (await engine.migrate()).backup is None  # nothing was in it
    app.add("2", SECOND)
    before = app.state()
    async with app.engine() as engine:
        done = await engine.migrate()
        app.add("3", THIRD)
        assert (await engine.migrate(backup=False)).backup is None
    assert re.fullmatch(r"app\.1\.\d{8}T\d{12}\.backup\.duckdb", done.backup.name)
    assert ([done.backup.name], app.path) == (app.backups(), done.backup.parent)
    assert "1" == (await verify_backup(done.backup)).revision
    await restore(done.backup, app.database)
    assert before == app.state()


async def test_no_backup_no_migration(app):
    """
    Where the backup cannot be written, nothing else is.
    """
    app.add("1", FIRST)
    async with app.engine() as engine:
        await engine.migrate()
        app.add("2", SECOND)
        backup = engine.backup

        async def fail(path, **options):
            return await backup(path / "absent" / "folder", **options)

        engine.backup = fail
        with pytest.raises(Exception, match="no folder"):
            await engine.migrate()
        assert ("1",) == (await Migrations(engine).status()).current


# --- failures -----------------------------------------------------------------------


@pytest.mark.slow
async def test_the_error_of_a_migration_is_the_one_that_is_shown(app):
    app.add("1", FIRST)
    app.add("2", SECOND[0] + '\nop.execute("SELECT nonsense")')
    async with app.engine() as engine:
        with pytest.raises(RevisionFailedError) as caught:
            await engine.migrate()
        error = caught.value
        assert ("2", ["1"]) == (error.revision, [r.id for r in error.applied])
        assert isinstance(error.__cause__, InvalidStatementError)
        assert error.original is error.__cause__
        assert "2 (Revision 2) failed, and changed nothing: " in str(error)
        assert 'Referenced column "nonsense"' in str(error)
        assert ("1",) == (await Migrations(engine).status()).current


async def test_the_first_migration_fails_without_a_trace(app):
    app.add("1", FIRST[0] + "\n1 / 0")
    async with app.engine() as engine:
        with pytest.raises(RevisionFailedError, match=r"division by zero$"):
            await engine.migrate()
    assert ([], []) == app.state()


CHANGES = re.compile(r"\s*(CREATE|ALTER|DROP|INSERT|UPDATE|DELETE|COMMENT)")


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["own", "theirs"])
async def test_an_error_after_any_statement_of_any_migration_changes_nothing(
    app, folder
):
    """
    Neither forward nor back; without it, the same migration succeeds.
    """
    for id, body in (("1", FIRST), ("2", SECOND), ("3", THIRD)):
        app.add(id, body)
    left, tried = 0, 0

    def fail(connection, cursor, statement, *_):
        nonlocal left
        is_change = CHANGES.match(statement) is not None
        left -= is_change
        if is_change and left < 0:
            raise RuntimeError(f"after {statement}")

    def engine():
        return DatabaseEngine(app.database) if folder == "own" else app.engine()

    async def move_but_fail(direction, target, statements):
        nonlocal left
        async with engine() as opened:
            left = statements
            move = getattr(Migrations(opened), direction)
            try:
                await move(target, backup=False)
            except MigrationError as error:
                return str(error)
            finally:
                left = 10_000
        return ""

    event.listen(sa.Engine, "after_cursor_execute", fail)
    try:
        steps = 1 if folder == "own" else 3
        for direction, target in [("upgrade", "+1")] * steps + [
            ("downgrade", "-1")
        ] * steps:
            before, statements = app.state(), 0
            while error := await move_but_fail(direction, target, statements):
                assert "after " in error
                assert before == app.state()
                statements += 1
                tried += 1
            assert before != app.state()
    finally:
        event.remove(sa.Engine, "after_cursor_execute", fail)
    assert tried > 20


@pytest.mark.slow
async def test_what_a_failed_commit_says(app):
    """
    DuckDB finds some duplicates at COMMIT.
    """
    app.add("1", FIRST)
    app.add("2", 'op.execute("CREATE UNIQUE INDEX one ON books (length(title))")')
    async with app.engine() as engine:
        await engine.migrate("1")
        async with engine.transaction() as session:
            await session.execute(text("INSERT INTO books (title) VALUES ('Dune')"))
        with pytest.raises(RevisionFailedError, match=r"2 \(.*[Dd]uplicate"):
            await engine.migrate()


OTHER = """
import sqlalchemy as sa
from alembic import context

with sa.create_engine("sqlite://").connect() as connection:
    context.configure(connection=connection)
    context.run_migrations()
"""


async def test_folders_that_the_ini_file_names_are_found(app, monkeypatch):
    """
    Once, and whole: the working directory may be another one later.
    """
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p != str(app.path)])
    (app.path / "lib").mkdir()
    (app.path / "models.py").rename(app.path / "lib" / "models.py")
    ini = app.folder / "alembic.ini"
    ini.write_text(ini.read_text().replace("path = .", "path = .:lib"))
    app.add("1", FIRST)
    async with app.engine() as engine:
        await engine.migrate()
        await Migrations(engine).drift()
    assert [str(app.path), str(app.path / "lib")] == sys.path[:2]
    assert 1 == sys.path.count(str(app.path))


@pytest.mark.parametrize(
    ("break_it", "problem"),
    [
        (lambda app: (app.folder / "env.py").unlink(), "it has no env.py"),
        (lambda app: app.add("2", "this is no Python"), "SyntaxError"),
        (lambda app: app.add("3", "pass"), "2"),
        (lambda app: (app.path / "models.py").write_text("1 / 0"), "ZeroDivisionError"),
        (lambda app: (app.folder / "env.py").write_text(""), "does not use the conn"),
        (
            lambda app: (app.folder / "env.py").write_text(OTHER),
            "does not use the conn",
        ),
    ],
    ids=["folder", "syntax", "gap", "models", "env", "other"],
)
@pytest.mark.filterwarnings("ignore:Revision 2 referenced from:UserWarning")
async def test_what_is_wrong_with_a_folder_is_said(app, break_it, problem):
    app.add("1", FIRST)
    break_it(app)
    async with app.engine() as engine:
        with pytest.raises(MigrationError, match=problem):
            await engine.migrate()
    assert ([], []) == app.state()


async def test_a_database_of_a_newer_version_is_not_touched(app):
    app.add("1", FIRST)
    app.add("2", SECOND)
    async with app.engine() as engine:
        await engine.migrate()
        (app.folder / "versions" / "2.py").unlink()
        migrations = Migrations(engine)
        for ask in (migrations.status, engine.migrate, migrations.check):
            with pytest.raises(MigrationError, match="does not know: a newer version"):
                await ask()


async def test_whose_migrations_must_be_said(tmp_path):
    async with DatabaseEngine(":memory:", metadata=sa.MetaData()) as engine:
        with pytest.raises(ConfigurationError, match="which migrations"):
            await engine.migrate()


@pytest.mark.slow
async def test_a_table_is_renamed_whose_indexes_were_not_loaded_yet(app):
    """
    DuckDB looks for them under the old name when the first row is written.
    """
    for id, body in (("1", FIRST), ("2", SECOND), ("3", THIRD)):
        app.add(id, body)
    for target in ("2", "3", "-1", "+1"):
        async with app.engine() as engine:
            migrations = Migrations(engine)
            move = migrations.downgrade if target == "-1" else migrations.upgrade
            await move(target, backup=False)
    titles = [title for _, title, _ in dict(app.state()[1])["volumes"]]
    assert ["Emma", "Ulysses", "Stoner"] == titles


@pytest.mark.parametrize(
    "change",
    [
        'op.drop_column("books", "length")',
        'op.rename_table("books", "volumes")\nop.execute("FROM volumes")',
        *(
            pytest.param(change, marks=pytest.mark.slow)
            for change in (
                'op.drop_column("books", "title")',
                'op.alter_column("books", "length", type_=sa.BigInteger)',
                'op.create_unique_constraint("u", "books", ["length"])',
            )
        ),
    ],
)
async def test_what_an_index_forbids_works_once_it_is_dropped(app, change):
    """
    For DuckDB an index counts until the COMMIT of the transaction that dropped it.
    """
    app.add("1", FIRST)
    app.add("2", SECOND)
    app.add("3", f'op.drop_index("ix_books_length", "books")\n{change}')
    for target in ("2", "3"):
        async with app.engine() as engine:
            await engine.migrate(target, backup=False)
    assert [("3",)] == dict(app.state()[1])["alembic_version"]


# --- the write gate -----------------------------------------------------------------


@pytest.mark.slow
async def test_nobody_writes_between_two_migrations(app):
    """
    The gate is taken once, and given up after the last one, or the one that failed.
    """
    app.add("1", FIRST)
    app.add("2", "import time; time.sleep(0.05)\n" + SECOND[0])
    app.add("3", "pass")
    async with app.engine() as engine:
        seen = []

        async def write():
            while not engine.stats()["writer_active"]:
                await asyncio.sleep(0.001)
            async with engine.transaction() as session:
                found = await session.scalar(text("FROM alembic_version"))
                seen.append(found)

        async with asyncio.TaskGroup() as group:
            group.create_task(write())
            group.create_task(engine.migrate())
        assert ["3"] == seen
        app.add("4", "1 / 0")
        with pytest.raises(RevisionFailedError):
            await engine.migrate(backup=False)
        async with engine.transaction() as session:
            assert "3" == await session.scalar(text("FROM alembic_version"))


async def test_a_migration_waits_for_its_turn(app):
    app.add("1", FIRST)
    async with (
        app.engine(write_timeout=0.02) as engine,
        engine.transaction() as session,
    ):
        await session.execute(text("SELECT 1"))
        with pytest.raises(NestedTransactionError):
            await engine.migrate()
        with pytest.raises(WriteTimeoutError):
            await asyncio.create_task(engine.migrate())


async def test_a_cancelled_migration_leaves_nothing(app):
    app.add("1", FIRST)
    slow = (
        "SELECT count(*) FROM range(3000000) a, range(100000) b"
        " WHERE a.range % 7 = b.range % 5"
    )
    app.add("2", f'{SECOND[0]}\nop.execute("{slow}")')
    async with app.engine() as engine:
        await engine.migrate("1")
        task = asyncio.create_task(engine.migrate(backup=False))
        while not any("range(" in query.statement for query in engine.running()):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        app.add("2", SECOND)
        assert ("2",) == (await engine.migrate(backup=False)).after


@pytest.mark.slow
async def test_several_at_once(app, tmp_path):
    """
    Twice the same database, and another one: Alembic's global variables are shared.
    """
    for id, body in (("1", FIRST), ("2", SECOND), ("3", THIRD)):
        app.add(id, body)
    async with app.engine() as engine, app.engine(tmp_path / "b.duckdb") as other:
        done = await asyncio.gather(engine.migrate(), engine.migrate(), other.migrate())
    assert [0, 3, 3] == sorted(len(d.revisions) for d in done)
    assert app.state() == state(tmp_path / "b.duckdb")


async def test_statements_that_commit_themselves_have_the_gate_too(app):
    app.add("1", FIRST)
    app.add(
        "2",
        "with op.get_context().autocommit_block():\n"
        "    op.execute(\"INSERT INTO books (title) VALUES ('Dune')\")\n"
        "    op.execute('CHECKPOINT')\n"
        "op.execute(\"INSERT INTO books (title) VALUES ('Emil')\")",
    )
    async with app.engine() as engine:
        await engine.migrate()
        async with engine.session() as session:
            assert 4 == await session.scalar(text("SELECT count(*) FROM books"))


@pytest.mark.slow
async def test_the_event_loop_is_free_meanwhile(app):
    app.add("1", "import time\nfor _ in range(20): time.sleep(0.01)")
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    async with app.engine() as engine:
        clock = asyncio.create_task(tick())
        await engine.migrate()
        clock.cancel()
    assert ticks > 15


@pytest.mark.slow
async def test_who_has_the_database_is_named(app):
    app.add("1", FIRST)
    code = (
        "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(1, flush=True);"
        " sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, app.database],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with holder:
        holder.stdout.readline()
        with pytest.raises(DatabaseLockedError) as caught:
            async with app.engine() as engine:
                await engine.migrate()
        assert holder.pid == caught.value.pid
        holder.stdin.close()


# --- what revisions use -------------------------------------------------------------


ENVIRONMENTS = ["dev", "test", "staging", "prod", None]
EVERY_DAY = [("setting", "dev"), ("variable", "prod")]


@pytest.mark.parametrize(
    ("how", "environment"),
    [
        *(("argument", name) for name in ENVIRONMENTS),
        *EVERY_DAY,
        *(
            pytest.param(how, name, marks=pytest.mark.slow)
            for how in ("setting", "variable")
            for name in ENVIRONMENTS
            if (how, name) not in EVERY_DAY
        ),
    ],
)
async def test_steps_for_an_environment(app, monkeypatch, environment, how):
    app.add(
        "1",
        'if in_environment("dev", "test"):\n'
        '    op.execute("CREATE TABLE made (a INT)")\n'
        'if in_environment("prod"):\n    op.execute("CREATE TABLE prod (a INT)")',
    )
    settings = {"environment": environment} if how == "setting" else {}
    if how == "variable" and environment:
        monkeypatch.setenv("PROJECT_ARCHITECT_DB_ENVIRONMENT", environment)
    async with app.engine(**settings) as engine:
        argument = environment if how == "argument" else None
        await engine.migrate(environment=argument)
        async with engine.engine.connect() as connection:
            names = await connection.run_sync(lambda c: sa.inspect(c).get_table_names())
    made = {"dev": ["made"], "test": ["made"], "prod": ["prod"]}.get(environment, [])
    assert made == [name for name in names if name != "alembic_version"]


async def test_an_environment_nobody_knows(app, monkeypatch):
    app.add("1", 'in_environment("production")')
    async with app.engine() as engine:
        with pytest.raises(RevisionFailedError, match="there are dev, test, staging"):
            await engine.migrate()
    with pytest.raises(ConfigurationError, match="environment"):
        app.engine(environment="production")


async def test_rows_in_chunks(app):
    app.add(
        "1",
        'op.execute("CREATE TABLE numbers (id BIGINT PRIMARY KEY, half DOUBLE)")\n'
        'op.execute("INSERT INTO numbers SELECT 3 * range, NULL FROM range(1000)")\n'
        'numbers = sa.table("numbers", sa.column("id"), sa.column("half"))\n'
        'for chunk in in_chunks("numbers", size=300):\n'
        "    assert chunk.rows <= 300\n"
        "    op.execute(sa.update(numbers).where(chunk.holds(numbers.c.id))"
        ".values(half=numbers.c.id / 2))",
    )
    seen = []
    async with app.engine() as engine:
        await engine.migrate(progress=lambda *step: seen.append(step))
        async with engine.session() as session:
            wrong = "SELECT count(*) FROM numbers WHERE half IS DISTINCT FROM id / 2"
            assert 0 == await session.scalar(text(wrong))
    assert [("numbers", done, 1000) for done in (0, 300, 600, 900, 1000)] == [
        step for step in seen if step[0] == "numbers"
    ]


async def test_without_a_database_there_are_no_chunks(app):
    app.add("1", 'for chunk in in_chunks("books"): pass')
    async with app.engine() as engine:
        with pytest.raises(
            RevisionFailedError, match="run this migration there"
        ) as caught:
            await Migrations(engine).sql()
        assert isinstance(caught.value.original, UnsupportedOperationError)


# --- checks -------------------------------------------------------------------------


async def test_a_dry_run_is_on_a_copy(app):
    app.add("1", FIRST)
    app.add("2", SECOND)
    async with app.engine() as engine:
        await engine.migrate("1")
        migrations, before = Migrations(engine), (await Migrations(engine).status())
        app.add("3", THIRD)
        tried = await migrations.dry_run()
        assert (["2", "3"], None) == ([r.id for r in tried.revisions], tried.problem)
        assert tried.seconds > 0
        assert {
            "main.alembic_version": (1, 1),
            "main.books": (2, None),
            "main.volumes": (None, 3),
        } == {name: (rows.before, rows.after) for name, rows in tried.tables.items()}
        assert {"add table books", "remove table volumes"} < set(tried.drift)
        assert before.current == (await migrations.status()).current
        assert not (await migrations.check()).ok
    assert ([], []) == (app.backups(), leftovers(app.path))


async def test_a_check_before_and_after(app):
    app.add("1", FIRST)
    async with app.engine() as engine:
        checked = await Migrations(engine).check()
        assert (True, ["1"]) == (checked.ok, [r.id for r in checked.status.pending])
        await engine.migrate()
        checked = await Migrations(engine).check()
        assert (True, ()) == (checked.ok, checked.dry_run.revisions)
        assert checked.as_dict()["ok"]
        app.add("2", "op.drop_table('books')\n1 / 0")
        checked = await Migrations(engine).check()
        assert not checked.ok
        assert "division by zero" in checked.dry_run.problem
        app.add("2", "pass")
        app.add("3", "1 / 0")
        checked = await Migrations(engine).check()
        assert ["2"] == [r.id for r in checked.dry_run.revisions]
    assert [] == leftovers(app.path)


async def test_drift_in_words(app):
    app.add("1", FIRST)
    (app.path / "models.py").write_text(
        "import sqlalchemy as sa\nmetadata = sa.MetaData()\n"
        "sa.Sequence('numbers', metadata=metadata)\n"
        "sa.Table('books', metadata, sa.Column('id', sa.BigInteger, primary_key=True),"
        " sa.Column('title', sa.String, server_default='x', unique=True),"
        " sa.Column('pages', sa.Integer, index=True), comment='many')\n"
    )
    async with app.engine() as engine:
        await engine.migrate()
        drift = await Migrations(engine).drift()
    assert {
        "add sequence numbers",
        "add column books.pages",
        "add index ix_books_pages of books",
        "add constraint books_title_key of books",
        "add table comment books",
        "modify nullable of books.title: False to True",
        "modify default of books.title: None to x",
        "modify type of books.id: INTEGER to BIGINT",
    } == set(drift)


@pytest.mark.slow
async def test_a_table_in_a_schema_has_its_name_in_words(app):
    (app.path / "models.py").write_text(
        "import sqlalchemy as sa\nmetadata = sa.MetaData(schema='shop')\n"
        "sa.Table('books', metadata, sa.Column('id', sa.Integer))\n"
    )
    (app.folder / "env.py").write_text(
        "from models import metadata\n"
        "from project_architect_db.migrating import run_migrations\n"
        "run_migrations([metadata], include_schemas=True)\n"
    )
    async with app.engine() as engine:
        assert ("add table shop.books",) == await Migrations(engine).drift()


# --- revisions, and SQL -------------------------------------------------------------


async def test_a_revision_is_written_from_the_models(app):
    """
    Without the `info` of a table, which may be any object.
    """
    async with app.engine() as engine:
        migrations = Migrations(engine)
        path = await migrations.new("the books", rev_id="1")
        assert path.parent == app.folder / "versions"
        assert path.name.endswith("_1_the_books.py")
        assert "info" not in path.read_text()
        with pytest.raises(MigrationError, match="not up to date"):
            await migrations.new("more")
        await engine.migrate()
        assert await migrations.new("nothing") is None
        empty = await migrations.new("mine", empty=True, rev_id="2")
        assert "def upgrade() -> None:\n    pass" in empty.read_text()
        await engine.migrate()


@pytest.mark.slow
async def test_the_sql_of_an_upgrade_does_the_same(app, tmp_path):
    app.add("1", FIRST)
    app.add("2", 'op.add_column("books", sa.Column("length", sa.Integer))')
    async with app.engine() as engine:
        migrations = Migrations(engine)
        sql = await migrations.sql()
        second = await migrations.sql("2", start="1")
        await engine.migrate()
    assert "CREATE TABLE books" not in second
    with duckdb.connect(str(tmp_path / "other.duckdb")) as connection:
        connection.execute(sql)
    assert app.state() == state(tmp_path / "other.duckdb")


@pytest.mark.slow
async def test_branches_are_left_to_alembic(app):
    app.add("1", FIRST)
    app.add("2", 'op.execute("CREATE TABLE a (a INTEGER)")')
    app.add("3", 'op.execute("CREATE TABLE b (b INTEGER)")', after="1")
    async with app.engine() as engine:
        with pytest.raises(MigrationError, match="Multiple head revisions"):
            await engine.migrate()
        done = await engine.migrate("heads")
        assert {"2", "3"} == set(done.after)
        merge = await Migrations(engine).new(
            "merge", empty=True, head=["2", "3"], rev_id="4", splice=True
        )
        assert merge is not None
        back = await Migrations(engine).downgrade("1")
        assert ("1",) == back.after


# --- plain Alembic ------------------------------------------------------------------


def alembic(*arguments, cwd, **environment):
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "alembic", *arguments],
        cwd=cwd, capture_output=True, text=True, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip


def test_alembic_runs_them_too(app, monkeypatch):
    app.add("1", FIRST)
    app.add("2", 'if in_environment("prod"): op.execute("CREATE TABLE p (a INTEGER)")')
    (app.path / "models.py").write_text(
        f"{MODELS}\nfrom project_architect_db import DatabaseEngine\n"
        "engine = DatabaseEngine('app.duckdb', metadata=metadata)\n"
    )
    env, ini = app.folder / "env.py", app.folder / "alembic.ini"

    def alembic_here(*arguments):
        sys.modules.pop("models", None)
        main(["-c", str(ini), *arguments])

    monkeypatch.setenv("PROJECT_ARCHITECT_DB_URL", "app.duckdb")
    alembic_here("upgrade", "1")
    assert [("1",)] == dict(app.state()[1])["alembic_version"]
    monkeypatch.delenv("PROJECT_ARCHITECT_DB_URL")
    env.write_text(env.read_text().replace("metadata", "engine"))
    monkeypatch.setenv("PROJECT_ARCHITECT_DB_ENVIRONMENT", "prod")
    alembic_here("upgrade", "head")
    assert ["alembic_version", "books", "p"] == [name for name, _ in app.state()[1]]
    url = "sqlalchemy.url = duckdb+async:///there.duckdb"
    ini.write_text(ini.read_text().replace("[alembic]", f"[alembic]\n{url}"))
    alembic_here("upgrade", "1")
    assert [("1",)] == dict(state(app.path / "there.duckdb")[1])["alembic_version"]


@pytest.mark.slow
def test_alembic_takes_the_url_of_its_ini_file(tmp_path):
    """
    With the migrations of this library, in a process of its own.
    """
    ini = tmp_path / "alembic.ini"
    ini.write_text(
        f"[alembic]\nscript_location = {own_folder()}\npath_separator = os\n"
        "sqlalchemy.url = duckdb+async:///there.duckdb\n"
    )
    done = alembic("upgrade", "head", cwd=tmp_path)
    assert 0 == done.returncode, done.stderr
    done = alembic("check", cwd=tmp_path)
    assert "No new upgrade operations detected" in done.stdout
    assert 0 == done.returncode, done.stderr
    assert (tmp_path / "there.duckdb").exists()


# --- new databases and folders ------------------------------------------------------


async def test_a_new_database_is_there_whole_or_not_at_all(app):
    app.add("1", FIRST)
    made = await create_database(Migrations(app.engine()))
    assert (app.database, ("1",), None) == (made.database, made.revision, made.kept)
    with pytest.raises(MigrationError, match="is there already"):
        await create_database(Migrations(app.engine()))
    before = app.state()
    app.add("2", "1 / 0")
    with pytest.raises(RevisionFailedError):
        await create_database(Migrations(app.engine()), force=True)
    assert before == app.state()
    app.add("2", SECOND)
    made = await create_database(Migrations(app.engine()), force=True)
    assert before == state(made.kept)
    assert ("2",) == made.revision
    assert made.as_dict()["kept"] == made.kept
    assert [] == leftovers(app.path)


@pytest.mark.parametrize(
    ("database", "problem"),
    [(":memory:", "in memory"), ("no/folder", "no folder"), ("migrations", "a folder")],
)
async def test_where_no_database_can_be_made(app, database, problem):
    with pytest.raises(MigrationError, match=problem):
        await create_database(Migrations(app.engine(database)))


def test_a_folder_is_written_once(app):
    names = ["alembic.ini", "env.py", "script.py.mako", "versions"]
    assert names == [path.name for path in app.files]
    with pytest.raises(MigrationError, match="cannot write"):
        write_folder(app.folder, "models:metadata")
    assert [] == MigrationFolder(app.folder).history()


# --- a killed process ---------------------------------------------------------------

KILLED = """
import asyncio, os, sys
from project_architect_db import DatabaseEngine
async def main():
    async with DatabaseEngine("app.duckdb", migrations="migrations") as engine:
        os.write(1, b"open\\n")
        await engine.migrate(backup=False)
asyncio.run(main())
"""


def kill_while_it_migrates(app, times):
    """
    At any moment; what is there then is one of the revisions, whole.
    """
    rows = (
        'op.execute("INSERT INTO books (title)'
        ' SELECT repeat(range::VARCHAR, 9) FROM range(20000)")'
    )
    for id, body in (("1", FIRST), ("2", SECOND), ("3", THIRD)):
        app.add(id, (body[0] + ("\n" + rows if id == "1" else ""), body[1]))
    known = {}
    for number in range(4):
        if number:
            asyncio.run(_upgrade(app, "+1"))
            known[str(number)] = app.state()
    for kill in range(times):
        for file in app.path.glob("app.duckdb*"):
            file.unlink()
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED], cwd=app.path, stdout=subprocess.PIPE
        )
        with process:
            process.stdout.readline()
            time.sleep(0.02 + 0.45 * kill / times)
            process.send_signal(signal.SIGKILL)
        found = asyncio.run(_upgrade(app, None))
        if found:
            (at,) = found
            assert known[at] == app.state()
        else:
            assert not dict(app.state()[1]).get("books")
        asyncio.run(_upgrade(app, "head"))
        assert known["3"] == app.state()


async def _upgrade(app, target):
    async with app.engine() as engine:
        if target:
            await engine.migrate(target, backup=False)
        return (await Migrations(engine).status()).current


@pytest.mark.slow
def test_a_killed_migration_is_whole_or_not_at_all(app):
    kill_while_it_migrates(app, 3)


@pytest.mark.storm
def test_twenty_killed_migrations(app):
    kill_while_it_migrates(app, 20)
