"""
The history of a repository is read as it is, whatever is written in it.
"""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from project_architect_db.domain.git_commands import output
from project_architect_db.domain.git_history import (
    EPOCH,
    FileChange,
    Tag,
    read_boundary,
    read_commits,
    read_graph,
    read_tags,
)
from project_architect_db.domain.import_plan import is_title, plan_stretches
from project_architect_db.errors import GitError

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Tree:
    """
    A real repository in a temporary folder.
    """

    def __init__(self, root):
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "-b", "main", "--template=")

    def git(self, *arguments, stdin=b"", **env):
        done = subprocess.run(
            ("git", "-c", "protocol.file.allow=always", *arguments), cwd=self.root,
            input=stdin, capture_output=True, check=False, env=os.environ | env,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.decode().strip()

    def write(self, **files):
        for name, data in files.items():
            (self.root / name).write_bytes(data)

    def commit(self, message="x"):
        self.git("add", "--all")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def fast_import(self, *commits):
        """
        Make commits of `(message, author and date, what to do to files)`, all bytes.
        """
        told = b"".join(
            b"commit refs/heads/main\nauthor %b\ncommitter C <c@d> 1772366400 +0000\n"
            b"data %d\n%b\n%b\n" % (author, len(message), message, files)
            for message, author, files in commits
        )
        options = ["--quiet", "--date-format=raw-permissive"]
        self.git("fast-import", *options, stdin=told)

    def hash_object(self, kind, data):
        return self.git(
            "hash-object", "-w", "--literally", "-t", kind, "--stdin", stdin=data
        )


@pytest.fixture(autouse=True)
def _only_this_repository(monkeypatch):
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", who)
        monkeypatch.setenv(f"GIT_{who}_EMAIL", f"{who}@example.org")
        monkeypatch.setenv(f"GIT_{who}_DATE", "2026-03-01T12:00:00+00:00")


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path / "tree")


async def history(tree, **options):
    """
    All commits that lead to HEAD, each after its parents.
    """
    graph = await read_graph(tree.root, tree.git("rev-parse", "HEAD"))
    return await read_commits(tree.root, [*graph], **options)


def changes(commit):
    """
    What a commit did, by the name of the file.
    """
    return {
        change.path: (change.change, change.insertions, change.deletions)
        for change in commit.changes
    }


# --- commits --------------------------------------------------------------------------


async def test_commits_tell_who_when_why_and_what(tree):
    tree.write(a=b"1\n2\n3\n4\n5\n6\n", b=b"1\n", c=b"1\n", picture=b"\0\1")
    first = tree.commit("One\n\nIt begins.\n")
    tree.git("mv", "a", "moved")
    (tree.root / "b").unlink()
    tree.write(moved=b"0\n2\n3\n4\n5\n6\n7\n", picture=b"\0\2", empty=b"")
    (tree.root / "c").chmod(0o755)
    tree.commit("Two")
    one, two = await history(tree)
    assert (first, "AUTHOR", "AUTHOR@example.org", NOON, 0) == (
        one.hash, one.author, one.email, one.at, one.parents,
    )  # fmt: skip
    assert ("One\n\nIt begins.", "One") == (one.message, one.subject)
    assert {
        "a": ("added", 6, 0),
        "b": ("added", 1, 0),
        "c": ("added", 1, 0),
        "picture": ("added", None, None),
    } == changes(one)
    assert {
        "b": ("deleted", 0, 1),
        "c": ("modified", 0, 0),
        "empty": ("added", 0, 0),
        "moved": ("renamed", 2, 1),
        "picture": ("modified", None, None),
    } == changes(two)
    renamed = next(change for change in two.changes if change.change == "renamed")
    assert renamed == FileChange(
        path="moved", change="renamed", previous_path="a", insertions=2, deletions=1
    )
    assert 1 == two.parents
    assert not one.cut_off


async def test_commits_come_in_the_order_asked_for(tree):
    hashes = [tree.commit(str(number)) for number in range(5)]
    chosen = [hashes[3], hashes[0], hashes[4]]
    found = await read_commits(tree.root, chosen)
    assert ["3", "0", "4"] == [commit.message for commit in found]
    assert [] == await read_commits(tree.root, [])


async def test_any_bytes_may_be_in_messages_authors_and_names(tree):
    zero = b"0" * 40
    messages = [
        b"", b"\n\n  \n", b":100644 100644 %b %b M" % (zero, zero), b"1\t2\tx",
        b"%b" % zero, b"caf\xe9 \xff\xfe", b"\x01\x1b[31m\x07", b"a\rb\r\nc",
        "😀 \u2028 é".encode(), b"x" * 200_000,
    ]  # fmt: skip
    names = [
        rb"\n", rb"\t", b":100644 M", rb"1\t2\tx", rb"\377", rb"a\"b", b"0" * 40,
        "😀 é".encode(), b"-rf", b"x" * 200,
    ]  # fmt: skip
    tree.fast_import(
        *(
            (message, b"\x01 \xff\t <a\xfeb> 1772366400 +0000",
             b'M 100644 inline "%b"\ndata 2\nx\n\n' % name)
            for message, name in zip(messages, names, strict=True)
        )
    )  # fmt: skip
    found = await history(tree)
    assert [m.decode(errors="replace").strip() for m in messages] == [
        commit.message for commit in found
    ]
    assert [
        "\n", "\t", ":100644 M", "1\t2\tx", "\\xff", 'a"b', "0" * 40, "😀 é", "-rf",
        "x" * 200,
    ] == [change.path for commit in found for change in commit.changes]  # fmt: skip
    assert {("added", 1, 0)} == {
        told for commit in found for told in changes(commit).values()
    }
    assert {"\x01 \N{REPLACEMENT CHARACTER}"} == {commit.author for commit in found}
    assert {NOON} == {commit.at for commit in found}


async def test_a_message_ends_at_a_nul_and_a_broken_date_is_1970(tree):
    empty = tree.git("hash-object", "-w", "-t", "tree", "--stdin")
    broken = tree.hash_object(
        "commit",
        b"tree %b\nauthor A <a@b> never\ncommitter C\n\nseen\0unseen" % empty.encode(),
    )
    nobody = tree.hash_object("commit", b"tree %b\n\nx" % empty.encode())
    found = await read_commits(tree.root, [broken, nobody])
    assert ["seen", "x"] == [commit.message for commit in found]
    assert [EPOCH, EPOCH] == [commit.at for commit in found]


async def test_a_date_that_is_out_of_range_is_that_of_the_committer(tree):
    tree.fast_import((b"x", b"Far <far@example.org> 253402300800 +0000", b""))
    (commit,) = await history(tree)
    assert NOON == commit.at


async def test_the_mailmap_and_the_declared_encoding_are_followed(tree):
    tree.git("config", "i18n.commitEncoding", "ISO-8859-1")
    tree.write(**{".mailmap": b"Ada <ada@example.org> <AUTHOR@example.org>\n"})
    tree.git("add", "--all")
    tree.git("commit", "-q", "-F", "-", stdin="é".encode("latin-1"))
    (commit,) = await history(tree)
    assert ("Ada", "ada@example.org", "é") == (
        commit.author, commit.email, commit.message,
    )  # fmt: skip


async def test_a_merge_tells_no_changes_of_its_own(tree):
    tree.write(a=b"1\n")
    tree.commit()
    tree.git("switch", "-q", "-c", "side")
    tree.write(b=b"1\n")
    tree.commit("side")
    tree.git("switch", "-q", "main")
    tree.write(c=b"1\n")
    tree.commit("main")
    tree.git("merge", "-q", "--no-ff", "-m", "merge", "side")
    found = {commit.message: commit for commit in await history(tree)}
    assert (2, {}) == (found["merge"].parents, changes(found["merge"]))
    assert {"b": ("added", 1, 0)} == changes(found["side"])
    assert 4 == len(found)


async def test_the_configuration_changes_no_fact_and_runs_no_program(tree):
    tree.write(a=b"1\n2\n3\n4\n5\n", **{".gitattributes": b"* diff=mine\n"})
    tree.commit()
    tree.git("mv", "a", "b")
    tree.commit()
    plain = await history(tree)
    program = tree.root / ".git/program"
    program.write_text(f"#!/bin/sh\ntouch '{tree.root}/ran'\n")
    program.chmod(0o700)
    for key, value in {
        "color.ui": "always", "diff.external": program, "diff.mine.command": program,
        "diff.mine.textconv": program, "diff.relative": "true", "diff.renames": "false",
        "diff.renameLimit": "1", "format.pretty": "oneline", "log.showRoot": "false",
        "log.showSignature": "true", "log.diffMerges": "separate", "log.follow": "true",
    }.items():  # fmt: skip
        tree.git("config", key, str(value))
    assert plain == await history(tree)
    assert not (tree.root / "ran").exists()


async def test_without_a_commit_there_is_no_history(tree):
    assert {} == await read_graph(tree.root, None)
    assert [] == await read_tags(tree.root)


async def test_two_thousand_commits_have_their_parents(tree):
    tree.fast_import(
        *(
            (b"%d" % number, b"A <a@b> %d +0000" % number, b"")
            for number in range(2_000)
        )
    )
    graph = await read_graph(tree.root, tree.git("rev-parse", "HEAD"))
    hashes = [*graph]
    assert [(), *((parent,) for parent in hashes[:-1])] == [*graph.values()]
    found = await read_commits(tree.root, hashes)
    assert [str(number) for number in range(2_000)] == [c.message for c in found]


# --- clones that have less ------------------------------------------------------------


async def test_where_a_shallow_clone_is_cut_off_nothing_is_known_of_changes(
    tree, tmp_path
):
    for number in range(3):
        tree.write(**{f"f{number}": b"1\n"})
        tree.commit(str(number))
    source = f"file://{tree.root}"
    tree.git("clone", "-q", "--depth=2", source, str(tmp_path / "clone"))
    clone = Tree(tmp_path / "clone")
    boundary = await read_boundary(clone.root)
    first, second = await history(clone, boundary=boundary)
    assert ({first.hash}, True, ()) == (boundary, first.cut_off, first.changes)
    assert (False, {"f2": ("added", 1, 0)}) == (second.cut_off, changes(second))


@pytest.mark.parametrize(
    ("left_out", "known"),
    [("blob:none", {"b": ("renamed", None, None)}), ("tree:0", {})],
)
async def test_what_a_partial_clone_left_out_is_not_fetched(
    tree, tmp_path, left_out, known
):
    tree.git("config", "uploadpack.allowFilter", "true")
    tree.write(a=b"1\n2\n3\n4\n")
    tree.commit()
    tree.git("mv", "a", "b")
    tree.commit()
    source = f"file://{tree.root}"
    tree.git(
        "clone", "-q", "--no-checkout", f"--filter={left_out}", source,
        str(tmp_path / "clone"),
    )  # fmt: skip
    clone = Tree(tmp_path / "clone")
    before = clone.git("count-objects", "-v")
    _, second = await history(clone)
    assert known == changes(second)
    assert before == clone.git("count-objects", "-v")


async def test_git_may_end_before_it_has_read_all_it_is_told(tree):
    with pytest.raises(GitError):
        await output(tree.root, "no-such-command", stdin=b"x" * 1_000_000)


# --- tags -----------------------------------------------------------------------------


async def test_tags_tell_their_commit_time_and_tagger(tree):
    first = tree.commit()
    tree.git("tag", "light")
    date = "2026-04-01T00:00:00+02:00"
    tree.git("tag", "-a", "annotated/é", "-m", "m", GIT_COMMITTER_DATE=date)
    tree.git("tag", "a-file", tree.hash_object("blob", b"x"))
    nobody = f"object {first}\ntype commit\ntag nobody\n\nm\n"
    tree.git("tag", "nobody", tree.hash_object("tag", nobody.encode()))
    found = {tag.name: tag for tag in await read_tags(tree.root)}
    at = datetime(2026, 3, 31, 22, tzinfo=UTC)
    assert (
        Tag(
            name="annotated/é", hash=first, at=at, tagger="COMMITTER", committed_at=NOON
        )
        == found["annotated/é"]
    )
    assert (
        Tag(name="light", hash=first, at=NOON, tagger=None, committed_at=NOON)
        == found["light"]
    )
    assert (first, NOON, None) == (
        found["nobody"].hash, found["nobody"].at, found["nobody"].tagger,
    )  # fmt: skip
    graph = await read_graph(tree.root, first)
    assert found["a-file"].hash not in graph


async def test_the_graph_leads_to_tags_on_other_branches_too(tree):
    first = tree.commit("first")
    tree.git("switch", "-q", "-c", "side")
    side = tree.commit("side")
    tree.git("tag", "v1")
    tree.git("switch", "-q", "main")
    head = tree.commit("main")
    graph = await read_graph(tree.root, head)
    assert {first: (), side: (first,), head: (first,)} == graph
    assert {first: (), side: (first,)} == await read_graph(tree.root, None)


# --- stretches ------------------------------------------------------------------------


def tag(name, commit, day=1, *, light=True, later=0):
    committed_at = NOON + timedelta(days=day)
    return Tag(
        name=name, hash=commit, at=committed_at + timedelta(days=later),
        tagger=None if light else "Ada", committed_at=committed_at,
    )  # fmt: skip


def planned(graph, head, *tags):
    return [
        (part.title, "".join(part.hashes)) for part in plan_stretches(graph, head, tags)
    ]


LINE = {"a": (), "b": ("a",), "c": ("b",), "d": ("c",), "e": ("d",)}


def test_a_history_is_divided_at_its_tags():
    v1, v2 = tag("v1", "b", 1), tag("v2", "d", 2)
    assert [("Up to v1", "ab"), ("v1 → v2", "cd"), ("Unreleased", "e")] == planned(
        LINE, "e", v2, v1
    )
    assert ["implementation", "maintenance", "maintenance"] == [
        part.phase for part in plan_stretches(LINE, "e", [v1, v2])
    ]
    assert [("Up to v1", "ab"), ("v1 → v2", "cd")] == planned(LINE, "d", v1, v2)
    assert [("Unreleased", "abcde")] == planned(LINE, "e")
    assert [] == planned(LINE, None, v1)
    assert [] == planned({}, None)


def test_of_many_tags_on_one_commit_a_signed_one_gives_the_name():
    tags = [tag("latest", "b"), tag("v1", "b", light=False), tag("a", "b")]
    assert [("Up to v1", "ab"), ("Unreleased", "c")] == planned(LINE, "c", *tags)


def test_wrong_clocks_do_not_change_which_release_contains_which():
    v1, v2, v3 = tag("v1", "a", 9), tag("v2", "b", 1, later=50), tag("v3", "c", 2)
    assert [
        ("Up to v1", "a"), ("v1 → v2", "b"), ("v2 → v3", "c"), ("Unreleased", "de"),
    ] == planned(LINE, "e", v3, v1, v2)  # fmt: skip


def test_a_branch_merged_after_a_release_is_in_the_next_one():
    graph = {"a": (), "s": ("a",), "b": ("a",), "c": ("b",), "m": ("c", "s")}
    v1, v2 = tag("v1", "b", 1), tag("v2", "m", 2)
    assert [("Up to v1", "ab"), ("v1 → v2", "scm")] == planned(graph, "m", v1, v2)


def test_a_release_on_a_branch_of_its_own_divides_where_the_branch_left():
    graph = {"a": (), "b": ("a",), "r": ("b",), "q": ("r",), "c": ("b",), "d": ("c",)}
    v1, v11, v2 = tag("v1", "r", 1), tag("v1.1", "q", 3), tag("v2", "c", 2)
    assert [("Up to v1", "ab"), ("v1 → v2", "c"), ("Unreleased", "d")] == planned(
        graph, "d", v11, v2, v1
    )


def test_a_title_that_somebody_gave_is_told_from_a_planned_one():
    titles = ["Unreleased (2)", "Up to v1", "v1 → v2", "The great rewrite"]
    assert [True, True, True, False] == [is_title(title) for title in titles]
