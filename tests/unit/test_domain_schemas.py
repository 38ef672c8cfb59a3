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
    RepositoryUpdate,
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
        ("HTTP://host", "HTTP://host"),
        ("https://[::1]:8080/a", "https://[::1]:8080/a"),
        ("https://host:8080", "https://host:8080"),
    ],
)
def test_an_address_is_kept_without_secrets(given, kept):
    assert kept == repository(url=given).url


@pytest.mark.parametrize(
    "url",
    [
        "", "a", "javascript:alert(1)", "https:// host/a", "http:///x y", "a:b\nc",
        "http://", "https://", "https:///a", "ssh://", "git://?a", "http://me@", "http://:80",
        "file://", "file:///", "https://host/a b", " https://host", "https://host/\0",
        "git@host:", "https://#a", "https://\0/a",
    ],
)  # fmt: skip
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


@pytest.mark.parametrize(
    "checksum", ["", "x" * 64, "A" * 64, "a" * 39, "a" * 40, "a" * 63, "a" * 65]
)
def test_what_is_no_checksum(checksum):
    with pytest.raises(InvalidDataError) as caught:
        document(checksum=checksum)
    assert "checksum" == caught.value.field


@pytest.mark.parametrize("commit", ["", "x" * 40, "A" * 40, "a" * 39, "a" * 50])
def test_what_is_no_commit(commit):
    with pytest.raises(InvalidDataError) as caught:
        repository(head_commit=commit)
    assert "head_commit" == caught.value.field


@pytest.mark.parametrize("length", [40, 64])
def test_a_commit_is_a_whole_hash(length):
    assert "a" * length == repository(head_commit="a" * length).head_commit


@pytest.mark.parametrize(
    "counts",
    [{"2026-8": 1}, {"2026-13": 1}, {"2026-00": 1}, {"August": 1}, {"": 1},
     {"2026-08-01": 1}, {"2026-08": -1}, {"2026-08": "many"}, {"٢٠٢٦-٠٨": 1}],
)  # fmt: skip
def test_commits_are_counted_by_months(counts):
    assert {"2026-08": 0} == repository(
        commits_per_month={"2026-08": 0}
    ).commits_per_month
    for schema in (repository, RepositoryUpdate):
        with pytest.raises(InvalidDataError) as caught:
            schema(commits_per_month=counts)
        assert "commits_per_month" == caught.value.field.split(".")[0]


@pytest.mark.parametrize("title", ["a\0b", "\0", "\ud800"])
def test_what_is_no_title(title):
    for schema in (DocumentCreate, ConversationCreate):
        with pytest.raises(InvalidDataError) as caught:
            schema(project_id=1, title=title)
        assert "title" == caught.value.field


def test_half_a_character_is_no_text():
    with pytest.raises(InvalidDataError) as caught:
        document(content="\ud800")
    assert "content" == caught.value.field
    with pytest.raises(InvalidDataError) as caught:
        ProjectCreate(name="a", project_idea="b", architecture={"a": ["\ud800"]})
    assert "architecture" == caught.value.field


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


@pytest.mark.parametrize("encoding", [{}, {"encoding": None}, {"encoding": "utf-8"}])
@pytest.mark.parametrize("wrong", [{"size": 6}, {"checksum": "0" * 64}])
def test_what_contradicts_the_content_is_refused(encoding, wrong):
    (field,) = wrong
    for schema in (document, DocumentUpdate):
        with pytest.raises(InvalidDataError, match="contradicts the content") as caught:
            schema(content="a\n", **encoding, **wrong)
        assert field == caught.value.field


def test_what_agrees_with_the_content_is_kept():
    marked = "\ufeffé".encode()
    for data in (marked, marked[3:]):  # a file may have a byte order mark, or none
        checksum = hashlib.sha256(data).hexdigest()
        made = document(content="é", size=len(data), checksum=checksum)
        assert (len(data), checksum) == (made.size, made.checksum)
    assert 5 == document(content=None, size=5).size


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
