"""
What became of the files of documents is noticed, and nothing on disk is fatal.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import pickle
import shutil
import subprocess
from pathlib import Path

import pytest

from project_architect_db import ConfigurationError
from project_architect_db.domain import file_reading, files
from project_architect_db.domain.files import (
    FileReport,
    KnownFile,
    MovedFile,
    check_files,
)


class Folder:
    """
    A real folder, and what is known of its files.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.known: list[KnownFile] = []

    def write(self, name: str, text: str | bytes = "") -> Path:
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        text = text or f"the text of {name}"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file

    def know(self, name: str, text: str | bytes = "") -> Path:
        file = self.write(name, text)
        data = file.read_bytes()
        checksum = hashlib.sha256(data).hexdigest()
        self.known.append(KnownFile(len(self.known) + 1, name, checksum, len(data)))
        return file

    async def check(self, **options) -> FileReport:
        return await check_files(self.root, self.known, **options)

    def moves(self, report: FileReport) -> dict[str, str]:
        return {file.old_path: file.new_path for file in report.moved}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setattr(files, "_SLICE", 10)  # several of them with few files
    (tmp_path / "root").mkdir()
    return Folder(tmp_path / "root")


# --- where they were ------------------------------------------------------------------


async def test_each_document_is_reported_once(folder):
    folder.know("same.md")
    folder.know("docs/changed.md").write_text("other words")
    folder.know("gone.md").unlink()
    folder.know("old.md").rename(folder.root / "docs/new.md")
    folder.know("binary.md").write_bytes(b"\0")
    folder.known.append(KnownFile(6, "../secret.md", "0" * 64, 5))
    folder.write("unknown.md")

    report = await folder.check()

    checksum = hashlib.sha256(b"other words").hexdigest()
    assert report == FileReport(
        unchanged=(1,),
        changed=(KnownFile(2, "docs/changed.md", checksum, 11),),
        moved=(MovedFile(4, "old.md", "docs/new.md"),),
        missing=(3,),
        skipped={"binary": (5,), "unsafe": (6,)},
    )
    assert report == pickle.loads(pickle.dumps(report))


async def test_nothing_known_is_an_empty_report(folder):
    folder.write("a.md")

    assert FileReport() == await folder.check()


async def test_what_was_never_read_has_changed(folder):
    folder.write("a.md", "text")
    folder.known = [KnownFile(1, "a.md", None, 0), KnownFile(2, "gone.md", None, 0)]

    report = await folder.check()

    assert [(1, 4)] == [(file.id, file.size) for file in report.changed]
    assert (2,) == report.missing


async def test_a_known_binary_is_unchanged_until_it_changes(folder):
    folder.know("logo.png", b"\x89PNG\0")
    folder.know("icon.png", b"\x89PNG\0!").write_bytes(b"\x89PNG\0?")

    report = await folder.check()

    assert (1,) == report.unchanged
    assert {"binary": (2,)} == report.skipped


async def test_what_cannot_be_read_is_reported_and_ends_nothing(folder, tmp_path):
    (tmp_path / "secret.md").write_text("secret")
    names = [
        "huge",
        "pipe",
        "locked",
        "out",
        "loop",
        "folder",
        "long" * 64,
        "link",
        "z",
    ]
    for number, name in enumerate(names, start=1):
        folder.known.append(KnownFile(number, name, "0" * 64, 6))
    os.truncate(folder.write("huge"), 1 << 30)
    os.mkfifo(folder.root / "pipe")
    folder.write("locked").chmod(0)
    (folder.root / "out").symlink_to("../secret.md")
    (folder.root / "loop").symlink_to("loop")
    (folder.root / "folder").mkdir()
    (folder.root / "link").symlink_to("z")
    folder.write("z")

    report = await folder.check()

    locked = () if os.access(folder.root / "locked", os.R_OK) else (3,)  # not for root
    assert {
        "too large": (1,),
        "unreadable": (2, *locked, 7),
        "unsafe": (4,),
        "symlink": (5,),
    } == report.skipped
    assert (6,) == report.missing
    assert [8, 9] == [file.id for file in report.changed if file.path != "locked"]


async def test_a_limit_of_bytes_is_kept(folder):
    folder.know("a.md", "123456")
    folder.know("b.md", "1234567")

    report = await folder.check(max_bytes=6)

    assert (1,) == report.unchanged
    assert {"too large": (2,)} == report.skipped


async def test_an_open_database_is_never_opened(folder, monkeypatch):
    """
    Closing a file that one has open elsewhere gives up the locks on it.
    """
    folder.know("app.duckdb", "data")
    folder.know("gone.md", "same").unlink()
    folder.write("other.duckdb", "same")
    opened = []
    really = file_reading._read
    monkeypatch.setattr(
        file_reading, "_read", lambda *args: opened.append(args[0]) or really(*args)
    )

    report = await folder.check(
        exclude=[folder.root / "app.duckdb", folder.root / "other.duckdb"]
    )

    assert {"unreadable": (1,)} == report.skipped
    assert (2,) == report.missing
    assert [] == opened


# --- where they are now ---------------------------------------------------------------


async def test_a_renamed_folder_moves_all_its_files(folder):
    for i in range(20):
        folder.know(f"docs/{i:02}.md", "the same licence" if i % 2 else f"text {i}")
    (folder.root / "docs").rename(folder.root / "guides")

    report = await folder.check()

    expected = {f"docs/{i:02}.md": f"guides/{i:02}.md" for i in range(20)}
    assert expected == folder.moves(report)
    assert () == report.missing


async def test_a_new_name_in_the_same_letters_is_a_move(folder):
    folder.know("Readme.md").rename(folder.root / "README.md")
    if (folder.root / "Readme.md").exists():
        pytest.skip("this file system tells no case apart")

    assert {"Readme.md": "README.md"} == folder.moves(await folder.check())


async def test_two_files_swapped_have_changed(folder):
    first, second = folder.know("a.md"), folder.know("b.md")
    first.rename(folder.root / "c.md")
    second.rename(folder.root / "a.md")
    (folder.root / "c.md").rename(folder.root / "b.md")

    report = await folder.check()

    assert [1, 2] == [file.id for file in report.changed]


async def test_equal_files_keep_their_names_and_then_their_order(folder):
    for name in ("x/a.md", "x/b.md", "x/c.md", "x/d.md"):
        folder.know(name, "same").unlink()
    for name in ("y/1.md", "z/b.md", "z/0.md"):
        folder.write(name, "same")

    report = await folder.check()

    assert {
        "x/a.md": "y/1.md", "x/b.md": "z/b.md", "x/c.md": "z/0.md"
    } == folder.moves(report)  # fmt: skip
    assert (4,) == report.missing


async def test_a_copy_is_no_move_and_a_file_of_another_document_is_free_for_none(
    folder,
):
    shutil.copy(folder.know("a.md", "same"), folder.root / "copy.md")
    folder.know("b.md", "same")
    folder.know("c.md", "same").unlink()
    (folder.root / "copy.md").unlink()

    report = await folder.check()

    assert (1, 2) == report.unchanged
    assert (3,) == report.missing


async def test_an_empty_file_is_like_every_other(folder):
    (folder.know("a/__init__.py", b"\n")).write_bytes(b"")
    folder.known[0] = KnownFile(1, "a/gone.py", hashlib.sha256().hexdigest(), 0)

    assert (1,) == (await folder.check()).missing


async def test_a_file_of_the_right_size_must_have_the_right_content(folder):
    folder.know("a.md", "text").unlink()
    folder.write("b.md", "next")

    assert (1,) == (await folder.check()).missing


async def test_only_candidates_are_looked_at_and_never_git_or_links(folder, tmp_path):
    folder.know("a.md", "text").unlink()
    for name in (".git/a.md", "docs/.git/a.md", "build/a.md", "docs/a.md"):
        folder.write(name, "text")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/a.md").write_text("text")
    (folder.root / "a link").symlink_to(tmp_path / "outside")
    (folder.root / "b link").symlink_to(tmp_path / "outside/a.md")
    asked = []

    def is_candidate(path):
        asked.append(path)
        return path.startswith("docs/")

    report = await folder.check(is_candidate=is_candidate)

    assert {"a.md": "docs/a.md"} == folder.moves(report)
    assert ["build/a.md", "docs/a.md"] == sorted(asked)


async def test_a_path_that_no_document_may_have_is_never_proposed(folder):
    """
    A move there would be refused; what the importer has stored is known all the same.
    """
    names = [
        os.fsdecode(b"caf\xe9"),
        "back\\slash",
        "new\nline",
        "aux.md",
        "c:d",
        "a/.. /b",
    ]
    for number, name in enumerate(names):
        folder.know(f"{number}.md", f"text {number}").unlink()
        folder.write(name, f"text {number}")
    asked = []

    report = await folder.check(is_candidate=asked.append)

    assert ((1, 2, 3, 4, 5, 6), (), []) == (report.missing, report.moved, asked)
    again = Folder(folder.root)
    for number, path in enumerate(["caf\\xe9", "back\\slash"]):
        checksum = hashlib.sha256(f"text {number}".encode()).hexdigest()
        again.known.append(KnownFile(number, path, checksum, 6))
    assert (0, 1) == (await again.check()).unchanged


async def test_a_report_says_where_it_has_looked(folder):
    folder.know("a.md")
    folder.know("b.md").unlink()

    assert {1: "a.md", 2: "b.md"} == (await folder.check()).checked


async def test_a_tree_deeper_than_python_recurses_is_searched(folder):
    folder.know("a.md", "text").unlink()
    deep = folder.root / ("d/" * 1_100)
    subprocess.run(["mkdir", "-p", deep], check=True)  # mkdir and rmtree recurse
    folder.write("d/d/d/b.md", "text")

    assert {"a.md": "d/d/d/b.md"} == folder.moves(await folder.check())

    subprocess.run(["rm", "-r", folder.root / "d"], check=True)


# --- meanwhile ------------------------------------------------------------------------


async def test_files_that_vanish_while_they_are_looked_for_are_not_found(folder):
    folder.know("a.md", "text").unlink()
    for name in ("b.md", "one/c.md", "two/d.md"):
        folder.write(name, "text")

    def vanish(path):
        for file in ("b.md", "one", "two"):
            shutil.rmtree(folder.root / file, ignore_errors=True)
        (folder.root / path).unlink(missing_ok=True)
        return True

    assert (1,) == (await folder.check(is_candidate=vanish)).missing


def test_a_file_or_folder_that_vanishes_while_listed_is_left_out(folder):
    for name in ("a.md", "b/c.md", "d.md"):
        folder.write(name)
    walk = files._walk(folder.root)

    first = next(walk)
    for name in ("a.md", "b", "d.md"):
        if first[0] != str(folder.root / name):
            file = folder.root / name
            shutil.rmtree(file) if file.is_dir() else file.unlink()

    assert [] == list(walk)


async def test_a_root_that_is_no_folder_makes_no_file_missing(folder):
    file = folder.know("a.md")

    for root in (file, folder.root / "nowhere", folder.root / ("n" * 300)):
        with pytest.raises(ConfigurationError, match="is no folder"):
            await check_files(root, folder.known)


async def test_a_root_that_vanishes_meanwhile_makes_no_file_missing(folder):
    for i in range(files._SLICE + 1):
        folder.know(f"{i}.md")

    with pytest.raises(ConfigurationError, match="cannot be reached"):
        await folder.check(progress=lambda *_: shutil.rmtree(folder.root, True))


async def test_progress_is_told_and_the_loop_stays_free(folder):
    for i in range(95):
        folder.know(f"{i % 5}/{i}.md")
    for i in range(0, 10, 2):
        (folder.root / f"{i % 5}/{i}.md").unlink()
    seen, turns = [], 0

    async def beat():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beating = asyncio.create_task(beat())
    report = await folder.check(progress=lambda done, all_: seen.append((done, all_)))
    beating.cancel()

    assert 5 == len(report.missing)
    assert [*((done, 95) for done in (5, 15, 25))] == seen[:3]
    assert [(85, 95), (90, 95), (95, 95)] == seen[-3:]
    assert sorted(seen) == seen
    assert turns > 10


async def test_a_check_can_be_cancelled_between_slices(folder):
    for i in range(3 * files._SLICE):
        folder.know(f"{i}.md")
    seen = []

    def progress(done, _):
        seen.append(done)
        asyncio.current_task().cancel()

    with pytest.raises(asyncio.CancelledError):
        await folder.check(progress=progress)

    assert [files._SLICE] == seen


async def test_many_equal_files_are_paired_in_no_time(folder):
    """
    Not by comparing each with each: 20,000 licences would take minutes.
    """
    many = range(20_000)
    lost = [KnownFile(i, f"a/{i}/LICENSE", "0" * 64, 5) for i in many]
    found = {(5, "0" * 64): [f"b/{i}/LICENSE" for i in many]}

    moved = files._pair(lost, found)

    assert {i: MovedFile(i, f"a/{i}/LICENSE", f"b/{i}/LICENSE") for i in many} == moved
