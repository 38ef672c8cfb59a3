"""
One document for each path, and reports on files that may be old when written down.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import pytest_asyncio
from database_support import rolled_back

from project_architect_db import (
    ActivityRepository,
    Document,
    DocumentRepository,
    DuplicateError,
    FileReport,
    InvalidDataError,
    ProjectRepository,
    RepositoryRepository,
)
from project_architect_db.domain.file_notes import NotedFiles
from project_architect_db.domain.files import KnownFile, MovedFile
from project_architect_db.domain.schemas import DocumentCreate
from project_architect_db.testing import temporary_database

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine():
    async with temporary_database() as engine:
        async with engine.transaction() as session:
            for name in "ab":
                await ProjectRepository(session).create(
                    {"name": name, "project_idea": "x"}
                )
        yield engine


@pytest_asyncio.fixture(loop_scope="module")
async def session(engine):
    async with rolled_back(engine) as session:
        yield session


@pytest.fixture
def documents(session):
    return DocumentRepository(session, actor="ada")


@pytest_asyncio.fixture(loop_scope="module")
async def code(session, tmp_path):
    """
    A repository whose working tree is there.
    """
    root = tmp_path / "tree"
    root.mkdir()
    repositories = RepositoryRepository(session)
    return await repositories.create(
        {"project_id": 1, "name": "app", "path": str(root)}
    )


def row(path=None, **values):
    return {"project_id": 1, "title": "t", "path": path, **values}


async def told(session, *actions):
    query = ActivityRepository(session).base_query().filter(entity="document")
    found = await query.filter(action__in=actions).order_by("id").all()
    return [(each.action, each.entity_id, each.payload) for each in found]


# --- one document for each path -------------------------------------------------------


async def test_a_second_document_with_the_same_path_is_refused(documents, code):
    await documents.create(row("docs/a.md"))
    with pytest.raises(DuplicateError, match=r"path: docs/a\.md") as caught:
        await documents.create(row("./docs//a.md"))
    error = caught.value
    assert ("Document", "path", None, "path: docs/a.md") == (
        error.model, error.field, error.index, error.key
    )  # fmt: skip
    await documents.create(row("docs/a.md", project_id=2))
    await documents.create(row("docs/a.md", repository_id=code.id))
    with pytest.raises(DuplicateError):
        await documents.create(row("docs/a.md", repository_id=code.id))
    await documents.create(row())
    await documents.create(row())
    assert 5 == await documents.count()


async def test_an_update_to_the_path_of_another_is_refused(documents, code):
    first = await documents.create(row("a"))
    second = await documents.create(row("b"))
    other = await documents.create(row("b", repository_id=code.id))
    for change in (
        documents.update(second.id, {"path": "./a"}),
        documents.upsert({"id": second.id, **row("a")}),
        documents.upsert({"id": other.id, **row("a"), "repository_id": None}),
        documents.move(second.id, "a"),
    ):
        with pytest.raises(DuplicateError, match="path: a"):
            await change
    assert ("a", "b", "b") == (first.path, second.path, other.path)
    await documents.update(first.id, {"path": "a", "title": "same"})
    await documents.update(first.id, {"path": None})
    assert "a" == (await documents.move(second.id, "a")).path


async def test_a_document_that_waits_to_be_written_has_its_path_already(
    documents, session
):
    session.add(Document(**row("a")))
    with pytest.raises(DuplicateError):
        await documents.create(row("a"))


@pytest.mark.parametrize("kind", ["dict", "schema"])
async def test_many_documents_at_once_have_paths_of_their_own(documents, code, kind):
    make = {"dict": dict, "schema": DocumentCreate}[kind]
    await documents.create(row("a"))
    await documents.create(row("b", repository_id=code.id))
    free = [
        row("b"), row("a", repository_id=code.id), row("a", project_id=2), row(), row(),
    ]  # fmt: skip
    for wrong in (row("./a"), row("b", repository_id=code.id), row("c//d")):
        rows = [row("c/d"), *free, wrong]
        with pytest.raises(DuplicateError, match=r"row 6: .*path: ") as caught:
            await documents.bulk_create(make(**each) for each in rows)
        assert (6, "path") == (caught.value.index, caught.value.field)
    assert 2 == await documents.count()
    made = await documents.bulk_create(make(**each) for each in free)
    assert ["b", "a", "a", None, None] == [each.path for each in made]


async def test_what_is_wrong_with_a_row_is_said_before_its_path(documents):
    for wrong, field in (
        (row("../a"), "path"), (row(5), "path"),
        (row("a", project_id="x"), "project_id"),
        (row("a", repository_id=2**31), "repository_id"),
        (row("a", project_id=float("inf")), "project_id"),
    ):  # fmt: skip
        with pytest.raises(InvalidDataError) as caught:
            await documents.bulk_create([row("a"), wrong])
        assert (1, field) == (caught.value.index, caught.value.field)
    for no_row in (5, SimpleNamespace(path="a")):
        with pytest.raises(InvalidDataError):
            await documents.bulk_create([row("a"), no_row])
    with pytest.raises(InvalidDataError, match="put it into a list"):
        await documents.bulk_create(row("a"))


async def test_nothing_is_no_path_to_move_to(documents):
    made = await documents.create(row("a"))
    with pytest.raises(InvalidDataError, match="give the path") as caught:
        await documents.move(made.id, None)
    assert ("Document", "path", None) == (
        caught.value.model, caught.value.field, caught.value.value
    )  # fmt: skip
    assert "a" == made.path


async def test_a_path_is_found_however_it_is_written(documents, session):
    made = await documents.create(row("a/b"))
    session.add(Document(**row("caf\\xe9")))
    for path in ("a/b", "./a//b", "a/./b", "a/b/"):
        assert made is await documents.get_by_path(path, project_id=1)
    found = await documents.get_by_path("caf\\xe9", project_id=1)
    assert "caf\\xe9" == found.path
    assert await documents.get_by_path("../a/b", project_id=1) is None


# --- whose files are meant ------------------------------------------------------------


async def test_the_root_tells_the_repository_that_is_there(documents, code, tmp_path):
    made = await documents.create(row("a", repository_id=code.id))
    (tmp_path / "link").symlink_to(tmp_path / "tree")
    for root in (code.path, tmp_path / "tree", tmp_path / "link"):
        assert (made.id,) == (await documents.check_files(root)).missing


async def test_the_only_project_with_documents_of_no_repository_is_meant(
    documents, code, tmp_path
):
    await documents.create(row("a", repository_id=code.id))
    assert FileReport() == await documents.check_files(tmp_path)
    made = await documents.create(row("a"))
    await documents.create(row(project_id=2))
    assert (made.id,) == (await documents.check_files(tmp_path)).missing


async def test_documents_of_several_are_not_taken_for_those_of_one(
    documents, code, session, tmp_path
):
    await documents.create(row("a"))
    with pytest.raises(InvalidDataError, match="repository_id or project_id"):
        await documents.check_files(code.path)
    other = await documents.create(row("a", project_id=2))
    with pytest.raises(InvalidDataError, match="repository_id or project_id") as caught:
        await documents.check_files(tmp_path)
    assert ("Document", "project_id") == (caught.value.model, caught.value.field)
    with pytest.raises(InvalidDataError, match="no repository says so"):
        await documents.check_files()
    assert (other.id,) == (await documents.check_files(tmp_path, project_id=2)).missing
    assert () == (await documents.check_files(repository_id=code.id)).missing


# --- reports that are old -------------------------------------------------------------


@pytest_asyncio.fixture(loop_scope="module")
async def files(documents, code, tmp_path):
    """
    Documents whose files are there, and their ids by name.
    """
    for name in "abcd":
        (tmp_path / "tree" / name).write_text(f"content of {name}")
    made = await documents.bulk_create(
        row(name, title=name, content=f"content of {name}", repository_id=code.id)
        for name in "abcd"
    )
    return {each.title: each.id for each in made}


def noted(moved=0, missing=0, found=0, skipped=0):
    return NotedFiles(moved=moved, missing=missing, found=found, skipped=skipped)


async def test_what_was_noted_is_counted(documents, code, files, tmp_path):
    tree = tmp_path / "tree"
    (tree / "a").rename(tree / "z")
    (tree / "b").unlink()
    ask = {"repository_id": code.id}
    report = await documents.check_files(**ask)
    assert noted(moved=1, missing=1) == await documents.note_files(report)
    assert noted(skipped=1) == await documents.note_files(report)
    (tree / "b").write_text("content of b")
    report = await documents.check_files(**ask)
    assert noted(found=1) == await documents.note_files(report)
    assert noted() == await documents.note_files(report)
    assert noted() == await documents.note_files(FileReport())


async def test_an_old_report_moves_nothing_that_went_elsewhere(
    documents, code, files, session, tmp_path
):
    tree = tmp_path / "tree"
    for name in "abcd":
        (tree / name).rename(tree / f"{name}2")
    report = await documents.check_files(repository_id=code.id)
    await documents.move(files["a"], "elsewhere")
    await documents.delete(files["b"])
    await documents.create(row("c2", repository_id=code.id))
    assert noted(moved=1, skipped=3) == await documents.note_files(report)
    kept = {each.title: each.path for each in await documents.list()}
    assert {"a": "elsewhere", "c": "c", "d": "d2", "t": "c2"} == kept
    assert [
        ("moved", files["a"], {"from": "a", "to": "elsewhere"}),
        ("moved", files["d"], {"from": "d", "to": "d2"}),
    ] == await told(session, "moved")


async def test_an_old_report_says_nothing_of_files_of_other_paths(
    documents, code, files, session, tmp_path
):
    """
    That there was none at the old path does not say that there is none at the new one.
    """
    (tmp_path / "tree/a").unlink()
    (tmp_path / "tree/b").unlink()
    report = await documents.check_files(repository_id=code.id)
    await documents.move(files["a"], "elsewhere")
    await documents.move(files["c"], "anywhere")
    await documents.delete(files["d"])
    assert noted(missing=1, skipped=3) == await documents.note_files(report)
    assert [("missing", files["b"], {})] == await told(session, "missing")


async def test_a_report_of_somebody_elses_making_is_written_down_as_far_as_it_can_be(
    documents, files, session
):
    """
    It need not say where it has looked; no path comes in that no document may have.
    """
    a, b, c, d = files.values()
    report = FileReport(
        moved=(
            MovedFile(a, "a", "../a"), MovedFile(b, "b", "new"),
            MovedFile(c, "c", "new"),
        ),
        missing=(d, 10**9), changed=(KnownFile(10**9 + 1, "x", None, 0),),
        skipped={"unreadable": (10**9 + 2,)},
    )  # fmt: skip
    assert noted(moved=1, missing=1, skipped=5) == await documents.note_files(report)
    assert [("missing", d, {}), ("moved", b, {"from": "b", "to": "new"})] == (
        await told(session, "missing", "moved")
    )


async def test_only_a_report_can_be_written_down(documents):
    with pytest.raises(InvalidDataError, match="check_files") as caught:
        await documents.note_files({})
    assert "report" == caught.value.field


async def test_a_moved_file_that_was_missing_is_found(
    documents, code, files, session, tmp_path
):
    tree = tmp_path / "tree"
    content = (tree / "a").read_text()
    (tree / "a").unlink()
    ask = {"repository_id": code.id}
    await documents.note_files(await documents.check_files(**ask))
    (tree / "new").write_text(content)
    report = await documents.check_files(**ask)
    assert noted(moved=1, found=1) == await documents.note_files(report)
    made = await documents.get_one(files["a"])
    assert ("new", None) == (made.path, made.missing_since)
