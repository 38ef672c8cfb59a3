"""
What analytics says over all entities, against plain Python over the same rows.
"""

from __future__ import annotations

import json
import statistics
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from sqlalchemy import insert, select

from project_architect_db import (
    Activity,
    Conversation,
    Document,
    InvalidQuestionError,
    Project,
    Repository,
)
from project_architect_db.analytics.answering import Answering
from project_architect_db.analytics.cross_entity import CrossEntityQuestions
from project_architect_db.domain.vocabulary import ROLES as ROLES_THERE_ARE
from project_architect_db.testing import seed, temporary_database

AT = datetime(2026, 5, 20, 12, 30, tzinfo=UTC)
BERLIN = "Europe/Berlin"
ROLES = ("user", "assistant", "system", "tool")


class Analytics(CrossEntityQuestions, Answering):
    """
    Only what is tested here.
    """


FILTERS = [
    {},
    {"since": date(2025, 3, 1), "zone": BERLIN},
    {"until": date(2024, 3, 1), "zone": "America/New_York"},
    {"since": datetime(2024, 2, 29, 13), "until": datetime(2025, 3, 30, 2, 30),
     "zone": BERLIN},
    {"statuses": ["completed", "archived"], "zone": "Asia/Kolkata"},
    {"projects": [1, 2, 5], "statuses": "active", "granularity": "month"},
    {"projects": []},
]  # fmt: skip


class Facts:
    """
    The rows, and what can be told of them the slow way.
    """

    def __init__(self, rows):
        self.projects = rows["projects"]
        self.rows = {
            name: {
                p.id: [row for row in found if row.project_id == p.id]
                for p in self.projects
            }
            for name, found in rows.items()
            if name != "projects"
        }
        for events in self.rows["activity"].values():
            events.sort(key=lambda e: (e.occurred_at, e.id))

    def chosen(self, filters):
        ids, statuses = filters.get("projects"), filters.get("statuses")
        return [
            p
            for p in self.projects
            if (ids is None or p.id in ids)
            and (statuses is None or p.status in statuses)
        ]

    def of(self, name, project, filters):
        time = "occurred_at" if name == "activity" else "created_at"
        found = self.rows[name][project.id]
        return [row for row in found if inside(getattr(row, time), filters)]

    def changes(self, project):
        return [
            e
            for e in self.rows["activity"][project.id]
            if (e.entity, e.action) == ("project", "status_changed")
        ]


async def facts_of(engine):
    models = Project, Conversation, Document, Repository, Activity
    rows = {}
    async with engine.session() as session:
        for model in models:
            found = await session.execute(select(*model.__table__.c))
            rows[model.__tablename__] = found.all()
    return Facts(rows)


def bounds(filters):
    zone = ZoneInfo(filters.get("zone", "UTC"))
    found = []
    for name in ("since", "until"):
        given = filters.get(name)
        if given is not None and not isinstance(given, datetime):
            given = datetime(given.year, given.month, given.day)
        found.append(given and given.replace(tzinfo=given.tzinfo or zone))
    return found


def inside(moment, filters):
    since, until = bounds(filters)
    return (since is None or moment >= since) and (until is None or moment < until)


def lives_of(facts, filters, limit, at):
    latest = {}
    for project in facts.chosen(filters):
        moments = [e.occurred_at for e in facts.of("activity", project, filters)]
        if inside(project.created_at, filters):
            moments.append(project.created_at)
        if moments:
            latest[project.id] = max(moments)
    active = [p for p in facts.projects if p.id in latest]
    first = sorted(active, key=lambda p: (-latest[p.id].timestamp(), p.id))[:limit]
    since, until = bounds(filters)
    return [
        (project.id, project.name, status, entered, left,
         pytest.approx(max(0.0, ((left or at) - entered).total_seconds())))
        for project in first
        for status, entered, left in stages_of(facts, project)
        if (since is None or left is None or left > since)
        and (until is None or entered < until)
    ]  # fmt: skip


def stages_of(facts, project):
    found, entered = [], project.created_at
    changes = facts.changes(project)
    name = changes[0].payload["from"] if changes else project.status
    for change in changes:
        moment = max(change.occurred_at, project.created_at)
        found.append((name, entered, moment))
        name, entered = change.payload["to"], moment
    if name != project.status:
        moment = max(entered, project.updated_at)
        found.append((name, entered, moment))
        name, entered = project.status, moment
    return [*found, (name, entered, None)]


def people_of(events):
    return {
        e.actor
        for e in events
        if e.actor and e.action != "build" and e.actor not in ROLES
    }


def utilisation_of(facts, filters, limit):
    found = []
    for project in facts.chosen(filters):
        talks, texts, code, events = (
            facts.of(name, project, filters)
            for name in ("conversations", "documents", "repositories", "activity")
        )
        builds = [e for e in events if e.action == "build"]
        seconds = [e.payload.get("seconds") for e in builds]
        found.append((
            project.id, project.name, len(talks), sum(len(t.messages) for t in talks),
            len(texts), sum(t.size for t in texts), len(code),
            sum(e.action == "commit" for e in events), len(builds),
            pytest.approx(sum(s for s in seconds if isinstance(s, int | float))),
            len(events), len(people_of(events)),
        ))  # fmt: skip
    return sorted(found, key=lambda row: (-row[10], row[0]))[:limit]


def outcome_of(facts, project, idle_since, at):
    events = [e for e in facts.rows["activity"][project.id] if e.occurred_at <= at]
    if project.status not in ("completed", "archived"):
        moments = [project.created_at, *(e.occurred_at for e in events)]
        return "stalled" if max(moments) < idle_since else "active"
    done = any(
        e.payload["to"] == "completed"
        for e in facts.changes(project)
        if e.occurred_at <= at
    )
    return "completed" if done or project.status == "completed" else "archived"


def outcomes_of(facts, filters, stalled_after, at):
    zone = ZoneInfo(filters.get("zone", "UTC"))
    until_now = {"until": at + timedelta(microseconds=1)}
    idle_since = at - timedelta(days=stalled_after)
    groups = {}
    for project in facts.chosen(filters):
        if project.created_at > at or not inside(project.created_at, filters):
            continue
        talks, texts, events = (
            facts.of(name, project, until_now)
            for name in ("conversations", "documents", "activity")
        )
        builds = [e.payload.get("status") for e in events if e.action == "build"]
        numbers = (
            len(talks), sum(len(t.messages) for t in talks), len(texts),
            sum(e.action == "commit" for e in events), len(builds),
            len(people_of(events)),
            len({e.occurred_at.astimezone(zone).date() for e in events}),
        )  # fmt: skip
        outcome = outcome_of(facts, project, idle_since, at)
        groups.setdefault(outcome, []).append((numbers, builds))
    found = []
    for outcome in ("active", "completed", "stalled", "archived"):
        if members := groups.get(outcome):
            builds = [status for _, each in members for status in each]
            passed, failed = builds.count("passed"), builds.count("failed")
            found.append((
                outcome, len(members),
                *map(statistics.median, zip(*(n for n, _ in members), strict=True)),
                pytest.approx(passed / (passed + failed)) if passed + failed else None,
            ))  # fmt: skip
    return found


def in_utc(rows):
    return [
        tuple(v.astimezone(UTC) if isinstance(v, datetime) else v for v in row)
        for row in rows
    ]


async def report(engine, method, **arguments):
    return await getattr(Analytics(engine), method)(**arguments)


pytestmark = pytest.mark.asyncio(loop_scope="module")


# --- seeded rows ------------------------------------------------------------------


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seeded():
    async with temporary_database() as engine:
        await seed(engine, rows=2_000)
        yield engine, await facts_of(engine)


@pytest.mark.parametrize("limit", [1, 50])
@pytest.mark.parametrize("filters", FILTERS)
async def test_lifecycle(seeded, filters, limit):
    engine, facts = seeded
    found = await report(engine, "lifecycle", limit=limit, at=AT, **filters)
    assert lives_of(facts, filters, limit, AT) == in_utc(found)


@pytest.mark.parametrize("limit", [2, 20])
@pytest.mark.parametrize("filters", FILTERS)
async def test_utilisation(seeded, filters, limit):
    engine, facts = seeded
    found = await report(engine, "utilisation", limit=limit, **filters)
    assert utilisation_of(facts, filters, limit) == [*found]


@pytest.mark.parametrize(
    ("filters", "days", "at"),
    [*((each, 30, AT) for each in FILTERS), ({}, 200, AT),
     ({}, 3, datetime(2024, 6, 1, tzinfo=UTC))],
)  # fmt: skip
async def test_compare_outcomes(seeded, filters, days, at):
    engine, facts = seeded
    found = await report(
        engine, "compare_outcomes", stalled_after=days, at=at, **filters
    )
    assert outcomes_of(facts, filters, days, at) == [*found]


# --- rows made by hand ------------------------------------------------------------


@pytest_asyncio.fixture(loop_scope="module")
async def engine():
    async with temporary_database() as engine:
        yield engine


def on(*parts):
    return datetime(*parts, tzinfo=UTC)


async def write(engine, *rows):
    async with engine.transaction() as session:
        for model, columns in rows:
            await session.execute(insert(model).values(**columns))
    return await facts_of(engine)


def project(id, created_at, status="draft", **columns):
    return Project, {
        "id": id, "name": f"p{id}", "project_idea": "b", "status": status,
        "created_at": created_at, "updated_at": created_at, **columns,
    }  # fmt: skip


def event(project_id, moment, entity="project", action="seen", actor=None, **payload):
    return Activity, {
        "project_id": project_id, "entity": entity, "entity_id": project_id,
        "action": action, "actor": actor, "payload": payload, "occurred_at": moment,
    }  # fmt: skip


def change(project_id, moment, before, after):
    payload = {"from": before, "to": after}
    return event(project_id, moment, action="status_changed", **payload)


async def test_an_empty_database(engine):
    for method in ("lifecycle", "utilisation", "compare_outcomes"):
        assert [] == [*await report(engine, method)]
        assert [] == [*await report(engine, method, until=on(2025, 1, 1))]


async def test_one_project_with_nothing_in_it(engine):
    await write(engine, project(1, on(2024, 2, 29)))
    at = on(2024, 3, 30)
    (row,) = await report(engine, "lifecycle", at=at)
    assert (1, "p1", "draft", on(2024, 2, 29), None, 30 * 86400.0) == row
    assert [(1, "p1", *[0] * 10)] == [*await report(engine, "utilisation")]
    nothing = (1, *[0.0] * 7, None)
    found = await report(engine, "compare_outcomes", at=at)
    assert [("active", *nothing)] == [*found]
    found = await report(engine, "compare_outcomes", at=at, stalled_after=29)
    assert [("stalled", *nothing)] == [*found]
    assert [] == [*await report(engine, "compare_outcomes", at=on(2024, 2, 28))]


async def test_builds_of_no_finite_time_and_roles_of_your_own(engine, monkeypatch):
    moment = on(2026, 1, 1)
    build = {"entity": "repository", "action": "build"}
    lengths = ("inf", "nan", "1e999", 5, None)
    await write(
        engine, project(1, moment), event(1, moment, actor="oracle"),
        *(event(1, moment, **build, seconds=each) for each in lengths),
    )  # fmt: skip
    (row,) = await report(engine, "utilisation")
    assert (5, 5.0, 1) == (row.builds, row.build_seconds, row.people)
    monkeypatch.setattr(ROLES_THERE_ARE, "_words", dict(ROLES_THERE_ARE._words))
    ROLES_THERE_ARE.add("oracle")
    (row,) = await report(engine, "utilisation")
    assert 0 == row.people


@pytest.mark.slow
async def test_what_does_not_agree(engine):
    """
    Without an actor or a number, changed by SQL, or from before projects began.
    """
    build = {"entity": "repository", "action": "build", "actor": "ci"}
    facts = await write(
        engine,
        project(1, on(2024, 1, 1), "archived"),
        project(2, on(2024, 1, 2), "on_hold", updated_at=on(2024, 3, 1)),
        project(3, on(2024, 1, 3), "completed"),
        project(4, on(2024, 1, 3), "archived"),
        change(1, on(2023, 5, 1), "active", "completed"),
        change(1, on(2024, 2, 1), "completed", "archived"),
        change(2, on(2024, 1, 9), "draft", "active"),
        event(1, on(1969, 12, 31, 12), actor="ada"),
        event(1, on(1969, 12, 31, 23, 30), actor="assistant"),
        event(1, on(1970, 1, 1, 0, 30)),
        event(2, on(2024, 2, 1), seconds=1, **build),
        event(2, on(2024, 2, 1), seconds="long", status="passed", **build),
        event(2, on(2024, 2, 2), status="cancelled", **build),
        event(2, on(2024, 2, 2), seconds=2.5, status="failed", **build),
        event(None, on(2024, 2, 2), actor="eve"),
    )
    for at in on(2024, 2, 20), on(2024, 6, 1):
        for filters in {}, {"until": on(2024, 1, 3)}, {"since": on(2024, 1, 2, 1)}:
            found = await report(engine, "lifecycle", at=at, **filters)
            assert lives_of(facts, filters, 50, at) == in_utc(found)
            found = await report(engine, "utilisation", **filters)
            assert utilisation_of(facts, filters, 20) == [*found]
            for zone in "UTC", BERLIN:
                given = {**filters, "zone": zone}
                found = await report(engine, "compare_outcomes", at=at, **given)
                assert outcomes_of(facts, given, 30, at) == [*found]


@pytest.mark.slow
@pytest.mark.parametrize(
    "first", [on(2026, 3, 28, 20), on(2026, 10, 24, 20), on(2024, 2, 28, 20)]
)
@pytest.mark.parametrize("zone", [BERLIN, "UTC"])
async def test_days_that_are_longer_or_shorter(engine, first, zone):
    moments = [first + n * timedelta(minutes=50) for n in range(60)]
    facts = await write(
        engine,
        project(1, first, "active"),
        change(1, moments[7], "draft", "active"),
        *(event(1, m) for m in moments),
        project(2, first, "active"),
        *(event(2, m) for m in moments[::40]),
    )
    at = first + timedelta(days=3)
    day = (first + timedelta(days=1)).date()
    filters = {"zone": zone, "since": day, "until": day + timedelta(days=1)}
    found = await report(engine, "compare_outcomes", at=at, zone=zone)
    assert outcomes_of(facts, {"zone": zone}, 30, at) == [*found]
    found = await report(engine, "utilisation", **filters)
    assert utilisation_of(facts, filters, 20) == [*found]
    found = await report(engine, "lifecycle", at=at, **filters)
    assert lives_of(facts, filters, 50, at) == in_utc(found)


async def test_a_life_on_clocks_of_a_zone(engine):
    await write(engine, project(1, on(2026, 3, 29, 1, 30)))
    (row,) = await report(engine, "lifecycle", zone=BERLIN)
    assert "2026-03-29T03:30:00+02:00" == row.entered_at.isoformat()


async def test_pictures(seeded):
    for method in ("lifecycle", "utilisation", "compare_outcomes"):
        picture = (await report(seeded[0], method)).plot()
        assert json.loads(json.dumps(picture.spec))["data"]["values"]


@pytest.mark.parametrize(
    ("method", "arguments", "wrong"),
    [
        ("lifecycle", {"limit": 0}, "limit"),
        ("lifecycle", {"at": datetime(2024, 1, 1)}, "at"),
        ("utilisation", {"limit": "all"}, "limit"),
        ("utilisation", {"zone": "Atlantis"}, "zone"),
        ("compare_outcomes", {"stalled_after": 10_001}, "stalled_after"),
        ("compare_outcomes", {"at": 5}, "at"),
        ("compare_outcomes", {"status": "draft"}, "status"),
    ],
)
async def test_questions_that_make_no_sense(seeded, method, arguments, wrong):
    with pytest.raises(InvalidQuestionError) as caught:
        getattr(Analytics(seeded[0]), method)(**arguments)
    assert wrong == caught.value.argument
