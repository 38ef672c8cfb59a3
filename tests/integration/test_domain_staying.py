"""
A code repository stays in its project; many rows are checked once, and by their schema.
"""

from __future__ import annotations

import pytest
import pytest_asyncio
from database_support import rolled_back

from project_architect_db import (
    ActivityRepository,
    DocumentRepository,
    InvalidDataError,
    ProjectCreate,
    ProjectRepository,
    RepositoryRepository,
    UnknownFieldError,
)
from project_architect_db.domain.schemas import DocumentCreate
from project_architect_db.testing import temporary_database

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine():
    async with temporary_database() as engine:
        async with engine.transaction() as session:
            for name in "ab":
                await ProjectRepository(session).create(
                    {"name": name, "project_idea": "x"}
                )
        yield engine


@pytest_asyncio.fixture(loop_scope="module")
async def session(engine):
    async with rolled_back(engine) as session:
        yield session


@pytest.fixture
def repositories(session):
    return RepositoryRepository(session, actor="ada")


@pytest_asyncio.fixture(loop_scope="module")
async def code(repositories):
    return await repositories.create({"project_id": 1, "name": "app", "path": "/app"})


# --- code repositories ----------------------------------------------------------------


async def test_a_code_repository_moves_to_no_other_project(repositories, code):
    other = {"project_id": 2, "name": "app", "path": "/app"}
    for index, attempt in (
        (None, repositories.upsert({**other, "id": code.id})),
        (None, repositories.upsert(other, match="path")),
        (1, repositories.bulk_upsert([other | {"path": "/new"}, other], match="path")),
        (0, repositories.bulk_upsert([{**other, "id": str(code.id)}])),
    ):
        with pytest.raises(InvalidDataError, match="stays there") as caught:
            await attempt
        assert ("Repository", "project_id", index) == (
            caught.value.model, caught.value.field, caught.value.index
        )  # fmt: skip
    for update in (
        repositories.update(code.id, {"project_id": 2}),
        repositories.bulk_update([{"id": code.id, "project_id": 2}]),
    ):
        with pytest.raises(UnknownFieldError, match="project_id"):
            await update
    assert [(1, "/app")] == [
        (each.project_id, each.path) for each in await repositories.list()
    ]


async def test_a_code_repository_is_changed_where_it_is(repositories, code):
    same = {"id": code.id, "project_id": 1}
    await repositories.upsert({**same, "name": "b"})
    assert 2 == await repositories.bulk_upsert(
        [{**same, "name": "c"}, {"project_id": 2, "name": "new"}]
    )
    assert [(1, "c"), (2, "new")] == [
        (each.project_id, each.name) for each in await repositories.list()
    ]


# --- many rows ------------------------------------------------------------------------


async def test_many_rows_are_checked_once(session):
    checked = []

    class Counted(DocumentCreate):
        def model_post_init(self, context, /):
            checked.append(self.title)

    class Documents(DocumentRepository):
        create_schema = Counted

    documents = Documents(session)
    rows = [{"project_id": 1, "title": f"{number}"} for number in range(3)]
    made = await documents.bulk_create(rows)
    assert [*"012"] == checked
    await documents.bulk_insert(rows)
    assert [*"012012"] == checked
    await documents.bulk_upsert([{**rows[0], "id": made[0].id}])
    assert [*"0120120"] == checked
    assert 6 == await documents.count()


async def test_many_rows_have_the_defaults_of_their_schema(session):
    class Active(ProjectCreate):
        status: str = "active"

    class Projects(ProjectRepository):
        create_schema = Active

    projects = Projects(session)
    row = {"name": "c", "project_idea": "x"}
    await projects.bulk_create([row])
    await projects.bulk_insert([row])
    await projects.bulk_upsert([row, {**row, "id": 1}])
    found = await projects.list(order_by="-id")
    assert ["active", "active", "active", "draft", "draft"] == [
        each.status for each in found
    ]


async def test_links_are_checked_without_schemas_too(session, code):
    class Documents(DocumentRepository):
        create_schema = update_schema = None

    documents = Documents(session)
    first, second = await documents.bulk_create(
        [{"project_id": 2, "title": "a"}, {"project_id": 1, "title": "b"}]
    )
    with pytest.raises(InvalidDataError, match=r"row 1: .*of project 1, not of 2"):
        await documents.bulk_update(
            [
                {"id": second.id, "repository_id": code.id},
                {"id": first.id, "repository_id": code.id},
            ]
        )
    await documents.bulk_update([{"id": second.id, "repository_id": code.id}])
    with pytest.raises(InvalidDataError, match="of project 1, not of 2"):
        await documents.bulk_update([{"id": second.id, "project_id": 2}])
    assert [(2, None), (1, code.id)] == [
        (each.project_id, each.repository_id) for each in (first, second)
    ]


# --- events of one's own --------------------------------------------------------------


@pytest.mark.parametrize("wrong", [None, 5, "x", object(), ActivityRepository, {}])
async def test_activity_is_of_records_with_an_id(session, wrong):
    activity = ActivityRepository(session)
    for attempt in (activity.record(wrong, "seen"), activity.of(wrong)):
        with pytest.raises(InvalidDataError, match="with its id"):
            await attempt


async def test_an_event_of_ones_own_is_json(session, code):
    activity = ActivityRepository(session)
    with pytest.raises(InvalidDataError, match="payload: JSON has no nan"):
        await activity.record(code, "seen", payload={"score": float("nan")})
    made = await activity.record(code, "seen", payload={"score": 1.5})
    assert ("repository", code.id, 1) == (
        made.entity, made.entity_id, made.project_id
    )  # fmt: skip
    assert [made] == (await activity.of(code))[:1]
