"""
Code repositories: GitHub's metadata, builds, health.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from database_support import rolled_back

from project_architect_db import (
    ActivityRepository,
    GitHubMetadata,
    InvalidDataError,
    NotFoundError,
    ProjectRepository,
    RepositoryRepository,
)
from project_architect_db.domain.repositories import bus_factor
from project_architect_db.testing import temporary_database

pytestmark = pytest.mark.asyncio(loop_scope="module")

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


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
    return RepositoryRepository(session, actor="ci")


@pytest_asyncio.fixture(loop_scope="module")
async def app(repositories):
    return await repositories.create({"project_id": 1, "name": "app"})


async def test_repositories_of_a_project_by_name(repositories):
    await repositories.bulk_create(
        {"project_id": 1 + number % 2, "name": name}
        for number, name in enumerate("edcba")
    )
    page = await repositories.list_by_project(1, 2)
    rest = await repositories.list_by_project(1, 2, cursor=page.next_cursor)
    assert ["a", "c", "e"] == [each.name for each in [*page.items, *rest.items]]
    only = await repositories.list_by_project(1, name__in=["a", "b"])
    assert ["a"] == [each.name for each in only.items]


# --- GitHub -----------------------------------------------------------------------


async def test_what_github_says_is_kept(repositories, app, session):
    told = {
        "full_name": "Ada/engine", "stargazers_count": 5, "watchers": 7,
        "pushed_at": "2026-03-01T12:00:00Z", "license": {"key": "mit"},
    }  # fmt: skip
    await repositories.set_github(app.id, told)
    await session.flush()
    session.expunge_all()
    (found,) = await repositories.find_by_github("ada/ENGINE")
    assert told == {name: found.github[name] for name in told}
    read = GitHubMetadata.model_validate(found.github)
    assert (START, None, 7) == (read.pushed_at, read.forks_count, read.watchers)
    assert [] == await repositories.find_by_github("ada")
    with pytest.raises(InvalidDataError) as caught:
        await repositories.set_github(app.id, {"stargazers_count": 5})
    assert "full_name" == caught.value.field
    with pytest.raises(NotFoundError):
        await repositories.set_github(99, told)


# --- builds -----------------------------------------------------------------------


async def test_the_last_build_is_the_status(repositories, app, session):
    assert ("unknown", None) == (app.build_status, app.last_build_at)
    later = START + timedelta(hours=1)
    await repositories.record_build(app.id, {"status": "failed", "at": later})
    await repositories.record_build(app.id, {"status": "passed", "at": START})
    assert ("failed", later) == (app.build_status, app.last_build_at)
    same = {"status": "cancelled", "at": later}
    assert app is await repositories.record_build(app.id, same)
    await session.refresh(app)
    assert ("cancelled", later) == (app.build_status, app.last_build_at)


async def test_builds_are_events(repositories, app):
    await repositories.record_builds(
        app.id,
        [
            {"status": "passed", "name": "tests", "seconds": 61.5, "at": START},
            {"status": "failed", "number": 2, "commit": "a" * 40, "runner": "big"},
        ],
    )
    last, first = await repositories.builds(app.id)
    assert ("repository", app.id, 1, "ci", START) == (
        first.entity, first.entity_id, first.project_id, first.actor, first.occurred_at
    )  # fmt: skip
    assert {"status": "passed", "name": "tests", "seconds": 61.5} == first.payload
    assert {
        "status": "failed", "name": "build", "number": 2, "commit": "a" * 40,
        "runner": "big",
    } == last.payload  # fmt: skip
    assert [last] == await repositories.builds(app.id, limit=1)


async def test_what_is_no_build_is_refused_whole(repositories, app, session):
    with pytest.raises(InvalidDataError, match="did you mean 'passed'"):
        await repositories.record_builds(
            app.id, [{"status": "failed"}, {"status": "pased"}]
        )
    with pytest.raises(NotFoundError):
        await repositories.record_build(99, {"status": "passed"})
    assert "unknown" == app.build_status
    assert 0 == await ActivityRepository(session).count(action="build")


async def test_a_build_in_the_future_does_not_stop_the_ones_after_it(
    repositories, app, session
):
    now = datetime.now(UTC)
    wrong = {"status": "failed", "at": now + timedelta(days=400)}
    with pytest.raises(InvalidDataError, match="more than a day in the future") as told:
        await repositories.record_build(app.id, wrong)
    assert ("Build", "at") == (told.value.model, told.value.field)
    ahead = now + timedelta(hours=3)  # as a clock may be
    await repositories.record_build(app.id, {"status": "failed", "at": ahead})
    assert ("failed", ahead) == (app.build_status, app.last_build_at)
    app.last_build_at = now + timedelta(days=400)  # as it may have come there before
    await repositories.record_build(app.id, {"status": "passed", "at": now})
    assert ("passed", now) == (app.build_status, app.last_build_at)


HOSTILE = [
    {1}, START.replace(tzinfo=None), "\ud800", b"x", {"a": {1}}, [b"x"],
    {"\ud800": 1}, {1: 2}, float("nan"), [float("inf")], object(),
]  # fmt: skip


@pytest.mark.parametrize("value", HOSTILE)
async def test_what_is_no_json_is_refused(repositories, app, session, value):
    github = {"full_name": "a/b"}
    person = {"contributors": [{"name": "a", "k": value}]}
    for model, attempt in (
        ("GitHubMetadata", repositories.set_github(app.id, {**github, "k": value})),
        (
            "GitHubMetadata",
            repositories.set_github(app.id, {**github, "license": value}),
        ),
        (
            "RepositoryUpdate",
            repositories.update(app.id, {"github": {**github, "k": value}}),
        ),
        ("RepositoryUpdate", repositories.update(app.id, person)),
        ("Build", repositories.record_build(app.id, {"status": "passed", "k": value})),
    ):
        with pytest.raises(InvalidDataError) as caught:
            await attempt
        assert model == caught.value.model
        assert {"k", "license"} & {*caught.value.field.split(".")}
    assert ("unknown", None) == (app.build_status, app.github)


async def test_a_build_keeps_what_json_it_has(repositories, app, session):
    build = {"status": "passed", "k": {"a": None, "b": [1, "x", True]}, "gone": None}
    await repositories.record_build(str(app.id), build)
    (found,) = await repositories.builds(str(app.id))
    assert {"status": "passed", "name": "build", "k": build["k"]} == found.payload
    assert 1 == (await repositories.health(str(app.id))).builds


# --- health -----------------------------------------------------------------------


async def test_of_a_new_repository_nothing_is_known(repositories, app):
    health = await repositories.health(app.id)
    assert (None, {}, 0, None) == (
        health.score, health.parts, health.builds, health.build_success_rate
    )  # fmt: skip
    assert (0, 0, None, None) == (
        health.contributors, health.bus_factor, health.open_issues, health.average_build
    )  # fmt: skip


async def test_health_is_made_of_its_parts(repositories, app):
    now = datetime.now(UTC)
    people = [("ada", 6), ("bob", 3), ("eve", 1)]
    await repositories.update(
        app.id,
        {
            "commit_count": 100,
            "last_commit_at": now - timedelta(days=30 + 67),
            "contributors": [{"name": n, "commits": c} for n, c in people],
            "github": {"full_name": "a/b", "open_issues_count": 10},
        },
    )
    builds = [{"status": "passed", "seconds": 10}, {"status": "passed", "seconds": 20}]
    builds += [{"status": "failed"}, {"status": "running"}, {"status": "cancelled"}]
    await repositories.record_builds(app.id, builds)
    health = await repositories.health(app.id)
    assert {
        "builds": 0.667, "activity": 0.8, "people": 0.333, "issues": 0.5,
    } == health.parts  # fmt: skip
    score = 0.4 * 2 / 3 + 0.3 * 0.8 + 0.2 / 3 + 0.1 * 0.5
    assert round(100 * score, 1) == health.score
    assert (3, 2 / 3, timedelta(seconds=15)) == (
        health.builds, health.build_success_rate, health.average_build
    )  # fmt: skip
    assert (3, 1, 10) == (health.contributors, health.bus_factor, health.open_issues)
    assert "cancelled" == health.last_build_status


@pytest.mark.parametrize(
    ("age", "activity"), [(-1, 1), (0, 1), (30, 1), (365, 0), (4000, 0)]
)
async def test_activity_fades(repositories, app, age, activity):
    at = datetime.now(UTC) - timedelta(days=age)
    await repositories.update(app.id, {"last_commit_at": at})
    health = await repositories.health(app.id)
    assert {"activity": activity} == health.parts
    assert 100 * activity == health.score


async def test_only_the_last_builds_count(repositories, app):
    at = [START + timedelta(minutes=number) for number in range(150)]
    await repositories.record_builds(
        app.id,
        [
            {"status": "failed" if number < 75 else "passed", "at": moment}
            for number, moment in enumerate(at)
        ],
    )
    health = await repositories.health(app.id)
    assert (100, 0.75) == (health.builds, health.build_success_rate)


async def test_nothing_has_no_health(repositories):
    with pytest.raises(NotFoundError):
        await repositories.health(99)


@pytest.mark.parametrize(
    ("commits", "people"),
    [
        ([], 0),
        ([0, 0], 0),
        ([7], 1),
        ([1, 1], 2),
        ([51, 49], 1),
        ([50, 50], 2),
        ([2] * 10, 6),
    ],
)
async def test_how_few_made_more_than_half(commits, people):
    assert people == bus_factor(commits)
