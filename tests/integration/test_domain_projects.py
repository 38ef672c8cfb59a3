"""
Projects: their status, their names, and all that is in them.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from database_support import rolled_back
from sqlalchemy import event, func, select

from project_architect_db import (
    Activity,
    ActivityRepository,
    Conversation,
    ConversationRepository,
    Document,
    DocumentRepository,
    InvalidDataError,
    NotFoundError,
    NotLoadedError,
    Project,
    ProjectRead,
    ProjectRepository,
    ProjectSummary,
    QueryBuilder,
    Repository,
    RepositoryRepository,
    UnknownFieldError,
)
from project_architect_db.testing import temporary_database

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine():
    async with temporary_database() as engine:
        yield engine


@pytest_asyncio.fixture(loop_scope="module")
async def session(engine):
    async with rolled_back(engine) as session:
        yield session


@pytest.fixture
def projects(session):
    return ProjectRepository(session, actor="ada")


def data(name="Atlas", **values):
    return {"name": name, "project_idea": "a map", **values}


async def events(session, **filters):
    found = await ActivityRepository(session).base_query().filter(**filters).all()
    return [(each.action, each.payload) for each in found]


# --- status -----------------------------------------------------------------------


async def test_a_change_of_status_is_told(projects, session):
    made = await projects.create(data())
    changed = await projects.set_status(made.id, "active")
    assert changed.status == "active"
    assert [
        ("created", {"status": "draft"}),
        ("status_changed", {"from": "draft", "to": "active"}),
    ] == await events(session, entity="project", actor="ada", project_id=made.id)


async def test_nothing_is_told_of_a_change_that_is_none(projects, session):
    made = await projects.create(data())
    await projects.update(made.id, {"status": "draft", "name": "Atlas"})
    assert [("created", {"status": "draft"})] == await events(session)


async def test_other_changes_are_told_by_the_names_of_fields(projects, session):
    made = await projects.create(data())
    await projects.update(made.id, {"name": "Orbit", "status": "active"})
    assert [
        ("status_changed", {"from": "draft", "to": "active"}),
        ("updated", {"fields": ["name"]}),
    ] == (await events(session))[1:]


async def test_many_projects_change_status_at_once(projects, session):
    made = await projects.bulk_create([data(str(n)) for n in range(3)])
    await projects.set_status(made[0].id, "active")
    ids = [project.id for project in made]
    assert 3 == await projects.bulk_set_status(ids, "active")
    assert ["active"] * 3 == [project.status for project in made]
    changes = await events(session, action="status_changed")
    assert [("status_changed", {"from": "draft", "to": "active"})] * 3 == changes
    assert [("created", {"count": 3})] == await events(session, action="created")


async def test_an_unknown_status_is_refused_with_what_was_meant(projects):
    with pytest.raises(InvalidDataError, match="did you mean 'active'") as caught:
        await projects.create(data(status="actve"))
    assert ("status", "actve") == (caught.value.field, caught.value.value)
    with pytest.raises(InvalidDataError, match="did you mean 'draft'"):
        await projects.get_by_status("drafts")


async def test_the_projects_of_a_status(projects, session):
    made = await projects.bulk_create([data(str(n)) for n in range(4)])
    await projects.set_status(made[1].id, "active")
    await projects.set_status(made[2].id, "active")
    past = datetime.now(UTC) - timedelta(days=10)
    changed = await QueryBuilder(Activity, session).filter(entity_id=made[1].id).one()
    changed.occurred_at = past
    overview = await projects.get_by_status("active", limit=1)
    assert [made[2]] == overview.projects
    assert ("active", 2, 0.5) == (overview.status, overview.total, overview.share)
    assert timedelta(days=5) == timedelta(
        days=round(overview.average_time_in_status.days)
    )
    assert overview.average_age < timedelta(minutes=1)


async def test_a_status_that_no_project_has(projects):
    overview = await projects.get_by_status("archived")
    assert [] == overview.projects
    assert (0, 0.0, None) == (overview.total, overview.share, overview.average_age)
    assert overview.average_time_in_status is None


# --- names ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("cafe", ["Café", "Café Größe"]),
        ("CAFÉ", ["Café", "Café Größe"]),
        ("größe cafe", ["Café Größe"]),
        ("groesse", ["Café Größe"]),
        ("orbit", []),
        ("atla", ["Atlas", "World atlas"]),
        ("tlas", ["Atlas", "World atlas"]),
        ("Altas", ["Atlas", "World atlas"]),
        ("100%", ["100% done"]),
        ("%", ["100% done"]),
        ("_", []),
        ("'; DROP TABLE projects; --", []),
        ("   ", []),
        ("", []),
    ],
)
async def test_projects_by_words_of_their_names(projects, text, found):
    names = ["Café Größe", "Atlas", "World atlas", "Café", "100% done"]
    await projects.bulk_create([data(name) for name in names])
    matches = await projects.search_by_name(text)
    assert found == [match.project.name for match in matches]
    scores = [match.score for match in matches]
    assert sorted(scores, reverse=True) == scores
    assert all(0 < score <= 1 for score in scores)


async def test_not_more_names_than_asked_for(projects):
    await projects.bulk_create([data(f"Atlas {n}") for n in range(5)])
    assert 2 == len(await projects.search_by_name("atlas", limit=2))


# --- what is in them --------------------------------------------------------------


@pytest_asyncio.fixture(loop_scope="module")
async def filled(session):
    """
    Two projects, of which the second has something of everything.
    """
    first, second = await ProjectRepository(session).bulk_create([data("a"), data("b")])
    conversations = ConversationRepository(session, actor="bob")
    talk = await conversations.create(
        {"project_id": second.id, "title": "t", "phase": "design"}
    )
    await conversations.add_message(talk.id, {"content": "hello"})
    await DocumentRepository(session).bulk_create(
        {"project_id": second.id, "title": f"{n}", "content": "a\nb", "language": "Go"}
        for n in range(3)
    )
    repositories = RepositoryRepository(session)
    code = await repositories.create(
        {"project_id": second.id, "name": "app", "commit_count": 7}
    )
    outcomes = ["passed", "passed", "failed", "cancelled"]
    await repositories.record_builds(code.id, [{"status": s} for s in outcomes])
    return first, second


async def test_a_project_in_numbers(projects, filled):
    metrics = await projects.metrics(filled[1].id)
    assert (1, 1) == (metrics.conversations, metrics.messages)
    assert (3, 9, 6) == (metrics.documents, metrics.bytes, metrics.lines)
    assert (1, 7, 4) == (metrics.repositories, metrics.commits, metrics.builds)
    assert 2 / 3 == metrics.build_success_rate
    assert 1 == metrics.contributors
    assert 8 == metrics.events
    assert [("draft", None)] == [(s.name, s.left_at) for s in metrics.stages]
    assert metrics.last_activity_at > filled[1].created_at
    assert timedelta() < metrics.age < timedelta(minutes=1)


async def test_a_project_of_nothing_in_numbers(projects, filled):
    metrics = await projects.metrics(filled[0].id)
    assert (0, 0, 0) == (metrics.messages, metrics.bytes, metrics.builds)
    assert metrics.build_success_rate is None
    assert metrics.last_activity_at is None


async def test_no_project_has_no_numbers(projects):
    with pytest.raises(NotFoundError, match="no Project with id 5"):
        await projects.metrics(5)


async def test_the_stages_of_a_project(projects):
    made = await projects.create(data())
    for status in ("active", "on_hold", "active"):
        await projects.set_status(made.id, status)
    stages = (await projects.metrics(made.id)).stages
    names = ["draft", "active", "on_hold", "active"]
    assert names == [stage.name for stage in stages]
    assert made.created_at == stages[0].entered_at
    assert [s.left_at for s in stages[:-1]] == [s.entered_at for s in stages[1:]]
    assert stages[-1].left_at is None
    assert all(stage.duration >= timedelta() for stage in stages)


async def test_one_row_for_each_project(projects, filled):
    first, second = await projects.summaries()
    assert ProjectSummary(filled[0].id, "a", "draft", 0, 0, 0, None) == first
    assert (1, 3, 1) == (second.conversations, second.documents, second.repositories)
    assert second.last_activity_at is not None
    assert [first] == await projects.summaries(limit=1)
    assert [second] == await projects.summaries(name="b")


@pytest.mark.parametrize(
    "question",
    [
        {"language": "Go"},
        {"phase": "design"},
        {"build_status": "cancelled"},
        {"language": "Go", "phase": "design", "name": "b"},
    ],
)
async def test_projects_by_what_is_in_them(projects, filled, question):
    assert [filled[1]] == await projects.find(**question)


async def test_projects_in_which_nothing_is(projects, filled):
    assert [] == await projects.find(language="Rust")
    assert [*filled] == await projects.find()
    assert [filled[0]] == await projects.find(limit=1)
    hour = timedelta(hours=1)
    assert [filled[0]] == await projects.find(idle_since=filled[0].created_at - hour)
    assert [*filled] == await projects.find(idle_since=datetime.now(UTC) + hour)
    with pytest.raises(UnknownFieldError, match="did you mean 'name'"):
        await projects.find(nam="b")


async def test_a_project_with_everything(engine):
    """
    A query for each relationship, however many rows there are.
    """
    statements = []

    def note(connection, cursor, statement, *_):
        statements.append(statement)

    async with rolled_back(engine) as session:
        project = await ProjectRepository(session).create(data())
        belongs = {"project_id": project.id}
        for repository, rows in (
            (ConversationRepository(session), [{"title": f"{n}"} for n in range(50)]),
            (DocumentRepository(session), [{"title": f"{n}"} for n in range(500)]),
            (RepositoryRepository(session), [{"name": f"{n}"} for n in range(5)]),
        ):
            await repository.bulk_create(belongs | row for row in rows)
        await session.flush()
        session.expunge_all()
        event.listen(engine.engine.sync_engine, "before_cursor_execute", note)
        found = await ProjectRepository(session).get_with_everything(project.id)
        assert 50 == len(found.conversations)
        assert [f"{n}" for n in range(500)] == sorted(
            (each.title for each in found.documents), key=int
        )
        assert 5 == len(found.repositories)
        assert ["created"] * 4 == [each.action for each in found.activity]
        assert 5 == len(statements)
        event.remove(engine.engine.sync_engine, "before_cursor_execute", note)
        other = project.id + 1
        assert await ProjectRepository(session).get_with_everything(other) is None


async def test_everything_is_as_it_is_now(projects, filled, session):
    found = await projects.get_with_everything(filled[1].id)
    (talk,) = found.conversations
    conversations = ConversationRepository(session)
    await conversations.create({"project_id": found.id, "title": "new"})
    await conversations.delete(talk.id)
    again = await projects.get_with_everything(filled[1].id)
    assert ["new"] == [each.title for each in again.conversations]


async def test_what_was_not_asked_for_says_how_to_ask(projects, session):
    made = await projects.create(data())
    await session.flush()
    session.expunge_all()
    found = await projects.get_by_id(made.id)
    assert [] == found.conversations
    for name in ("documents", "repositories", "activity"):
        with pytest.raises(NotLoadedError, match="get_with_everything") as caught:
            getattr(found, name)
        assert ("Project", name) == (caught.value.model, caught.value.field)


async def test_a_read_schema_is_made_of_a_project(projects):
    made = await projects.create(data(architecture={"layers": ["web", {"db": None}]}))
    read = ProjectRead.model_validate(made)
    assert {"layers": ["web", {"db": None}]} == read.architecture
    assert (made.id, "draft", None) == (read.id, read.status, read.description)


# --- the end of a project ---------------------------------------------------------


async def test_a_project_takes_everything_with_it(engine, filled, session):
    projects = ProjectRepository(session, actor="eve")
    assert await projects.delete(filled[1].id)
    await session.flush()
    for model in (Conversation, Document, Repository):
        assert 0 == await session.scalar(select(func.count()).select_from(model))
    (left,) = await ActivityRepository(session).list(entity_id=filled[1].id)
    assert ("project", "deleted", "eve", None) == (
        left.entity, left.action, left.actor, left.project_id
    )  # fmt: skip
    assert 1 == await projects.count()


async def test_deleting_what_is_not_there(projects, session):
    assert not await projects.delete(7)
    assert 0 == await projects.delete_where(name="x")
    assert 0 == await projects.bulk_delete([7])
    assert [] == await events(session)


async def test_many_projects_are_deleted_with_one_event(projects, session):
    made = await projects.bulk_create([data(str(n)) for n in range(3)])
    assert 2 == await projects.bulk_delete(project.id for project in made[:2])
    assert 1 == await projects.delete_where(name="2")
    found = await events(session, action="deleted")
    assert [("deleted", {"count": 2}), ("deleted", {"count": 1})] == found
    assert 0 == await session.scalar(select(func.count(Project.id)))
