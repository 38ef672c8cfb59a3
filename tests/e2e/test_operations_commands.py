"""
Commands about backups, folders and new databases, where something is in the way.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import shutil
import subprocess
import sys

import duckdb
import pytest
from command_runner import run_command

from project_architect_db import DatabaseEngine
from project_architect_db.cli import backups, migrations, revisions
from project_architect_db.engine.migrations.folder import write_folder

SHOP = """
import sqlalchemy as sa
metadata = sa.MetaData()
sa.Table("orders", metadata, sa.Column("id", sa.Integer, primary_key=True))
"""


@pytest.fixture
def command(tmp_path):
    """
    Run the command in a folder, and return what it exits with, prints and complains.
    """

    def run(*arguments):
        done = run_command(arguments, cwd=tmp_path, env=dict(os.environ))
        assert "Traceback" not in done.stderr
        return done

    return run


def tables(path):
    with duckdb.connect(str(path)) as connection:
        found = connection.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1")
        return [name for (name,) in found.fetchall()]


# --- restore --------------------------------------------------------------------------


async def back_up_at(revision, path):
    """
    A backup of a database that says that it is at a revision.
    """
    async with DatabaseEngine(path.with_name("old.duckdb")) as engine:
        async with engine.transaction() as session:
            connection = await session.connection()
            await connection.exec_driver_sql(
                f"CREATE OR REPLACE TABLE alembic_version AS SELECT '{revision}' AS "
                "version_num"
            )
        await engine.backup(path)


@pytest.mark.slow
def test_a_backup_at_an_unknown_migration_is_restored_only_when_told(command, tmp_path):
    asyncio.run(back_up_at("0001", tmp_path / "known"))
    asyncio.run(back_up_at("9", tmp_path / "newer"))
    code, _, complaints = command("restore", "known", "-d", "app.duckdb")
    assert (0, "") == (code, complaints)
    before = (tmp_path / "app.duckdb").read_bytes()
    code, printed, complaints = command("restore", "newer", "-d", "app.duckdb")
    assert (1, "") == (code, printed)
    assert "is at the migration 9, which this code does not know" in complaints
    assert before == (tmp_path / "app.duckdb").read_bytes()
    assert 0 == command("restore", "newer", "--verify").returncode
    code, printed, _ = command(
        "restore", "newer", "-d", "app.duckdb", "--any-revision", "--json"
    )
    assert (0, "9") == (code, json.loads(printed)["revision"])


def test_the_migrations_of_an_application_say_what_is_known(command, tmp_path):
    folder = tmp_path / "theirs"
    write_folder(folder, "shop:metadata")
    (folder / "versions" / "a.py").write_text(
        "revision, down_revision = 'a', None\ndef upgrade(): pass\n"
    )
    (tmp_path / "shop.py").write_text(SHOP)
    asyncio.run(back_up_at("a", tmp_path / "theirs.duckdb"))
    restore = ("restore", "theirs.duckdb", "-d", "app.duckdb")
    assert "does not know" in command(*restore).stderr
    app = ("--app", "shop:metadata", "--migrations", "theirs")
    assert 0 == command(*restore, *app).returncode


# --- whole or not at all --------------------------------------------------------------


def test_no_half_folder_is_left_where_there_is_no_room(tmp_path):
    """
    The next `init` would take it for one of the user's.
    """
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from project_architect_db.engine.migrations.folder import write_folder\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "sys.dont_write_bytecode = True\n"
        "write_folder(Path('migrations'), 'a:b')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert "MigrationError: cannot write migrations: File too large" in done.stderr
    assert [] == [*tmp_path.iterdir()]


@pytest.mark.slow
def test_a_new_database_is_not_opened_with_the_log_of_another(command, tmp_path):
    (tmp_path / "app.duckdb.wal").write_bytes(b"what is left of a lost database")
    assert 0 == command("init", "-d", "app.duckdb").returncode
    assert 0 == command("check", "-d", "app.duckdb").returncode
    (kept,) = tmp_path.glob("app.duckdb.before-init-*.wal")
    assert b"what is left of a lost database" == kept.read_bytes()


def test_a_database_that_cannot_be_kept_stays(command, tmp_path, monkeypatch):
    assert 0 == command("init", "-d", "app.duckdb").returncode
    before = (tmp_path / "app.duckdb").read_bytes()

    def fail(*_):
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr("os.link", fail)
    monkeypatch.setattr("shutil.copyfile", fail)
    code, _, complaints = command("init", "-d", "app.duckdb", "--force")
    assert (1, 1) == (code, len(complaints.splitlines()))
    assert "app.duckdb cannot be written: [Errno 28] no room" in complaints
    assert before == (tmp_path / "app.duckdb").read_bytes()
    assert ["app.duckdb"] == [path.name for path in tmp_path.iterdir()]


# --- quickstart -----------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path):
    path = tmp_path / "tree"
    path.mkdir()
    (path / "a.md").write_text("# A\n")
    git = shutil.which("git")
    assert git is not None
    for arguments in (
        ("init", "-q"), ("add", "."),
        ("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "First"),
    ):  # fmt: skip
        subprocess.run([git, *arguments], cwd=path, check=True)
    return path


@pytest.mark.slow
def test_a_new_database_of_quickstart_can_be_migrated(command, tree, tmp_path):
    for _ in range(2):
        code, _, complaints = command("quickstart", str(tree), "-d", "app.duckdb")
        assert (0, "") == (code, complaints)
    code, printed, _ = command("migrate", "-d", "app.duckdb", "--json")
    assert (0, ["0001"], []) == (
        code, json.loads(printed)["after"], json.loads(printed)["revisions"],
    )  # fmt: skip
    assert "ok" in command("migrate", "check", "-d", "app.duckdb").stdout
    assert [] == [*tmp_path.glob("*.backup.duckdb")]


def test_where_the_migrations_are_the_users_quickstart_runs_none(
    command, tree, tmp_path, monkeypatch
):
    monkeypatch.setenv("PROJECT_ARCHITECT_DB_MIGRATIONS", "theirs")
    assert 0 == command("quickstart", str(tree), "-d", "app.duckdb").returncode
    assert "alembic_version" not in tables(tmp_path / "app.duckdb")


# --- Ctrl-C ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "arguments", "what"),
    [
        (backups, ("backup", "b"), "nothing was written."),
        (backups, ("restore", "b"), "the database is as it was."),
        (backups, ("restore", "b", "--verify"), "nothing was changed."),
        (migrations, ("migrate",), migrations.STOPPED),
        (migrations, ("migrate", "--dry-run"), "nothing was changed."),
        (migrations, ("migrate", "check"), "nothing was changed."),
        (migrations, ("migrate", "rollback"), migrations.STOPPED),
        (revisions, ("init", "--force"), "no database was made."),
    ],
)
def test_an_interrupt_is_told_in_one_line(
    command, tmp_path, monkeypatch, module, arguments, what
):
    assert 0 == command("init", "-d", "app.duckdb").returncode
    assert 0 == command("backup", "b", "-d", "app.duckdb").returncode

    def interrupted(coroutine):
        coroutine.close()
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "run", interrupted)
    database = () if "--verify" in arguments else ("-d", "app.duckdb")
    more = ("--overwrite",) if arguments[0] == "backup" else ()
    done = command(*arguments, *database, *more)
    assert (130, "", f"Interrupted; {what}\n") == done
    assert {"app.duckdb", "b", "b.json"} == {path.name for path in tmp_path.iterdir()}
