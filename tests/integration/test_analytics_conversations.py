"""
What analytics says of conversations, against plain Python over the same rows.
"""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from sqlalchemy import insert, select

from project_architect_db import (
    Activity,
    Conversation,
    ConversationRepository,
    InvalidQuestionError,
    Project,
)
from project_architect_db.analytics.answering import Answering
from project_architect_db.analytics.conversations import ConversationQuestions
from project_architect_db.analytics.messages import MessageQuestions
from project_architect_db.domain.vocabulary import PHASES, Vocabulary
from project_architect_db.testing import seed, temporary_database

AT = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
BERLIN = "Europe/Berlin"

FILTERS = [
    {},
    {"since": date(2025, 1, 1)},
    {"until": date(2024, 3, 1), "zone": "America/New_York"},
    {"since": datetime(2024, 2, 28, 13), "until": datetime(2024, 3, 2, 7)},
    {"granularity": "hour", "since": date(2026, 3, 28), "until": date(2026, 3, 31),
     "zone": BERLIN},
    {"granularity": "hour", "since": date(2026, 10, 24), "until": date(2026, 10, 27),
     "zone": BERLIN},
    {"granularity": "week", "zone": BERLIN},
    {"granularity": "month", "zone": "Australia/Lord_Howe"},
    {"granularity": "quarter", "zone": "Asia/Kolkata", "statuses": ["completed"]},
    {"granularity": "year", "statuses": "active", "projects": [1, 2, 3, 9_001]},
    {"projects": []},
]  # fmt: skip


class Analytics(ConversationQuestions, MessageQuestions, Answering):
    """
    Only what is tested here.
    """


# --- the rows ---------------------------------------------------------------------

STRANGE = [
    {"role": "user", "content": "Was gibt es Neues?", "at": "2026-03-29T00:59:59Z"},
    {"role": "user", "content": "née", "at": "2026-03-29T03:00:00+02:00"},
    {"role": "tool", "content": "", "at": "2026-10-25T02:30:00+02:00"},
    {"role": "tool", "at": "2026-10-25T02:30:00+01:00"},
    {"content": "no role", "at": "2024-02-29T23:59:59.999999Z"},
    {"role": "user", "content": "earlier", "at": "2024-02-29 10:00:00"},
    {"role": "user", "content": None, "at": None},
    {"role": "system", "content": 5, "at": "tomorrow"},
    {"role": "user", "content": "after one without a time", "at": "2026-01-01T00:00Z"},
    {"at": 12}, {"at": {"a": 1}, "role": "user"}, {}, 7, "text", None, [1],
]  # fmt: skip

BORN = datetime(2024, 2, 29, 22, 30, tzinfo=UTC)
LATER = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def hours(count, start=BORN):
    return start + timedelta(hours=count)


async def write(engine, conversations, project_id=9_001, first=9_001):
    """
    Conversations: their phase, when they were created and changed, moves, messages.
    """
    async with engine.transaction() as session:
        await session.execute(
            insert(Project).values(
                id=project_id, name="odd", project_idea="b", status="active"
            )
        )
        for id_, (phase, born, changed, moves, said) in enumerate(conversations, first):
            await session.execute(
                insert(Conversation).values(
                    id=id_, project_id=project_id, title=f"c{id_}", phase=phase,
                    messages=said, created_at=born, updated_at=changed,
                )
            )  # fmt: skip
            for moment, payload in moves:
                await session.execute(
                    insert(Activity).values(
                        project_id=project_id, entity="conversation", entity_id=id_,
                        action="phase_changed", payload=payload, occurred_at=moment,
                    )
                )  # fmt: skip


def move(source, target):
    return {"from": source, "to": target}


ODD = [
    ("discovery", BORN, BORN, [], STRANGE),
    ("testing", BORN, LATER, [
        (hours(4), move("discovery", "design")),
        (hours(9), move("design", "discovery")),
        (hours(10), move("discovery", "design")),
        (hours(10), move("design", "testing")),
    ], []),
    # Changed past the repository, later than its last move tells; and before.
    ("maintenance", BORN, LATER, [(hours(1), move("design", "testing"))], []),
    ("design", BORN, BORN, [(hours(2), move("design", "testing"))], []),
    # Back from the furthest phase.
    ("design", BORN, BORN, [(hours(6), move("maintenance", "design"))], []),
    # What no repository writes.
    ("strange", BORN, BORN, [], {"not": "a list"}),
    ("design", BORN, BORN, [(hours(3), {}), (hours(5), {"to": "testing"})], "text"),
    ("design", LATER, LATER, [(BORN, move("discovery", "design"))], [None]),
    *[("deployment", hours(n, LATER), LATER, [
        (hours(2 * n, LATER), move("deployment", "testing")),
        (hours(2 * n + 900 * (n == 7), LATER), move("testing", "deployment")),
    ], [{"role": "user", "content": "x" * n, "at": hours(n).isoformat()}])
      for n in range(8)],
]  # fmt: skip


class Facts:
    """
    The rows, and what can be told of them the slow way.
    """

    def __init__(self, projects, conversations, events):
        self.statuses = {p.id: p.status for p in projects}
        self.conversations = conversations
        self.moves = defaultdict(list)
        for event in sorted(events, key=lambda e: (e.occurred_at, e.id)):
            if event.entity == "conversation" and event.action == "phase_changed":
                self.moves[event.entity_id].append(event)

    def chosen(self, filters):
        ids, statuses = filters.get("projects"), filters.get("statuses")
        return [
            c for c in self.conversations
            if (ids is None or c.project_id in ids)
            and (statuses is None or self.statuses[c.project_id] in statuses)
        ]  # fmt: skip

    def stays(self, filters):
        """
        Conversation, phase, when it came, whether it is there, how many seconds.
        """
        for c in self.chosen(filters):
            moves, phase, entered, found = self.moves[c.id], c.phase, c.created_at, []
            for number, event in enumerate(moves):
                phase = phase if number else event.payload.get("from", phase)
                found.append((phase, entered, event.occurred_at))
                phase, entered = event.payload.get("to", c.phase), event.occurred_at
            if phase != c.phase:
                changed = max(entered, c.updated_at)
                found.append((phase, entered, changed))
                entered = changed
            for name, start, end in [*found, (c.phase, entered, None)]:
                seconds = max(0.0, ((end or AT) - start).total_seconds())
                if inside(start, filters):
                    yield c, name, start, end is None, seconds

    def messages(self, filters):
        """
        Conversation, role, content, time, and time of the one before.
        """
        for c in self.chosen(filters):
            before = None
            for item in c.messages if isinstance(c.messages, list) else ():
                said = item if isinstance(item, dict) else {}
                at = time_of(said.get("at"))
                role, content = said.get("role") or "user", said.get("content")
                length = len("" if content is None else str(content))
                if inside(at, filters):
                    yield c, role, length, at, before
                before = at


def time_of(given):
    try:
        at = datetime.fromisoformat(given)
    except (TypeError, ValueError):
        return None
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def bounds(filters):
    zone = ZoneInfo(filters.get("zone", "UTC"))
    found = []
    for name in ("since", "until"):
        given = filters.get(name)
        if given is not None and not isinstance(given, datetime):
            given = datetime(given.year, given.month, given.day)
        found.append(given and given.replace(tzinfo=zone))
    return found


def inside(moment, filters):
    since, until = bounds(filters)
    if moment is None:
        return since is None and until is None
    return (since is None or moment >= since) and (until is None or moment < until)


def bucket(moment, filters):
    """
    The start of the bucket of a time, in UTC, as times in a fold equal nothing.
    """
    zone = ZoneInfo(filters.get("zone", "UTC"))
    local = moment.astimezone(zone)
    if filters.get("granularity") == "hour":
        return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    first = {
        "day": local.date(),
        "week": local.date() - timedelta(days=local.weekday()),
        "month": date(local.year, local.month, 1),
        "quarter": date(local.year, 1 + (local.month - 1) // 3 * 3, 1),
        "year": date(local.year, 1, 1),
    }[filters.get("granularity", "day")]
    return datetime(first.year, first.month, first.day, tzinfo=zone).astimezone(UTC)


def buckets(told, filters):
    since, until = bounds(filters)
    if not told and not (since and until):
        return []
    moment = since.astimezone(UTC) if since else min(told)
    last = until.astimezone(UTC) - timedelta(microseconds=1) if until else max(told)
    found, end = [bucket(moment, filters)], bucket(last, filters)
    step = timedelta(hours=1 if filters.get("granularity") == "hour" else 12)
    while found[-1] < end:
        moment += step
        if bucket(moment, filters) != found[-1]:
            found.append(bucket(moment, filters))
    return found


def quantile(values, share):
    """
    As numpy's default: between the two closest.
    """
    values = sorted(values)
    if not values:
        return None
    place = (len(values) - 1) * share
    low, high = values[int(place)], values[min(int(place) + 1, len(values) - 1)]
    return low + (high - low) * (place - int(place))


def place(phase):
    return (PHASES.words.index(phase) if phase in PHASES else 99, phase)


def told(rows):
    """
    Rows whose numbers are compared as far as they are exact.
    """
    return [
        tuple(
            pytest.approx(value, rel=1e-9, abs=1e-6) if isinstance(value, float)
            else value for value in row
        ) for row in rows
    ]  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seeded():
    async with temporary_database() as engine:
        await seed(engine, rows=2_000)
        await write(engine, ODD)
        async with engine.session() as session:
            rows = [
                (await session.execute(select(*model.__table__.c))).all()
                for model in (Project, Conversation, Activity)
            ]
        yield engine, Facts(*rows)


@pytest_asyncio.fixture(loop_scope="module")
async def engine():
    async with temporary_database() as engine:
        yield engine


async def answer(engine, method, **arguments):
    return [*await getattr(Analytics(engine), method)(**arguments)]


pytestmark = pytest.mark.asyncio(loop_scope="module")

# --- phases -----------------------------------------------------------------------


@pytest.mark.parametrize("filters", FILTERS)
async def test_phase_durations(seeded, filters):
    engine, facts = seeded
    stays = defaultdict(list)
    for conversation, phase, _, lasts, seconds in facts.stays(filters):
        stays[phase].append((conversation.id, lasts, seconds))
    expected = []
    for phase in sorted(stays, key=place):
        ids, lasting, seconds = zip(*stays[phase], strict=True)
        expected.append((
            phase, len(ids), len({*ids}), sum(lasting), statistics.fmean(seconds),
            quantile(seconds, 0.5), quantile(seconds, 0.9), max(seconds),
        ))  # fmt: skip
    actual = await answer(engine, "phase_durations", at=AT, **filters)
    assert told(expected) == actual


@pytest.mark.slow
async def test_stays_are_those_that_one_conversation_tells_of(seeded):
    engine, facts = seeded
    repaired = [c for c in facts.conversations if c.id != 9_007]  # has no payloads
    stays = Counter(
        (c.id, name) for c, name, *_ in facts.stays({}) if c.id != 9_007
    )  # fmt: skip
    async with engine.session() as session:
        conversations = ConversationRepository(session)
        flows = [
            await conversations.flow(c.id) for c in repaired if isinstance(
                c.messages, list)
        ]  # fmt: skip
    known = {flow.conversation_id for flow in flows}
    expected = Counter(
        (flow.conversation_id, stage.name) for flow in flows for stage in flow.stages
    )
    assert expected == {key: n for key, n in stays.items() if key[0] in known}


@pytest.mark.parametrize("filters", FILTERS)
async def test_phase_transitions(seeded, filters):
    engine, facts = seeded
    found, left = defaultdict(set), defaultdict(set)
    for c in facts.chosen(filters):
        for event in facts.moves[c.id]:
            source, target = event.payload.get("from"), event.payload.get("to")
            if source and target and inside(event.occurred_at, filters):
                found[source, target].add(c.id)
                left[source].add(c.id)
    expected = [
        (source, target, len(ids), len(ids) / len(left[source]))
        for (source, target), ids in sorted(
            found.items(), key=lambda item: (place(item[0][0]), place(item[0][1]))
        )
    ]
    assert told(expected) == await answer(engine, "phase_transitions", **filters)


@pytest.mark.parametrize("filters", FILTERS)
@pytest.mark.parametrize("k", [1.5, 0])
async def test_bottlenecks(seeded, filters, k):
    engine, facts = seeded
    stays = [*facts.stays(filters)]
    by_phase = defaultdict(list)
    for _, phase, _, _, seconds in stays:
        by_phase[phase].append(seconds)
    expected = []
    for c, phase, entered, lasts, seconds in stays:
        low, typical, high = (quantile(by_phase[phase], q) for q in (0.25, 0.5, 0.75))
        fence = high + k * (high - low)
        if len(by_phase[phase]) >= 5 and seconds > fence + 1e-6:
            times = seconds / typical if typical else None
            expected.append((
                c.id, c.title, c.project_id, phase, entered, lasts, seconds, typical,
                fence, times,
            ))  # fmt: skip
    actual = await answer(engine, "bottlenecks", at=AT, k=k, limit=9_000, **filters)
    by_id = sorted(actual, key=lambda row: (row[0], row[4]))
    assert told(sorted(expected, key=lambda row: (row[0], row[4]))) == by_id
    order = [(row.times is None, -(row.times or 0), -row.seconds) for row in actual]
    assert sorted(order) == order
    assert actual[:3] == await answer(
        engine, "bottlenecks", at=AT, k=k, limit=3, **filters
    )


async def test_a_stay_of_no_time_is_typical(engine):
    moves = [(BORN, move("discovery", "testing"))]
    slow = [(hours(1), move("discovery", "testing"))]
    await write(engine, [("testing", BORN, BORN, moves, [])] * 5 + [
        ("testing", BORN, BORN, slow, []),
    ])  # fmt: skip
    (row,) = await answer(engine, "bottlenecks", at=AT, until=hours(0.5))
    assert (9_006, "discovery", False, 3600.0, 0.0, 0.0, None) == (
        row.conversation_id, row.phase, *row[5:]
    )  # fmt: skip


async def test_four_stays_are_too_few(engine):
    await write(engine, [("testing", hours(n**9), BORN, [], []) for n in range(4)])
    assert [] == await answer(engine, "bottlenecks", at=AT, k=0)


@pytest.mark.parametrize("filters", FILTERS)
async def test_phase_funnel(seeded, filters):
    engine, facts = seeded
    found = []
    for c in facts.chosen(filters):
        words = [c.phase]
        for event in facts.moves[c.id]:
            words += [event.payload.get("from"), event.payload.get("to")]
        steps = [PHASES.words.index(word) for word in words if word in PHASES]
        if inside(c.created_at, filters):
            found.append(max(steps, default=-1))
    reached = [sum(step >= n for step in found) for n in range(len(PHASES.words))]
    expected = [
        (
            phase, reached[n], reached[n] / len(found) if found else None,
            reached[n] / reached[n - 1] if n and reached[n - 1] else None,
        ) for n, phase in enumerate(PHASES.words)
    ]  # fmt: skip
    assert told(expected) == await answer(engine, "phase_funnel", **filters)


async def test_a_funnel_over_words_of_your_own(engine, monkeypatch):
    from project_architect_db.analytics import conversations

    words = Vocabulary("phase", "discovery", "design", "party")
    monkeypatch.setattr(conversations, "PHASES", words)
    await write(engine, [
        ("party", BORN, BORN, [], []), ("discovery", BORN, BORN, [], []),
    ])  # fmt: skip
    assert [
        ("discovery", 2, 1.0, None), ("design", 1, 0.5, 0.5), ("party", 1, 0.5, 1.0),
    ] == await answer(engine, "phase_funnel")  # fmt: skip


# --- messages ---------------------------------------------------------------------


@pytest.mark.parametrize("filters", FILTERS)
async def test_message_patterns(seeded, filters):
    engine, facts = seeded
    lengths, gaps = defaultdict(list), defaultdict(list)
    for _, role, length, at, before in facts.messages(filters):
        lengths[role].append(length)
        if at and before:
            gaps[role].append((at - before).total_seconds())
    expected = [
        (
            role, len(found), statistics.fmean(found), float(statistics.median(found)),
            quantile(gaps[role], 0.5), quantile(gaps[role], 0.9),
        ) for role, found in sorted(lengths.items(), key=lambda i: (-len(i[1]), i[0]))
    ]  # fmt: skip
    assert told(expected) == await answer(engine, "message_patterns", **filters)


@pytest.mark.parametrize("filters", FILTERS)
async def test_message_heatmap(seeded, filters):
    engine, facts = seeded
    zone = ZoneInfo(filters.get("zone", "UTC"))
    found = Counter(
        (at.astimezone(zone).isoweekday(), at.astimezone(zone).hour)
        for *_, at, _ in facts.messages(filters) if at
    )  # fmt: skip
    expected = [
        (day, hour, found[day, hour]) for day in range(1, 8) for hour in range(24)
    ]
    assert expected == await answer(engine, "message_heatmap", **filters)


@pytest.mark.parametrize("filters", FILTERS)
async def test_messages_over_time(seeded, filters):
    engine, facts = seeded
    found = defaultdict(list)
    for c, _, length, at, _ in facts.messages(filters):
        if at:
            found[bucket(at, filters)].append((c.id, length))
    expected = []
    for start in buckets(found, filters):
        ids, lengths = [[*x] for x in zip(*found[start], strict=True)] or ([], [])
        mean = statistics.fmean(lengths) if lengths else None
        expected.append((start, len(ids), len({*ids}), mean))
    actual = await answer(engine, "messages_over_time", **filters)
    assert told(expected) == actual


async def test_the_hour_that_a_zone_has_twice(seeded):
    rows = await answer(
        seeded[0], "messages_over_time", granularity="hour", zone=BERLIN,
        since=date(2026, 10, 25), until=date(2026, 10, 26), projects=9_001,
    )  # fmt: skip
    assert 25 == len(rows)
    assert [(2, 2, 1), (2, 1, 1)] == [
        (row.bucket.hour, row.bucket.utcoffset() // timedelta(hours=1), row.messages)
        for row in rows if row.messages
    ]  # fmt: skip


# --- little, and too much ---------------------------------------------------------

METHODS = [
    "phase_durations", "phase_transitions", "bottlenecks", "phase_funnel",
    "message_patterns", "message_heatmap", "messages_over_time",
]  # fmt: skip


async def test_an_empty_database(engine):
    answers = {method: await answer(engine, method) for method in METHODS}
    assert [(phase, 0, None, None) for phase in PHASES.words] == answers.pop(
        "phase_funnel"
    )
    assert 0 == sum(row.messages for row in answers.pop("message_heatmap"))
    assert [[]] * 5 == [*answers.values()]


async def test_one_conversation(engine):
    said = [{"role": "user", "content": "four", "at": hours(1).isoformat()}]
    await write(engine, [("design", BORN, BORN, [], said)])
    seconds = (AT - BORN).total_seconds()
    assert [("design", 1, 1, 1, *[seconds] * 4)] == await answer(
        engine, "phase_durations", at=AT
    )
    assert [("user", 1, 4.0, 4.0, None, None)] == await answer(
        engine, "message_patterns"
    )
    assert [(datetime(2024, 2, 29, tzinfo=UTC), 1, 1, 4.0)] == await answer(
        engine, "messages_over_time"
    )


async def test_what_is_deleted_is_not_told_of(engine):
    await write(engine, ODD[1:2])
    async with engine.transaction() as session:
        await ConversationRepository(session).delete(9_001)
    assert [] == await answer(engine, "phase_transitions")
    assert [] == await answer(engine, "phase_durations")


async def test_pictures(seeded):
    analytics = Analytics(seeded[0])
    for method in METHODS:
        report = await getattr(analytics, method)()
        spec = report.plot().spec
        assert spec["data"]["values"]
        assert report.to_arrow().num_rows == len(report)


@pytest.mark.parametrize(
    ("method", "arguments", "wrong"),
    [
        ("bottlenecks", {"k": -1}, "k"),
        ("bottlenecks", {"k": float("nan")}, "k"),
        ("bottlenecks", {"k": True}, "k"),
        ("bottlenecks", {"k": "1.5"}, "k"),
        ("bottlenecks", {"limit": 0}, "limit"),
        ("bottlenecks", {"at": "now"}, "at"),
        ("phase_durations", {"at": datetime(2026, 1, 1)}, "at"),
        *[(method, {"zone": "Mars/Base"}, "zone") for method in METHODS],
        *[(method, {"granularity": "second"}, "granularity") for method in METHODS],
        *[(method, {"until": "now"}, "until") for method in METHODS],
    ],
)
async def test_questions_that_make_no_sense(seeded, method, arguments, wrong):
    with pytest.raises(InvalidQuestionError) as caught:
        getattr(Analytics(seeded[0]), method)(**arguments)
    assert wrong == caught.value.argument
