"""
Full-text search finds what is there now, best first, and shows where.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import Counter

import pytest
import pytest_asyncio
from database_support import made_anew
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from project_architect_db import BaseRepository, DatabaseEngine, Document, Project
from project_architect_db.domain.search import (
    DocumentSearch,
    Highlighting,
    Match,
    Ranking,
    occurrences,
)
from project_architect_db.domain.search import index as search_index
from project_architect_db.domain.search.query import By, parse
from project_architect_db.domain.search.tokens import forms, words
from project_architect_db.errors import InvalidDataError, UnsupportedOperationError
from project_architect_db.testing import temporary_database

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database():
    async with temporary_database(threads=1) as engine:
        yield engine


@pytest_asyncio.fixture(loop_scope="module")
async def engine(database):
    """
    The database of all tests here, with two projects and no documents.
    """
    await begin(await made_anew(database))
    return database


async def begin(engine):
    async with engine.transaction() as session:
        session.add(Project(id=1, name="a", project_idea="b"))
        session.add(Project(id=2, name="c", project_idea="d"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def texts():
    """
    A database of its own with some documents, which is only read.
    """
    async with temporary_database(threads=1) as engine:
        await begin(engine)
        await add(engine, *(document(n, *both) for n, both in TEXTS.items()))
        yield engine


def document(id, title, content="", **others):
    return Document(id=id, project_id=1, title=title, content=content, **others)


async def add(engine, *documents):
    async with engine.transaction() as session:
        session.add_all(documents)


async def found(session, query, *conditions, **options):
    results = await DocumentSearch(session).search(query, *conditions, **options)
    return [result.document.id for result in results]


async def found_in(engine, query, *conditions, **options):
    async with engine.session() as session:
        return await found(session, query, *conditions, **options)


# --- what is found ------------------------------------------------------------------


TEXTS = {
    1: ("Running the server", "The crème brûlée is served on port v2.0, in C++."),
    2: ("HTTP client", "Call parseHTTPResponse or os.path.join(a) to run it."),
    3: ("日本語の文書", "東京は日本の首都です。 The end"),
    4: ("Notes", "the client of the end of the server 2024-01-15"),
    5: ("", None),
}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("run", {1, 2}),
        ("CREME", {1}),
        ("Crème", {1}),
        ("v2.0", {1}),
        ("c++", {1}),
        ("C#", set()),
        ("response", {2}),
        ("parsehttpresponse", {2}),
        ("HTTPResponse", {2}),
        ("parseHTTP", {2}),
        ("os.path", {2}),
        ("path.join", {2}),
        ("日本", {3}),
        ("本日", set()),
        ("首都", {3}),
        ("serv*", {1, 4}),
        ("http*", {2}),
        ('"the server"', {1, 4}),
        ('"the servers"', set()),
        ('"server the"', set()),
        ('"SERVER the crème"', set()),
        ('"brulee is"', {1}),
        ("2024-01-15", {4}),
        ("2024-01", {4}),
        ("01-2024", set()),
        ("server client", {1, 2, 4}),
        ("server -client", {1}),
        ('server -"the end"', {1}),
        ("server -cli*", {1}),
        ('"the end" client', {3, 4}),
        ('"the end" "the server"', {4}),
        ("absent", set()),
        ("", set()),
        ("-server", set()),
    ],
)
async def test_what_a_query_finds(texts, query, expected):
    assert expected == set(await found_in(texts, query))


@pytest.mark.slow
async def test_filters_pages_and_order(engine):
    await add(
        engine,
        document(1, "a", "word other other"),
        document(2, "word", "word"),
        document(3, "a", "word word"),
        document(4, "a", "word word", kind="code"),
    )
    async with engine.transaction() as session:
        session.add(Document(id=5, project_id=2, title="word", content="x"))
    assert [2, 5, 3, 4, 1] == await found_in(engine, "word")
    assert [5, 3] == await found_in(engine, "word", limit=2, offset=1)
    assert [2, 3, 4, 1] == await found_in(engine, "word", project_id=1)
    assert [4] == await found_in(engine, "word", kind="code")
    assert [3, 1] == await found_in(engine, "word", Document.id.in_([1, 3, 9]))
    assert [1] == await found_in(engine, "word other", match_all=True)


@pytest.mark.parametrize(
    ("query", "options", "field"),
    [
        (None, {}, "query"),
        (b"word", {}, "query"),
        ("word", {"limit": -1}, "limit"),
        ("word", {"limit": True}, "limit"),
        ("word", {"limit": "5"}, "limit"),
        ("word", {"offset": -5}, "offset"),
        ("word", {"offset": 10**19}, "offset"),
        ("word", {"project_id": "a"}, "project_id"),
        ("word", {"kind": "cdoe"}, "kind"),
        ("word", {"kind": 5}, "kind"),
        ("-word", {"kind": "cdoe"}, "kind"),
    ],
)
async def test_what_cannot_be_searched_for(texts, query, options, field):
    with pytest.raises(InvalidDataError) as caught:
        await found_in(texts, query, **options)
    assert ("Document", field) == (caught.value.model, caught.value.field)


async def test_a_misspelt_kind_is_guessed(texts):
    with pytest.raises(InvalidDataError, match="did you mean 'code'"):
        await found_in(texts, "word", kind="cdoe")


async def test_what_is_no_condition_is_refused(texts):
    with pytest.raises(InvalidDataError):
        await found_in(texts, "word", "title")


HOSTILE = [
    "'; DROP TABLE documents; --", '"', '""', "*", "-", "--", "***", '-"', ":x", "%s",
    "$1", "?", "\\", "\0", "a\0b", "(a OR b) AND", "a:b", "{}", "\ud800", "😀",
    "\u202e",
    "x" * 100_000, "a " * 10_000, '"' * 999, "*a", "a**", "-a*", "a-", "NULL", "1e999",
    "\n\t", "[a", "a]", "(?:", "\\p{L}", "ﷺ", "\u0300", "🏳️‍🌈", "word:*", "+word", "a'b",
]  # fmt: skip


@pytest.mark.parametrize(
    "all_of_them", [False, pytest.param(True, marks=pytest.mark.slow)]
)
async def test_no_query_is_an_error(engine, all_of_them):
    await add(engine, document(1, "word", "words"))
    async with engine.session() as session:
        for number, query in enumerate(HOSTILE):
            texts = (query, f"word {query}", f'"{query}', f"-{query} word")
            for text_ in texts if all_of_them else texts[number % 4 :][:1]:
                await DocumentSearch(session).search(text_)
        assert [1] == await found(session, "word")


async def test_no_text_is_an_error(engine):
    texts = [text_ for text_ in HOSTILE if text_.isprintable() or "\0" in text_]
    await add(engine, *(
        document(n, f"word {n}", text_) for n, text_ in enumerate(texts, 1)
    ))  # fmt: skip
    assert len(texts) == len(await found_in(engine, "word", limit=1000))


# --- ranking --------------------------------------------------------------------------


class Texts:
    """
    A search of its own, in plain Python: documents are `(title, content)` by id.
    """

    def __init__(self, texts):
        self.words = {
            id: (self.forms(title), self.forms(content or ""))
            for id, (title, content) in texts.items()
        }

    @staticmethod
    def forms(text_):
        return [forms(word) for word in words(text_)]

    def count(self, clause, sequence):
        size = len(clause.elements)
        return sum(
            all(
                any(self.agrees(element, form) for form in sequence[start + place])
                for place, element in enumerate(clause.elements)
            )
            for start in range(len(sequence) - size + 1)
        )

    @staticmethod
    def agrees(element, form):
        if element.by is By.TERM:
            return form.term == element.text
        if element.by is By.FORM:
            return form.form == element.text
        return form.form.startswith(element.text)

    def search(self, query, ranking, *, match_all=False):
        clauses = parse(query, match_all=match_all)
        lengths = {id: len(a) + len(b) for id, (a, b) in self.words.items()}
        average = sum(lengths.values()) / max(1, len(lengths))
        scores, had = Counter(), {}
        for clause in clauses:
            frequencies = {
                id: ranking.title * self.count(clause, a) + self.count(clause, b)
                for id, (a, b) in self.words.items()
            }
            hits = {id: tf for id, tf in frequencies.items() if tf}
            idf = math.log(1 + (len(lengths) - len(hits) + 0.5) / (len(hits) + 0.5))
            for id, tf in hits.items():
                had.setdefault(id, set()).add(clause)
                norm = 1 - ranking.b + ranking.b * lengths[id] / average
                scores[id] += idf * tf * (ranking.k1 + 1) / (tf + ranking.k1 * norm)
        required = {clause for clause in clauses if clause.required}
        excluded = {clause for clause in clauses if clause.excluded}
        if len(excluded) == len(clauses):
            return []
        ranked = [
            (id, round(score, 9))
            for id, score in scores.items()
            if required <= had[id] and not excluded & had[id]
        ]
        return sorted(ranked, key=lambda pair: (-pair[1], pair[0]))


WORDS = ["alpha", "Beta", "gamma's", "running", "runs", "run", "x.y", "snake_case",
         "Été", "日", *"abcde"]  # fmt: skip


def some_text(chance, most):
    return " ".join(chance.choices(WORDS, k=chance.randint(0, most)))


def some_query(chance):
    pieces = []
    for _ in range(chance.randint(1, 4)):
        word = chance.choice(WORDS)
        pieces.append(chance.choice([
            word, word, f"{word[:2]}*", f'"{word} {chance.choice(WORDS)}"', f"-{word}",
        ]))  # fmt: skip
    return " ".join(pieces)


@pytest.mark.parametrize(
    "ranking",
    [
        Ranking(k1=2, b=1, title=5),
        pytest.param(Ranking(), marks=pytest.mark.slow),
        pytest.param(Ranking(k1=0.5, b=0.2, title=1), marks=pytest.mark.slow),
    ],
)
async def test_the_ranking_is_that_of_an_independent_bm25(engine, ranking):
    chance = random.Random(1)
    texts = {n: (some_text(chance, 4), some_text(chance, 25)) for n in range(1, 60)}
    await add(engine, *(document(n, *both) for n, both in texts.items()))
    brute = Texts(texts)
    async with engine.session() as session:
        search = DocumentSearch(session, ranking=ranking)
        for number in range(30):
            query, match_all = some_query(chance), number % 3 == 0
            results = await search.search(query, match_all=match_all, limit=1000)
            assert brute.search(query, ranking, match_all=match_all) == [
                (each.document.id, pytest.approx(each.score, abs=2e-9))
                for each in results
            ], query


# --- highlights -----------------------------------------------------------------------


async def test_results_show_where_they_match(engine):
    await add(
        engine, document(1, "Élan vital", "Two runs, <b>one</b> élan; élan vital")
    )
    show = Highlighting(before="<", after=">", escape=lambda t: t.replace("<", "&lt;"))
    async with engine.session() as session:
        search = DocumentSearch(session, highlighting=show)
        (result,) = await search.search('running "elan vital"')
    assert "<Élan vital>" == result.title
    assert ("Two <runs>, &lt;b>one&lt;/b> élan; <élan vital>",) == result.snippets
    assert (Match(0, 10),) == result.title_matches
    assert ["runs", "élan vital"] == [
        result.document.content[slice(*match)] for match in result.content_matches
    ]


async def test_a_document_without_content_is_shown(engine):
    await add(engine, document(1, "word", None))
    async with engine.session() as session:
        (result,) = await DocumentSearch(session).search("word")
    assert ("**word**", ("",)) == (result.title, result.snippets)


# --- always current -------------------------------------------------------------------


async def test_pending_objects_are_found(engine):
    async with engine.session() as session:
        session.add(document(1, "word"))
        assert [1] == await found(session, "word")
        (await session.get(Document, 1)).title = "other"
        assert ([], [1]) == (
            await found(session, "word"),
            await found(session, "other"),
        )
        await session.rollback()
        assert [] == await found(session, "other")
    assert [] == await found_in(engine, "other")


async def test_what_another_session_has_not_committed_is_not_found(engine):
    async with engine.transaction() as session:
        session.add(document(1, "word"))
        assert [1] == await found(session, "word")
        assert [] == await found_in(engine, "word")
    assert [1] == await found_in(engine, "word")


async def test_a_snapshot_is_searched_as_it_was(engine):
    await add(engine, document(1, "word"))
    async with engine.session() as reader:
        assert [1] == await found(reader, "word")
        async with engine.transaction() as session:
            await session.execute(update(Document).values(title="other"))
        assert [1] == await found(reader, "word")
        assert [] == await found(reader, "other")
        await reader.rollback()
        assert [1] == await found(reader, "other")


async def test_a_key_may_be_written_as_text(engine):
    async with engine.transaction() as session:
        row = {"id": "7", "project_id": 1, "title": "word"}
        await session.execute(insert(Document.__table__), row)
    assert [7] == await found_in(engine, "word")


async def test_a_cascade_is_followed(engine):
    await add(engine, document(1, "word"))
    async with engine.transaction() as session:
        await BaseRepository[Project](session).delete(1)
    assert [] == await found_in(engine, "word")
    async with engine.session() as session:
        tables = "document_postings", "document_lengths"
        for table in tables:
            assert 0 == await session.scalar(text(f"SELECT count(*) FROM {table}"))


async def autocommit(engine, sql):
    async with engine.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text(sql))


@pytest.mark.slow
async def test_a_reader_sees_through_an_index_that_is_out_of_step(engine):
    await add(engine, *(document(n, "word", f"old text {n}") for n in (1, 2, 3)))
    await autocommit(engine, "UPDATE documents SET content = 'brand-new' WHERE id = 2")
    await autocommit(engine, "DELETE FROM documents WHERE id = 3")
    async with engine.session() as session:
        assert [1] == await found(session, "old")
        assert [2] == await found(session, '"brand new"')
        assert [1, 2] == sorted(await found(session, "word"))
        (result,) = await DocumentSearch(session).search("brand*")
        assert ("**brand**-new",) == result.snippets
    async with engine.session() as session:  # nothing is left but a deletion
        await session.execute(delete(Document).where(Document.id == 2))
        assert [1] == await found(session, "word")


async def test_a_reader_that_finds_it_in_step_remembers_that(engine, monkeypatch):
    await add(engine, document(1, "word"))
    await autocommit(engine, "UPDATE projects SET name = 'b'")
    asked = []
    compare = search_index.DocumentIndex.out_of_step
    monkeypatch.setattr(
        search_index.DocumentIndex, "out_of_step",
        lambda *arguments: asked.append(1) or compare(*arguments),
    )  # fmt: skip
    assert [1] == await found_in(engine, "word")
    assert [1] == await found_in(engine, "word")
    assert [1] == asked


async def test_a_commit_between_two_looks_is_noticed(engine, monkeypatch):
    await add(engine, document(1, "word"))
    async with engine.session() as session:
        driver = (
            await (await session.connection()).get_raw_connection()
        ).driver_connection
        looks = iter([True, False])
        in_step = driver.database.in_step
        monkeypatch.setattr(in_step, "is_since", lambda *_: next(looks))
        assert [1] == await found(session, "word")


@pytest.mark.parametrize("sizes", [(20, 100_000), (2, 100_000), (20, 10)])
async def test_many_documents_and_large_ones_are_indexed_in_pieces(
    engine, monkeypatch, sizes
):
    monkeypatch.setattr(search_index, "FEW", sizes[0])
    monkeypatch.setattr(search_index, "SHORT", sizes[1])
    monkeypatch.setattr(occurrences, "QUICK", 3)
    monkeypatch.setattr(search_index, "_PIECES", search_index._PIECES.replace(
        str(search_index.BYTES_AT_A_TIME), "40"
    ))  # fmt: skip
    await add(engine, *(document(n, f"word w{n}", "more of it") for n in range(1, 8)))
    async with engine.transaction() as session:
        await session.execute(delete(Document).where(Document.id == 4))
        await session.execute(update(Document).values(content="other"))
        await session.execute(delete(Document).where(Document.id == 5))
    assert [1, 2, 3, 6, 7] == sorted(await found_in(engine, "word"))
    assert [] == await found_in(engine, "more")
    assert [3] == await found_in(engine, "w3")


async def test_reindex_puts_everything_in_order(engine):
    await add(engine, document(1, "word"), document(2, "gone"))
    async with engine.transaction() as session:
        await session.execute(delete(Document).where(Document.id == 2))
        await session.execute(text("DELETE FROM document_postings"))
        assert [] == await found(session, "word")
        await DocumentSearch(session).reindex()
        assert [1] == await found(session, "word")
        spelled = await session.scalars(text("SELECT spelling FROM document_words"))
        assert ["word"] == spelled.all()
    assert [1] == await found_in(engine, "word")


async def test_a_database_from_before_the_index(tmp_path):
    async with DatabaseEngine(tmp_path / "old.duckdb") as engine:
        tables = [Project.__table__, Document.__table__]
        async with engine.transaction() as session:
            connection = await session.connection()
            await connection.run_sync(
                lambda sync: Document.metadata.create_all(
                    sync, [t for t in Document.metadata.sorted_tables
                           if not t.name.startswith("document_")]
                )
            )  # fmt: skip
            assert len(tables) == 2
            session.add(Project(id=1, name="a", project_idea="b"))
            session.add(document(1, "word"))
        for block in (engine.session, engine.transaction):
            async with block() as session:
                with pytest.raises(UnsupportedOperationError, match="create_all"):
                    await DocumentSearch(session).search("word")
        async with engine.transaction() as session:
            with pytest.raises(UnsupportedOperationError, match="create_all"):
                await DocumentSearch(session).reindex()
        await engine.create_all()
        assert [1] == await found_in(engine, "word")


async def test_another_database_has_its_own_search():
    other = create_async_engine("sqlite+aiosqlite://")
    async with AsyncSession(other) as session:
        with pytest.raises(UnsupportedOperationError, match="DuckDB"):
            await DocumentSearch(session).search("word")
    await other.dispose()


@pytest.mark.slow
async def test_readers_search_while_a_writer_writes(engine):
    """
    Each document says the same twice; no search may find it in only one way.
    """
    await add(engine, document(1, "v0", "v0"))
    running = True

    async def write():
        nonlocal running
        for n in range(1, 13):
            both = {"title": f"v{n}", "content": f"v{n}"}
            if n % 4:
                async with engine.transaction() as session:
                    await session.execute(
                        update(Document).where(Document.id == 1).values(**both)
                    )
            else:
                await autocommit(
                    engine, f"UPDATE documents SET title = 'v{n}', content = 'v{n}'"
                )
        running = False

    async def read():
        while running:
            async with engine.session() as session:
                (result,) = await DocumentSearch(session).search("v*")
                assert f"**{result.document.content}**" == result.title
                assert [1] == await found(session, result.document.content)

    await asyncio.gather(write(), read(), read())


@pytest.mark.slow
async def test_the_loop_stays_free_while_much_is_indexed(engine):
    longest, running = 0.0, True

    async def tick():
        nonlocal longest
        while running:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - before)

    ticking = asyncio.create_task(tick())
    chance = random.Random(2)
    rows = [
        {"project_id": 1, "title": f"w{n}", "content": some_text(chance, 30)}
        for n in range(5_000)
    ]
    async with engine.transaction() as session:
        await BaseRepository[Document](session).bulk_insert(rows)
    running = False
    await ticking
    assert longest < 0.5  # 0.05 on an idle machine


# --- random writes --------------------------------------------------------------------

IDS = st.integers(1, 6)
TITLES = st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join)
WRITES = st.one_of(
    st.tuples(st.just("orm add"), IDS, TITLES),
    st.tuples(st.just("orm change"), IDS, TITLES),
    st.tuples(st.just("orm delete"), IDS, TITLES),
    st.tuples(st.just("upsert"), IDS, TITLES),
    st.tuples(st.just("core update"), IDS, TITLES),
    st.tuples(st.just("core delete"), IDS, TITLES),
    st.tuples(st.just("executemany"), IDS, TITLES),
    st.tuples(st.just("copy"), IDS, TITLES),
    st.tuples(st.just("text"), IDS, TITLES),
    st.tuples(st.just("swap"), IDS, TITLES),
    st.tuples(st.just("cascade"), IDS, TITLES),
    st.tuples(st.just("autocommit"), IDS, TITLES),
    st.tuples(st.just("reindex"), IDS, TITLES),
    st.tuples(st.just("commit"), IDS, TITLES),
    st.tuples(st.just("rollback"), IDS, TITLES),
)


async def write(engine, session, kind, id, title):
    table = Document.__table__
    there = await session.get(Document, id)
    match kind:
        case "orm add" if there is None:
            session.add(document(id, title, f"added {title}"))
        case "orm change" if there is not None:
            there.content = title
        case "orm delete" if there is not None:
            await session.delete(there)
        case "upsert":
            made = upsert(table).values(id=id, project_id=1, title=title)
            await session.execute(made.on_conflict_do_update(
                index_elements=["id"], set_={"title": title}
            ))  # fmt: skip
        case "core update":
            await session.execute(
                update(table).where(table.c.id <= id).values(title=title)
            )
        case "core delete":
            await session.execute(delete(table).where(table.c.title.contains("a b")))
        case "executemany":
            ids = set(await session.scalars(select(table.c.id)))
            rows = [{"id": n, "project_id": 1, "title": title, "content": "many"}
                    for n in {id, id + 10, 20} - ids]  # fmt: skip
            if rows:
                await session.execute(insert(table), rows)
        case "copy":
            most = await session.scalar(select(func.max(table.c.id))) or 0
            chosen = select(table.c.id + most, table.c.project_id, table.c.content,
                            table.c.title, table.c.kind, table.c.size, table.c.lines,
                            table.c.created_at, table.c.updated_at)  # fmt: skip
            await session.execute(insert(table).from_select(
                ["id", "project_id", "title", "content", "kind", "size", "lines",
                 "created_at", "updated_at"],
                chosen.where(table.c.id == id, table.c.content.is_not(None)),
            ))  # fmt: skip
        case "text":
            await session.execute(
                text("UPDATE documents SET content = :t WHERE id % 2 = 0"), {"t": title}
            )
        case "swap":
            await session.execute(update(table).values(title=func.upper(table.c.title)))
        case "cascade":
            await session.execute(text("DELETE FROM projects WHERE id = 1"))
            session.expire_all()
            session.add(Project(id=1, name="a", project_idea="b"))
        case "autocommit":
            await session.commit()
            async with engine.engine.connect() as connection:
                await connection.execution_options(isolation_level="AUTOCOMMIT")
                sql = text("UPDATE documents SET content = :t WHERE id = :id")
                await connection.execute(sql, {"t": title, "id": id})
        case "reindex":
            await DocumentSearch(session).reindex()
        case "commit":
            await session.commit()
        case "rollback":
            await session.rollback()
    session.expire_all() if kind in {"commit", "rollback"} else await session.flush()


async def check(session, query):
    table = Document.__table__
    await session.flush()
    rows = await session.execute(select(table.c.id, table.c.title, table.c.content))
    brute = Texts({id: (title, content) for id, title, content in rows})
    results = await DocumentSearch(session).search(query, limit=1000)
    assert brute.search(query, Ranking()) == [
        (each.document.id, pytest.approx(each.score, abs=2e-9)) for each in results
    ]


@settings(max_examples=7, deadline=None, suppress_health_check=[*HealthCheck])
@given(
    st.lists(st.tuples(WRITES, st.integers(0, 10_000)), min_size=1, max_size=12),
)  # fmt: skip
async def test_random_writes_of_all_kinds_are_found(database, steps):
    engine = await made_anew(database)
    await add(engine, Project(id=1, name="a", project_idea="b"))
    async with engine.session() as session:
        for (kind, id, title), seed in steps:
            await write(engine, session, kind, id, title)
            if seed % 3 == 0:
                await check(session, some_query(random.Random(seed)))
        await session.commit()
    async with engine.session() as session:
        await check(session, "alpha Beta run a b added many")
