"""
Questions about code repositories, against plain Python over the same rows.
"""

from __future__ import annotations

import json
import statistics
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from sqlalchemy import insert, select

from project_architect_db import (
    Activity,
    InvalidQuestionError,
    Project,
    ProjectRepository,
    Repository,
    RepositoryRepository,
)
from project_architect_db.analytics.answering import Answering
from project_architect_db.analytics.builds import BuildQuestions
from project_architect_db.analytics.repositories import RepositoryQuestions
from project_architect_db.domain import repositories as domain
from project_architect_db.domain.repositories import bus_factor
from project_architect_db.testing import seed, temporary_database

pytestmark = pytest.mark.asyncio(loop_scope="module")

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
ALL = 100_000


class Analytics(RepositoryQuestions, BuildQuestions, Answering):
    """
    The questions of this file.
    """


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="data")
async def fixture_data():
    """
    A seeded database and its rows.
    """
    async with temporary_database() as engine:
        await seed(engine, rows=2_000)
        async with engine.session() as session:
            events = [*await session.scalars(select(Activity).order_by(Activity.id))]
            repositories = {r.id: r for r in await session.scalars(select(Repository))}
            projects = {p.id: p for p in await session.scalars(select(Project))}
        yield Analytics(engine), events, repositories, projects


@pytest_asyncio.fixture(loop_scope="module", name="engine")
async def fixture_engine():
    async with temporary_database() as engine:
        yield engine


FILTERS = [
    {},
    {"since": date(2025, 3, 1), "until": date(2026, 2, 1), "granularity": "week"},
    {"projects": [1, 2, 3], "zone": "Europe/Berlin", "granularity": "month"},
    {"statuses": ["active", "completed"], "granularity": "quarter"},
    {"since": date(2026, 5, 1), "until": date(2026, 5, 9), "granularity": "hour"},
]


def chosen(events, projects, action, filters):
    zone = ZoneInfo(filters.get("zone", "UTC"))

    def moment(day):
        return datetime(day.year, day.month, day.day, tzinfo=zone)

    return [
        event for event in events
        if event.action == action and event.entity == "repository"
        and ("since" not in filters or event.occurred_at >= moment(filters["since"]))
        and ("until" not in filters or event.occurred_at < moment(filters["until"]))
        and event.project_id in filters.get("projects", projects)
        and projects[event.project_id].status
        in filters.get("statuses", projects[event.project_id].status)
    ]  # fmt: skip


def start_of(moment, filters):
    local = moment.astimezone(ZoneInfo(filters.get("zone", "UTC")))
    kind = filters.get("granularity", "day")
    if kind == "hour":
        return local.replace(minute=0, second=0, microsecond=0)
    day = local.replace(hour=0, minute=0, second=0, microsecond=0)
    if kind == "week":
        return day - timedelta(days=day.weekday())
    if kind == "month":
        return day.replace(day=1)
    if kind == "quarter":
        return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
    return day


def lines(events, name):
    return sum(event.payload[name] for event in events)


def grouped(events, key):
    found = defaultdict(list)
    for event in events:
        found[key(event)].append(event)
    return found


# --- commits --------------------------------------------------------------------------


@pytest.mark.parametrize("filters", FILTERS)
async def test_activity_of_repositories(data, filters):
    analytics, events, repositories, projects = data
    found = chosen(events, projects, "commit", filters)
    expected = [
        (
            id_, repositories[id_].name, repositories[id_].project_id, len(made),
            len({each.actor for each in made}), lines(made, "insertions"),
            lines(made, "deletions"), min(each.occurred_at for each in made),
            max(each.occurred_at for each in made),
        )
        for id_, made in grouped(found, lambda event: event.entity_id).items()
    ]  # fmt: skip
    expected.sort(key=lambda row: (-row[3], row[0]))
    report = await analytics.repository_activity(limit=ALL, **filters)
    assert expected == [*report]
    first = await analytics.repository_activity(limit=2, **filters)
    assert expected[:2] == [*first]


@pytest.mark.parametrize("filters", FILTERS)
async def test_commits_over_time(data, filters):
    analytics, events, _, projects = data
    found = chosen(events, projects, "commit", filters)
    buckets = grouped(found, lambda event: start_of(event.occurred_at, filters))
    expected = {
        bucket: (len(made), len({each.actor for each in made}),
                 lines(made, "insertions"), lines(made, "deletions"))
        for bucket, made in buckets.items()
    }  # fmt: skip
    report = await analytics.commits_over_time(**filters)
    told = {row.bucket: tuple(row[1:]) for row in report if row.commits}
    assert expected == told
    gaps = [row for row in report if not row.commits]
    assert {(0, 0, 0, 0)} >= {tuple(row[1:]) for row in gaps}
    starts = [row.bucket for row in report]
    assert starts == sorted(starts)
    assert all(start_of(start, filters) == start for start in starts)


@pytest.mark.parametrize("filters", FILTERS)
async def test_contributions(data, filters):
    analytics, events, _, projects = data
    found = chosen(events, projects, "commit", filters)
    days = {**filters, "granularity": "day"}
    expected = [
        (
            actor, len(made), len(made) / len(found), lines(made, "insertions"),
            lines(made, "deletions"), len({each.entity_id for each in made}),
            min(each.occurred_at for each in made),
            max(each.occurred_at for each in made),
            len({start_of(each.occurred_at, days) for each in made}),
        )
        for actor, made in grouped(found, lambda event: event.actor).items()
    ]  # fmt: skip
    expected.sort(key=lambda row: (-row[1], row[0]))
    report = await analytics.contributions(limit=ALL, **filters)
    assert expected == [*report]
    assert expected[:3] == [*await analytics.contributions(limit=3, **filters)]


@pytest.mark.parametrize("filters", FILTERS)
async def test_bus_factor(data, filters):
    analytics, events, repositories, projects = data
    found = chosen(events, projects, "commit", filters)
    expected = []
    for id_, made in grouped(found, lambda event: event.entity_id).items():
        people = Counter(each.actor for each in made)
        top, most = min(people.items(), key=lambda item: (-item[1], item[0]))
        expected.append((
            id_, repositories[id_].name, repositories[id_].project_id,
            bus_factor([*people.values()]), len(people), len(made), top,
            most / len(made),
        ))  # fmt: skip
    expected.sort(key=lambda row: (row[3], -row[5], row[0]))
    assert expected == [*await analytics.bus_factor(limit=ALL, **filters)]


@pytest.mark.slow
async def test_commits_of_nobody_with_broken_payloads(engine):
    await _add_repositories(engine, "app", "gone")
    payloads = [
        {"insertions": 5, "deletions": "2"}, {}, [1], "text",
        {"insertions": "many", "deletions": None}, {"insertions": 10**30},
    ]  # fmt: skip
    await _add_events(engine, *(
        {"action": "commit", "payload": payload, "actor": actor}
        for payload, actor in zip(payloads, [None, "b", "a", None, "a", "b"],
                                  strict=True)
    ), {"action": "commit", "actor": "x", "entity_id": 2})  # fmt: skip
    async with engine.transaction() as session:
        await RepositoryRepository(session).delete(2)
    analytics = Analytics(engine)
    (row,) = await analytics.repository_activity()
    assert (1, 6, 2, 5, 2) == (row[0], *row[3:7])
    (bucket,) = await analytics.commits_over_time()
    assert (7, 3, 5, 2) == bucket[1:]
    contributions = await analytics.contributions()
    assert ["a", "b", None, "x"] == [row.author for row in contributions]
    assert [2, 2, 2, 1] == [row.commits for row in contributions]
    (row,) = await analytics.bus_factor()
    assert (1, "app", 1, 2, 2, 4, "a", 0.5) == row


async def test_days_of_a_zone_that_changes_its_clocks(engine):
    await _add_repositories(engine, "app")
    times = [
        datetime(2026, 3, 28, 22, 30, tzinfo=UTC),  # Saturday in Berlin
        datetime(2026, 3, 28, 23, 30, tzinfo=UTC),  # Sunday, the short one
        datetime(2026, 3, 29, 21, 59, tzinfo=UTC),
        datetime(2026, 3, 29, 22, 1, tzinfo=UTC),  # Monday
    ]
    await _add_events(engine, *(
        {"action": "commit", "occurred_at": time, "actor": "a"} for time in times
    ))  # fmt: skip
    analytics = Analytics(engine)
    report = await analytics.commits_over_time(zone="Europe/Berlin")
    expected = [
        (datetime(2026, 3, day, tzinfo=BERLIN), count)
        for day, count in ((28, 1), (29, 2), (30, 1))
    ]
    assert expected == [row[:2] for row in report]
    (row,) = await analytics.contributions(zone="Europe/Berlin")
    assert 3 == row.active_days
    (row,) = await analytics.contributions(granularity="year")
    assert 2 == row.active_days


async def test_gaps_over_a_leap_day_and_the_long_day(engine):
    await _add_repositories(engine, "app")
    days = [(2024, 2, 28), (2024, 3, 1), (2026, 10, 24), (2026, 10, 26)]
    await _add_events(engine, *(
        {"action": action, "occurred_at": datetime(*day, 12, tzinfo=BERLIN),
         "payload": {"status": "passed"}}
        for day in days for action in ("commit", "build")
    ))  # fmt: skip
    analytics = Analytics(engine)
    for first, last, middle in (
        (date(2024, 2, 28), date(2024, 3, 2), (2024, 2, 29)),
        (date(2026, 10, 24), date(2026, 10, 27), (2026, 10, 25)),
    ):
        period = {"since": first, "until": last, "zone": "Europe/Berlin"}
        report = await analytics.commits_over_time(**period)
        assert [1, 0, 1] == [row.commits for row in report]
        assert datetime(*middle, tzinfo=BERLIN) == report[1].bucket
        builds = await analytics.build_success(**period)
        assert [1, 0, 1] == [row.builds for row in builds]


# --- builds ---------------------------------------------------------------------------


@pytest.mark.parametrize("filters", FILTERS)
@pytest.mark.parametrize("window", [1, 3])
async def test_build_success(data, filters, window):
    analytics, events, _, projects = data
    found = chosen(events, projects, "build", filters)
    buckets = grouped(found, lambda event: start_of(event.occurred_at, filters))
    counts = {
        bucket: Counter(each.payload["status"] for each in builds)
        for bucket, builds in buckets.items()
    }
    report = await analytics.build_success(window=window, **filters)
    assert counts.keys() == {row.bucket for row in report if row.builds}
    for number, row in enumerate(report):
        count = counts.get(row.bucket, Counter())
        seen = [
            counts.get(each.bucket, Counter())
            for each in report[max(0, number + 1 - window) : number + 1]
        ]
        expected = (
            row.bucket, count.total(), count["passed"], count["failed"],
            rate([count]), rate(seen),
        )  # fmt: skip
        assert expected == row


def rate(counts):
    passed = sum(count["passed"] for count in counts)
    ended = passed + sum(count["failed"] for count in counts)
    return passed / ended if ended else None


@pytest.mark.parametrize("filters", FILTERS)
async def test_build_problems(data, filters):
    analytics, events, repositories, projects = data
    ended = [
        event for event in chosen(events, projects, "build", filters)
        if event.payload["status"] in ("passed", "failed")
    ]  # fmt: skip
    ended.sort(key=lambda event: (event.occurred_at, event.id))
    jobs = grouped(ended, lambda event: (event.entity_id, event.payload["name"]))
    seconds = {
        key: quantiles([each.payload["seconds"] for each in builds])
        for key, builds in jobs.items()
    }
    usual = statistics.median(s[0] for s in seconds.values()) if seconds else 0
    report = await analytics.build_problems(limit=ALL, **filters)
    assert len(jobs) == len(report)
    for row in report:
        builds = jobs[row.repository_id, row.job]
        outcomes = [each.payload["status"] for each in builds]
        flips = sum(one != other for one, other in pairwise(outcomes))
        assert repositories[row.repository_id].name == row.repository
        assert (
            len(builds), outcomes.count("passed"), outcomes.count("failed"), flips,
            flips / (len(builds) - 1) if len(builds) > 1 else None,
        ) == row[3:8]  # fmt: skip
        median, p95 = seconds[row.repository_id, row.job]
        assert pytest.approx(median) == row.median_seconds
        assert pytest.approx(p95) == row.p95_seconds
        assert (row.p95_seconds > 2 * usual) == row.slow
    order = [(-r.same_commit_flips, -r.flips, not r.slow) for r in report]
    assert sorted(order) == order


def quantiles(values):
    values = sorted(values)

    def at(share):
        place = (len(values) - 1) * share
        low = int(place)
        high = min(low + 1, len(values) - 1)
        return values[low] + (values[high] - values[low]) * (place - low)

    return at(0.5), at(0.95)


async def test_jobs_that_pass_and_fail_on_one_commit(engine):
    await _add_repositories(engine, "app", "lib")
    builds = [
        # (repository, job, status, commit, seconds)
        (1, "tests", "passed", "aa", 10), (1, "tests", "failed", "aa", 20),
        (1, "tests", "queued", "aa", None), (1, "tests", "passed", "aa", 30),
        (1, "tests", "failed", "bb", 40), (1, "lint", "passed", None, None),
        (1, "lint", "failed", None, "NaN"), (2, "deploy", "passed", "aa", 500),
        (2, None, "passed", "cc", "long"),
    ]  # fmt: skip
    await _add_events(engine, *(
        {"action": "build", "entity_id": id_,
         "occurred_at": AT + timedelta(minutes=number),
         "payload": {name: value for name, value in (
             ("status", status), ("name", job), ("commit", commit),
             ("seconds", seconds)) if value is not None}}
        for number, (id_, job, status, commit, seconds) in enumerate(builds)
    ))  # fmt: skip
    report = await Analytics(engine).build_problems()
    assert [
        (1, "app", "tests", 4, 2, 2, 3, 1.0, 1, 25.0, pytest.approx(38.5), False),
        (1, "app", "lint", 2, 1, 1, 1, 1.0, 0, None, None, False),
        (2, "lib", "deploy", 1, 1, 0, 0, None, 0, 500.0, 500.0, False),
        (2, "lib", "build", 1, 1, 0, 0, None, 0, None, None, False),
    ] == [*report]
    fast = [{"action": "build", "entity_id": 2, "payload": {
        "status": "passed", "name": f"fast-{number}", "seconds": 20}}
        for number in range(3)]  # fmt: skip
    await _add_events(engine, *fast)
    report = await Analytics(engine).build_problems(projects=1)
    assert {"deploy"} == {row.job for row in report if row.slow}


# --- health ---------------------------------------------------------------------------


async def _expect_health(engine, monkeypatch, at, **options):
    """
    The report, checked against what the repository of repositories says of each.
    """
    monkeypatch.setattr(domain, "utc_now", lambda: at)
    report = await Analytics(engine).repository_health(at=at, limit=ALL, **options)
    async with engine.session() as session:
        repositories = RepositoryRepository(session)
        for row in report:
            told = await repositories.health(row.repository_id)
            parts = {
                name: getattr(row, name) for name in domain.WEIGHTS
                if getattr(row, name) is not None
            }  # fmt: skip
            assert told.parts == parts
            assert (
                told.score, told.builds, told.last_commit_at, told.bus_factor,
                told.open_issues,
            ) == (
                row.score, row.finished_builds, row.last_commit_at, row.bus_factor,
                row.open_issues,
            )  # fmt: skip
    return report


async def test_health_is_that_of_the_domain(data, monkeypatch):
    analytics, _, repositories, _ = data
    report = await _expect_health(analytics._engine, monkeypatch, AT)
    assert repositories.keys() == {row.repository_id for row in report}
    scores = [row.score for row in report if row.score is not None]
    assert scores == sorted(scores)
    least = await analytics.repository_health(at=AT, limit=2)
    assert [*report[:2]] == [*least]


async def test_health_of_projects_and_of_a_period(data):
    analytics, events, repositories, projects = data
    report = await analytics.repository_health(at=AT, limit=ALL, projects=[1, 2])
    expected = {r.id for r in repositories.values() if r.project_id in (1, 2)}
    assert expected == {row.repository_id for row in report}
    report = await analytics.repository_health(at=AT, limit=ALL, statuses="active")
    assert {"active"} == {projects[row.project_id].status for row in report}
    period = {"since": date(2026, 4, 1), "until": date(2026, 5, 1)}
    report = await analytics.repository_health(at=AT, limit=ALL, **period)
    builds = Counter(
        event.entity_id for event in chosen(events, projects, "build", period)
        if event.payload["status"] in ("passed", "failed")
    )  # fmt: skip
    assert builds == Counter({r.repository_id: r.finished_builds for r in report})


async def test_health_of_odd_repositories(engine, monkeypatch):
    people = [{"name": "a", "commits": 4}, {"name": "b"}, {"name": "c", "commits": 4}]
    await _add_repositories(
        engine, "unknown",
        {"name": "fresh", "last_commit_at": AT, "contributors": people,
         "github": {"full_name": "a/b", "open_issues_count": 0}},
        {"name": "old", "last_commit_at": AT - timedelta(days=800),
         "contributors": [{"name": "a", "commits": 0}], "commit_count": 200,
         "github": {"full_name": "a/b"}},
        {"name": "later", "last_commit_at": AT + timedelta(days=3),
         "contributors": [{"name": each, "commits": 1} for each in "abcdef"],
         "github": {"full_name": "a/b", "open_issues_count": 7}},
    )  # fmt: skip
    outcomes = ["failed"] * 5 + ["passed"] * 70 + ["failed", "cancelled"] * 30
    await _add_events(engine, *(
        {"action": "build", "entity_id": 2, "payload": {"status": status},
         "occurred_at": AT - timedelta(hours=number // 2)}
        for number, status in enumerate(outcomes)
    ))  # fmt: skip
    report = await _expect_health(engine, monkeypatch, AT)
    why = {row.name: row.why for row in report}
    assert (
        "nothing known of builds; nothing known of activity; nothing known of people; "
        "nothing known of issues"
    ) == why["unknown"]
    assert (
        "12 lost by builds (70 of the last 100 passed); "
        "6.7 lost by people (2 people made more than half of the commits)"
    ) == why["fresh"]
    assert "60 lost by activity (the last commit was 800 days ago)" in why["old"]
    assert [None] == [row.score for row in report if row.name == "unknown"]
    assert "unknown" == report[-1].name


async def test_a_repository_without_a_flaw(engine):
    await _add_repositories(engine, {
        "name": "app", "last_commit_at": AT,
        "contributors": [{"name": each, "commits": 1} for each in "abcde"],
        "github": {"full_name": "a/b", "open_issues_count": 0},
    })  # fmt: skip
    await _add_events(engine, {"action": "build", "payload": {"status": "passed"}})
    (row,) = await Analytics(engine).repository_health(at=AT)
    assert (100.0, "nothing is lost") == (row.score, row.why)


async def test_fewer_issues_than_none(engine):
    await _add_repositories(engine, {
        "name": "app", "github": {"full_name": "a/b", "open_issues_count": -1},
    })  # fmt: skip
    (row,) = await Analytics(engine).repository_health(at=AT)
    assert (100.0, 1.0) == (row.score, row.issues)


async def test_one_build_without_an_outcome(engine):
    await _add_repositories(engine, "app")
    await _add_events(engine, {"action": "build"})
    analytics = Analytics(engine)
    (row,) = await analytics.build_success()
    assert (1, 0, 0, None, None) == row[1:]
    assert [] == [*await analytics.build_problems()]
    (row,) = await analytics.repository_health(at=AT)
    assert (0, None) == (row.finished_builds, row.builds)


# --- all of them ----------------------------------------------------------------------

QUESTIONS = [
    "repository_activity", "commits_over_time", "contributions", "bus_factor",
    "repository_health", "build_success", "build_problems",
]  # fmt: skip


@pytest.mark.parametrize("name", QUESTIONS)
async def test_of_an_empty_database(engine, name):
    report = await getattr(Analytics(engine), name)()
    assert [] == [*report]
    assert report.plot().spec["title"]["text"]


@pytest.mark.parametrize("name", QUESTIONS)
async def test_as_a_picture_and_as_json(data, name):
    report = await getattr(data[0], name)()
    assert json.dumps(report.plot().spec)
    assert json.dumps(report.to_dict(), allow_nan=False)
    assert len(report) == report.to_arrow().num_rows


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [
        ("repository_activity", "limit", 0),
        ("contributions", "limit", "ten"),
        ("bus_factor", "limit", True),
        ("repository_health", "limit", -1),
        ("repository_health", "at", datetime(2026, 1, 1)),
        ("build_problems", "limit", 1.5),
        ("build_success", "window", 0),
        ("commits_over_time", "zone", "Berlin"),
        ("build_success", "granularity", "minute"),
    ],
)
async def test_what_makes_no_sense_is_not_asked(data, name, argument, value):
    with pytest.raises(InvalidQuestionError) as caught:
        getattr(data[0], name)(**{argument: value})
    assert argument == caught.value.argument


async def _add_repositories(engine, *rows):
    async with engine.transaction() as session:
        await ProjectRepository(session).create({"name": "a", "project_idea": "b"})
        given = [{"name": row} if isinstance(row, str) else row for row in rows]
        for number, row in enumerate(given, start=1):
            session.add(Repository(id=number, project_id=1, **row))
            await session.flush()


async def _add_events(engine, *events):
    common = {
        "entity": "repository", "entity_id": 1, "project_id": 1, "occurred_at": AT,
        "payload": {}, "actor": None,
    }  # fmt: skip
    async with engine.transaction() as session:
        await session.execute(insert(Activity), [{**common, **e} for e in events])
