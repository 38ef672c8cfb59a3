"""
`backup`, `restore` and `checkpoint`, as a user runs them.
"""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from command_runner import read_terminal, run_command

from project_architect_db import DatabaseEngine, Project

HOLD = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""


@pytest.fixture
async def database(tmp_path):
    """
    A database with one project, which nobody has open.
    """
    path = tmp_path / "app.duckdb"
    async with DatabaseEngine(path) as engine:
        await engine.create_all()
        async with engine.transaction() as session:
            session.add(Project(name="a", project_idea="b"))
    return path


@pytest.fixture
def command(tmp_path):
    """
    Run the command in a folder, and return what it exits with, prints and complains.
    """

    def run(*arguments):
        done = run_command(
            arguments, cwd=tmp_path, env={**os.environ, "PYTHONIOENCODING": "utf-8"}
        )
        assert "\x1b" not in done.stdout + done.stderr
        return done

    return run


def projects(path):
    with duckdb.connect(str(path)) as connection:
        return connection.execute("SELECT count(*) FROM projects").fetchone()[0]


def test_a_backup_and_back(command, database, tmp_path):
    code, printed, complaints = command("backup", "b.duckdb", "-d", "app.duckdb")
    assert (0, "") == (code, complaints)
    assert "b.duckdb" in printed
    assert "main.projects" in printed
    with duckdb.connect(str(database)) as connection:
        connection.execute("DELETE FROM projects")
    code, printed, complaints = command("restore", "b.duckdb", "-d", "app.duckdb")
    assert (0, "") == (code, complaints)
    assert "before-restore" in printed.replace("\n", "").replace(" ", "")
    assert 1 == projects(database)
    assert max(map(len, printed.splitlines())) <= 80


@pytest.mark.slow
def test_a_backup_gets_a_name_with_the_time(command, database, tmp_path):
    code, printed, _ = command("backup", "-d", "app.duckdb", "--json")
    found = json.loads(printed)
    assert 0 == code
    assert {"rows": 1, "checksum": found["tables"]["main.projects"]["checksum"]} == (
        found["tables"]["main.projects"]
    )
    name = Path(found["path"]).name
    assert name.startswith("app.2")
    assert name.endswith("Z.backup.duckdb")
    assert 1 == projects(tmp_path / name)


def test_facts_for_scripts(command, database):
    command("backup", "b.duckdb", "-d", "app.duckdb")
    code, printed, _ = command("restore", "b.duckdb", "-d", "app.duckdb", "--json")
    found = json.loads(printed)
    assert (0, str(database)) == (code, found["database"])
    assert "before-restore" in found["kept"]
    code, printed, _ = command("restore", "b.duckdb", "-d", "new.duckdb", "--json")
    assert json.loads(printed)["kept"] is None
    code, printed, _ = command("checkpoint", "-d", "app.duckdb", "--json")
    assert (0, 0) == (code, json.loads(printed)["wal_bytes"])


def test_a_backup_is_only_checked(command, database, tmp_path):
    command("backup", "b.duckdb", "-d", "app.duckdb")
    code, printed, _ = command("restore", "b.duckdb", "--verify")
    assert (0, True) == (code, printed.startswith("Verified"))
    (tmp_path / "b.duckdb").write_bytes(b"x")
    code, printed, complaints = command("restore", "b.duckdb", "--verify")
    assert (1, "") == (code, printed)
    assert "is damaged" in complaints


def test_the_log_goes_into_the_file(command, database):
    code, printed, _ = command("checkpoint", "-d", "app.duckdb")
    assert 0 == code
    assert "now 0 bytes" in printed


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["backup", "b", "-d", "none.duckdb"], "there is no database"),
        (["checkpoint", "-d", ":memory:"], "there is no database"),
        (["backup", "absent/b", "-d", "app.duckdb"], "no folder"),
        (["restore", "none", "-d", "app.duckdb"], "no backup"),
        (["restore", "app.duckdb", "-d", "other.duckdb"], "no backup"),
        (["restore", "b", "-d", ":memory:"], "in memory"),
    ],
)
def test_one_line_says_what_is_wrong(command, database, arguments, problem):
    code, printed, complaints = command(*arguments)
    assert (1, "") == (code, printed)
    assert problem in complaints
    assert 1 == len(complaints.splitlines())
    assert 1 == projects(database)


@pytest.mark.slow
def test_who_has_the_database_is_named(command, database):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, database],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with holder:
        holder.stdout.readline()
        code, _, complaints = command("backup", "b", "-d", "app.duckdb")
        assert 1 == code
        assert f"{holder.pid}" in complaints
        holder.stdin.close()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX terminals")
def test_a_terminal_shows_progress(database, tmp_path):
    """
    The bar is on the terminal alone, and gone at the end.
    """
    ours, theirs = pty.openpty()
    done = subprocess.Popen(
        [sys.executable, "-m", "project_architect_db", "backup", "b", "-d", database],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=theirs,
        env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    shown = read_terminal(ours)
    printed, _ = done.communicate()
    os.close(ours)
    assert 0 == done.returncode
    assert b"Checksum" in shown
    assert b"\x1b" not in printed
