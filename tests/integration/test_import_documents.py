"""
What a second import makes of files that moved, came back, went, or cannot be read.
"""

from __future__ import annotations

import os

import pytest
import pytest_asyncio
from database_support import made_anew
from import_support import count, documents, events, new_tree, outcome
from sqlalchemy import update

from project_architect_db import Document, DocumentRepository
from project_architect_db.domain import git_tree, import_documents, import_moves
from project_architect_db.domain.importer import import_working_tree
from project_architect_db.testing import temporary_database

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.setattr(git_tree, "_SLICE", 3)  # several of them with few files
    return new_tree(tmp_path / "tree", monkeypatch)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database():
    async with temporary_database() as engine:
        yield engine


@pytest_asyncio.fixture(loop_scope="module")
async def engine(database):
    """
    The database of all tests here, with nothing in it.
    """
    return await made_anew(database)


async def ids(engine):
    return {path: each.id for path, each in (await documents(engine)).items()}


# --- moved ----------------------------------------------------------------------------


@pytest.mark.parametrize("staged", [True, False])
async def test_a_renamed_file_keeps_its_document(engine, tree, staged):
    tree.write(a_py="1", b_py="2")
    tree.commit()
    await import_working_tree(engine, tree.root)
    async with engine.transaction() as session:
        await DocumentRepository(session).update(2, {"title": "Plan", "kind": "design"})
    (tree.root / "docs").mkdir()
    for old, new in (("a.py", "docs/a.md"), ("b.py", "docs/renamed.py")):
        if staged:
            tree.git("mv", old, new)
        else:
            (tree.root / old).rename(tree.root / new)
    report = await import_working_tree(engine, tree.root)
    assert (2, (0, 0, 0, 0)) == (report.moved, outcome(report))
    after = await documents(engine)
    assert [
        (1, "docs/a.md", "a.md", "file", "Markdown"),
        (2, "docs/renamed.py", "Plan", "design", "Python"),
    ] == [
        (each.id, each.path, each.title, each.kind, each.language)
        for each in after.values()
    ]
    told = await events(engine, "moved", "document")
    assert [
        (1, {"from": "a.py", "to": "docs/a.md"}, "import"),
        (2, {"from": "b.py", "to": "docs/renamed.py"}, "import"),
    ] == [(each.entity_id, each.payload, each.actor) for each in told]
    assert [] == await events(engine, "deleted")
    again = await import_working_tree(engine, tree.root)
    assert (0, (0, 0, 2, 0)) == (again.moved, outcome(again))


async def test_a_renamed_folder_moves_files_of_the_same_content_by_name(engine, tree):
    (tree.root / "src").mkdir()
    for number in range(9):
        (tree.root / f"src/{number}.py").write_text("the same licence")
    await import_working_tree(engine, tree.root)
    before = await ids(engine)
    (tree.root / "src").rename(tree.root / "lib")
    (tree.root / "src").symlink_to("lib")
    report = await import_working_tree(engine, tree.root)
    assert (9, 0, 0) == (report.moved, report.added, report.removed)
    assert {path.replace("src/", "lib/"): id_ for path, id_ in before.items()} == (
        await ids(engine)
    )


async def test_where_it_is_in_doubt_which_file_moved_none_has(engine, tree):
    tree.write(a_py="same", b_py="other", c_py="empty")
    (tree.root / "c.py").write_text("")
    await import_working_tree(engine, tree.root)
    for name in "abc":
        (tree.root / f"{name}.py").unlink()
    tree.write(x_py="same", y_py="same", z_py="OTHER", w_py="")
    report = await import_working_tree(engine, tree.root)
    assert (0, (4, 0, 0, 3)) == (report.moved, outcome(report))


@pytest.mark.slow
async def test_a_copy_is_no_move_and_a_changed_file_is_another(engine, tree):
    tree.write(a_py="text", b_py="long text")
    await import_working_tree(engine, tree.root)
    tree.write(copy_py="text", c_py="LONG TEXT")
    (tree.root / "b.py").unlink()
    report = await import_working_tree(engine, tree.root)
    assert (0, (2, 0, 1, 1)) == (report.moved, outcome(report))


@pytest.mark.slow
async def test_a_move_goes_before_what_others_do_meanwhile(engine, tree, monkeypatch):
    """
    A document that somebody moves, or a path that somebody takes, is left alone.
    """
    tree.write(a_py="one", b_py="second", c_py="the third")
    await import_working_tree(engine, tree.root)
    for old, new in ("ax", "by", "cz"):
        (tree.root / f"{old}.py").rename(tree.root / f"{new}.py")
    read = import_moves.read_contents

    async def meanwhile(*arguments, **options):
        found = await read(*arguments, **options)
        async with engine.transaction() as session:
            repository = DocumentRepository(session)
            await repository.move(1, "elsewhere.py")
            taken = {"project_id": 1, "repository_id": 1, "title": "t", "path": "y.py"}
            await repository.create(taken)
        return found

    monkeypatch.setattr(import_moves, "read_contents", meanwhile)
    report = await import_working_tree(engine, tree.root)
    assert 1 == report.moved
    assert 3 == (await ids(engine))["z.py"]


async def test_when_all_that_seemed_to_move_was_moved_by_others_nothing_is_told(
    engine, tree, monkeypatch
):
    tree.write(a_py="one")
    await import_working_tree(engine, tree.root)
    (tree.root / "a.py").rename(tree.root / "x.py")
    read = import_moves.read_contents

    async def meanwhile(*arguments, **options):
        async with engine.transaction() as session:
            await session.execute(update(Document).values(path="x.py"))
        return await read(*arguments, **options)

    monkeypatch.setattr(import_moves, "read_contents", meanwhile)
    report = await import_working_tree(engine, tree.root)
    assert 0 == report.moved
    assert [] == await events(engine, "moved")


# --- found, and removed ---------------------------------------------------------------


@pytest.mark.parametrize("how", ["unchanged", "changed", "binary", "moved"])
async def test_a_file_that_an_import_finds_is_missing_no_more(engine, tree, how):
    tree.write(a_py="1", b_py="2")
    report = await import_working_tree(engine, tree.root)
    (tree.root / "a.py").unlink()
    async with engine.transaction() as session:
        repository = DocumentRepository(session)
        found = await repository.check_files(repository_id=report.repository_id)
        await repository.note_files(found)
    assert (await documents(engine))["a.py"].missing_since is not None
    text = {"changed": "one", "binary": "\0"}.get(how, "1")
    tree.write(**{"new_py" if how == "moved" else "a_py": text})
    await import_working_tree(engine, tree.root)
    after = await documents(engine)
    assert [None, None] == [each.missing_since for each in after.values()]
    assert {1, 2} == {each.id for each in after.values()}
    (told,) = await events(engine, "found")
    assert ("document", 1, "import") == (told.entity, told.entity_id, told.actor)


@pytest.mark.slow
async def test_activity_names_a_hundred_of_the_removed_documents(engine, tree):
    for number in range(120):
        (tree.root / f"{number:03}.txt").write_text(str(number))
    await import_working_tree(engine, tree.root)
    before = await ids(engine)
    for file in tree.root.glob("*.txt"):
        file.unlink()
    assert 120 == (await import_working_tree(engine, tree.root)).removed
    (told,) = await events(engine, "deleted")
    first = [f"{number:03}.txt" for number in range(100)]
    assert {
        "count": 120, "paths": first, "ids": [before[path] for path in first]
    } == told.payload  # fmt: skip


@pytest.mark.slow
async def test_a_document_that_somebody_makes_his_own_meanwhile_stays(
    engine, tree, monkeypatch
):
    tree.write(a_py="1")
    await import_working_tree(engine, tree.root)
    (tree.root / "a.py").unlink()
    read = import_documents.read_documents

    async def meanwhile(*arguments, **options):
        async with engine.transaction() as session:
            await DocumentRepository(session).update(1, {"kind": "design"})
        async for batch in read(*arguments, **options):
            yield batch

    monkeypatch.setattr(import_documents, "read_documents", meanwhile)
    tree.write(b_py="2")
    assert 0 == (await import_working_tree(engine, tree.root)).removed
    assert 2 == await count(engine, Document)


@pytest.mark.slow
async def test_of_two_documents_with_one_path_the_older_is_that_of_the_file(
    engine, tree
):
    """
    A repository refuses the second one; it may be there from before.
    """
    tree.write(a_py="1")
    report = await import_working_tree(engine, tree.root)
    async with engine.transaction() as session:
        session.add(
            Document(
                project_id=report.project_id, repository_id=report.repository_id,
                title="second", path="a.py",
            )
        )  # fmt: skip
    tree.write(a_py="changed")
    assert (0, 1, 0, 0) == outcome(await import_working_tree(engine, tree.root))
    async with engine.session() as session:
        first = await session.get_one(Document, 1)
        second = await session.get_one(Document, 2)
        assert ("changed", None) == (first.content, second.content)


# --- what cannot be read --------------------------------------------------------------


@pytest.mark.slow
async def test_what_cannot_be_read_is_reported_and_ends_nothing(engine, tree):
    names = ["binary", "folder", "huge", "locked", "vanished", "z"]
    for name in names:
        (tree.root / name).write_text(f"the text of {name}")
    tree.git("add", "--all")
    await import_working_tree(engine, tree.root)
    (tree.root / "binary").write_bytes(b"\0")
    (tree.root / "folder").unlink()
    (tree.root / "folder").mkdir()
    os.truncate(tree.root / "huge", 1 << 30)
    (tree.root / "locked").chmod(0)
    locked = 0 if os.access(tree.root / "locked", os.R_OK) else 1  # not for root
    (tree.root / "vanished").unlink()
    report = await import_working_tree(engine, tree.root)
    skipped = {"binary": 1, "folder": 1, "missing": 1, "too large": 1}
    if locked:
        skipped["unreadable"] = 1
    assert skipped == {
        "folder" if reason == "submodule" else reason: count
        for reason, count in report.skipped.items()
    }
    assert (0, 0, 2 - locked, 2) == outcome(report)
    kept = await documents(engine)
    assert {"binary", "huge", "locked", "z"} == {*kept}
    assert "the text of huge" == kept["huge"].content


@pytest.mark.slow
async def test_a_file_of_a_gigabyte_is_no_document_and_none_of_another(engine, tree):
    tree.write(a="x")
    os.truncate(tree.root / "a", 1 << 30)
    report = await import_working_tree(engine, tree.root)
    assert ({"too large": 1}, 0) == (report.skipped, report.added)
    async with engine.transaction() as session:
        repository = DocumentRepository(session)
        row = {"project_id": 1, "repository_id": 1, "title": "a", "path": "a"}
        await repository.create({**row, "size": 1 << 30, "checksum": "0" * 64})
    (tree.root / "a").rename(tree.root / "b")
    report = await import_working_tree(engine, tree.root)
    assert ({"too large": 1}, 0) == (report.skipped, report.moved)


@pytest.mark.slow
async def test_a_file_that_vanishes_while_the_tree_is_read_is_missing(
    engine, tree, monkeypatch
):
    tree.write(a_py="1", b_py="2")
    await import_working_tree(engine, tree.root)
    list_documents = import_documents.list_documents

    async def then_gone(*arguments, **options):
        found = await list_documents(*arguments, **options)
        (tree.root / "b.py").unlink()
        return found

    monkeypatch.setattr(import_documents, "list_documents", then_gone)
    tree.git("add", "--all")
    report = await import_working_tree(engine, tree.root)
    assert (0, 0, 1, 1) == outcome(report)
    assert {"missing": 1} == report.skipped
