"""
What a piece of SQL is, by its text alone.
"""

from __future__ import annotations

import duckdb
import pytest

from project_architect_db.dialect import statements
from project_architect_db.dialect.statements import StatementCache
from project_architect_db.errors import (
    InvalidStatementError,
    UnsupportedOperationError,
)


@pytest.fixture(scope="module")
def duck():
    with duckdb.connect() as connection:
        yield connection


@pytest.fixture
def cache():
    return StatementCache()


def facts(parsed):
    return parsed.reads, parsed.surely_reads, parsed.answers, parsed.controls


READS = (True, True, True, False)
MAY_WRITE = (True, False, True, False)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT 1", READS),
        ("FROM t", READS),
        ("VALUES (1)", READS),
        ("WITH x AS (SELECT 1) FROM x", READS),
        ("DESCRIBE t", READS),
        ("EXPLAIN SELECT 1", READS),
        ("PRAGMA table_info('t')", READS),
        ("PIVOT t ON a USING sum(b)", READS),
        ("SELECT nextval('s')", MAY_WRITE),
        ("SELECT setval('s', 5)", MAY_WRITE),
        ("WITH x AS (DELETE FROM t RETURNING a) FROM x", MAY_WRITE),
        ("EXPLAIN ANALYZE UPDATE t SET a = 1", MAY_WRITE),
        ("SELECT 'insert' AS word", MAY_WRITE),
        ("COPY t FROM 'x.csv'", MAY_WRITE),
        ("COPY (SELECT 1) TO 'x.csv'", MAY_WRITE),
        ("EXPORT DATABASE 'x'", READS),
        ("SET threads = 1", (True, True, False, False)),
        ("SET VARIABLE x = 1", (True, True, False, False)),
        ("INSERT INTO t VALUES (1)", (False, False, True, False)),
        ("UPDATE t SET a = 1", (False, False, True, False)),
        ("DELETE FROM t", (False, False, True, False)),
        ("MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DELETE",
         (False, False, True, False)),
        ("CREATE TABLE u AS FROM t", (False, False, False, False)),
        ("DROP TABLE t", (False, False, False, False)),
        ("ALTER TABLE t ADD COLUMN b INTEGER", (False, False, False, False)),
        ("CHECKPOINT", (False, False, True, False)),
        ("CALL duckdb_settings()", (False, False, True, False)),
        ("ATTACH 'x' AS x", (False, False, False, False)),
        ("USE main", (True, True, False, False)),
        ("BEGIN", (False, False, False, True)),
        ("commit", (False, False, False, True)),
        ("/* a comment */ ROLLBACK", (False, False, False, True)),
    ],
)  # fmt: skip
def test_a_statement_is_known_by_its_kind(duck, cache, sql, expected):
    (parsed,) = cache.parse(duck, sql).statements

    assert expected == facts(parsed)


def test_several_statements_are_told_apart(duck, cache):
    parsed = cache.parse(duck, "SELECT ';'; DELETE FROM t; -- ; \nCOMMIT;").statements

    assert [True, False, False] == [p.reads for p in parsed]
    assert [False, False, True] == [p.controls for p in parsed]


def test_nothing_is_no_statement(duck, cache):
    assert () == cache.parse(duck, "-- nothing\n;").statements


def test_a_statement_is_parsed_once(duck, cache):
    assert cache.parse(duck, "SELECT $1") is cache.parse(duck, "SELECT $1")


def test_a_statement_serves_other_connections_too(duck, cache):
    (parsed,) = cache.parse(duck, "SELECT $1 + 1").statements
    with duck.cursor() as other:
        assert (6,) == other.execute(parsed.statement, [5]).fetchone()
        assert (7,) == other.execute(parsed.statement, [6]).fetchone()


def test_the_cache_does_not_grow_for_ever(duck, cache, monkeypatch):
    monkeypatch.setattr(statements, "REMEMBERED", 3)
    for number in range(10):
        cache.parse(duck, f"SELECT {number}")

    assert len(cache._cache) <= 3


def test_wrong_sql_is_not_remembered(duck, cache):
    for _ in range(2):
        with pytest.raises(duckdb.ParserException):
            cache.parse(duck, "SELEC 1")

    assert {} == cache._cache


def test_text_that_utf_8_cannot_write_is_refused(duck, cache):
    with pytest.raises(InvalidStatementError, match="the text is no UTF-8"):
        cache.parse(duck, "SELECT '\ud800'")


@pytest.mark.parametrize(
    "sql",
    ["SAVEPOINT x", " release SAVEPOINT x", "ROLLBACK TO x", "rollback work to x",
     "ROLLBACK TRANSACTION TO SAVEPOINT x"],
)  # fmt: skip
def test_a_savepoint_is_refused_by_its_name(duck, cache, sql):
    duck.begin()
    with pytest.raises(UnsupportedOperationError, match="no savepoints"):
        cache.parse(duck, sql)
    assert [(1,)] == duck.execute("SELECT 1").fetchall()
    duck.commit()
