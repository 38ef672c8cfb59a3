"""
Seeded rows agree with each other, are the same in each run, and go on where they ended.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import signal
import subprocess
import sys
import uuid
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.orm import Mapped, mapped_column

from project_architect_db import (
    Activity,
    Base,
    ConfigurationError,
    Conversation,
    ConversationRepository,
    Document,
    DocumentSearch,
    DuplicateError,
    InvalidDataError,
    MissingParentError,
    Project,
    ProjectRepository,
    Repository,
    RepositoryRepository,
    UnknownFieldError,
)
from project_architect_db.domain.schemas import ConversationCreate, RepositoryCreate
from project_architect_db.engine import DatabaseEngine
from project_architect_db.testing import (
    RowFactory,
    load_rows,
    seed,
    seeding,
    temporary_database,
)

ROWS = 4_000
HASH = "sum(hash(*COLUMNS(*)))"
TABLES = ("projects", "conversations", "repositories", "documents", "activity")

SEED = """
import asyncio, sys
from project_architect_db import DatabaseEngine
from project_architect_db.testing import seed, seeding

seeding.PROJECTS_AT_A_TIME = 8

async def main():
    async with DatabaseEngine(sys.argv[1]) as engine:
        await engine.create_all()
        await seed(engine, rows=4_000, progress=lambda *_: print("batch", flush=True))

asyncio.run(main())
"""


@pytest.fixture
async def engine():
    async with temporary_database(threads=1) as engine:
        yield engine


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seeded():
    """
    A database of many rows, which is only read.
    """
    async with temporary_database(threads=1) as engine:
        await seed(engine, rows=ROWS)
        yield engine


async def rows_of(engine, sql):
    async with engine.session() as session:
        return [tuple(row) for row in await session.execute(text(sql))]


async def content(engine):
    """
    The number of rows and a checksum of all that is in the tables.
    """
    return {
        table: (*await rows_of(engine, f"SELECT count(*), {HASH} FROM {table}"),)
        for table in TABLES
    }


# --- what is in them ------------------------------------------------------------------


async def test_activity_is_most_and_agrees_with_what_it_tells_of(engine):
    done = await seed(engine, rows=ROWS)
    assert 0.8 < done.total / ROWS < 1.2
    assert done.rows["activity"] > 0.7 * done.total
    found = await content(engine)
    assert {table: rows for table, ((rows, _),) in found.items()} == done.rows
    changes = """
        SELECT count(*), count(*) FILTER ({value} = coalesce(last, '{first}'))
        FROM {table} t LEFT JOIN (
            SELECT entity_id, arg_max(payload ->> 'to', id) AS last FROM activity
            WHERE action = '{action}' GROUP BY entity_id) e ON e.entity_id = t.id
        WHERE last IS NOT NULL OR {value} = '{first}'
    """
    for parts in (
        {"table": "projects", "value": "status", "action": "status_changed",
         "first": "draft"},
        {"table": "conversations", "value": "phase", "action": "phase_changed",
         "first": "discovery"},
    ):  # fmt: skip
        ((there, right),) = await rows_of(engine, changes.format(**parts))
        assert there == right > 0
    for disagreeing in (
        """SELECT r.id FROM repositories r LEFT JOIN (
            SELECT entity_id, count(*) AS made FROM activity WHERE action = 'commit'
            GROUP BY 1) c ON entity_id = r.id
            WHERE commit_count != coalesce(made, 0)""",
        """SELECT r.id FROM repositories r JOIN (
            SELECT entity_id, arg_max(payload ->> 'status', id) AS status,
            max(occurred_at) AS last FROM activity WHERE action = 'build'
            GROUP BY 1) b ON entity_id = r.id
            WHERE build_status != status OR last_build_at != last""",
        """SELECT c.id FROM conversations c LEFT JOIN (
            SELECT entity_id, count(*) AS said FROM activity
            WHERE action = 'message_added' GROUP BY 1) m ON entity_id = c.id
            WHERE json_array_length(messages) IS DISTINCT FROM said""",
        """SELECT id FROM documents WHERE size != strlen(content)
            OR checksum != sha256(content) OR updated_at < created_at""",
        """SELECT a.id FROM activity a JOIN documents d ON d.id = entity_id
            WHERE entity = 'document' AND (occurred_at < d.created_at
            OR a.project_id != d.project_id)""",
        """SELECT r.id FROM repositories r JOIN documents d ON repository_id = r.id
            WHERE r.project_id != d.project_id OR r.created_at > d.created_at""",
        "SELECT id FROM activity WHERE occurred_at > '2026-06-01'",
    ):
        assert await rows_of(engine, disagreeing) == []


@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="module")
async def test_people_work_on_weekdays_and_by_day(seeded):
    ((days, hours),) = await rows_of(
        seeded,
        "SELECT avg((isodow(occurred_at) < 6)::INT), "
        "avg((hour(occurred_at) BETWEEN 8 AND 17)::INT) FROM activity",
    )
    assert 0.92 < days < 0.98
    assert 0.82 < hours < 0.95


@pytest.mark.asyncio(loop_scope="module")
async def test_the_repositories_and_schemas_take_them(seeded):
    async with seeded.session() as session:
        project = (await ProjectRepository(session).list(limit=1))[0]
        metrics = await ProjectRepository(session).metrics(project.id)
        assert metrics.stages[-1].name == project.status
        assert metrics.events > metrics.documents > 0
        conversation = await session.get_one(Conversation, 1)
        checked = ConversationCreate.model_validate({
            "project_id": 1, "title": conversation.title, "phase": conversation.phase,
            "messages": conversation.messages,
        })  # fmt: skip
        assert len(checked.messages) == len(conversation.messages)
        messages = await ConversationRepository(session).messages(1)
        assert messages[0].at <= messages[-1].at
        repository = await session.get_one(Repository, 1)
        RepositoryCreate.model_validate({
            "project_id": 1, "name": repository.name, "url": repository.url,
            "contributors": repository.contributors, "github": repository.github,
        })  # fmt: skip
        assert sum(repository.commits_per_month.values()) == repository.commit_count
        assert (await RepositoryRepository(session).health(1)).score >= 0


@pytest.mark.slow
async def test_ids_go_on_behind_them(engine):
    async with engine.transaction() as session:
        before = await RowFactory(Project).create(session)
    done = await seed(engine, rows=100)
    async with engine.transaction() as session:
        after = await RowFactory(Project).create(session)
        event = await RowFactory(Activity).create(session)
    assert after.id == before.id + done.rows["projects"] + 1
    assert event.id == done.rows["activity"] + 1


@pytest.mark.slow
async def test_ids_that_do_not_follow_each_other_are_left_out(engine, monkeypatch):
    taken = []

    def keys(table, count):
        """
        As if somebody else had taken one of the ids.
        """
        made = next_keys(table, count)
        if not taken:
            taken.append(table)
            return made.union_all(sa.select(sa.literal(-5)))
        return made

    next_keys = seeding.next_keys
    monkeypatch.setattr(seeding, "next_keys", keys)
    done = await seed(engine, rows=10)
    ids = await rows_of(engine, "SELECT min(id) FROM projects")
    assert ids == [(1 + done.rows["projects"],)]


@pytest.mark.asyncio(loop_scope="module")
async def test_the_search_finds_them(seeded):
    async with seeded.session() as session:
        found = await DocumentSearch(session).search("reminder", limit=3)
        assert len(found) == 3


# --- runs -----------------------------------------------------------------------------


@pytest.mark.slow
async def test_the_same_seed_makes_the_same_rows_and_another_one_others():
    made = []
    for number, threads in ((7, 1), (7, 2), (8, 1)):
        async with temporary_database(threads=threads) as engine:
            await seed(engine, rows=500, seed=number)
            made.append(await content(engine))
    assert made[0] == made[1]
    assert made[0]["projects"] != made[2]["projects"]


@pytest.mark.slow
async def test_two_seeds_are_beside_each_other_and_one_is_not_written_twice(engine):
    first = await seed(engine, rows=100)
    second = await seed(engine, rows=100, seed=1)
    again = await seed(engine, rows=100)
    assert (first.batches, second.batches, again.batches) == (1, 1, 0)
    assert (again.total, again.batches_before) == (0, 1)
    assert await rows_of(engine, "SELECT count(*) FROM projects") == [
        (first.rows["projects"] + second.rows["projects"],)
    ]


async def test_a_run_that_was_broken_off_is_completed(monkeypatch):
    monkeypatch.setattr(seeding, "PROJECTS_AT_A_TIME", 8)
    async with temporary_database(threads=1) as engine:
        whole = await seed(engine, rows=ROWS)
        expected = await content(engine)
    told = []

    def progress(done, total):
        told.append((done, total))
        if len(told) == 1:
            asyncio.current_task().cancel()

    async with temporary_database(threads=1) as engine:
        with pytest.raises(asyncio.CancelledError):
            await seed(engine, rows=ROWS, progress=progress)
        rest = await seed(engine, rows=ROWS, progress=progress)
        assert await content(engine) == expected
    assert (rest.batches_before, rest.batches) == (1, whole.batches - 1)
    assert told[-1] == (ROWS, ROWS)


@pytest.mark.slow
async def test_kill_leaves_whole_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(seeding, "PROJECTS_AT_A_TIME", 8)
    path = tmp_path / "killed.duckdb"
    with subprocess.Popen(
        [sys.executable, "-c", SEED, path], stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    async with DatabaseEngine(path) as engine:
        there = await rows_of(
            engine, "SELECT count(*) FROM activity WHERE action = 'seeded'"
        )
        ((projects,),) = await rows_of(engine, "SELECT count(*) FROM projects")
        assert projects in (8 * there[0][0], round(ROWS / seeding.ROWS_OF_A_PROJECT))
        done = await seed(engine, rows=ROWS)
        assert done.batches_before == there[0][0] > 0
        found = await content(engine)
    async with temporary_database(threads=1) as engine:
        await seed(engine, rows=ROWS)
        assert await content(engine) == found


@pytest.mark.slow
async def test_it_ends_when_it_is_told_to(engine):
    await seed(engine, rows=500, until=dt.datetime(2020, 1, 8, tzinfo=dt.UTC))
    ((last,),) = await rows_of(engine, "SELECT max(occurred_at) FROM activity")
    assert last == dt.datetime(2020, 1, 6, tzinfo=dt.UTC)


async def test_ten_rows_are_enough_for_one_of_each(engine):
    done = await seed(engine, rows=10)
    assert all(done.rows.values())
    assert done.total < 40


@pytest.mark.parametrize(
    "arguments", [{"rows": 9}, {"rows": 100_000_001}, {"seed": -1}, {"seed": 2**63}]
)
async def test_what_cannot_be_seeded(engine, arguments):
    with pytest.raises(ConfigurationError, match=next(iter(arguments))):
        await seed(engine, **arguments)


# --- files ----------------------------------------------------------------------------


class Reading(Base):
    """
    A column of each kind that a file may hold.
    """

    __tablename__ = "readings"
    metadata = sa.MetaData()

    id: Mapped[int] = mapped_column(primary_key=True)
    token: Mapped[uuid.UUID]
    valid: Mapped[bool] = mapped_column(default=True)
    value: Mapped[float | None]
    day: Mapped[dt.date | None]
    local: Mapped[dt.datetime | None] = mapped_column(sa.DateTime)
    at: Mapped[dt.datetime | None] = mapped_column(sa.DateTime(timezone=True))
    facts: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON)


class Coded(Base):
    """
    A key that does not count by itself.
    """

    __tablename__ = "coded"
    metadata = Reading.metadata

    code: Mapped[str] = mapped_column(primary_key=True)


TOKEN = "0188a5eb-0000-7000-8000-000000000000"
READING = (
    uuid.UUID(TOKEN), False, 1.5, dt.date(2026, 1, 2), dt.datetime(2026, 1, 2, 3),
    dt.datetime(2026, 1, 2, 3, tzinfo=dt.UTC), {"a": [1]},
)  # fmt: skip


def write_readings(path):
    """
    One reading in each kind of file.
    """
    row = {
        "token": TOKEN, "valid": False, "value": 1.5, "day": "2026-01-02",
        "local": "2026-01-02T03:00:00", "at": "2026-01-02T03:00:00",
        "facts": {"a": [1]},
    }  # fmt: skip
    if path.suffix == ".csv":
        values = {**row, "valid": "FALSE", "facts": '"{""a"": [1]}"', "id": ""}
        lines = [",".join(values), ",".join(map(str, values.values()))]
        path.write_text("\n".join(lines))
    elif path.suffix == ".parquet":
        row |= {"facts": '{"a": [1]}', "at": READING[5].replace(tzinfo=None)}
        row |= {"day": READING[3], "local": READING[4]}
        pa.parquet.write_table(pa.Table.from_pylist([row]), path)
    else:
        listed = [row] if path.suffix == ".json" else row
        path.write_text(json.dumps(listed) + "\n\n")


@pytest.mark.parametrize("suffix", ["csv", "json", "jsonl", "ndjson", "parquet"])
async def test_rows_of_a_file(tmp_path, suffix):
    path = tmp_path / f"readings.{suffix}"
    write_readings(path)
    async with temporary_database(metadata=Reading.metadata) as engine:
        assert await load_rows(engine, path, table="readings") == 1
        async with engine.session() as session:
            found = await session.get_one(Reading, 1)
    fields = ("token", "valid", "value", "day", "local", "at", "facts")
    assert tuple(getattr(found, name) for name in fields) == READING


async def test_a_key_that_does_not_count_and_an_empty_file(tmp_path):
    path = tmp_path / "coded.json"
    path.write_text('[{"code": "a"}]')
    async with temporary_database(metadata=Reading.metadata) as engine:
        assert await load_rows(engine, path, table="coded") == 1
        path.write_text("[]")
        assert await load_rows(engine, path, table="coded") == 0


async def test_ids_of_a_file_are_not_given_out_again(engine, tmp_path):
    path = tmp_path / "projects.csv"
    path.write_text("id,name,project_idea,created_at\n7,a,b,2020-01-01\n9,c,d,\n")
    told = []
    await load_rows(
        engine, path, table="projects", progress=lambda *done: told.append(done)
    )
    async with engine.transaction() as session:
        old = await session.get_one(Project, 7)
        new = await ProjectRepository(session).create({"name": "e", "project_idea": ""})
        events = await session.scalars(sa.select(Activity))
        assert [event.entity_id for event in events] == [new.id]
    assert old.created_at == dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    assert (new.id, told) == (10, [(2, 2)])
    path = tmp_path / "documents.json"
    path.write_text('[{"project_id": 7, "title": "x", "content": "ab"}]')
    await load_rows(engine, path, table="documents")
    async with engine.session() as session:
        assert (await session.get_one(Document, 1)).size == 2


@pytest.mark.parametrize(
    ("name", "content", "table", "error", "problem"),
    [
        ("a.csv", "project_id,title\n5,x\n", "documents", MissingParentError, "5"),
        ("a.csv", "name,project_idea,stats\na,b,c\n", "projects", UnknownFieldError,
         "row 0: .*status"),
        ("a.csv", "id,name,project_idea\n1,a,b\n1,c,d", "projects", DuplicateError,
         "row 1: .*duplicate"),
        ("a.csv", "name,project_idea,status\na,b,draft\nc,d,drift\n", "projects",
         InvalidDataError, "row 1: Project.status: .*draft"),
        ("a.csv", "project_id,title,size\n5,x,big", "documents", InvalidDataError,
         "row 0: Document.size"),
        ("a.csv", "name,project_idea\na,b,c", "projects", ConfigurationError, "line 2"),
        ("a.csv", "name,project_idea\na", "projects", ConfigurationError, "line 2"),
        ("a.csv", "valid\nmaybe", "readings", InvalidDataError, "neither true nor"),
        ("a.csv", b"\xff", "projects", ConfigurationError, "no csv file"),
        ("a.json", "{}", "projects", ConfigurationError, "a list of objects"),
        ("a.json", "[1]", "projects", ConfigurationError, "a list of objects"),
        ("a.json", "[", "projects", ConfigurationError, "no json file"),
        ("a.jsonl", "{}\n1", "projects", ConfigurationError, "line 2 is no object"),
        ("a.parquet", "x", "projects", ConfigurationError, "no parquet file"),
        ("a.txt", "x", "projects", ConfigurationError, "end with .csv"),
        ("absent.csv", None, "projects", ConfigurationError, "cannot read"),
        ("a.csv", "", "prjects", ConfigurationError, "no table 'prjects'"),
    ],
)  # fmt: skip
async def test_a_file_is_refused_whole(tmp_path, name, content, table, error, problem):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    metadata = Reading.metadata if table == "readings" else None
    async with temporary_database(metadata=metadata, threads=1) as engine:
        with pytest.raises(error, match=problem):
            await load_rows(engine, path, table=table)
        if metadata is None:
            counts = [
                await rows_of(engine, f"SELECT count(*) FROM {t}") for t in TABLES
            ]
            assert counts == [[(0,)]] * len(TABLES)
