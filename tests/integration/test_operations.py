"""
Analysis, integrity, compaction and export of database files.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import os
import time
from types import SimpleNamespace

import duckdb
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from sqlalchemy import text

from project_architect_db import (
    BackupError,
    ConfigurationError,
    CorruptDatabaseError,
    Document,
    InvalidStatementError,
    Project,
    ProjectRepository,
)
from project_architect_db.engine import (
    DatabaseEngine,
    Finding,
    analyze,
    check_integrity,
    compact,
    compaction,
    explain_query,
    export_tables,
    findings,
    integrity_checks,
    read_slow_queries,
)
from project_architect_db.engine.analysis import (
    Analysis,
    ColumnFacts,
    IndexFacts,
    TableFacts,
)
from project_architect_db.engine.slow_queries import LONGEST, SlowQuery
from project_architect_db.engine.watching import watching
from project_architect_db.testing import RowFactory, load_rows, seed

TABLES = ("projects", "conversations", "repositories", "documents", "activity")


@pytest.fixture(scope="module")
def seeded(tmp_path_factory):
    """
    The content of a database file with some thousand rows.
    """
    path = tmp_path_factory.mktemp("seeded") / "app.duckdb"

    async def make():
        async with DatabaseEngine(path, threads=1) as engine:
            await engine.create_all()
            await seed(engine, rows=2_000)

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


def execute(path, *statements):
    """
    Write past the library, as something did that broke the database.
    """
    with duckdb.connect(str(path)) as connection:
        for statement in statements:
            connection.execute(statement).fetchall()


def kinds(found):
    return [(problem.kind, problem.table) for problem in found.problems]


# --- integrity ------------------------------------------------------------------------


async def test_a_sound_database(database):
    steps = []
    found = await check_integrity(database, progress=lambda *step: steps.append(step))
    assert found.problems == []
    assert found.database == str(database)
    assert found.references == 5
    assert found.keys >= 7
    assert sum(found.tables.values()) > 1_500
    assert steps[-1][1] == steps[-1][2] == len(steps) - 1


async def test_orphans_and_ids_ahead_of_their_sequence(database):
    execute(
        database,
        "INSERT INTO documents (id, project_id, title, kind, size, lines, created_at, "
        "updated_at) VALUES (90000, 77777, 'x', 'text', 0, 0, now(), now())",
    )
    found = await check_integrity(database)
    assert kinds(found) == [("sequence", "documents"), ("orphan", "documents")]
    sequence, orphan = found.problems
    assert "90,000" in sequence.detail
    assert orphan.rows == 1
    assert "77777" in orphan.detail
    execute(database, sequence.advice.removeprefix("run "))
    assert kinds(await check_integrity(database)) == [("orphan", "documents")]


async def test_keys_that_only_the_models_have(tmp_path):
    metadata = sa.MetaData()
    sa.Table(
        "people", metadata, sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("mail", sa.String, unique=True), sa.Column("new", sa.String),
        sa.UniqueConstraint("mail", "new"),
    )  # fmt: skip
    path = tmp_path / "people.duckdb"
    execute(
        path,
        "CREATE TABLE people AS SELECT * FROM (VALUES (1, 'a'), (1, 'b'), (2, NULL), "
        "(3, NULL)) people(id, mail)",
        "CREATE SCHEMA other",
        "CREATE TABLE other.people AS FROM people",
        "CREATE INDEX ix_upper ON people (upper(mail))",
    )
    found = await check_integrity(path, metadata=metadata)
    assert kinds(found) == [("duplicate", "main.people")]
    assert found.problems[0].rows == 1


async def test_keys_that_python_cannot_hold_are_looked_up(tmp_path):
    path = tmp_path / "kinds.duckdb"
    execute(
        path,
        "CREATE TABLE t (a TIMESTAMP_NS PRIMARY KEY, b DATE UNIQUE, c FLOAT UNIQUE)",
        "INSERT INTO t VALUES ('2026-01-01 00:00:00.000000001', 'infinity', 0.1), "
        "('2026-01-01 00:00:00.000000002', NULL, 'nan')",
        "CREATE INDEX ix ON t (b, c)",
    )
    found = await check_integrity(path)
    assert (found.problems, found.keys) == ([], 4)


async def test_an_index_that_has_lost_rows(database, monkeypatch):
    monkeypatch.setattr(
        integrity_checks, "_lost", lambda _, name, columns: 3 * ("name" in columns)
    )
    found = await check_integrity(database)
    assert kinds(found) == [("index", "main.projects")]
    assert "compact" in found.problems[0].advice


async def test_a_damaged_block(database):
    execute(database, "CHECKPOINT")
    with duckdb.connect(str(database)) as connection:
        (block,) = connection.execute(
            "SELECT block_id FROM pragma_storage_info('documents') "
            "WHERE column_name = 'content' AND block_id >= 0 LIMIT 1"
        ).fetchone()
    with database.open("r+b") as file:
        file.seek(3 * 4096 + block * 262_144 + 4_000)
        file.write(b"\xff" * 64)
    found = await check_integrity(database)
    assert ("storage", "main.documents") in kinds(found)
    assert "export" in found.problems[0].advice


async def test_a_log_that_was_cut_off(database):
    execute(
        database,
        "PRAGMA disable_checkpoint_on_shutdown",
        "CREATE TABLE alone (id INT)",
        "INSERT INTO alone VALUES (1)",
    )
    log = database.with_name("app.duckdb.wal")
    os.truncate(log, log.stat().st_size - 8)
    found = await check_integrity(database)
    assert ("log", str(database)) in kinds(found)
    assert ".kept" in found.problems[0].detail
    assert await check_integrity(":memory:")  # which has no log


@pytest.mark.slow
async def test_a_log_that_was_in_the_file_already(database):
    database.with_name("app.duckdb.wal.0.kept").touch()
    assert (await check_integrity(database)).problems == []


async def test_no_database_at_all(tmp_path):
    (tmp_path / "text.duckdb").write_text("x" * 5_000)
    with pytest.raises(CorruptDatabaseError):
        await check_integrity(tmp_path / "text.duckdb")


# --- compaction -----------------------------------------------------------------------


async def test_room_is_given_back_and_everything_is_there(database):
    execute(
        database,
        "CREATE TABLE much AS SELECT i, hash(i)::VARCHAR AS t FROM range(200_000) r(i)",
        "CHECKPOINT",
        "CREATE TABLE behind AS FROM much",
        "CHECKPOINT",
        "DROP TABLE much",
        "CREATE VIEW names AS SELECT name FROM projects",
        "CHECKPOINT",
    )
    before = database.stat()
    database.with_name(".app.duckdb.1.compacting").touch()  # by one that was killed
    steps = set()
    done = await compact(database, progress=lambda *step: steps.add(step[0]))
    assert done.path == database
    assert done.bytes_before >= before.st_size > 1.2 * done.bytes
    assert done.bytes == database.stat().st_size
    assert database.stat().st_mode == before.st_mode
    assert {"verify"} <= steps
    assert [*database.parent.iterdir()] == [database]
    async with DatabaseEngine(database) as engine, engine.transaction() as session:
        projects = await session.scalar(text("SELECT count(*) FROM names"))
        made = await RowFactory(Project).create(session)
        indexes = await session.scalars(text("SELECT index_name FROM duckdb_indexes()"))
        assert "ix_projects_name" in [*indexes]
    assert made.id == projects + 1


@pytest.mark.parametrize(
    ("when", "problem"),
    [
        ("rewrite", "No space"),
        ("compare", "other rows"),
        ("objects", "not all indexes"),
    ],
)
async def test_a_new_file_that_differs_is_thrown_away(
    database, monkeypatch, when, problem
):
    original = database.read_bytes()
    calls = []

    async def other(*_):
        calls.append(1)
        return calls[:]

    async def nothing(*_):
        return {"tables": {}}

    async def full(*_):
        raise OSError(28, "No space left on device")

    if when == "objects":
        monkeypatch.setattr(compaction, "_objects", other)
    elif when == "compare":
        monkeypatch.setattr(compaction, "read_content", nothing)
    else:
        monkeypatch.setattr(compaction, "read_content", full)
    with pytest.raises(BackupError, match=problem):
        await compact(database)
    assert database.read_bytes() == original
    assert [*database.parent.iterdir()] == [database]


async def test_a_compaction_that_is_stopped_leaves_nothing(database, monkeypatch):
    original = database.read_bytes()

    def stop(step, *_):
        asyncio.current_task().cancel()

    with pytest.raises(asyncio.CancelledError):
        await compact(database, progress=stop)
    assert database.read_bytes() == original
    assert [*database.parent.iterdir()] == [database]


async def test_what_cannot_be_compacted(database, monkeypatch):
    with pytest.raises(BackupError, match="no database file"):
        await compact(":memory:")
    with pytest.raises(BackupError, match="no database file"):
        await compact(database.with_name("absent.duckdb"))
    async with DatabaseEngine(database):
        with pytest.raises(BackupError, match="open in this process"):
            await compact(database)
    monkeypatch.setattr(
        compaction.shutil, "disk_usage", lambda _: SimpleNamespace(free=1)
    )
    with pytest.raises(BackupError, match="make room"):
        await compact(database)


# --- export ---------------------------------------------------------------------------


@pytest.mark.parametrize("format_", ["parquet", "csv", "json"])
async def test_tables_as_files(database, tmp_path, format_):
    folder, steps = tmp_path / "it's here", []
    done = await export_tables(
        database, folder, format=format_, tables=["main.projects", "projects"],
        progress=lambda *step: steps.append(step),
    )  # fmt: skip
    file = done.tables["main.projects"]
    suffix = {"json": "jsonl"}.get(format_, format_)
    assert (file.file, [*done.tables]) == (f"projects.{suffix}", ["main.projects"])
    content = (folder / file.file).read_bytes()
    assert file.bytes == len(content)
    assert file.sha256 == hashlib.sha256(content).hexdigest()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest == json.loads(json.dumps(done.as_dict()))
    assert manifest["tables"]["main.projects"]["rows"] == file.rows > 0
    assert ("main.projects", 100, 100) in steps
    assert {path.name for path in folder.iterdir()} == {
        file.file, "manifest.json", "schema.sql",
    }  # fmt: skip


@pytest.mark.slow
async def test_an_export_makes_the_same_database_again(database, tmp_path):
    done = await export_tables(database, tmp_path / "files")
    assert {f"main.{table}" for table in TABLES} <= {*done.tables}
    copy = tmp_path / "copy.duckdb"
    async with DatabaseEngine(copy) as engine:
        await engine.create_all()
        for table in TABLES:
            file = tmp_path / "files" / done.tables[f"main.{table}"].file
            count = await load_rows(engine, file, table=table)
            assert count == done.tables[f"main.{table}"].rows
    found = await check_integrity(copy)
    assert found.problems == []
    schema = (tmp_path / "files" / "schema.sql").read_text()
    execute(tmp_path / "empty.duckdb", schema)
    assert (await check_integrity(tmp_path / "empty.duckdb")).keys == found.keys


async def test_names_of_tables_and_schemas(tmp_path):
    path = tmp_path / "odd.duckdb"
    execute(
        path,
        'CREATE TABLE "a/b" (x INT)',
        "CREATE SCHEMA other",
        "CREATE TABLE other.t AS SELECT 1 AS x",
    )
    done = await export_tables(path, tmp_path / "files")
    assert [table.file for table in done.tables.values()] == [
        "a%2fb.parquet", "other.t.parquet",
    ]  # fmt: skip
    assert pq.read_table(tmp_path / "files" / "other.t.parquet").num_rows == 1


async def test_an_export_that_fails_leaves_nothing(database, tmp_path):
    there = sorted(tmp_path.iterdir())
    with pytest.raises(BackupError, match=r"no table main.prjects; there are main.act"):
        await export_tables(database, tmp_path / "files", tables=["prjects"])
    with pytest.raises(BackupError, match="is there already"):
        await export_tables(database, tmp_path)
    with pytest.raises(BackupError, match="no folder"):
        await export_tables(database, tmp_path / "absent" / "files")

    def stop(*_):
        raise OSError(28, "No space left on device")

    with pytest.raises(BackupError, match="No space left"):
        await export_tables(database, tmp_path / "files", progress=stop)
    assert sorted(tmp_path.iterdir()) == there


async def test_statements_say_how_far_they_are():
    told = []
    async with DatabaseEngine(":memory:") as engine, engine.session() as session:
        with watching(engine, lambda *step: told.append(step)):
            deadline = time.monotonic() + 30
            while not told and time.monotonic() < deadline:
                await session.execute(
                    text("SELECT sum(sqrt(i)) FROM range(20_000_000) r(i)")
                )
        before = len(told)
        await asyncio.sleep(0.5)
    assert all(0 <= done <= total == 100 for done, total in told)
    assert before == len(told) > 0


# --- analysis -------------------------------------------------------------------------


async def test_a_database_in_numbers(database):
    steps = []
    found = await analyze(database, progress=lambda *step: steps.append(step))
    tables = {table.name: table for table in found.tables}
    projects = tables["main.projects"]
    columns = {column.name: column for column in projects.columns}
    assert projects.rows == columns["id"].distinct > 0
    assert columns["id"].nulls == 0
    assert columns["architecture"].nulls < 1
    assert found.tables[0].name == "main.activity"
    assert found.tables[0].bytes % 262_144 == 0 < found.tables[0].bytes
    assert {index.name: index.columns for index in found.indexes} == {
        "ix_projects_name": ("name",), "ix_projects_status": ("status",),
    }  # fmt: skip
    assert found.file_bytes == database.stat().st_size
    assert found.threads > 0
    assert found.temp_directory
    assert steps[-1] == ("tables", len(found.tables), len(found.tables))
    assert findings(found) == []


async def test_indexes_that_do_not_pay(tmp_path):
    path = tmp_path / "indexes.duckdb"
    execute(
        path,
        "CREATE TABLE t AS SELECT i, i % 3 AS few, i::VARCHAR AS many, "
        "NULL::INT AS nothing FROM range(20_000) r(i)",
        "CREATE INDEX ix_few ON t (few)",
        "CREATE INDEX ix_many ON t (many)",
        "CREATE INDEX ix_nothing ON t (nothing)",
        "CREATE INDEX ix_upper ON t (upper(many))",
        "CREATE UNIQUE INDEX ix_i ON t (i)",
        "CREATE TABLE empty (x INT)",
        "CREATE INDEX ix_empty ON empty (x)",
    )
    found = await analyze(path)
    assert {index.name: index.used for index in found.indexes} == {
        "ix_empty": None, "ix_few": False, "ix_i": True, "ix_many": True,
        "ix_nothing": None, "ix_upper": None,
    }  # fmt: skip
    assert {index.columns for index in found.indexes if index.name == "ix_upper"} == {
        ("an expression",)
    }
    assert [(each.when, each.subject) for each in findings(found)] == [
        ("soon", "index ix_few"),
    ]  # fmt: skip


async def test_the_log_is_measured_before_it_is_replayed(database):
    execute(
        database,
        "PRAGMA disable_checkpoint_on_shutdown",
        "CREATE TABLE t AS SELECT i FROM range(100) r(i)",
    )
    size = database.with_name("app.duckdb.wal").stat().st_size
    assert (await analyze(database)).wal_bytes == size
    assert (await analyze(":memory:")).wal_bytes == 0


def test_findings_are_in_the_order_of_what_to_do_first():
    found = Analysis(
        "app.duckdb", file_bytes=100_000_000, free_bytes=60_000_000,
        wal_bytes=70_000_000, spilled_bytes=1, memory_limit="1.8 GiB",
        tables=[
            TableFacts("main.t", 20_000, 1, (
                ColumnFacts("a", "INTEGER", 1.0, 0), ColumnFacts("b", "INTEGER", 0.5, 2)
            )),
        ],
        indexes=[
            IndexFacts("ix", "main.t", ("a", "b"), unique=False, used=False),
            IndexFacts("unique", "main.t", ("a",), unique=True, used=False),
        ],
        slow_queries=[SlowQuery("SELECT 1", 2, 3.0, 2.5)],
    )  # fmt: skip
    todo = findings(found)
    assert [(each.when, each.subject) for each in todo] == [
        ("now", "write-ahead log"), ("now", "SELECT 1"), ("soon", "memory"),
        ("soon", "index ix"), ("some time", "file"),
    ]  # fmt: skip
    assert "60%" in todo[4].detail
    assert all(isinstance(each, Finding) for each in todo)


def test_slow_queries_of_a_log(tmp_path):
    log = tmp_path / "app.log"
    log.write_text(
        "2026-01-01 INFO started\n"
        "slow query, 1.50 s: \nSELECT *\n  FROM projects\nWHERE name = $1\n"
        "2026-01-01 09:00:00 WARNING slow query, 2.00 s: COMMIT\n"
        "INFO something else\nthat goes on\n"
        "slow query, 2.50 s: SELECT * FROM projects WHERE name = $1\n"
        f"slow query, 1.00 s: SELECT {'1, ' * LONGEST}\n{'2, ' * LONGEST}\n3",
        encoding="utf-8",
    )
    found = read_slow_queries(log)
    assert [dataclasses.astuple(query) for query in found[:2]] == [
        ("SELECT * FROM projects WHERE name = $1", 2, 4.0, 2.5),
        ("COMMIT", 1, 2.0, 2.0),
    ]  # fmt: skip
    assert found[2].statement.endswith("1,")
    with pytest.raises(ConfigurationError, match="cannot read the log"):
        read_slow_queries(tmp_path / "absent.log")
    log.write_text("")
    assert read_slow_queries(log) == []


# --- plans ----------------------------------------------------------------------------


async def test_the_plan_of_a_query(database):
    async with DatabaseEngine(database) as engine, engine.session() as session:
        plan = await explain_query(
            session,
            "SELECT p.name, count(*) FROM projects p JOIN activity a "
            "ON a.project_id = p.id GROUP BY ALL; ",
        )
        scans = [step for step in plan.walk() if step.name == "seq scan"]
        assert {step.facts["Table"] for step in scans} == {
            "app.main.projects", "app.main.activity",
        }  # fmt: skip
        assert all(step.rows and step.expected for step in scans)
        assert all(step.seconds is not None for step in plan.walk())
        keyed = "SELECT name FROM projects WHERE id = $1"
        (scan,) = list((await explain_query(session, keyed, {"id": 1})).walk())
        assert scan.facts["Type"] == "Index Scan"


async def test_a_plan_changes_nothing(database):
    async with DatabaseEngine(database) as engine:
        async with engine.session() as session:
            plan = await explain_query(session, "UPDATE projects SET name = 'x;--'")
            assert plan.name == "update"
        async with engine.session() as session:
            assert await ProjectRepository(session).count(name="x;--") == 0


async def test_a_plan_that_duckdb_does_not_tell_after_running_it(database):
    async with DatabaseEngine(database) as engine, engine.session() as session:
        plan = await explain_query(session, "SELECT count(*) FROM activity")
    assert (plan.rows, plan.seconds) == (None, None)


async def test_what_has_no_plan(database):
    async with DatabaseEngine(database) as engine, engine.session() as session:
        with pytest.raises(ConfigurationError, match="one statement"):
            await explain_query(session, "SELECT 1; DROP TABLE projects")
        with pytest.raises(InvalidStatementError):
            await explain_query(session, "SELECT nothing FROM nowhere")
        assert await session.scalar(sa.select(sa.func.count(Document.id))) > 0
