"""
The log of commits: complete, or honest about what it has forgotten.
"""

from __future__ import annotations

import threading

import pytest

from project_architect_db.dialect import commit_log
from project_architect_db.dialect.commit_log import Commit, CommitLog

A, B = frozenset({"a"}), frozenset({"b"})


@pytest.fixture
def log():
    return CommitLog()


def test_commits_are_numbered_from_one(log):
    assert log.sequence == 0
    assert [log.append(A), log.append(None)] == [1, 2]
    assert log.sequence == 2


def test_it_tells_what_came_after_a_commit_oldest_first(log):
    for tables in (A, B, None):
        log.append(tables)
    assert log.since(0) == [Commit(1, A), Commit(2, B), Commit(3, None)]
    assert log.since(1) == [Commit(2, B), Commit(3, None)]
    assert log.since(3) == []


def test_what_it_has_forgotten_is_one_commit_of_unknown_tables(monkeypatch):
    monkeypatch.setattr(commit_log, "REMEMBERED", 2)
    log = CommitLog()
    for tables in (A, A, A, B):
        log.append(tables)
    assert log.since(0) == [Commit(2, None), Commit(3, A), Commit(4, B)]
    assert log.since(1) == log.since(0)
    assert log.since(2) == [Commit(3, A), Commit(4, B)]


def test_no_number_is_given_twice(log):
    given: list[int] = []

    def commit():
        given.extend(log.append(A) for _ in range(1_000))

    threads = [threading.Thread(target=commit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(given) == list(range(1, 4_001))
    assert [commit.sequence for commit in log.since(0)] == sorted(given)
