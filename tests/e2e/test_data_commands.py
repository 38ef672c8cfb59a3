"""
`seed`, `import`, `analyze`, `check`, `compact` and `export`, as a user runs them.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import time

import duckdb
import pytest
import typer

from project_architect_db import DatabaseEngine
from project_architect_db.cli import main
from project_architect_db.cli.common import interruptible
from project_architect_db.cli.seeding import _show
from project_architect_db.testing import Seeded, seed
from project_architect_db.testing.seeding import PROJECTS_AT_A_TIME

OURS = ("GIT_", "PROJECT_ARCHITECT_DB_", "FORCE_COLOR", "NO_COLOR")


@pytest.fixture(scope="module")
def seeded(tmp_path_factory):
    """
    The content of a database file with some hundred rows.
    """
    path = tmp_path_factory.mktemp("seeded") / "app.duckdb"

    async def make():
        async with DatabaseEngine(path, threads=1) as engine:
            await engine.create_all()
            await seed(engine, rows=500)

    asyncio.run(make())
    return path.read_bytes()


@pytest.fixture
def database(seeded, tmp_path):
    """
    A database that nobody has open.
    """
    path = tmp_path / "app.duckdb"
    path.write_bytes(seeded)
    return path


@pytest.fixture
def environment():
    """
    The environment without what the machine might add; 80 columns.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
    people = {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "Ada"), ("EMAIL", "ada@example.org"))
    }
    return {**kept, **people, "PYTHONIOENCODING": "utf-8", "COLUMNS": "80"}


@pytest.fixture
def command(tmp_path, environment, monkeypatch, capsys):
    """
    Run the command in a folder, and return what it exits with, prints and complains.

    Here, not in a process of its own, which takes a second to begin.
    """
    monkeypatch.chdir(tmp_path)
    for name in os.environ.keys() - environment.keys():
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["project-architect-db", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        done = capsys.readouterr()
        assert "\x1b" not in done.out + done.err
        if "--json" not in arguments:
            assert max(map(len, done.out.splitlines()), default=0) <= 80
        return ended.value.code, done.out, done.err

    yield run
    logging.getLogger("project_architect_db.dialect.write_gate").setLevel("NOTSET")


def count(path, table="projects"):
    with duckdb.connect(str(path)) as connection:
        return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


# --- seed -----------------------------------------------------------------------------


def test_seeding_goes_on_where_it_ended(command, database):
    code, printed, complaints = command("seed", "-n", "800", "-d", "app.duckdb")
    assert (0, "") == (code, complaints)
    assert "a second" in printed
    assert "activity" in printed
    there = count(database, "activity")
    code, printed, _ = command("seed", "-n", "800", "-d", "app.duckdb", "--json")
    assert (0, 0, 1) == (
        code, json.loads(printed)["total"], json.loads(printed)["batches_before"],
    )  # fmt: skip
    code, printed, _ = command("seed", "-n", "800", "-d", "app.duckdb")
    assert (0, "All of it is there already") == (code, printed[:26])
    assert there == count(database, "activity")


@pytest.mark.slow
def test_seeding_that_is_interrupted_keeps_whole_batches(
    database, tmp_path, environment
):
    arguments = ("seed", "-n", "2000000", "-s", "5", "-d", "app.duckdb")
    process = subprocess.Popen(
        [sys.executable, "-m", "project_architect_db", *arguments],
        cwd=tmp_path, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    log, deadline = tmp_path / "app.duckdb", time.monotonic() + 60
    size = log.stat().st_size
    while log.stat().st_size < size + 5_000_000 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    printed, complaints = process.communicate()
    assert (130, "") == (process.returncode, printed)
    assert complaints == (
        "Interrupted; whole batches are kept. The same command goes on.\n"
    )
    batches = count(database, "activity WHERE payload ->> 'seed' = '5'")
    before = count(database) - PROJECTS_AT_A_TIME * batches
    assert before == 2


def test_an_interrupt_ends_a_command_with_one_line(capsys):
    with pytest.raises(typer.Exit) as ended, interruptible("go on."):
        raise KeyboardInterrupt
    assert (130, "Interrupted; go on.\n") == (
        ended.value.exit_code, capsys.readouterr().err,
    )  # fmt: skip


def test_what_a_run_that_went_on_prints(capsys):
    _show(
        Seeded(rows={"projects": 2}, batches=1, batches_before=3, seconds=0.5),
        as_json=False,
    )
    assert "after 3 batches" in capsys.readouterr().out


def test_rows_of_a_file(command, database, tmp_path):
    before = count(database)
    (tmp_path / "a.csv").write_text("name,project_idea\na,b\n")
    arguments = ("seed", "--from", "a.csv", "--table", "projects", "-d", "app.duckdb")
    code, printed, complaints = command(*arguments)
    assert (0, "", ["Table", "projects", "Rows", "1"]) == (
        code, complaints, printed.split(),
    )  # fmt: skip
    code, printed, _ = command(*arguments, "--json")
    assert (0, {"table": "projects", "rows": 1}) == (code, json.loads(printed))
    (tmp_path / "a.csv").write_text("name,project_idea,status\na,b,draft\nc,d,x\n")
    code, printed, complaints = command(*arguments)
    assert (1, "") == (code, printed)
    assert "row 1: Project.status" in complaints
    assert 1 == len(complaints.splitlines())
    assert before + 2 == count(database)


# --- import ---------------------------------------------------------------------------


def test_working_trees(command, database, tmp_path, environment):
    for name in ("one", "two"):
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name / "a.py").write_text(f"print({name!r})\n")
        init = ("init", "-q", "--template=")
        for arguments in (init, ("add", "."), ("commit", "-qm", "x")):
            subprocess.run(
                ("git", *arguments), cwd=tmp_path / name, env=environment, check=True
            )
    paths = ("one", "one/inner", "two")
    code, printed, complaints = command("import", *paths, "-d", "app.duckdb")
    assert (0, "") == (code, complaints)
    rows = [line.split() for line in printed.splitlines()[2:]]
    assert rows == [["one", *"100010"], ["two", *"100010"]]
    code, printed, _ = command("import", *paths, "-d", "app.duckdb", "--json")
    found = json.loads(printed)
    assert [str(tmp_path / "one"), str(tmp_path / "two")] == [r["path"] for r in found]
    assert [(0, 1), (0, 1)] == [(r["added"], r["unchanged"]) for r in found]


# --- analyze --------------------------------------------------------------------------


def test_an_analysis(command, database, tmp_path):
    code, printed, complaints = command("analyze", "-d", "app.duckdb")
    assert (0, "") == (code, complaints)
    assert "There is nothing to do." in printed
    assert "ix_projects_name" in printed
    assert "main.activity" in printed
    (tmp_path / "app.log").write_text(
        f"slow query, 2.50 s: SELECT {'name, ' * 20} [bold]\n"
    )
    arguments = ("analyze", "-d", "app.duckdb", "--log", "app.log", "--columns")
    code, printed, complaints = command(*arguments)
    assert (0, "") == (code, complaints)
    assert "project_idea" in printed
    assert "Slow queries" in printed
    assert "What to do" in printed
    code, printed, _ = command(*arguments, "--json")
    found = json.loads(printed)
    assert (0, 2.5) == (code, found["slow_queries"][0]["seconds"])
    assert ["now"] == [finding["when"] for finding in found["findings"]]


def test_a_limit_of_the_settings_counts(command, database, monkeypatch):
    monkeypatch.setenv("PROJECT_ARCHITECT_DB_MEMORY_LIMIT", "512MiB")
    code, printed, _ = command("analyze", "-d", "app.duckdb", "--json")
    assert (0, "512.0 MiB") == (code, json.loads(printed)["memory_limit"])
    monkeypatch.delenv("PROJECT_ARCHITECT_DB_MEMORY_LIMIT")
    code, printed, _ = command("analyze", "-d", "app.duckdb", "--json")
    assert (0, "1.8 GiB") == (code, json.loads(printed)["memory_limit"])


def test_an_analysis_of_nothing(command, tmp_path):
    duckdb.connect(str(tmp_path / "empty.duckdb")).close()
    code, printed, _ = command("analyze", "-d", "empty.duckdb")
    assert (0, False) == (code, "Tables" in printed)


def test_a_plan(command, database):
    query = (
        "SELECT p.name, count(*) FROM projects p JOIN activity a "
        "ON a.project_id = p.id WHERE a.action = 'build' GROUP BY ALL"
    )
    code, printed, complaints = command("analyze", "-q", query, "-d", "app.duckdb")
    assert (0, "") == (code, complaints)
    assert "└─ hash join" in printed.replace("├", "└")
    assert "filters: (action = 'build')" in printed
    code, printed, _ = command("analyze", "-q", query, "-d", "app.duckdb", "--json")
    assert (0, True) == (code, json.loads(printed)["seconds"] >= 0)
    query = "SELECT count(*) FROM activity"
    code, printed, _ = command("analyze", "-q", query, "-d", "app.duckdb")
    assert (0, True) == (code, "column data scan" in printed)


# --- check and compact ----------------------------------------------------------------


def test_a_check(command, database):
    code, printed, complaints = command("check", "-d", "app.duckdb")
    assert (0, "") == (code, complaints)
    assert ["Problems", "none"] == printed.split()[-2:]
    with duckdb.connect(str(database)) as connection:
        connection.execute("UPDATE documents SET project_id = 99 WHERE id = 1")
    code, printed, complaints = command("check", "-d", "app.duckdb")
    assert (1, "") == (code, complaints)
    assert "Orphan" in printed
    assert "delete these rows" in printed
    code, printed, complaints = command("check", "-d", "app.duckdb", "--json")
    assert (1, "", 1) == (code, complaints, json.loads(printed)["problems"][0]["rows"])


def test_compacting(command, database):
    rows = count(database)
    code, printed, complaints = command("compact", "-d", "app.duckdb")
    assert (0, "") == (code, complaints)
    assert "Saved" in printed
    code, printed, _ = command("compact", "-d", "app.duckdb", "--json")
    found = json.loads(printed)
    assert (0, str(database)) == (code, found["database"])
    assert database.stat().st_size == found["bytes"]
    assert rows == count(database)


# --- export ---------------------------------------------------------------------------


@pytest.mark.slow
def test_exports(command, database, tmp_path):
    code, printed, complaints = command("export", "files", "-d", "app.duckdb")
    assert (0, "") == (code, complaints)
    assert "activity.parquet" in printed
    arguments = ("export", "csv", "-t", "projects", "--format", "csv", "--json")
    code, printed, _ = command(*arguments, "-d", "app.duckdb")
    assert (0, ["main.projects"]) == (code, [*json.loads(printed)["tables"]])
    assert (tmp_path / "csv" / "projects.csv").read_text().startswith("id,name")


def test_a_portable_backup(command, database, tmp_path):
    arguments = ("backup", "--format", "parquet", "-d", "app.duckdb")
    code, printed, complaints = command(*arguments)
    assert (0, "") == (code, complaints)
    (folder,) = tmp_path.glob("app.2*Z.backup")
    assert (folder / "projects.parquet").exists()
    code, printed, _ = command(*arguments, "monday", "--json")
    assert (0, "parquet") == (code, json.loads(printed)["format"])
    code, _, complaints = command(*arguments, "monday", "--overwrite")
    assert (2, True) == (code, "replaces no folder" in complaints)


def test_no_tables_no_list_of_files(command, tmp_path):
    duckdb.connect(str(tmp_path / "empty.duckdb")).close()
    code, printed, _ = command("export", "files", "-d", "empty.duckdb")
    assert (0, False) == (code, "Files" in printed)
    code, printed, _ = command("backup", "b.duckdb", "-d", "empty.duckdb")
    assert (0, False) == (code, "Tables" in printed)


# --- what all of them have in common --------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [["seed"], ["analyze"], ["check"], ["compact"], ["export", "x"], ["import", "x"],
     ["analyze", "-q", "SELECT 1"], ["seed", "--from", "a.csv", "--table", "t"]],
)  # fmt: skip
def test_without_a_database(command, tmp_path, arguments):
    (tmp_path / "x").mkdir()
    if arguments[0] == "import":
        subprocess.run(("git", "init", "-q"), cwd=tmp_path / "x", check=True)
    (tmp_path / "a.csv").write_text("a\n1\n")
    arguments = [a.replace("x", "files") if a == "x" and arguments[0] == "export" else a
                 for a in arguments]  # fmt: skip
    code, printed, complaints = command(*arguments, "-d", "none.duckdb")
    assert (1, "") == (code, printed)
    assert "there is no database" in complaints
    assert 1 == len(complaints.splitlines())


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["seed", "--from", "a.csv"], 2, "go together"),
        (["seed", "-n", "5"], 2, "10"),
        (["seed", "--from", "none.csv", "--table", "projects"], 2, "cannot read"),
        (["analyze", "--log", "none.log"], 2, "cannot read the log"),
        (["analyze", "-q", "SELEC 1"], 1, "syntax error"),
        (["export", "."], 1, "is there already"),
        (["export", "f", "-t", "x"], 1, "no table"),
        (["import", "/"], 1, "not a git repository"),
    ],
)
def test_one_line_says_what_is_wrong(command, database, arguments, code, problem):
    found, printed, complaints = command(*arguments, "-d", "app.duckdb")
    assert (code, "") == (found, printed)
    assert problem in complaints


@pytest.mark.parametrize(
    "name", ["seed", "import", "analyze", "check", "compact", "export", "backup"]
)
def test_help_has_an_example(command, name):
    code, printed, complaints = command(name, "--help")
    assert (0, "") == (code, complaints)
    assert f"Example: project-architect-db {name}" in printed
