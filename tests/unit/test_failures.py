"""
Each error of DuckDB becomes the one of ours that says what to do.
"""

from __future__ import annotations

import duckdb
import pytest
from sqlalchemy import exc

from project_architect_db import errors
from project_architect_db.dialect.failures import opening_error, statement_error

SETUP = (
    "CREATE TABLE t (id INT PRIMARY KEY, n INT NOT NULL, s VARCHAR, CHECK (n > 0))",
    "INSERT INTO t VALUES (1, 1, 'a'), (2, 2, 'b')",
)


@pytest.fixture
def duck():
    with duckdb.connect() as connection:
        for statement in SETUP:
            connection.execute(statement)
        yield connection


def error_of(duck, sql, parameters=()):
    with pytest.raises(duckdb.Error) as caught:
        duck.execute(sql, parameters).fetchall()
    return statement_error(caught.value, sql)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("INSERT INTO t VALUES (1, 1, 'x')", errors.DuplicateError),
        ("INSERT INTO t VALUES (3, NULL, 'x')", errors.ConstraintError),
        ("INSERT INTO t VALUES (3, 0, 'x')", errors.ConstraintError),
        ("INSERT INTO t VALUES ('x', 1, 'x')", errors.InvalidValueError),
        ("SELECT 200::TINYINT", errors.InvalidValueError),
        ("SELECT '2024-13-01'::DATE", errors.InvalidValueError),
        ("SELEC 1", errors.InvalidStatementError),
        ("FROM missing", errors.InvalidStatementError),
        ("SELECT missing FROM t", errors.InvalidStatementError),
        ("SELECT no_such_function(1)", errors.InvalidStatementError),
        ("ALTER TABLE t ADD CHECK (n < 9)", errors.StatementError),
        ("FROM read_csv('/no/such/file.csv')", errors.StatementError),
    ],
)
def test_a_refused_statement_has_an_error_of_its_kind(duck, sql, expected):
    error = error_of(duck, sql)

    assert expected is type(error)
    assert sql == error.statement


@pytest.mark.parametrize(
    "value",
    [object(), 1j, {1}, 2**200, "\ud800"],
    ids=lambda value: type(value).__name__,
)
def test_a_value_duckdb_has_no_type_for_is_an_invalid_value(duck, value):
    assert errors.InvalidValueError is type(error_of(duck, "SELECT $1", [value]))


def test_the_key_of_a_duplicate_is_known(duck):
    assert "id: 1" == error_of(duck, "INSERT INTO t VALUES (1, 1, 'x')").key


def test_the_message_is_the_first_paragraph_only(duck):
    error = error_of(duck, "SELECT 1,\n\nmissing FROM t")

    assert "LINE" not in str(error)
    assert "missing" in str(error)


def test_a_duplicate_that_only_commit_finds_is_one_too(duck):
    with duck.cursor() as other:
        for connection in (duck, other):
            connection.execute("BEGIN")
            connection.execute("INSERT INTO t VALUES (7, 7, 'x')")
        duck.commit()
        with pytest.raises(duckdb.TransactionException) as caught:
            other.commit()

    error = statement_error(caught.value, None)
    assert errors.DuplicateError is type(error)
    assert ("7", None) == (error.key, error.statement)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("UPDATE t SET n = 5", "UPDATE t SET n = 6"),
        ("DELETE FROM t", "DELETE FROM t"),
        ("ALTER TABLE t ADD COLUMN x INTEGER", "UPDATE t SET n = 6"),
        ("CREATE TABLE u (n INTEGER)", "CREATE TABLE u (n INTEGER)"),
    ],
)
def test_what_another_transaction_changed_is_a_conflict(duck, first, second):
    with duck.cursor() as other:
        other.execute("BEGIN")
        other.execute("FROM t").fetchall()
        duck.execute("BEGIN")
        duck.execute(first)
        with pytest.raises(duckdb.Error) as caught:
            other.execute(second)
            duck.commit()
            other.commit()

    assert errors.WriteConflictError is type(statement_error(caught.value, second))


def test_errors_of_others_are_left_to_them():
    assert statement_error(ValueError("x"), "SELECT 1") is None
    assert statement_error(exc.InvalidRequestError("x"), "SELECT 1") is None
    assert statement_error(errors.ClosedError("x"), "SELECT 1") is None


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        (TypeError("a set is no JSON"), errors.InvalidValueError),
        (exc.InvalidRequestError("a value is required"), errors.InvalidStatementError),
    ],
)
def test_what_sqlalchemy_could_not_bind_keeps_its_reason(cause, expected):
    error = statement_error(exc.StatementError("x", "SQL", None, cause), "SQL")

    assert (expected, str(cause), "SQL") == (type(error), str(error), error.statement)


def opening(text, path=None, kind=duckdb.IOException):
    return opening_error(kind(text), path=path)


def test_a_lock_names_the_process_where_duckdb_does(tmp_path):
    path = tmp_path / "x"
    error = opening("Could not set lock on file: held in python (PID 7)", path)
    unnamed = opening("Could not set lock on file", path)

    assert (7, str(path)) == (error.pid, error.path)
    assert "(pid 7)" in str(error)
    assert unnamed.pid is None
    assert "pid" not in str(unnamed)


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("Permission denied", duckdb.IOException, errors.DatabasePermissionError),
        ("Read-only file system", duckdb.IOException, errors.DatabasePermissionError),
        ("Corrupt WAL file", duckdb.IOException, errors.CorruptDatabaseError),
        ("computed checksum", duckdb.Error, errors.CorruptDatabaseError),
        ("No space left", duckdb.IOException, errors.DatabaseOpenError),
        ("Unknown value", duckdb.CatalogException, errors.ConfigurationError),
    ],
)
def test_an_opening_that_fails_has_an_error_of_its_kind(text, kind, expected):
    error = opening(text, kind=kind)

    assert expected is type(error)
    assert text in str(error)
    assert ":memory:" in str(error)


def test_a_mistyped_setting_is_guessed():
    text = "options were not recognized: threds"

    assert "did you mean threads" in str(opening(text, kind=duckdb.CatalogException))


def test_a_missing_table_says_what_to_do(duck):
    duck.execute("CREATE TABLE projects (id INT)")
    said = str(error_of(duck, "SELECT * FROM zz_top"))
    assert (
        "Catalog Error: there is no table zz_top; create the tables with "
        "engine.create_all(), or migrate the database"
    ) == said
    said = str(error_of(duck, "SELECT * FROM project"))
    assert (
        "Catalog Error: there is no table project; did you mean 'projects'?"
    ) == said
