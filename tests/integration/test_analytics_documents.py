"""
What analytics says of documents, against plain Python over the same rows.
"""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from sqlalchemy import insert, select

from project_architect_db import (
    Activity,
    Document,
    DocumentRepository,
    InvalidQuestionError,
    Project,
)
from project_architect_db.analytics.answering import Answering
from project_architect_db.analytics.document_terms import STOP_WORDS
from project_architect_db.analytics.documents import DocumentQuestions
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


class Analytics(DocumentQuestions, Answering):
    """
    Only what is tested here.
    """


# --- the rows ---------------------------------------------------------------------

BORN = datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC)

ODD = [
    {"content": None, "checksum": None, "title": "Leap day", "created_at": BORN},
    {"content": None, "checksum": None, "title": "Leap day", "created_at": BORN},
    {"content": "", "checksum": "0", "language": "Python", "size": 0},
    {"content": "", "checksum": "0", "size": 0},
    {"content": " \t\r\n\v\f ", "size": 7, "kind": "note", "language": "Markdown"},
    {"content": "  Œuvre, œuvre;\tÆther\x01aether   the\r\nend ", "size": 41,
     "created_at": datetime(2026, 3, 29, 0, 59, tzinfo=UTC)},
    {"content": "a\u00a0b don't x_yes2no Parser.parse(parser)\n\n  parser", "size": 50,
     "created_at": datetime(2026, 3, 29, 1, 0, tzinfo=UTC)},
    {"content": "night watch night", "size": 17, "checksum": "n",
     "created_at": datetime(2026, 10, 25, 0, 30, tzinfo=UTC)},
    {"content": "night watch night", "size": 17, "checksum": "n",
     "created_at": datetime(2026, 10, 25, 1, 30, tzinfo=UTC)},
    *[{"content": f"copy {n}", "size": 2_000_000_000, "checksum": "big",
       "title": f"Copy {9 - n // 3}"} for n in range(25)],
]  # fmt: skip


def day(number):
    return BORN + timedelta(days=number)


EVENTS = [
    (9_001, "read", "ada", day(1)), (9_001, "read", "ada", day(2)),
    (9_001, "read", None, day(3)), (9_001, "read", "bob", day(-1)),
    (9_001, "moved", "ada", day(900)), (9_001, "changed", None, day(2)),
    (9_001, "created", "ada", day(950)), (9_001, "missing", None, day(980)),
    (9_002, "updated", "ada", day(4)), (9_004, "changed", None, day(-5)),
    (9_003, "read", "ada", datetime(2026, 12, 24, tzinfo=UTC)),
    (None, "read", "ada", day(5)), (None, "updated", "ada", day(5)),
]  # fmt: skip


async def write(engine, documents, events=(), project_id=9_001, first=9_001):
    """
    Documents by their columns; and what happened to them: id, action, actor, time.
    """
    async with engine.transaction() as session:
        await session.execute(
            insert(Project).values(
                id=project_id, name="odd", project_idea="b", status="active"
            )
        )
        for id_, columns in enumerate(documents, first):
            born = datetime(2026, 6, 1, tzinfo=UTC)
            row = {
                "id": id_, "project_id": project_id, "title": f"Document {id_}",
                "created_at": born, "updated_at": born, **columns,
            }  # fmt: skip
            await session.execute(insert(Document).values(**row))
        for id_, action, actor, moment in events:
            await session.execute(
                insert(Activity).values(
                    project_id=project_id, entity="document", entity_id=id_,
                    action=action, actor=actor, occurred_at=moment,
                )
            )  # fmt: skip


class Facts:
    """
    The rows, and what can be told of them the slow way.
    """

    def __init__(self, projects, documents, events):
        self.statuses = {p.id: p.status for p in projects}
        self.documents = documents
        self.events = defaultdict(list)
        for event in events:
            if event.entity == "document":
                self.events[event.entity_id].append(event)

    def chosen(self, filters):
        ids, statuses = filters.get("projects"), filters.get("statuses")
        return [
            d for d in self.documents
            if (ids is None or d.project_id in ids)
            and (statuses is None or self.statuses[d.project_id] in statuses)
        ]  # fmt: skip

    def created(self, filters):
        return [d for d in self.chosen(filters) if inside(d.created_at, filters)]

    def access(self, document, filters):
        """
        A row of the report, but for the document itself.
        """
        events = self.events[document.id]
        reads = [e for e in events if e.action == "read"]
        changes = [e for e in events if e.action in ("updated", "changed", "moved")]
        inner = [e for e in reads if inside(e.occurred_at, filters)]
        last = [
            max((e.occurred_at for e in found), default=None)
            for found in (reads, changes)
        ]
        used = max(moment for moment in (document.created_at, *last) if moment)
        return (
            len(inner), len({e.actor for e in inner if e.actor}), last[0],
            sum(inside(e.occurred_at, filters) for e in changes), last[1],
            max(0.0, (AT - used).total_seconds()), used,
        )  # fmt: skip


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


def told(rows):
    """
    Rows whose numbers are compared as far as they are exact.
    """
    return [
        tuple(
            pytest.approx(value, rel=1e-9, abs=2e-6) if isinstance(value, float)
            else value for value in row
        ) for row in rows
    ]  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seeded():
    async with temporary_database() as engine:
        await seed(engine, rows=2_000)
        await write(engine, ODD, EVENTS)
        async with engine.session() as session:
            rows = [
                (await session.execute(select(*model.__table__.c))).all()
                for model in (Project, Document, Activity)
            ]
        yield engine, Facts(*rows)


@pytest_asyncio.fixture(loop_scope="module")
async def engine():
    async with temporary_database() as engine:
        yield engine


async def answer(engine, method, **arguments):
    return [*await getattr(Analytics(engine), method)(**arguments)]


pytestmark = pytest.mark.asyncio(loop_scope="module")

# --- what is written and read -----------------------------------------------------


@pytest.mark.parametrize("filters", FILTERS)
async def test_document_creation(seeded, filters):
    engine, facts = seeded
    sizes = defaultdict(list)
    for d in facts.created(filters):
        sizes[bucket(d.created_at, filters), d.kind].append(d.size)
    expected = [(*key, len(found), sum(found)) for key, found in sorted(sizes.items())]
    assert expected == await answer(engine, "document_creation", **filters)


@pytest.mark.parametrize("filters", FILTERS)
@pytest.mark.parametrize("order", ["reads", "idle"])
async def test_document_access(seeded, filters, order):
    engine, facts = seeded
    found = []
    for d in facts.chosen(filters):
        *row, used = facts.access(d, filters)
        place = -row[0] if order == "reads" else used
        found.append(((place, d.id), (d.id, d.title, d.project_id, *row)))
    expected = told(row for _, row in sorted(found))
    options = {"order": order, "at": AT, **filters}
    actual = await answer(engine, "document_access", limit=9_000, **options)
    assert expected == actual
    assert expected[:3] == await answer(engine, "document_access", limit=3, **options)


async def test_access_is_what_one_document_tells_of(seeded):
    engine, _ = seeded
    rows = await answer(engine, "document_access", limit=5, at=AT)
    async with engine.session() as session:
        documents = DocumentRepository(session)
        for row in rows:
            usage = await documents.usage(row.document_id)
            assert (
                usage.reads, usage.readers, usage.last_read_at, usage.changes,
                usage.last_changed_at,
            ) == row[3:8]  # fmt: skip


async def test_a_read_is_told_of_at_once(engine):
    await write(engine, [{}])
    async with engine.transaction() as session:
        await DocumentRepository(session, actor="ada").record_reads([9_001])
    (row,) = await answer(engine, "document_access")
    assert (1, 1) == (row.reads, row.readers)
    assert 0 <= row.idle_seconds <= 60


# --- what is in them --------------------------------------------------------------


@pytest.mark.parametrize("filters", FILTERS)
async def test_document_content(seeded, filters):
    engine, facts = seeded
    found = defaultdict(list)
    for d in facts.created(filters):
        found[d.kind, d.language].append(d)
    expected = [
        (
            *key, len(group), sum(d.size for d in group),
            # Bytes have the white space of ASCII alone.
            sum(len((d.content or "").encode().split()) for d in group),
            sum(d.lines for d in group), statistics.fmean(d.size for d in group),
            float(statistics.median(d.size for d in group)),
        ) for key, group in found.items()
    ]  # fmt: skip
    expected.sort(key=lambda row: (-row[3], row[0], row[1] is None, row[1]))
    assert told(expected) == await answer(engine, "document_content", **filters)


@pytest.mark.parametrize("filters", FILTERS)
async def test_document_duplicates(seeded, filters):
    engine, facts = seeded
    found = defaultdict(list)
    for d in facts.created(filters):
        if d.checksum is not None:
            found[d.checksum].append(d)
    expected = [
        (
            checksum, len(group), group[0].size, (len(group) - 1) * group[0].size,
            tuple(sorted(d.id for d in group)[:20]),
            min(group, key=lambda d: d.id).title,
        ) for checksum, group in found.items() if len(group) > 1
    ]  # fmt: skip
    expected.sort(key=lambda row: (-row[3], row[0]))
    actual = await answer(engine, "document_duplicates", limit=5_000, **filters)
    assert expected == actual
    assert expected[:1] == await answer(
        engine, "document_duplicates", limit=1, **filters
    )


async def test_documents_without_a_checksum_are_no_copies(engine):
    await write(engine, [
        *[{"checksum": "a", "size": 1}] * 2, *[{"checksum": None, "size": 9}] * 3,
    ])  # fmt: skip
    assert [("a", 2, 1, 1, (9_001, 9_002), "Document 9001")] == await answer(
        engine, "document_duplicates", limit=1
    )


def words(document):
    text = f"{document.title} {document.content or ''}".lower()
    return [
        word
        for word in re.findall(r"[^\W\d_]{3,}", text)
        if word not in STOP_WORDS
    ]  # fmt: skip


def surprise(here, others, of_here, of_others):
    """
    The log-likelihood ratio of a word here and elsewhere, below 0 where it is rare.
    """
    share = (here + others) / (of_here + of_others)
    ratio = here * math.log(here / (of_here * share))
    if others:
        ratio += others * math.log(others / (of_others * share))
    return math.copysign(2 * ratio, here - of_here * share)


@pytest.mark.parametrize("filters", FILTERS)
async def test_top_terms(seeded, filters):
    engine, facts = seeded
    counts, having = defaultdict(Counter), defaultdict(Counter)
    for d in facts.created(filters):
        start, found = bucket(d.created_at, filters), words(d)
        counts[start].update(found)
        having[start].update({*found})
    everywhere = sum(counts.values(), Counter())
    sizes = {start: sum(found.values()) for start, found in counts.items()}
    expected = {
        (start, term): (number, having[start][term], surprise(
            number, everywhere[term] - number,
            sizes[start], sum(sizes.values()) - sizes[start],
        ))
        for start, found in counts.items() for term, number in found.items()
    }  # fmt: skip
    actual = await answer(engine, "top_terms", limit=1_000, **filters)
    assert {key: pytest.approx(row, abs=2e-6) for key, row in expected.items()} == {
        row[:2]: row[2:] for row in actual
    }
    order = [(r.bucket, -r.score, -r.occurrences, r.term) for r in actual]
    assert sorted(order) == order
    best = defaultdict(list)
    for row in actual:
        best[row.bucket].append(row)
    few = [row for rows in best.values() for row in rows[:2]]
    assert few == await answer(engine, "top_terms", limit=2, **filters)


async def test_the_terms_of_one_time_are_the_most_frequent(engine):
    texts = ["parser and lexer", "parser, parser", "The grammar: Lexer"]
    await write(engine, [{"content": text, "title": "A"} for text in texts])
    start = datetime(2026, 6, 1, tzinfo=UTC)
    assert [
        (start, "parser", 3, 2, 0.0), (start, "lexer", 2, 2, 0.0),
        (start, "grammar", 1, 1, 0.0),
    ] == await answer(engine, "top_terms")  # fmt: skip


# --- little, and too much ---------------------------------------------------------

METHODS = [
    "document_creation", "document_access", "document_content", "document_duplicates",
    "top_terms",
]  # fmt: skip


async def test_an_empty_database(engine):
    assert [[]] * 5 == [await answer(engine, method) for method in METHODS]


async def test_one_document(engine):
    await write(engine, [{"created_at": BORN}])
    start = datetime(2024, 2, 29, tzinfo=UTC)
    assert [(start, "text", 1, 0)] == await answer(engine, "document_creation")
    assert [("text", None, 1, 0, 0, 0, 0.0, 0.0)] == await answer(
        engine, "document_content"
    )
    assert [(start, "document", 1, 1, 0.0)] == await answer(engine, "top_terms")
    assert [
        (9_001, "Document 9001", 9_001, 0, 0, None, 0, None,
         (AT - BORN).total_seconds()),
    ] == await answer(engine, "document_access", at=AT)  # fmt: skip


async def test_the_hour_that_a_zone_has_twice(seeded):
    rows = await answer(
        seeded[0], "document_creation", granularity="hour", zone=BERLIN,
        since=date(2026, 10, 25), until=date(2026, 10, 26), projects=9_001,
    )  # fmt: skip
    assert [(2, 2, 1), (2, 1, 1)] == [
        (row.bucket.hour, row.bucket.utcoffset() // timedelta(hours=1), row.created)
        for row in rows
    ]


async def test_pictures(seeded):
    analytics = Analytics(seeded[0])
    for question in (
        *[getattr(analytics, method)() for method in METHODS],
        analytics.document_access(order="idle"),
    ):
        report = await question
        assert report.plot().spec["data"]["values"]
        assert report.to_arrow().num_rows == len(report)


@pytest.mark.parametrize(
    ("method", "arguments", "wrong"),
    [
        ("document_access", {"order": "size"}, "order"),
        ("document_access", {"limit": 0}, "limit"),
        ("document_access", {"at": "now"}, "at"),
        ("document_duplicates", {"limit": True}, "limit"),
        ("top_terms", {"limit": 1_001}, "limit"),
        ("top_terms", {"limit": "10"}, "limit"),
        *[(method, {"zone": "Mars/Base"}, "zone") for method in METHODS],
        *[(method, {"granularity": "second"}, "granularity") for method in METHODS],
        *[(method, {"until": "now"}, "until") for method in METHODS],
    ],
)
async def test_questions_that_make_no_sense(seeded, method, arguments, wrong):
    with pytest.raises(InvalidQuestionError) as caught:
        getattr(Analytics(seeded[0]), method)(**arguments)
    assert wrong == caught.value.argument
