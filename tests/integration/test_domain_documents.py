"""
Documents: their paths and files, and how they are used.
"""

from __future__ import annotations

import pytest
import pytest_asyncio
from database_support import rolled_back

from project_architect_db import (
    ActivityRepository,
    ConfigurationError,
    Document,
    DocumentCreate,
    DocumentRepository,
    DuplicateError,
    InvalidDataError,
    MissingParentError,
    NotFoundError,
    ProjectRepository,
    RepositoryRepository,
    TransactionAbortedError,
    UnsafePathError,
)
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


def row(title="t", **values):
    return {"project_id": 1, "title": title, **values}


async def told(session, *actions):
    query = ActivityRepository(session).base_query().filter(entity="document")
    found = await query.filter(action__in=actions).order_by("id").all()
    return [(each.action, each.entity_id, each.payload) for each in found]


# --- finding ----------------------------------------------------------------------


async def test_documents_of_a_project_and_kind(documents):
    await documents.bulk_create(
        row(f"{number}", kind="code" if number % 2 else "note") for number in range(5)
    )
    await documents.create({**row("other"), "project_id": 2})
    page = await documents.list_by_project(1, 3)
    rest = await documents.list_by_project(1, 3, cursor=page.next_cursor)
    assert [*"01234"] == [each.title for each in [*page.items, *rest.items]]
    only = await documents.list_by_project(1, kind="code")
    assert ["1", "3"] == [each.title for each in only.items]
    with pytest.raises(InvalidDataError, match="did you mean 'code'"):
        await documents.list_by_project(1, kind="coed")
    only = await documents.list_by_project(1, kind="code", title="3")
    assert ["3"] == [each.title for each in only.items]


async def test_a_document_by_its_path(documents, code):
    await documents.create(row("of none", path="a/b"))
    await documents.create(row("of code", path="a/b", repository_id=code.id))
    found = await documents.get_by_path("a/b", project_id=1)
    assert "of none" == found.title
    found = await documents.get_by_path("a/b", project_id=1, repository_id=code.id)
    assert "of code" == found.title
    assert await documents.get_by_path("a/b", project_id=2) is None
    assert await documents.get_by_path("a", project_id=1) is None


async def test_a_document_needs_its_project_and_repository(engine):
    for wrong in ({"project_id": 99}, {"repository_id": 99}):
        with pytest.raises(MissingParentError, match="99"):
            async with engine.transaction() as session:
                await DocumentRepository(session).create({**row(), **wrong})


@pytest_asyncio.fixture(loop_scope="module")
async def foreign(session):
    """
    A repository of the other project.
    """
    repositories = RepositoryRepository(session)
    return await repositories.create({"project_id": 2, "name": "foreign"})


async def test_a_document_is_of_no_repository_of_another_project(
    documents, code, foreign
):
    mine = await documents.create(row(repository_id=code.id))
    wrong = row(repository_id=foreign.id)
    moved = {"id": mine.id, "title": "t", "project_id": 2}
    for index, attempt in (
        (None, documents.create(wrong)),
        (None, documents.upsert(wrong)),
        (None, documents.upsert({**wrong, "id": mine.id})),
        (None, documents.upsert(moved)),
        (1, documents.bulk_create([row(repository_id=code.id), wrong])),
        (1, documents.bulk_create([row(), DocumentCreate(**wrong)])),
        (1, documents.bulk_upsert([row(), wrong])),
        (0, documents.bulk_upsert([{**wrong, "id": str(mine.id)}])),
        (1, documents.bulk_upsert([row(), moved])),
    ):
        with pytest.raises(InvalidDataError, match="of project") as caught:
            await attempt
        assert ("Document", "repository_id", index) == (
            caught.value.model, caught.value.field, caught.value.index
        )  # fmt: skip
    assert "t" == mine.title
    assert 1 == await documents.count()
    both = {"project_id": 2, "repository_id": foreign.id}
    await documents.bulk_upsert([{**moved, **both}, row("new", repository_id=code.id)])
    assert (2, foreign.id) == (mine.project_id, mine.repository_id)


async def test_documents_come_in_with_a_repository_of_their_project_only(
    documents, code, foreign, engine, session
):
    good = [row(repository_id=code.id), row(), {**row(), "project_id": "1"}]
    assert 3 == await documents.bulk_insert(good)
    with pytest.raises(InvalidDataError, match="row 4: ") as caught:
        await documents.bulk_insert([*good, row(), row(repository_id=foreign.id)])
    assert foreign.id == caught.value.value
    with pytest.raises(TransactionAbortedError):
        await documents.count()
    await session.rollback()


async def test_a_change_that_schemas_of_an_app_allow_is_refused_too(
    session, documents, code, foreign
):
    class Moving(DocumentRepository):
        update_schema = None

    mine = await documents.create(row(repository_id=code.id))
    moving = Moving(session)
    for attempt in (
        moving.update(mine.id, {"repository_id": foreign.id}),
        moving.update(mine.id, {"project_id": 2}),
        moving.bulk_update([{"id": mine.id, "repository_id": foreign.id}]),
        moving.bulk_update([{"id": mine.id, "project_id": 2}]),
    ):
        with pytest.raises(InvalidDataError, match="of one project"):
            await attempt
    await moving.update(mine.id, {"repository_id": None, "project_id": 2})
    await moving.bulk_update([{"id": mine.id, "repository_id": foreign.id}])
    await moving.update(mine.id, {"title": "u"})
    assert (2, foreign.id, "u") == (mine.project_id, mine.repository_id, mine.title)


async def test_documents_by_what_they_say(documents):
    await documents.create(row("Plan", content="Render the tiles.", kind="note"))
    await documents.create(row("Rendering", content="Tiles are rendered."))
    found = await documents.search("renders")
    assert ["Rendering", "Plan"] == [each.document.title for each in found]
    (found,) = await documents.search("rendered", kind="note")
    assert ("**Render** the tiles.",) == found.snippets
    assert [] == await documents.search("render", project_id=2)
    assert [] == await documents.search("render", Document.id > found.document.id + 9)
    assert [] == await documents.search("render map", match_all=True)
    assert 1 == len(await documents.search("tiles", limit=1, offset=1))


# --- paths ------------------------------------------------------------------------


async def test_a_document_is_moved(documents, session):
    made = await documents.create(row(path="a"))
    assert "b/c" == (await documents.move(made.id, "./b//c")).path
    await documents.move(made.id, "b/c")
    assert [("moved", made.id, {"from": "a", "to": "b/c"})] == await told(
        session, "moved", "updated"
    )


async def test_a_document_is_not_moved_onto_another(documents, code):
    await documents.create(row(path="a"))
    other = await documents.create(row(path="b"))
    elsewhere = await documents.create(row(path="b", repository_id=code.id))
    with pytest.raises(DuplicateError, match="path: a"):
        await documents.move(other.id, "x/../a".replace("x/../", "./"))
    assert "b" == other.path
    assert "a" == (await documents.move(elsewhere.id, "a")).path


@pytest.mark.parametrize("path", ["../a", "/a", "C:\\a", "a\0", "", "a/../../b"])
async def test_a_document_is_not_moved_out(documents, path):
    made = await documents.create(row(path="a"))
    with pytest.raises(InvalidDataError) as caught:
        await documents.move(made.id, path)
    assert ("path", path) == (caught.value.field, caught.value.value)
    assert "a" == made.path
    with pytest.raises(NotFoundError):
        await documents.move(99, "b")


async def test_where_the_file_is(documents, code, tmp_path):
    of_code = await documents.create(row(path="src/a.py", repository_id=code.id))
    of_none = await documents.create(row(path="plan.md"))
    without = await documents.create(row())
    assert tmp_path / "tree/src/a.py" == await documents.resolve(of_code.id)
    assert tmp_path / "plan.md" == await documents.resolve(of_none.id, tmp_path)
    with pytest.raises(InvalidDataError, match="no repository says so"):
        await documents.resolve(of_none.id)
    with pytest.raises(InvalidDataError, match=r"Document\.path: it has none"):
        await documents.resolve(without.id)
    (tmp_path / "tree/src").symlink_to(tmp_path.parent)
    with pytest.raises(UnsafePathError):
        await documents.resolve(of_code.id)


# --- files ------------------------------------------------------------------------


@pytest_asyncio.fixture(loop_scope="module")
async def files(documents, code, tmp_path):
    """
    Documents whose files are there, and their ids by name.
    """
    contents = {name: f"content of {name}" for name in "abcd"}
    for name, content in contents.items():
        (tmp_path / "tree" / name).write_text(content)
    made = await documents.bulk_create(
        row(name, path=name, content=content, repository_id=code.id)
        for name, content in contents.items()
    )
    await documents.create(row(path="of none"))
    return {each.title: each.id for each in made}


async def test_what_has_become_of_the_files(documents, code, files, session, tmp_path):
    tree = tmp_path / "tree"
    (tree / "b").write_text("changed")
    (tree / "folder").mkdir()
    (tree / "c").rename(tree / "folder/c")
    (tree / "d").unlink()
    progress = []
    report = await documents.check_files(
        repository_id=code.id, progress=lambda *numbers: progress.append(numbers)
    )
    assert (files["a"],) == report.unchanged
    assert [files["b"]] == [file.id for file in report.changed]
    assert [(files["c"], "folder/c")] == [(m.id, m.new_path) for m in report.moved]
    assert (files["d"],) == report.missing
    assert (4, 4) == progress[-1]
    await documents.note_files(report)
    assert [
        ("missing", files["d"], {}),
        ("moved", files["c"], {"from": "c", "to": "folder/c"}),
    ] == await told(session, "missing", "moved", "found")
    kept = {each.title: each for each in await documents.list(title__in=[*"abcd"])}
    assert "folder/c" == kept["c"].path
    assert {"d"} == {name for name, each in kept.items() if each.missing_since}


async def test_a_file_that_was_missing_is_found(
    documents, code, files, session, tmp_path
):
    gone = tmp_path / "tree/d"
    content = gone.read_text()
    gone.unlink()
    ask = {"repository_id": code.id}
    await documents.note_files(await documents.check_files(**ask))
    await documents.note_files(await documents.check_files(**ask))
    gone.write_text(content)
    await documents.note_files(await documents.check_files(**ask))
    assert [("missing", files["d"], {}), ("found", files["d"], {})] == await told(
        session, "missing", "moved", "found"
    )
    found = await session.get(Document, files["d"])
    assert found.missing_since is None


async def test_a_file_that_cannot_be_read_is_not_missing(
    documents, code, files, session, tmp_path
):
    file = tmp_path / "tree/d"
    file.unlink()
    ask = {"repository_id": code.id}
    await documents.note_files(await documents.check_files(**ask))
    file.write_bytes(b"\0")
    report = await documents.check_files(**ask)
    assert {"binary": (files["d"],)} == report.skipped
    await documents.note_files(report)
    assert (await session.get(Document, files["d"])).missing_since is None


async def test_files_of_no_repository(documents, tmp_path):
    (tmp_path / "a").write_text("x")
    made = await documents.create(row(path="a", content="x"))
    report = await documents.check_files(tmp_path, project_id=1)
    assert (made.id,) == report.unchanged
    report = await documents.check_files(tmp_path, project_id=2)
    assert () == report.unchanged
    with pytest.raises(InvalidDataError, match="no repository says so"):
        await documents.check_files(project_id=1)
    with pytest.raises(ConfigurationError, match="no folder"):
        await documents.check_files(tmp_path / "a")


async def test_the_database_itself_is_never_opened(documents, engine):
    """
    Closing it would give up the locks on it.
    """
    file = engine.files()[0]
    made = await documents.create(row(path=file.name))
    report = await documents.check_files(file.parent)
    assert {"unreadable": (made.id,)} == dict(report.skipped)


# --- use --------------------------------------------------------------------------


async def test_reads_are_recorded_when_asked(documents, session):
    made = await documents.create(row())
    usage = await documents.usage(made.id)
    assert (0, 0, None, 0) == (
        usage.reads, usage.readers, usage.last_read_at, usage.changes
    )  # fmt: skip
    other = await documents.create(row())
    assert 2 == await documents.record_reads([made.id, 10**9, other.id, made.id])
    await DocumentRepository(session, actor="bob").record_reads([made.id])
    await DocumentRepository(session).record_reads([made.id])
    await documents.update(made.id, {"content": "x"})
    await documents.move(made.id, "a")
    usage = await documents.usage(made.id)
    assert (made.id, 3, 2, 2) == (
        usage.document_id, usage.reads, usage.readers, usage.changes
    )  # fmt: skip
    assert made.created_at < usage.first_read_at <= usage.last_read_at
    assert usage.last_changed_at > usage.last_read_at
    assert 0 == await documents.record_reads([])


async def test_what_is_not_there_is_not_used(documents):
    with pytest.raises(NotFoundError):
        await documents.usage(99)
