"""
`init` and `migrate`, as a user runs them.
"""

from __future__ import annotations

import asyncio
import json
import os
import pty
import resource
import shutil
import signal
import subprocess
import sys
import time

import duckdb
import pytest
from command_runner import read_terminal, run_command

from project_architect_db import DatabaseEngine
from project_architect_db.cli import main

MODELS = """
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from project_architect_db import DatabaseEngine


class Model(DeclarativeBase):
    pass


class Book(Model):
    __tablename__ = "books"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]


engine = DatabaseEngine(
    "app.duckdb", metadata=Model.metadata, migrations="migrations", threads=2
)
number = 7
"""
HOLD = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""
COMMANDS = [
    ("init",),
    ("migrate",),
    *(
        ("migrate", name)
        for name in ("status", "history", "new", "check", "rollback", "stamp")
    ),
]


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """
    Run the command in a folder; return what it exits with, prints and complains.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    path = list(sys.path)

    def run(*arguments):
        sys.modules.pop("models", None)
        monkeypatch.setattr(sys, "argv", ["project-architect-db", *arguments])
        try:
            main()
            code = 0
        except SystemExit as exit_:
            code = exit_.code or 0
        printed, complaints = capsys.readouterr()
        assert "\x1b" not in printed + complaints
        return code, printed, complaints

    yield run
    sys.path[:] = path
    sys.modules.pop("models", None)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """
    What `init` makes for an application with models.
    """
    folder, path = tmp_path_factory.mktemp("made"), list(sys.path)
    (folder / "models.py").write_text(MODELS)
    env = {**os.environ, "PROJECT_ARCHITECT_DB_APP": "models:engine"}
    sys.modules.pop("models", None)
    code, _, complaints = run_command(["init"], cwd=folder, env=env)
    sys.path[:] = path
    sys.modules.pop("models", None)
    assert (0, "") == (code, complaints)
    return folder


@pytest.fixture
def app(tmp_path, command, made, monkeypatch):
    """
    An application with models, a folder of migrations, and a database.
    """
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(made, tmp_path, ignore=ignored, dirs_exist_ok=True)
    monkeypatch.setenv("PROJECT_ARCHITECT_DB_APP", "models:engine")
    return tmp_path


def program(*arguments, cwd, **options):
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "project_architect_db", *arguments],
        cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


def add(app, id, body, after=None):
    after = after or (None if id == "1" else str(int(id) - 1))
    (app / "migrations" / "versions" / f"{id}.py").write_text(
        f'"""\nRevision {id}.\n"""\nimport time\nfrom alembic import op\n'
        "from project_architect_db.migrating import in_environment\n"
        f"revision, down_revision = {id!r}, {after!r}\n"
        f"def upgrade():\n    {body}\ndef downgrade():\n    pass\n"
    )


def ask(path, sql):
    with duckdb.connect(str(path)) as connection:
        return connection.execute(sql).fetchall()


# --- the models of the library ------------------------------------------------------


def test_a_new_database_and_back(command, tmp_path):
    code, printed, complaints = command("init", "-d", "a.duckdb")
    assert (0, "") == (code, complaints)
    assert ["Revision", "0001"] == printed.split()[-2:]
    assert [("0001",)] == ask("a.duckdb", "FROM alembic_version")
    code, printed, _ = command("migrate", "-d", "a.duckdb")
    assert (0, True) == (code, "nothing to do" in printed)
    code, printed, _ = command("migrate", "rollback", "-d", "a.duckdb")
    assert (0, True) == (code, "a.0001." in printed)
    code, printed, _ = command("migrate", "status", "-d", "a.duckdb")
    assert (0, True) == (code, "Create the tables" in printed)
    code, sql, _ = command("migrate", "--sql", "-d", "none.duckdb")
    assert (0, True) == (code, "CREATE TABLE projects" in sql)
    assert not (tmp_path / "none.duckdb").exists()
    code, printed, _ = command("migrate", "--dry-run", "-d", "a.duckdb")
    assert (0, True) == (code, "main.projects" in printed)
    code, printed, _ = command("migrate", "check", "-d", "a.duckdb")
    assert (0, True) == (code, "Tried" in printed)
    code, printed, _ = command("migrate", "-d", "a.duckdb", "--no-backup")
    assert (0, False) == (code, "Backup" in printed)
    assert max(len(line) for line in printed.splitlines()) <= 80
    code, printed, _ = command("migrate", "status", "-d", "a.duckdb")
    assert (0, ["Pending", "0"]) == (code, printed.split()[-2:])
    code, printed, _ = command("migrate", "history")
    assert (0, True) == (code, printed.startswith("Migrations"))
    code, printed, _ = command("migrate", "new", "nothing")
    assert (0, True) == (code, "there is nothing to write" in printed)


def test_a_database_that_is_there_is_kept(command, tmp_path):
    command("init", "-d", "a.duckdb")
    code, printed, complaints = command("init", "-d", "a.duckdb")
    assert (1, "") == (code, printed)
    assert "a.duckdb is there already; migrate brings it up to date" in complaints
    assert 1 == len(complaints.splitlines())
    ask("a.duckdb", "INSERT INTO projects (id, name, project_idea, status, created_at,"
        " updated_at) VALUES (1, 'a', 'b', 'c', now(), now())")  # fmt: skip
    code, printed, _ = command("init", "-d", "a.duckdb", "--force")
    assert (0, True) == (code, "Old file" in printed)
    (kept,) = tmp_path.glob("a.duckdb.before-init-*")
    assert [[(1,)], []] == [
        ask(f, "SELECT id FROM projects") for f in (kept, "a.duckdb")
    ]


def test_tables_of_create_all_are_stamped(command, tmp_path):
    async def create():
        async with DatabaseEngine("a.duckdb") as engine:
            await engine.create_all()

    asyncio.run(create())
    code, _, complaints = command("migrate", "-d", "a.duckdb", "--no-backup")
    assert (1, True) == (code, "`migrate stamp`" in complaints)
    code, printed, _ = command("migrate", "stamp", "-d", "a.duckdb")
    assert (0, ["Revision", "0001"]) == (code, printed.split())
    code, printed, _ = command("migrate", "stamp", "-d", "a.duckdb", "--json")
    assert {"current": ["0001"]} == json.loads(printed)


# --- models of an application -------------------------------------------------------


def test_an_application_of_its_own(command, app):
    code, printed, _ = command("migrate", "new", "books")
    assert (0, True) == (code, printed.startswith("Migration  migrations/versions/"))
    assert (
        "create_table('books'" in next(app.glob("migrations/versions/*.py")).read_text()
    )
    code, printed, _ = command("migrate", "--sql")
    assert (0, True) == (code, "CREATE TABLE books" in printed)
    code, printed, _ = command("migrate", "--json")
    done = json.loads(printed)
    assert (0, [], None) == (code, done["before"], done["backup"])
    code, printed, _ = command("migrate", "--sql")
    assert (0, "") == (code, printed)
    code, printed, _ = command("migrate", "new", "by hand", "--empty", "--json")
    assert json.loads(printed)["path"].endswith("_by_hand.py")
    code, printed, _ = command("migrate", "status", "--json")
    found = json.loads(printed)
    assert (done["after"], 1) == (found["current"], len(found["pending"]))
    code, printed, _ = command("migrate", "history", "--json")
    assert ["by hand", "books"] == [
        revision["message"] for revision in json.loads(printed)
    ]
    code, printed, _ = command("migrate", "--dry-run", "--json")
    assert {"before": 0, "after": 0} == json.loads(printed)["tables"]["main.books"]
    code, printed, _ = command("migrate", "check", "--json")
    assert (0, True) == (code, json.loads(printed)["ok"])
    command("migrate")
    code, printed, _ = command("migrate", "rollback", "--to", "base", "--json")
    assert (0, []) == (code, json.loads(printed)["after"])
    assert json.loads(printed)["backup"].endswith(".backup.duckdb")


def test_its_database_may_be_another_one(command, app):
    code, printed, _ = command("init", "-d", "b.duckdb", "--json")
    assert (0, True, []) == (code, *map(json.loads(printed).get, ("created", "files")))
    command("migrate", "new", "books")
    code, printed, _ = command("migrate", "-d", "b.duckdb", "--json")
    assert 1 == len(json.loads(printed)["after"])
    assert [] == ask("app.duckdb", "SHOW TABLES")
    code, printed, _ = command("migrate", "new", "more", "-d", "b.duckdb", "--json")
    assert {"path": None} == json.loads(printed)


def test_a_folder_for_a_database_that_is_there(command, tmp_path):
    """
    The database is left alone, unless a new one is asked for.
    """
    (tmp_path / "models.py").write_text(MODELS)
    ask("app.duckdb", "CREATE TABLE books (id INTEGER)")
    code, printed, _ = command(
        "init", "-a", "models:Model", "-m", "m", "-d", "app.duckdb"
    )
    assert (0, True) == (code, "as it was" in printed)
    assert [("books",)] == ask("app.duckdb", "SHOW TABLES")
    arguments = (
        "-a",
        "models:Model.metadata",
        "-d",
        "app.duckdb",
        "-m",
        "n",
        "--force",
    )
    code, printed, _ = command("init", *arguments, "--json")
    assert (0, True) == (code, json.loads(printed)["kept"] is not None)
    code, printed, _ = command("migrate", "history", "-a", "models:Model", "-m", "n")
    assert (0, True) == (code, "no migrations yet" in printed)
    code, printed, _ = command(
        "init", "-a", "models:Model", "-d", "c.db", "-m", "o", "--json"
    )
    assert "o/env.py" in json.loads(printed)["files"]


@pytest.mark.parametrize(
    ("app_", "problem"),
    [
        ("absent:engine", "ModuleNotFoundError"),
        ("models:absent", "AttributeError"),
        ("models", "AttributeError"),
        ("models:number", "models:number is int; name a DatabaseEngine"),
    ],
)
def test_an_application_that_is_not_there(command, app, app_, problem):
    code, printed, complaints = command("migrate", "status", "--app", app_)
    assert (2, "") == (code, printed)
    assert problem in complaints
    assert 1 == len(complaints.splitlines())


def test_an_error_of_ours_in_an_application_is_that_error(command, app):
    (app / "models.py").write_text(
        "from project_architect_db import DatabaseEngine\nDatabaseEngine('a', thread=1)"
    )
    code, _, complaints = command("migrate", "status")
    assert (2, True) == (code, "there is no setting 'thread'" in complaints)


def test_a_folder_needs_models(command):
    code, _, complaints = command("init", "-m", "new")
    assert (2, True) == (code, "whose migrations?" in complaints)


def test_an_environment(command, app, monkeypatch):
    add(app, "1", 'in_environment("prod") and op.execute("CREATE TABLE p (a INTEGER)")')
    command("migrate", "-d", "app.duckdb")
    command("init", "-d", "b.duckdb", "--environment", "prod")
    monkeypatch.setenv("PROJECT_ARCHITECT_DB_ENVIRONMENT", "prod")
    command("init", "-d", "c.duckdb")
    tables = [("alembic_version",), ("p",)]
    assert [tables[:1], tables, tables] == [
        ask(f"{name}.duckdb", "SHOW TABLES") for name in ("app", "b", "c")
    ]


# --- what goes wrong ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["migrate", "-d", "none.duckdb"], 1, "there is no database"),
        (["migrate", "status", "-d", "none.duckdb"], 1, "create it with init"),
        (["migrate", "check", "-d", ":memory:"], 1, "there is no database"),
        (["migrate", "rollback", "-d", "no/folder"], 1, "there is no database"),
        (["init", "-d", "no/folder"], 1, "there is no folder"),
        (["init", "-d", ":memory:"], 1, "in memory"),
        (["migrate", "--to", "x"], 1, "Can't locate revision identified by 'x'"),
        (["migrate", "rollback", "--to", "x"], 1, "Can't locate revision"),
        (["migrate", "rollback"], 1, "is at no migration"),
        (["migrate", "-m", "none"], 1, "there are no migrations in none"),
        (["migrate", "new", "x", "-m", "none"], 1, "init --migrations writes one"),
        (["migrate", "-d", "text"], 1, "text"),
        (["migrate", "-d", "mysql://a/b"], 2, "not supported"),
    ],
)
def test_one_line_says_what_is_wrong(command, app, arguments, code, problem):
    (app / "text").write_text("no database at all, but some text " * 1000)
    files = sorted(app.iterdir())
    found, printed, complaints = command(*arguments)
    assert (code, "") == (found, printed)
    assert problem in complaints
    assert 1 == len(complaints.splitlines())
    assert files == [path for path in sorted(app.iterdir()) if path in files]
    assert {"__pycache__"} >= {path.name for path in {*app.iterdir()} - {*files}}


def test_a_failing_migration(command, app):
    """
    One line with the real error; the check says so before, and exits with 1.
    """
    add(app, "1", 'op.execute("CREATE TABLE a (a INTEGER)")')
    add(app, "2", 'op.execute("INSERT INTO nowhere VALUES (1)")')
    code, printed, _ = command("migrate", "check")
    assert (1, True) == (code, "nowhere" in printed)
    code, printed, _ = command("migrate", "--dry-run")
    assert (1, True) == (code, "nowhere" in printed)
    assert [] == ask("app.duckdb", "SHOW TABLES")
    code, printed, complaints = command("migrate")
    assert (1, "") == (code, printed)
    assert "the migration 2 (Revision 2) failed, and changed nothing: " in complaints
    assert "there is no table nowhere" in complaints
    assert [("1",)] == ask("app.duckdb", "FROM alembic_version")
    add(app, "2", "pass")
    code, printed, _ = command("migrate", "check")
    assert (1, True) == (code, "add table books" in printed)


def test_who_has_the_database_is_named(command, app):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, app / "app.duckdb"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with holder:
        holder.stdout.readline()
        for arguments in (["migrate"], ["migrate", "status"], ["init", "--force"]):
            code, _, complaints = command(*arguments)
            assert (1, True) == (code, f"{holder.pid}" in complaints)
        holder.stdin.close()


@pytest.mark.slow
def test_no_room_for_the_backup(command, app):
    """
    The disk is full: nothing is migrated, and nothing half is left.
    """
    add(app, "1", 'op.execute("CREATE TABLE a AS FROM range(100000)")')
    add(app, "2", "pass")
    command("migrate", "--to", "1")
    size = (app / "app.duckdb").stat().st_size // 2
    files = {path.name for path in app.iterdir()}
    done = program(
        "migrate",
        cwd=app,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    )
    _, complaints = done.communicate()
    assert (1, 1) == (done.returncode, len(complaints.splitlines())), complaints
    assert "cannot copy" in complaints
    assert files == {path.name for path in app.iterdir()}
    assert [("1",)] == ask(app / "app.duckdb", "FROM alembic_version")


@pytest.mark.slow
def test_an_interrupt_leaves_nothing_half_done(app):
    add(app, "1", 'op.execute("CREATE TABLE a (a INTEGER)")')
    body = (
        'op.execute("INSERT INTO a VALUES (1)"); open("begun", "w").close()\n'
        '    op.execute("SELECT sum(a.range * b.range)'
        ' FROM range(1000000) a, range(1000000) b")'
    )
    add(app, "2", body)
    done = program("migrate", "--no-backup", cwd=app)
    while not (app / "begun").exists() and done.poll() is None:
        time.sleep(0.01)
    time.sleep(0.1)
    done.send_signal(signal.SIGINT)
    printed, complaints = done.communicate()
    assert (130, "") == (done.returncode, printed), complaints
    assert "Traceback" not in complaints
    assert ([("1",)], []) == (
        ask(app / "app.duckdb", "FROM alembic_version"),
        ask(app / "app.duckdb", "FROM a"),
    )
    assert [] == [path.name for path in app.iterdir() if path.name.startswith(".")]


# --- how it looks -------------------------------------------------------------------


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_help_has_an_example_and_the_exit_codes(command, arguments):
    code, printed, _ = command(*arguments, "--help")
    assert 0 == code
    assert f"Example: project-architect-db {' '.join(arguments)} " in printed
    assert "--json" in printed
    assert max(map(len, printed.splitlines())) <= 80


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX terminals")
@pytest.mark.slow
def test_a_terminal_shows_progress(app):
    add(app, "1", "time.sleep(0.3)")
    ours, theirs = pty.openpty()
    done = subprocess.Popen(
        [sys.executable, "-m", "project_architect_db", "migrate"],
        cwd=app, stdout=subprocess.PIPE, stderr=theirs,
        env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    shown = read_terminal(ours)
    printed, _ = done.communicate()
    os.close(ours)
    assert 0 == done.returncode
    assert b"Migrate" in shown
    assert b"\x1b" not in printed
