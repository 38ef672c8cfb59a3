"""
One tree of errors, drawn once, each with its facts.
"""

from __future__ import annotations

import copy
import inspect
import pickle
from datetime import UTC, datetime

import pytest

import project_architect_db
from project_architect_db import errors

CLASSES = [
    member
    for _, member in inspect.getmembers(errors, inspect.isclass)
    if issubclass(member, errors.ArchitectError)
]

EXAMPLES = {
    errors.DatabaseOpenError: {"message": "no", "path": "x"},
    errors.DatabaseLockedError: {"message": "no", "path": "x", "pid": 7},
    errors.CorruptDatabaseError: {"message": "no", "path": "x"},
    errors.DatabaseVersionError: {"message": "no", "path": "x"},
    errors.DatabasePermissionError: {"message": "no", "path": "x"},
    errors.InvalidQuestionError: {"message": "no", "argument": "a", "value": 7},
    errors.NotLoadedError: {"model": "A", "field": "b"},
    errors.PoolTimeoutError: {"connections": 3, "seconds": 1.5},
    errors.QueryTimeoutError: {"statement": "SELECT 1", "seconds": 1.5},
    errors.DuplicateError: {"message": "no", "statement": "x", "key": "id: 1"},
    errors.ForeignKeyError: {
        "message": "no",
        "table": "a",
        "column": "b_id",
        "parent": "b",
        "keys": (7,),
    },
    errors.MissingParentError: {
        "table": "a",
        "column": "b_id",
        "parent": "b",
        "keys": (1, 2),
        "statement": "x",
    },
    errors.StillReferencedError: {
        "table": "a",
        "column": "b_id",
        "parent": "b",
        "keys": (1, 2),
        "statement": "x",
    },
    errors.RevisionFailedError: {
        "message": "no",
        "revision": "1",
        "applied": (),
        "original": "why",
    },
    errors.RecordError: {"message": "no", "model": "Note"},
    errors.NotFoundError: {"model": "Note", "id": 7},
    errors.StaleRecordError: {"model": "Note", "id": 7, "expected": 1, "found": 2},
    errors.UnknownFieldError: {"model": "Note", "field": "nmae", "suggestion": "name"},
    errors.InvalidDataError: {
        "message": "no",
        "model": "Note",
        "field": "a.b",
        "value": 5,
        "index": 3,
    },
    errors.WriteTimeoutError: {
        "message": "no",
        "waited": 1.0,
        "holder": "Task-1",
        "held_since": datetime(2026, 1, 1, tzinfo=UTC),
        "opened_at": "x.py:1 in main",
    },
    errors.TransactionAbortedError: {"original": ValueError("why")},
    errors.NestedTransactionError: {"opened_at": "x.py:1 in main"},
    errors.StaleSnapshotError: {},
    errors.GitNotFoundError: {},
    errors.NotARepositoryError: {"path": "/x", "reason": "it is a file"},
    errors.GitError: {"command": ["git", "log"], "returncode": 128, "stderr": "fatal"},
}


def example(kind):
    facts = dict(EXAMPLES.get(kind, {"message": "no"}))
    message = facts.pop("message", None)
    return kind(*([message] if message else []), **facts)


def drawn_tree():
    """
    Each class in the drawing with the class it is drawn under.
    """
    found, above = {}, []
    for line in (errors.__doc__ or "").splitlines():
        name = line.strip("│├└─ ").partition(" ")[0]
        if name.endswith("Error") and name.isidentifier():
            depth = (len(line) - len(line.lstrip("│├└─ "))) // 4
            above[depth - 1 :] = [name]
            found[name] = above[-2] if len(above) > 1 else "Exception"
    return found


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes():
    real = {kind.__name__: kind.__bases__[0].__name__ for kind in CLASSES}
    assert drawn_tree() == real


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_an_error_is_public_and_explained(kind):
    assert getattr(project_architect_db, kind.__name__) is kind
    assert kind.__doc__


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_an_error_keeps_its_facts_and_says_them(kind):
    error = example(kind)
    assert isinstance(error, errors.ArchitectError)
    assert str(error)
    for name, value in EXAMPLES.get(kind, {}).items():
        if name == "command":
            assert error.command == tuple(value)
        elif name not in ("message", "reason"):
            assert getattr(error, name) == value


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_an_error_travels_between_processes(kind):
    error = example(kind)
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is kind
        assert str(again) == str(error)
        assert {k: repr(v) for k, v in vars(again).items()} == {
            k: repr(v) for k, v in vars(error).items()
        }


def test_messages_say_what_to_do_next():
    assert "query_timeout" in str(example(errors.QueryTimeoutError))
    assert "pool_size" in str(example(errors.PoolTimeoutError))
    assert "start again" in str(example(errors.TransactionAbortedError))
    assert "pass that session on" in str(example(errors.NestedTransactionError))
    assert "run_in_transaction" in str(example(errors.StaleSnapshotError))
    assert "install it" in str(example(errors.GitNotFoundError))
    assert str(example(errors.NotARepositoryError)) == "/x: it is a file"
    assert "`git log` failed with exit code 128: fatal" in str(example(errors.GitError))


def test_a_wrong_setting_is_a_value_error_too():
    assert issubclass(errors.ConfigurationError, ValueError)
