"""
What analytics says of projects, against plain Python over the same rows.
"""

from __future__ import annotations

import statistics
from bisect import bisect_left
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from sqlalchemy import insert, select, text

from project_architect_db import (
    Activity,
    InvalidQuestionError,
    Project,
    ProjectRepository,
)
from project_architect_db.analytics.answering import Answering
from project_architect_db.analytics.projects import ProjectQuestions
from project_architect_db.testing import seed, temporary_database

AT = datetime(2026, 5, 20, 12, 30, tzinfo=UTC)
BERLIN = "Europe/Berlin"
DAY = timedelta(days=1)


class Analytics(ProjectQuestions, Answering):
    """
    Only what is tested here.
    """


FILTERS = [
    {},
    {"since": date(2025, 1, 1)},
    {"until": date(2024, 3, 1), "zone": "America/New_York"},
    {"since": datetime(2024, 2, 28, 13), "until": datetime(2024, 3, 2, 7)},
    {"granularity": "hour", "since": date(2024, 10, 26), "until": date(2024, 10, 29),
     "zone": BERLIN},
    {"granularity": "week", "zone": BERLIN},
    {"granularity": "month", "zone": "Australia/Lord_Howe", "since": date(2024, 1, 31)},
    {"granularity": "quarter", "zone": "Asia/Kolkata"},
    {"granularity": "year", "statuses": "active"},
    {"projects": [1, 2, 5], "statuses": ["completed", "archived"], "zone": BERLIN},
    {"projects": [], "since": date(2026, 1, 1), "until": date(2026, 1, 4)},
]  # fmt: skip


class Facts:
    """
    The rows, and what can be told of them the slow way.
    """

    def __init__(self, projects, events):
        self.projects = projects
        self.events = {}
        for event in sorted(events, key=lambda e: (e.occurred_at, e.id)):
            self.events.setdefault(event.project_id, []).append(event)
        self.stages = {p.id: self._stages(p) for p in projects}

    def chosen(self, filters):
        ids, statuses = filters.get("projects"), filters.get("statuses")
        return [
            p
            for p in self.projects
            if (ids is None or p.id in ids)
            and (statuses is None or p.status in statuses)
        ]

    def created(self, filters):
        return [p for p in self.chosen(filters) if inside(p.created_at, filters)]

    def changes(self, project):
        return [
            e
            for e in self.events.get(project.id, [])
            if e.action == "status_changed" and e.entity == "project"
        ]

    def completed_at(self, project):
        found = self.changes(project)
        return next(
            (e.occurred_at for e in found if e.payload.get("to") == "completed"), None
        )

    def is_completed(self, project):
        return project.status == "completed" or self.completed_at(project) is not None

    def seconds(self, projects):
        pairs = [(p.created_at, self.completed_at(p)) for p in projects]
        return sorted(
            max(0.0, (done - born).total_seconds()) for born, done in pairs if done
        )

    def _stages(self, project):
        found, now = [], project.status
        name, entered = now, project.created_at
        for number, change in enumerate(self.changes(project)):
            name = name if number else change.payload.get("from", now)
            moment = max(change.occurred_at, project.created_at)
            found.append((name, entered, moment))
            name, entered = change.payload.get("to", now), moment
        if name != now:
            moved = max(entered, project.updated_at)
            found.append((name, entered, moved))
            name, entered = now, moved
        return [*found, (name, entered, None)]

    def status_at(self, project, moment):
        for name, entered, left in self.stages[project.id]:
            if entered < moment and (left is None or left >= moment):
                return name
        return None

    def moments(self, project):
        found = [e.occurred_at for e in self.events.get(project.id, [])]
        return sorted([project.created_at, *found])


async def facts_of(engine):
    async with engine.session() as session:
        projects = (await session.execute(select(*Project.__table__.c))).all()
        events = (await session.execute(select(*Activity.__table__.c))).all()
    return Facts(projects, events)


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


def bucket(moment, filters):
    """
    The start of the bucket of a time, in UTC, as times in a fold equal nothing.
    """
    zone = ZoneInfo(filters.get("zone", "UTC"))
    granularity = filters.get("granularity", "day")
    local = moment.astimezone(zone)
    if granularity == "hour":
        past = timedelta(
            minutes=local.minute, seconds=local.second, microseconds=local.microsecond
        )
        return moment.astimezone(UTC) - past
    first = {
        "day": local.date(),
        "week": local.date() - timedelta(days=local.weekday()),
        "month": date(local.year, local.month, 1),
        "quarter": date(local.year, 1 + (local.month - 1) // 3 * 3, 1),
        "year": date(local.year, 1, 1),
    }[granularity]
    return datetime(first.year, first.month, first.day, tzinfo=zone).astimezone(UTC)


LATER = {
    "hour": timedelta(hours=1), "day": timedelta(hours=25),
    "week": timedelta(days=7, hours=1), "month": timedelta(days=31, hours=1),
    "quarter": timedelta(days=92, hours=1), "year": timedelta(days=366, hours=1),
}  # fmt: skip
"""What is in the next bucket, from the start of one."""


def buckets(told, filters, end=None):
    """
    All buckets of the period, and the one after them.
    """
    since, until = bounds(filters)
    if not told and not (since and until):
        return []
    last = until - timedelta(microseconds=1) if until else max(told)
    if end is not None and told:
        last = min(until or end, end) - timedelta(microseconds=1)
    found = [bucket(since or min(told), filters)]
    later = LATER[filters.get("granularity", "day")]
    while found[-1] <= last:
        found.append(bucket(found[-1] + later, filters))
    return found


def quantile(values, share):
    """
    As numpy's default: between the two closest.
    """
    if not values:
        return None
    place = (len(values) - 1) * share
    low, high = values[int(place)], values[min(int(place) + 1, len(values) - 1)]
    return pytest.approx(low + (high - low) * (place - int(place)))


def completion_of(facts, projects):
    seconds = facts.seconds(projects)
    done = sum(map(facts.is_completed, projects))
    return (
        len(projects), done, done / len(projects) if projects else None,
        pytest.approx(statistics.fmean(seconds)) if seconds else None,
        *(quantile(seconds, share) for share in (0.5, 0.75, 0.9, 0.95)),
    )  # fmt: skip


def trends_of(facts, filters, stalled_after, at):
    _, until = bounds(filters)
    end = min(until or at, at)
    chosen = facts.chosen(filters)
    created = Counter(
        bucket(p.created_at, filters)
        for p in chosen
        if inside(p.created_at, filters) and p.created_at < end
    )
    moments = {p.id: [m for m in facts.moments(p) if m < end] for p in chosen}
    active = Counter(
        start
        for each in moments.values()
        for start in {bucket(m, filters) for m in each if inside(m, filters)}
    )
    completed = Counter(
        bucket(done, filters)
        for p in chosen
        if (done := facts.completed_at(p)) and done < end and inside(done, filters)
    )
    told = [m for p in chosen for m in moments[p.id]]
    starts = buckets(told, filters, end)
    return [
        (
            start, created[start], active[start], completed[start],
            sum(
                is_stalled(facts, p, moments[p.id], min(after, end), stalled_after)
                for p in chosen
            ),
        )
        for start, after in pairwise(starts)
    ]  # fmt: skip


def is_stalled(facts, project, moments, moment, stalled_after):
    before = bisect_left(moments, moment)
    if not before or moment - moments[before - 1] <= stalled_after * DAY:
        return False
    return facts.status_at(project, moment) in ("draft", "active", "on_hold")


def complexity_of(facts, projects):
    scores = {p.id: score_of(p.architecture) for p in projects}
    known = sorted(score for score in scores.values() if score is not None)
    ends = [known[max(0, -(-len(known) * n // 4) - 1)] for n in (1, 2, 3) if known]
    names = ["lowest", "low", "high", "highest"]
    bands = {}
    for project in projects:
        score = scores[project.id]
        band = "unknown" if score is None else names[bisect_left(ends, score)]
        bands.setdefault(band, []).append(project)
    found = []
    for name in [*names, "unknown"]:
        members = bands.get(name, [])
        told = [scores[p.id] for p in members if scores[p.id] is not None]
        done = sum(map(facts.is_completed, members))
        if members:
            found.append((
                name, *((min(told), max(told)) if told else (None, None)),
                pytest.approx(statistics.fmean(told)) if told else None,
                len(members), done, done / len(members),
                quantile(facts.seconds(members), 0.5),
            ))  # fmt: skip
    return found


def score_of(architecture):
    if architecture is None:
        return None
    told = architecture.get("complexity_score")
    if isinstance(told, int | float) and not isinstance(told, bool):
        return told
    return leaves(architecture)


def leaves(value):
    if isinstance(value, dict):
        return sum(map(leaves, value.values()))
    return sum(map(leaves, value)) if isinstance(value, list) else 1


def cohorts_of(facts, filters, weeks, at):
    filters = {**filters, "granularity": "week"}
    zone = ZoneInfo(filters.get("zone", "UTC"))

    def week_of(project, moment):
        monday = bucket(project.created_at, filters).astimezone(zone)
        return (moment.astimezone(zone).date() - monday.date()).days // 7

    cohorts = {}
    for project in facts.created(filters):
        if project.created_at <= at:
            start = bucket(project.created_at, filters)
            cohorts.setdefault(start, []).append(project)
    found = []
    for start, members in sorted(cohorts.items()):
        weeks_of = [
            {week_of(p, m) for m in facts.moments(p) if m <= at} for p in members
        ]
        for week in range(min(weeks, 1 + week_of(members[0], at))):
            active = sum(week in each for each in weeks_of)
            found.append((start, week, len(members), active, active / len(members)))
    return found


def statuses_of(facts, filters, at):
    chosen, (_, until) = facts.chosen(filters), bounds(filters)
    until = min(until or at, at)
    stages = [(p, *stage) for p in chosen for stage in facts.stages[p.id]]
    told = {
        (name, moment)
        for _, name, *moments in stages
        for moment in moments
        if moment and moment < until
    }
    words = ["draft", "active", "on_hold", "completed", "archived"]
    names = sorted({name for name, _ in told}, key=words.index)
    found = []
    for start, after in pairwise(buckets([m for _, m in told], filters, at)):
        now = Counter(facts.status_at(p, min(after, until)) for p in chosen)
        found += [(start, name, now[name]) for name in names]
    return found


def in_utc(rows):
    """
    Rows whose times are in UTC, as times in a fold equal nothing.
    """
    return [
        tuple(v.astimezone(UTC) if isinstance(v, datetime) else v for v in row)
        for row in rows
    ]


# --- seeded rows ------------------------------------------------------------------


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seeded():
    async with temporary_database() as engine:
        await seed(engine, rows=2_000)
        yield engine, await facts_of(engine)


async def report(engine, method, **arguments):
    return await getattr(Analytics(engine), method)(**arguments)


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("filters", FILTERS)
async def test_status_distribution(seeded, filters):
    engine, facts = seeded
    counts = Counter(p.status for p in facts.created(filters))
    expected = [
        (status, count, count / counts.total())
        for status, count in sorted(counts.items(), key=lambda i: (-i[1], i[0]))
    ]
    assert expected == [*await report(engine, "status_distribution", **filters)]


@pytest.mark.parametrize("filters", FILTERS)
async def test_status_over_time(seeded, filters):
    engine, facts = seeded
    found = await report(engine, "status_over_time", at=AT, **filters)
    assert statuses_of(facts, filters, AT) == in_utc(found)


@pytest.mark.parametrize("filters", FILTERS)
async def test_completion(seeded, filters):
    engine, facts = seeded
    found = await report(engine, "completion", **filters)
    assert [completion_of(facts, facts.created(filters))] == [*found]


@pytest.mark.parametrize("filters", FILTERS)
async def test_completion_over_time(seeded, filters):
    engine, facts = seeded
    created = {}
    for project in facts.created(filters):
        created.setdefault(bucket(project.created_at, filters), []).append(project)
    expected = [
        (start, *completion_of(facts, created.get(start, [])))
        for start in buckets(created, filters)[:-1]
    ]
    found = await report(engine, "completion_over_time", **filters)
    assert expected == in_utc(found)


@pytest.mark.parametrize("filters", FILTERS)
async def test_complexity(seeded, filters):
    engine, facts = seeded
    found = await report(engine, "complexity", **filters)
    assert complexity_of(facts, facts.created(filters)) == [*found]


@pytest.mark.parametrize(
    ("filters", "days"), [*((each, 30) for each in FILTERS), (FILTERS[3], 1), ({}, 100)]
)
async def test_project_trends(seeded, filters, days):
    engine, facts = seeded
    found = await report(engine, "project_trends", stalled_after=days, at=AT, **filters)
    assert trends_of(facts, filters, days, AT) == in_utc(found)


@pytest.mark.parametrize(
    ("filters", "weeks"), [*((each, 12) for each in FILTERS), ({}, 1), ({}, 520)]
)
async def test_project_cohorts(seeded, filters, weeks):
    engine, facts = seeded
    found = await report(engine, "project_cohorts", weeks=weeks, at=AT, **filters)
    assert cohorts_of(facts, filters, weeks, AT) == in_utc(found)


# --- rows made by hand ------------------------------------------------------------


@pytest_asyncio.fixture(loop_scope="module")
async def engine():
    async with temporary_database() as engine:
        yield engine


async def write(engine, projects, events=()):
    """
    Projects by their columns, and what happened: project, time, from and to.
    """
    async with engine.transaction() as session:
        for number, columns in enumerate(projects, 1):
            await session.execute(insert(Project).values(**{
                "id": number, "name": "a", "project_idea": "b",
                "updated_at": columns["created_at"], **columns,
            }))  # fmt: skip
        for project, moment, *change in events:
            payload = dict(zip(("from", "to"), change, strict=False))
            await session.execute(insert(Activity).values(
                project_id=project, entity="project", entity_id=project,
                action="status_changed" if change else "seen",
                payload=payload, occurred_at=moment,
            ))  # fmt: skip
    return await facts_of(engine)


def on(*parts):
    return datetime(*parts, tzinfo=UTC)


async def check(engine, facts, filters, at):
    """
    Compare the answers with what Python makes of the facts.
    """
    expected = {
        "status_over_time": statuses_of(facts, filters, at),
        "completion": [completion_of(facts, facts.created(filters))],
        "complexity": complexity_of(facts, facts.created(filters)),
        "project_trends": trends_of(facts, filters, 30, at),
        "project_cohorts": cohorts_of(facts, filters, 12, at),
    }
    for method, rows in expected.items():
        given = {"at": at} if method not in ("completion", "complexity") else {}
        assert rows == in_utc(await report(engine, method, **given, **filters))


async def test_an_empty_database(engine):
    for method in (
        "status_distribution", "status_over_time", "completion_over_time",
        "complexity", "project_trends", "project_cohorts",
    ):  # fmt: skip
        assert [] == [*await report(engine, method)]
    nothing = (0, 0, None, None, None, None, None, None)
    assert [nothing] == [*await report(engine, "completion")]


async def test_empty_buckets_of_a_period(engine):
    period = {"since": date(2024, 2, 28), "until": date(2024, 3, 2)}
    days = [on(2024, 2, 28), on(2024, 2, 29), on(2024, 3, 1)]
    found = await report(engine, "project_trends", **period)
    assert [(day, 0, 0, 0, 0) for day in days] == [*found]
    found = await report(engine, "completion_over_time", **period)
    assert [(day, 0, 0, *[None] * 6) for day in days] == [*found]
    assert [] == [*await report(engine, "status_over_time", **period)]


async def test_one_project_without_activity(engine):
    project = {"created_at": on(2024, 2, 29, 12), "status": "completed"}
    facts = await write(engine, [project])
    at = on(2024, 4, 20)
    await check(engine, facts, {}, at)
    (row,) = await report(engine, "completion")
    assert (1, 1, 1.0, None) == row[:4]
    (row,) = await report(engine, "status_over_time", at=on(2024, 3, 1))
    assert (on(2024, 2, 29), "completed", 1) == row
    lasting = await report(engine, "status_over_time", since=date(2024, 4, 18), at=at)
    days = [on(2024, 4, 18), on(2024, 4, 19)]
    assert [(day, "completed", 1) for day in days] == [*lasting]


async def test_what_has_just_happened_is_told_of_by_now(engine):
    async with engine.transaction() as session:
        projects = ProjectRepository(session)
        project = await projects.create({"name": "a", "project_idea": "b"})
    (trend,) = await report(engine, "project_trends")
    assert (1, 1) == trend[1:3]
    (cohort,) = await report(engine, "project_cohorts")
    assert 1 == cohort.projects
    (status,) = await report(engine, "status_over_time")
    assert (project.status, 1) == status[1:]


@pytest.mark.slow
async def test_a_project_that_stalls_and_goes_on(engine):
    events = [(1, on(2024, 2, 1)), (1, on(2024, 5, 1, 12))]
    project = {"created_at": on(2024, 1, 1), "status": "active"}
    facts = await write(engine, [project], events)
    found = await report(engine, "project_trends", at=on(2024, 7, 1))
    stalled = [row.bucket for row in found if row.stalled]
    expected = [
        on(2024, 1, 1) + n * DAY
        for n in range(182)
        if n == 30 or 61 <= n <= 120 or n >= 151
    ]
    assert [on(2024, 1, 31), on(2024, 3, 2)] == [stalled[0], stalled[1]]
    assert expected == stalled
    await check(engine, facts, {}, on(2024, 7, 1))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "zone", "granularity"),
    [(on(2026, 3, 28, 20), BERLIN, "hour"), (on(2026, 3, 28, 20), BERLIN, "day"),
     (on(2026, 10, 24, 20), BERLIN, "hour"), (on(2026, 10, 24, 20), BERLIN, "week"),
     (on(2024, 2, 28, 20), "UTC", "day"), (on(2024, 2, 28, 20), BERLIN, "month"),
     (on(1969, 12, 30, 20), "UTC", "day"), (on(1969, 12, 28, 20), "UTC", "week"),
     (on(1969, 12, 30, 20), "Asia/Kolkata", "hour")],
)  # fmt: skip
async def test_days_that_are_longer_or_shorter(engine, first, zone, granularity):
    moments = [first + n * timedelta(minutes=50) for n in range(40)]
    words = ["draft", "active", "on_hold", "active", "completed", "archived"]
    moves = list(pairwise(words * 3))
    projects = [
        {"created_at": first, "status": "archived"},
        {"created_at": first + timedelta(hours=9), "status": "draft"},
    ]
    events = [(1, m, *move) for m, move in zip(moments, moves, strict=False)]
    events += [(2, m) for m in moments[::7]]
    facts = await write(engine, projects, events)
    filters = {"zone": zone, "granularity": granularity}
    await check(engine, facts, filters, first + timedelta(days=3))
    period = {**filters, "since": moments[3], "until": moments[30]}
    await check(engine, facts, period, first + timedelta(days=3))


@pytest.mark.slow
async def test_what_does_not_agree(engine):
    """
    SQL has changed statuses, and there is activity from before the projects began.
    """
    projects = [
        {"created_at": on(2024, 1, 1), "status": "active"},
        {"created_at": on(2024, 1, 2), "status": "on_hold",
         "updated_at": on(2024, 3, 1)},
        {"created_at": on(2024, 1, 3), "status": "archived"},
        {"created_at": on(2024, 1, 3, 5), "status": "completed"},
        {"created_at": on(2024, 1, 5), "status": "draft"},
    ]  # fmt: skip
    events = [
        (2, on(2024, 1, 9), "draft", "active"),
        (3, on(2023, 12, 1), "draft", "completed"),
        (3, on(2024, 2, 1), "active", "archived"),
        (4, on(2024, 2, 3)),
        (None, on(2024, 2, 4)),
        (5, on(2022, 2, 4)),
        (1, on(2024, 4, 4), "draft"),
    ]
    facts = await write(engine, projects, events)
    for at in on(2024, 1, 20), on(2024, 6, 1):
        await check(engine, facts, {}, at)
        await check(engine, facts, {"since": on(2024, 1, 8)}, at)
        await check(engine, facts, {"since": on(2025, 1, 8)}, at)
        await check(engine, facts, {"until": on(2024, 3, 8)}, at)


async def test_scores_of_architectures(engine):
    architectures = [
        None, {}, {"a": None}, {"a": [1, 2, {"b": 'x, "y'}], "c": []},
        {"complexity_score": 7}, {"complexity_score": -1.5},
        {"complexity_score": True, "a": 1, "b": 2, "c": 3},
        {"complexity_score": "9"}, {"complexity_score": 100, "a": 1},
        {"complexity_score": None, "b": {"c": {"d": [[[0]]]}}},
    ]  # fmt: skip
    projects = [
        {"created_at": on(2024, 1, 1), "architecture": a, "status": s}
        for a in architectures
        for s in ("draft", "completed")
    ]
    facts = await write(engine, projects)
    found = await report(engine, "complexity")
    assert complexity_of(facts, facts.projects) == [*found]
    assert ["lowest", "low", "high", "highest", "unknown"] == [r.band for r in found]


async def test_an_architecture_of_null_is_none(engine):
    await write(engine, [{"created_at": on(2024, 1, 1)}])
    async with engine.transaction() as session:
        await session.execute(text("UPDATE projects SET architecture = 'null'"))
    (row,) = await report(engine, "complexity")
    assert "unknown" == row.band


async def test_pictures(seeded):
    engine, _ = seeded
    for method in (
        "status_over_time", "completion", "completion_over_time", "complexity",
        "project_trends", "project_cohorts",
    ):  # fmt: skip
        picture = (await report(engine, method, granularity="month")).plot()
        assert picture.spec["data"]["values"]


@pytest.mark.parametrize(
    ("method", "arguments", "wrong"),
    [
        ("project_trends", {"stalled_after": 0}, "stalled_after"),
        ("project_trends", {"at": datetime(2024, 1, 1)}, "at"),
        ("project_cohorts", {"weeks": 521}, "weeks"),
        ("project_cohorts", {"at": "now"}, "at"),
        ("status_over_time", {"granularity": "minute"}, "granularity"),
        ("completion", {"zone": "Atlantis"}, "zone"),
        ("completion_over_time", {"since": AT, "until": AT}, "until"),
        ("complexity", {"statuses": "activ"}, "statuses"),
    ],
)
async def test_questions_that_make_no_sense(seeded, method, arguments, wrong):
    with pytest.raises(InvalidQuestionError) as caught:
        getattr(Analytics(seeded[0]), method)(**arguments)
    assert wrong == caught.value.argument
