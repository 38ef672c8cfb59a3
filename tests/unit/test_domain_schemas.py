"""
What the schemas of the domain let in.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest

from project_architect_db import (
    Build,
    ConversationCreate,
    DocumentCreate,
    DocumentUpdate,
    GitHubMetadata,
    InvalidDataError,
    ProjectCreate,
    ProjectUpdate,
    RepositoryCreate,
    UnknownFieldError,
)
from project_architect_db.domain import schemas

ALL = [
    getattr(schemas, name)
    for name in dir(schemas)
    if name.endswith(("Create", "Update", "Read")) and name != "MessageUpdate"
]


def repository(**values):
    return RepositoryCreate(project_id=1, name="a", **values)


def document(**values):
    return DocumentCreate(project_id=1, title="a", **values)


# --- names, numbers, addresses ----------------------------------------------------


def test_a_name_is_stripped():
    assert "a b" == ProjectCreate(name=" a b\n", project_idea="x").name


@pytest.mark.parametrize("name", ["", "  ", "x" * 256, None, 5])
def test_what_is_no_name(name):
    with pytest.raises(InvalidDataError) as caught:
        ProjectCreate(name=name, project_idea="x")
    assert "name" == caught.value.field


def test_a_name_is_counted_in_characters():
    assert 255 == len(ProjectCreate(name="é" * 255, project_idea="x").name)


@pytest.mark.parametrize("number", [0, -1, 2**31, "a", None, 1.5])
def test_what_is_no_id(number):
    with pytest.raises(InvalidDataError):
        ConversationCreate(project_id=number, title="t")


@pytest.mark.parametrize("size", [-1, 2**31, "big"])
def test_what_is_no_size(size):
    with pytest.raises(InvalidDataError):
        document(size=size)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://github.com/a/b", "https://github.com/a/b"),
        ("https://me:secret@host/a", "https://host/a"),
        ("https://host/a?private_token=x", "https://host/a"),
        ("git@github.com:a/b.git", "git@github.com:a/b.git"),
        ("ssh://git@host:22/a/b", "ssh://git@host:22/a/b"),
        ("file:///srv/a", "file:///srv/a"),
    ],
)
def test_an_address_is_kept_without_secrets(given, kept):
    assert kept == repository(url=given).url


@pytest.mark.parametrize(
    "url", ["", "a", "javascript:alert(1)", "https:// host/a", "http:///x y", "a:b\nc"]
)
def test_what_is_no_address(url):
    with pytest.raises(InvalidDataError, match="not the URL of a repository"):
        repository(url=url)


@pytest.mark.parametrize("name", ["a", "/b", "a/", "a/b/c", "-/..", "a b/c", "a/b\n"])
def test_what_is_no_name_on_github(name):
    with pytest.raises(InvalidDataError) as caught:
        GitHubMetadata(full_name=name)
    assert "full_name" == caught.value.field


def test_what_github_says_more_is_kept():
    made = GitHubMetadata(full_name="a/b.c", watchers_count=3)
    assert 3 == made.watchers_count
    assert made.pushed_at is None


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), "x"])
def test_what_no_build_takes(seconds):
    with pytest.raises(InvalidDataError):
        Build(status="passed", seconds=seconds)


@pytest.mark.parametrize("checksum", ["", "x" * 64, "A" * 64, "a" * 39, "a" * 65])
def test_what_is_no_checksum(checksum):
    with pytest.raises(InvalidDataError):
        document(checksum=checksum)


def test_times_need_a_zone():
    with pytest.raises(InvalidDataError, match="timezone"):
        repository(last_commit_at=datetime(2026, 1, 1))
    at = datetime(2026, 1, 1, tzinfo=UTC)
    assert at == repository(last_commit_at="2026-01-01T01:00:00+01:00").last_commit_at


# --- documents --------------------------------------------------------------------


def test_a_content_is_counted():
    made = document(content="é\nb")
    data = "é\nb".encode()
    assert (4, 2, "utf-8") == (made.size, made.lines, made.encoding)
    assert hashlib.sha256(data).hexdigest() == made.checksum


def test_what_is_said_is_not_counted():
    made = document(content="a\n", size=5, lines=7, checksum="0" * 64, encoding="x")
    assert (5, 7, "0" * 64, "x") == (
        made.size, made.lines, made.checksum, made.encoding
    )  # fmt: skip


def test_a_change_of_the_content_is_counted():
    changes = DocumentUpdate(content="a\n").changes()
    assert (2, 1) == (changes["size"], changes["lines"])
    changes = DocumentUpdate(content=None).changes()
    assert (0, 0, None) == (changes["size"], changes["lines"], changes["checksum"])
    assert {"title": "b"} == DocumentUpdate(title="b").changes()


def test_a_path_is_cleaned():
    assert "a/b" == document(path="./a//b").path
    with pytest.raises(InvalidDataError) as caught:
        document(path="a/../../b")
    assert "path" == caught.value.field


# --- all of them ------------------------------------------------------------------


@pytest.mark.parametrize("schema", ALL)
def test_a_misspelt_field_is_refused(schema):
    name = next(iter(schema.model_fields))
    with pytest.raises(UnknownFieldError) as caught:
        schema.model_validate({f"{name}x": 1})
    assert name == caught.value.suggestion


@pytest.mark.parametrize("schema", ALL)
def test_a_json_schema_can_be_made(schema):
    made = schema.model_json_schema(mode="serialization")
    assert {*schema.model_fields} == {*made["properties"]}
    assert not made["additionalProperties"]


def test_absent_is_not_null():
    assert {} == ProjectUpdate().changes()
    assert {"description": None} == ProjectUpdate(description=None).changes()
    with pytest.raises(InvalidDataError):
        ProjectUpdate(name=None)


@pytest.mark.parametrize("value", [{"a": {1, 2}}, {"a": object()}, {1: 2}, [1], "a"])
def test_an_architecture_is_json(value):
    with pytest.raises(InvalidDataError):
        ProjectCreate(name="a", project_idea="b", architecture=value)
