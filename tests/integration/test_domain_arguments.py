"""
Whatever the methods of the domain's repositories are given, errors are the library's.
"""

from __future__ import annotations

import inspect
from datetime import datetime

import pytest
import pytest_asyncio

from project_architect_db import (
    ConversationRepository,
    DocumentRepository,
    InvalidDataError,
    ProjectRepository,
    RepositoryRepository,
)
from project_architect_db.errors import ArchitectError, StatementError
from project_architect_db.testing import temporary_database

pytestmark = pytest.mark.asyncio(loop_scope="module")

REPOSITORIES = [
    ProjectRepository,
    ConversationRepository,
    DocumentRepository,
    RepositoryRepository,
]
WRONG = [
    None, True, -1, 1.5, "x", "0", b"x", 10**19, [], {}, {1}, object(), "\ud800",
    "a\0b", float("nan"), datetime(2020, 1, 1), ["x"], [{"a": {1}}],
]  # fmt: skip
RIGHT = {
    "id": 1, "project_id": 1, "phase": "design", "status": "active", "position": 0,
    "message": {"content": "a"}, "messages": [{"content": "a"}], "text": "a",
    "changes": {"content": "b"}, "path": "a", "ids": [1], "full_name": "a/b",
    "metadata": {"full_name": "a/b"}, "build": {"status": "passed"}, "data": {},
    "builds": [{"status": "passed"}], "data_list": [], "rows": [], "updates": [],
    "action": "seen", "events": [],
}  # fmt: skip
GENERIC = {"order_by", "match", "include_deleted", "progress"}
"""What every repository of every model takes; see the tests of repositories."""


def methods():
    """
    Each public method of the four repositories.
    """
    for repository in REPOSITORIES:
        for name, _ in inspect.getmembers(repository, inspect.isfunction):
            if not name.startswith("_"):
                label = f"{repository.__name__}.{name}"
                yield pytest.param(repository, name, id=label)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine():
    async with temporary_database() as engine:
        async with engine.transaction() as session:
            await ProjectRepository(session).create({"name": "a", "project_idea": "b"})
            for repository in REPOSITORIES[1:]:
                named = "name" if repository is RepositoryRepository else "title"
                await repository(session).create({"project_id": 1, named: "a"})
        yield engine


async def call(repository, method, given, value):
    """
    Call a method with this value for one parameter, and right ones for the others.
    """
    right = RIGHT | {"record": await repository.get_one(1)}
    args, kwargs = [], {}
    function = getattr(repository, method)
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            args += [value] * (name == given)
        elif parameter.kind is parameter.VAR_KEYWORD:
            kwargs |= {"id": value} if name == given else {}
        elif name == given or parameter.default is parameter.empty:
            kwargs[name] = value if name == given else right[name]
    if args:
        args = [kwargs.pop("text"), *args]
    result = function(*args, **kwargs)
    if inspect.isawaitable(result):
        await result
    elif inspect.isasyncgen(result):
        assert isinstance([each async for each in result], list)


async def refuse(session, repository, method, step):
    """
    Call a method with some of the wrong values, each parameter with others.
    """
    parameters = inspect.signature(getattr(repository, method)).parameters
    tried = parameters.keys() - {"self", "record", "report", *GENERIC}
    for place, parameter in enumerate(sorted(tried), REPOSITORIES.index(repository)):
        for value in WRONG[place % step :: step]:
            refused = None
            try:
                await call(repository(session), method, parameter, value)
                await session.flush()
            except ArchitectError as error:
                refused = error
            assert not isinstance(refused, StatementError), (method, parameter, value)
            await session.rollback()


@pytest.mark.parametrize(("repository", "method"), [*methods()])
async def test_what_is_of_a_wrong_type_is_refused_before_any_sql(
    engine, repository, method
):
    async with engine.session() as session:
        await refuse(session, repository, method, 4)


@pytest.mark.slow
async def test_everything_of_a_wrong_type_is_refused_before_any_sql(engine):
    for each in methods():
        async with engine.session() as session:
            await refuse(session, *each.values, 1)


@pytest.mark.parametrize("value", [None, 5, {}, "x"])
async def test_what_is_no_record_or_report_is_refused(engine, value):
    async with engine.session() as session:
        documents = DocumentRepository(session)
        with pytest.raises(InvalidDataError, match="expected a Document"):
            documents.add_event(value, "seen")
        with pytest.raises(InvalidDataError, match=r"expected what check_files\(\)"):
            await documents.note_files(value)


@pytest.mark.parametrize("repository", REPOSITORIES)
@pytest.mark.parametrize("actor", ["x" * 256, 5, b"ada", "\ud800"])
async def test_what_is_no_actor_is_refused(engine, repository, actor):
    async with engine.session() as session:
        with pytest.raises(InvalidDataError) as caught:
            repository(session, actor=actor)
    assert ("Activity", "actor") == (caught.value.model, caught.value.field)


@pytest.mark.parametrize(
    ("event", "field"),
    [
        ({"payload": {}}, "action"),
        ({"action": "x" * 51}, "action"),
        ({"action": "x", "payload": {"a": {1}}}, "payload"),
        ({"action": "x", "payload": {"a": float("nan")}}, "payload"),
        ({"action": "x", "payload": [1]}, "payload"),
        ({"action": "x", "occurred_at": "then"}, "occurred_at"),
        ("x", "*"),
    ],
)
async def test_what_is_no_event_is_refused(engine, event, field):
    async with engine.session() as session:
        with pytest.raises(InvalidDataError) as caught:
            await ProjectRepository(session).add_events([{"action": "x"}, event])
    assert ("Activity", field, 1) == (
        caught.value.model, caught.value.field, caught.value.index
    )  # fmt: skip


async def test_a_misspelt_word_in_a_filter_is_guessed(engine):
    async with engine.session() as session:
        projects, conversations, documents, repositories = [
            repository(session) for repository in REPOSITORIES
        ]
        for attempt, meant in (
            (projects.find(phase="desing"), "design"),
            (projects.find(build_status="pased"), "passed"),
            (projects.find(status="actve"), "active"),
            (projects.find(status__in=["draft", "actve"]), "active"),
            (projects.summaries(status="actve"), "active"),
            (projects.get_by_status("actve"), "active"),
            (conversations.list_by_phase("desing"), "design"),
            (conversations.list_by_project(1, phase="desing"), "design"),
            (documents.list_by_project(1, kind__in=("cdoe",)), "code"),
            (documents.search("a", kind="cdoe"), "code"),
            (repositories.list_by_project(1, build_status="pased"), "passed"),
        ):
            with pytest.raises(InvalidDataError, match=f"did you mean '{meant}'"):
                await attempt
        assert [] == await projects.find(status__in=["active"])
        assert 1 == len(await projects.find(status__in=["draft", "active"]))


async def test_half_a_character_is_no_text_that_is_looked_for(engine):
    async with engine.session() as session:
        with pytest.raises(InvalidDataError, match="surrogates not allowed") as refused:
            await ProjectRepository(session).search_by_name("\ud800")
    assert "\ud800" == refused.value.value
