"""
What happened is written with what it tells of, by every method that changes something.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import pytest_asyncio
from database_support import rolled_back

from project_architect_db import (
    Activity,
    ActivityRead,
    ActivityRepository,
    DocumentRepository,
    InvalidDataError,
    ProjectCreate,
    ProjectRepository,
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


@pytest_asyncio.fixture(loop_scope="module")
async def project(session):
    return await ProjectRepository(session).create({"name": "a", "project_idea": "b"})


@pytest.fixture
def documents(session):
    return DocumentRepository(session, actor="bob")


async def told(session):
    """
    What is known of documents.
    """
    query = ActivityRepository(session).base_query().filter(entity="document")
    return [
        (each.action, each.entity_id, each.project_id, each.actor, each.payload)
        for each in await query.all()
    ]


def row(project, **values):
    return {"project_id": project.id, "title": "t", **values}


async def test_one_record_is_one_event(session, project, documents):
    made = await documents.create(row(project))
    await documents.update(made.id, {"title": "u"})
    await documents.upsert(row(project, id=made.id, title="v"))
    await documents.delete(made.id)
    who = (made.id, project.id, "bob")
    assert [
        ("created", *who, {}),
        ("updated", *who, {"fields": ["title"]}),
        ("updated", *who, {"fields": ["title"]}),
        ("deleted", *who, {}),
    ] == await told(session)


async def test_many_records_are_one_event(session, project, documents):
    made = await documents.bulk_create([row(project), row(project)])
    await documents.bulk_insert(row(project) for _ in range(3))
    await documents.bulk_update([{"id": each.id, "title": "u"} for each in made])
    await documents.bulk_upsert([row(project, id=made[0].id, title="w")])
    await documents.bulk_delete([made[0].id])
    await documents.delete_where(title="t")
    assert 1 == await documents.delete_all()
    assert 0 == await documents.delete_all()
    assert [
        ("created", None, project.id, "bob", {"count": 2}),
        ("created", None, project.id, "bob", {"count": 3}),
        ("updated", None, None, "bob", {"count": 2, "fields": ["title"]}),
        ("upserted", None, project.id, "bob", {"count": 1}),
        ("deleted", None, project.id, "bob", {"count": 1}),
        ("deleted", None, project.id, "bob", {"count": 3}),
        ("deleted", None, project.id, "bob", {"count": 1}),
    ] == await told(session)


async def test_of_two_projects_is_of_none(session, project, documents):
    other = await ProjectRepository(session).create({"name": "b", "project_idea": "b"})
    await documents.bulk_create([row(project), row(other)])
    await documents.delete_where(title="t")
    assert [
        ("created", None, None, "bob", {"count": 2}),
        ("deleted", None, None, "bob", {"count": 2}),
    ] == await told(session)


async def test_an_upsert_tells_what_became_of_a_known_record(session, project):
    projects = ProjectRepository(session)
    row = {"id": project.id, "name": "a", "project_idea": "b", "status": "active"}
    assert 2 == await projects.bulk_upsert(
        [row, ProjectCreate(name="c", project_idea="d", status="on_hold")]
    )
    events = await ActivityRepository(session).of(project)
    assert [{"from": "draft", "to": "active"}] == [
        event.payload for event in events if event.action == "status_changed"
    ]


@pytest.mark.parametrize("kind", [int, str], ids=["number", "text"])
async def test_an_id_as_text_is_told_as_the_same_id(session, project, documents, kind):
    projects, number, id = ProjectRepository(session), project.id, kind(project.id)
    row = {"id": id, "name": "a", "project_idea": "b", "status": "active"}
    await projects.bulk_upsert([row])
    await projects.bulk_set_status([id], "on_hold")
    events = await ActivityRepository(session).list(action="status_changed")
    assert [(number, number, "active"), (number, number, "on_hold")] == [
        (event.entity_id, event.project_id, event.payload["to"]) for event in events
    ]
    await documents.bulk_insert(
        {"project_id": each, "title": "t"} for each in (number, id)
    )
    first, _ = await documents.list(order_by="id")
    await documents.bulk_upsert(
        [{"id": kind(first.id), "project_id": id, "title": "t", "path": "./a"}]
    )
    await documents.delete(kind(first.id))
    who = (number, "bob")
    assert [
        ("created", None, *who, {"count": 2}),
        ("moved", first.id, *who, {"from": None, "to": "a"}),
        ("upserted", None, *who, {"count": 1}),
        ("deleted", first.id, *who, {}),
    ] == await told(session)


async def test_events_of_ones_own_are_written_by_a_repository(
    session, project, documents
):
    made = await documents.create(row(project))
    documents.add_event(made, "printed", {"pages": 2})
    documents.add_event(made, "read aloud")
    await documents.add_events([
        {"action": "lent", "entity_id": made.id, "project_id": project.id},
        {"action": "lost", "payload": {"a": None}, "actor": "eve"},
    ])  # fmt: skip
    who = (made.id, project.id, "bob")
    assert [
        ("created", *who, {}),
        ("printed", *who, {"pages": 2}),
        ("read aloud", *who, {}),
        ("lent", *who, {}),
        ("lost", None, None, "eve", {"a": None}),
    ] == await told(session)
    with pytest.raises(UnknownFieldError, match="did you mean 'action'"):
        await documents.add_events([{"action": "a", "actoin": "b"}])


async def test_what_is_refused_is_not_told(session, project, documents):
    made = await documents.create(row(project))
    for change in ({"title": ""}, {"titel": "x"}):
        with pytest.raises((InvalidDataError, UnknownFieldError)):
            await documents.update(made.id, change)
        with pytest.raises((InvalidDataError, UnknownFieldError)):
            await documents.bulk_update([{"id": made.id, **change}])
    assert ["created"] == [action for action, *_ in await told(session)]


async def test_what_is_rolled_back_is_not_told(engine):
    with pytest.raises(ZeroDivisionError):
        async with engine.transaction() as session:
            await ProjectRepository(session).create({"name": "a", "project_idea": "b"})
            raise ZeroDivisionError
    async with engine.session() as session:
        assert 0 == await ActivityRepository(session).count()


async def test_the_latest_first_page_by_page(session, project, documents):
    for number in range(5):
        await documents.create(row(project, title=f"{number}"))
    activity = ActivityRepository(session)
    page = await activity.of_project(project.id, 4)
    rest = await activity.of_project(project.id, 4, cursor=page.next_cursor)
    ids = [each.id for each in [*page.items, *rest.items]]
    assert sorted(ids, reverse=True) == ids
    assert 6 == len(ids)
    only = await activity.of_project(project.id, entity="project")
    assert ["created"] == [each.action for each in only.items]


async def test_what_happened_to_one_record(session, project, documents):
    one, two = [await documents.create(row(project)) for _ in range(2)]
    await documents.update(two.id, {"title": "u"})
    activity = ActivityRepository(session)
    assert ["updated", "created"] == [e.action for e in await activity.of(two)]
    assert ["updated"] == [e.action for e in await activity.of(two, limit=1)]
    assert ["created"] == [e.action for e in await activity.of(one)]


async def test_an_event_of_ones_own(session, project, documents):
    made = await documents.create(row(project))
    at = datetime(2020, 2, 29, tzinfo=UTC)
    event = await ActivityRepository(session).record(
        made, "printed", actor="eve", payload={"pages": 2}, occurred_at=at
    )
    read = ActivityRead.model_validate(event)
    assert ("document", made.id, project.id, "printed", "eve", {"pages": 2}, at) == (
        read.entity, read.entity_id, read.project_id, read.action, read.actor,
        read.payload, read.occurred_at,
    )  # fmt: skip
    with pytest.raises(UnknownFieldError, match="did you mean 'actor'"):
        await ActivityRepository(session).record(made, "printed", acter="eve")


async def test_no_events_are_no_statement(documents, session):
    await documents.add_events([])
    assert not [each for each in session.new if isinstance(each, Activity)]
