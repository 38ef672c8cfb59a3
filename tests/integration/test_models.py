"""
The four models keep what they are given.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
import pytest_asyncio
from database_support import made_anew
from sqlalchemy import inspect, select, text, update

from project_architect_db import (
    Base,
    ConstraintError,
    Conversation,
    DatabaseEngine,
    Document,
    NotLoadedError,
    Project,
    Repository,
)
from project_architect_db.testing import temporary_database

pytestmark = pytest.mark.asyncio(loop_scope="module")

ARCHITECTURE = {"layers": ["a", {"b": None}], "score": 1.5, "ünï": "😀", "": {}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database():
    async with temporary_database() as engine:
        yield engine


@pytest_asyncio.fixture(loop_scope="module")
async def engine(database):
    """
    The database of all tests here, with nothing in it.
    """
    return await made_anew(database)


async def stored(engine, model=Project):
    """
    The only row, as a fresh session sees it.
    """
    async with engine.session() as session:
        return (await session.scalars(select(model))).one()


def project(**values):
    return Project(**{"name": "Atlas", "project_idea": "a map", **values})


async def add(engine, *objects):
    async with engine.transaction() as session:
        session.add_all(objects)


async def test_a_project_is_stored_with_its_defaults(engine):
    await add(engine, project())
    found = await stored(engine)
    assert found.id == 1
    assert (found.name, found.project_idea, found.status) == ("Atlas", "a map", "draft")
    assert found.description is None
    assert found.architecture is None
    assert found.conversations == []


async def test_json_comes_back_as_it_was(engine):
    await add(engine, project(architecture=ARCHITECTURE))
    found = await stored(engine)
    assert found.architecture == ARCHITECTURE
    async with engine.session() as session:
        path = Project.architecture["layers"][0].as_string()
        assert await session.scalar(select(path)) == "a"


async def test_a_project_without_architecture_is_found_by_null(engine):
    await add(engine, project(), project(architecture=None))
    async with engine.session() as session:
        rows = await session.scalars(
            select(Project.id).where(Project.architecture.is_(None))
        )
        assert rows.all() == [1, 2]


async def test_times_are_aware_and_in_utc(engine):
    before = datetime.now(UTC)
    await add(engine, project())
    found = await stored(engine)
    assert before <= found.created_at <= found.updated_at <= datetime.now(UTC)
    assert found.created_at.utcoffset() == timedelta(0)


async def test_a_time_of_any_zone_is_the_same_moment(engine):
    moment = datetime(2026, 3, 29, 1, 30, 0, 123456, timezone(timedelta(hours=5.5)))
    await add(engine, project(created_at=moment))
    found = await stored(engine)
    assert found.created_at == moment
    assert found.created_at.utcoffset() == timedelta(0)
    assert found.created_at.microsecond == 123456


@pytest.mark.parametrize("how", ["object", "orm", "core"])
async def test_a_change_sets_its_time_however_it_is_made(engine, how):
    await add(engine, project())
    before = await stored(engine)
    async with engine.transaction() as session:
        if how == "object":
            (await session.get_one(Project, 1)).status = "active"
        elif how == "orm":
            await session.execute(update(Project).values(status="active"))
        else:
            connection = await session.connection()
            await connection.execute(update(Project.__table__).values(status="active"))
    after = await stored(engine)
    assert after.status == "active"
    assert after.updated_at > before.updated_at
    assert after.created_at == before.created_at


async def test_all_four_models_belong_together(engine):
    everything = project(
        conversations=[Conversation(title="kick-off", messages=[{"role": "user"}])],
        repositories=[Repository(name="atlas", commits_per_month={"2026-08": 3})],
    )
    document = Document(title="README", project=everything)
    document.repository = everything.repositories[0]
    await add(engine, everything, document)
    conversation = await stored(engine, Conversation)
    assert conversation.project_id == everything.id
    assert conversation.messages == [{"role": "user"}]
    assert conversation.phase == "discovery"
    repository = await stored(engine, Repository)
    assert repository.commits_per_month == {"2026-08": 3}
    assert (repository.contributors, repository.commit_count) == ([], 0)
    found = await stored(engine, Document)
    assert (found.project_id, found.repository_id) == (everything.id, repository.id)
    assert (found.kind, found.size, found.lines) == ("text", 0, 0)
    assert [c.title for c in (await stored(engine)).conversations] == ["kick-off"]


async def test_two_projects_do_not_share_their_defaults(engine):
    conversations = [Conversation(title="a"), Conversation(title="b")]
    await add(engine, project(conversations=conversations))
    conversations[0].messages.append({"role": "user"})
    assert conversations[1].messages == []


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (Project, "documents"),
        (Project, "repositories"),
        (Conversation, "project"),
        (Document, "project"),
        (Document, "repository"),
        (Repository, "project"),
        (Repository, "documents"),
    ],
)
async def test_nothing_is_loaded_by_surprise(engine, model, name):
    owner = project(
        conversations=[Conversation(title="a")], repositories=[Repository(name="a")]
    )
    await add(engine, owner, Document(title="a", project=owner))
    found = await stored(engine, model)
    with pytest.raises(NotLoadedError, match="was not loaded; load it"):
        getattr(found, name)


async def test_conversations_of_many_projects_come_in_one_query(engine):
    await add(
        engine, *(project(conversations=[Conversation(title=n)]) for n in "abcde")
    )
    before = engine.stats()["queries"]
    async with engine.session() as session:
        projects = (await session.scalars(select(Project))).all()
    assert engine.stats()["queries"] == before + 2
    assert [p.conversations[0].title for p in projects] == list("abcde")


@pytest.mark.parametrize("missing", ["name", "project_idea"])
async def test_what_a_project_needs_must_be_there(engine, missing):
    with pytest.raises(ConstraintError, match=missing):
        await add(engine, project(**{missing: None}))


async def test_the_names_of_constraints_are_those_of_duckdb(engine):
    """
    Or a migration would find differences where there are none.
    """
    async with engine.session() as session:
        rows = await session.execute(
            text(
                "SELECT constraint_name FROM duckdb_constraints() "
                "WHERE constraint_type = 'PRIMARY KEY'"
            )
        )
    ours = {Base.metadata.tables[name].primary_key.name for name in TABLES}
    assert ours <= {name for (name,) in rows}
    async with engine.engine.connect() as connection:
        indexes = await connection.run_sync(
            lambda c: {i["name"] for i in inspect(c).get_indexes("projects")}
        )
    assert indexes == {"ix_projects_name", "ix_projects_status"}


TABLES = ("projects", "conversations", "repositories", "documents")


async def test_a_project_takes_everything_of_it_along():
    async with DatabaseEngine(":memory:") as engine:
        await engine.create_all()
        async with engine.transaction() as session:
            for name in ("one", "other"):
                project = Project(name=name, project_idea="x")
                session.add(project)
                await session.flush()
                repository = Repository(project_id=project.id, name="r")
                session.add(repository)
                await session.flush()
                session.add_all([
                    Conversation(project_id=project.id, title="c"),
                    Document(project_id=project.id, title="d"),
                    Document(
                        project_id=project.id, repository_id=repository.id, title="e"
                    ),
                ])  # fmt: skip
        async with engine.transaction() as session:
            await session.delete(await session.get_one(Project, 1))
        async with engine.session() as session:
            for model in (Conversation, Document, Repository):
                found = await session.scalars(select(model.project_id).distinct())
                assert [2] == list(found)
