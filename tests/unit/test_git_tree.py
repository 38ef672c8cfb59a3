"""
A git working tree is read as it is, whatever it is, by git itself.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import os
import struct
import subprocess
from collections.abc import Iterable
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from project_architect_db.domain import git_tree
from project_architect_db.domain.git_commands import (
    Contributor,
    read_ref,
    stream,
    without_credentials,
)
from project_architect_db.domain.git_tree import (
    DocumentFacts,
    list_documents,
    read_documents,
    read_repository,
)
from project_architect_db.domain.languages import language_of
from project_architect_db.errors import GitError, GitNotFoundError, NotARepositoryError

ADA = "Ada Lovelace <ada@example.org>"
BOB = "Bob <bob@example.org>"
NEW_YEAR = "2026-01-01T00:30:00+01:00"
SIGNATURE = "\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n -----END PGP SIGNATURE-----"


class Tree:
    """
    A real repository in a temporary folder.
    """

    def __init__(self, root: Path, *options: str) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "-b", "main", "--template=", *options)

    def git(self, *arguments: str | bytes, stdin: bytes = b"", **env: str) -> str:
        settings = ("-c", "protocol.file.allow=always", "-c", "maintenance.auto=false")
        command = ["git", *settings, *arguments]
        done = subprocess.run(
            command, cwd=self.root, input=stdin, capture_output=True, check=False,
            env=os.environ | env,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.decode().strip()

    def write(self, name: str | bytes, data: str | bytes = "text\n") -> Path:
        file = self.root / os.fsdecode(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data.encode() if isinstance(data, str) else data)
        return file

    def commit(self, *, who: str = ADA, when: str = NEW_YEAR) -> str:
        name, email = who.removesuffix(">").split(" <")
        self.git("add", "--all")
        self.git(
            "commit", "-q", "--allow-empty", "-m", "x", GIT_COMMITTER_DATE=when,
            GIT_AUTHOR_NAME=name, GIT_AUTHOR_EMAIL=email, GIT_AUTHOR_DATE=when,
        )  # fmt: skip
        return self.git("rev-parse", "HEAD")

    def import_commits(self, authors: Iterable[bytes]) -> None:
        """
        Make one commit for each line `Name <email> seconds zone`, quickly.
        """
        commits = [
            b"commit refs/heads/main\nauthor %b\ncommitter C <c@d> 1 +0000\ndata 0\n"
            % author
            for author in authors
        ]
        options = ["--quiet", "--date-format=raw-permissive"]
        self.git("fast-import", *options, stdin=b"".join(commits))


@pytest.fixture(autouse=True)
def _only_this_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Keep the configuration of the machine, and a hook that runs the tests, out.
    """
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", who)
        monkeypatch.setenv(f"GIT_{who}_EMAIL", f"{who}@example.org")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "tree")


async def documents(root: str | Path, **options: int) -> dict[str, DocumentFacts]:
    """
    Read all documents by their path, and check what is true of each of them.
    """
    found = [
        facts async for batch in read_documents(root, **options) for facts in batch
    ]
    assert len(found) == len(await list_documents(root))
    for facts in found:
        facts.path.encode()
        assert (facts.content is None) == (facts.skipped is not None)
        assert (facts.content is None) == (facts.encoding is None)
        assert "\0" not in (facts.content or "")
    by_path = {facts.path: facts for facts in found}
    assert len(by_path) == len(found)
    return by_path


async def skipped(root: Path, **options: int) -> dict[str, str | None]:
    found = await documents(root, **options)
    return {path: facts.skipped for path, facts in found.items()}


# --- history --------------------------------------------------------------------------


async def test_a_repository_tells_its_history(tree):
    tree.commit(who=ADA, when="2025-12-31T23:59:59+00:00")
    tree.commit(who=BOB, when="2026-02-01T00:30:00+01:00")
    tree.commit(who=ADA, when="2026-02-03T10:00:00+00:00")
    head = tree.git("rev-parse", "HEAD")

    facts = await read_repository(tree.root)

    assert facts == git_tree.RepositoryFacts(
        root=tree.root.resolve(),
        location=str(tree.root.resolve()),
        name="tree",
        branch="main",
        default_branch="main",
        head=head,
        remote_url=None,
        shallow=False,
        commit_count=3,
        first_commit_at=datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC),
        last_commit_at=datetime(2026, 2, 3, 10, tzinfo=UTC),
        contributors=(
            Contributor(name="Ada Lovelace", email="ada@example.org", commits=2),
            Contributor(name="Bob", email="bob@example.org", commits=1),
        ),
        commits_per_month={"2025-12": 1, "2026-01": 1, "2026-02": 1},
    )
    assert list(facts.commits_per_month) == ["2025-12", "2026-01", "2026-02"]


async def test_merged_work_and_older_author_dates_count_once_each(tree):
    tree.commit(when="2026-03-01T00:00:00Z")
    tree.git("switch", "-q", "-c", "side")
    tree.commit(who=BOB, when="2024-06-01T00:00:00Z")
    tree.git("switch", "-q", "main")
    tree.commit(when="2026-04-01T00:00:00Z")
    when = "2026-05-01T00:00:00Z"
    tree.git("merge", "-q", "--no-ff", "-m", "x", "side", GIT_AUTHOR_DATE=when)

    facts = await read_repository(tree.root)

    assert facts.commit_count == 4
    assert facts.first_commit_at == datetime(2024, 6, 1, tzinfo=UTC)
    assert list(facts.commits_per_month) == ["2024-06", "2026-03", "2026-04", "2026-05"]


async def test_the_mailmap_makes_one_contributor_of_two_names(tree):
    tree.commit(who="ada <ada@old.example>")
    tree.write(".mailmap", f"{ADA} <ada@old.example>\n")
    tree.commit(who=ADA)

    facts = await read_repository(tree.root)

    assert facts.contributors == (
        Contributor(name="Ada Lovelace", email="ada@example.org", commits=2),
    )


@pytest.mark.slow
async def test_ten_thousand_commits_are_added_up(tree):
    day = 86_400
    tree.import_commits(
        b"Author %d <%d@example.org> %d +0000" % (i % 100, i % 100, i * day // 10)
        for i in range(10_000)
    )

    facts = await read_repository(tree.root)

    assert facts.commit_count == sum(facts.commits_per_month.values()) == 10_000
    assert {person.commits for person in facts.contributors} == {100}
    assert facts.commits_per_month["1970-01"] == 310
    assert facts.last_commit_at == datetime(1972, 9, 26, 21, 36, tzinfo=UTC)


async def test_odd_authors_and_dates_do_not_break_the_history(tree):
    long_name = b"x" * 200_000
    tree.import_commits([
        b" <> 0 +0000",
        b"Caf\xe9 <\xff@example.org> 1 +0000",
        b"Caf\xe8 <\xfe@example.org> 2 +0000",
        b"\x01\t\x1f <a b@example.org> 3 +0000",
        b"Far <far@example.org> 253402300800 +0000",
        long_name + b" <long@example.org> 4 +0000",
    ])  # fmt: skip

    facts = await read_repository(tree.root)

    people = {person.name: person for person in facts.contributors}
    assert people["Caf\N{REPLACEMENT CHARACTER}"].commits == 2
    assert people[long_name.decode()].commits == 1
    assert people[""].email == ""
    assert facts.commit_count == 6
    assert facts.commits_per_month == {"1970-01": 5}
    assert facts.last_commit_at == datetime(1970, 1, 1, 0, 0, 4, tzinfo=UTC)


async def test_a_history_without_any_date_is_still_counted(tree):
    tree.import_commits([b"Far <far@example.org> 253402300800 +0000"])

    facts = await read_repository(tree.root)

    assert (facts.commit_count, facts.commits_per_month) == (1, {})
    assert facts.first_commit_at is facts.last_commit_at is None


async def test_names_are_read_in_the_encoding_that_the_commit_declares(tree):
    tree.git("config", "i18n.commitEncoding", "ISO-8859-1")
    tree.git("config", "i18n.logOutputEncoding", "ISO-8859-1")
    tree.commit(who=os.fsdecode("é <e@f>".encode("latin-1")))

    facts = await read_repository(tree.root)

    assert facts.contributors[0].name == "é"


async def test_the_configuration_changes_no_fact_and_runs_no_program(tree):
    tree.write("näme.txt")
    tree.commit()
    commit = tree.git("cat-file", "commit", "HEAD").replace("\n\n", f"{SIGNATURE}\n\n")
    signed = tree.git(
        "hash-object", "-t", "commit", "-w", "--stdin", stdin=commit.encode()
    )
    tree.git("update-ref", "HEAD", signed)
    plain = await read_repository(tree.root)
    program = tree.write(".git/program", f"#!/bin/sh\ntouch '{tree.root}/ran'\n")
    program.chmod(0o700)
    for key, value in {
        "color.ui": "always",
        "core.fsmonitor": str(program),
        "core.pager": str(program),
        "core.quotePath": "true",
        "format.pretty": "oneline",
        "gpg.program": str(program),
        "log.decorate": "full",
        "log.showSignature": "true",
    }.items():
        tree.git("config", key, value)

    assert await read_repository(tree.root) == plain
    assert list(await documents(tree.root)) == ["näme.txt"]


# --- kinds of repositories ------------------------------------------------------------


async def test_a_repository_without_a_commit_is_empty(tree):
    facts = await read_repository(tree.root)

    assert facts.head is facts.branch is facts.default_branch is None
    assert facts.first_commit_at is facts.last_commit_at is None
    assert (facts.commit_count, facts.contributors) == (0, ())
    assert await documents(tree.root) == {}


async def test_files_of_a_repository_without_a_commit_are_documents(tree):
    tree.write("staged.py")
    tree.git("add", "--all")
    tree.write("untracked.py")

    assert list(await documents(tree.root)) == ["staged.py", "untracked.py"]


async def test_a_commit_without_files_is_a_repository_without_documents(tree):
    tree.commit()

    assert (await read_repository(tree.root)).commit_count == 1
    assert await documents(tree.root) == {}


async def test_a_detached_head_is_on_no_branch(tree):
    first = tree.commit()
    tree.commit()
    tree.git("checkout", "-q", first)

    facts = await read_repository(tree.root)

    assert (facts.head, facts.commit_count, facts.branch) == (first, 1, None)


async def test_a_branch_may_be_called_like_a_tag_or_contain_slashes(tree):
    tree.commit()
    tree.git("switch", "-q", "-c", "feature/heads/é")
    tree.git("tag", "feature/heads/é")

    assert (await read_repository(tree.root)).branch == "feature/heads/é"


async def test_any_folder_inside_stands_for_the_whole_tree(tree, monkeypatch):
    tree.write("top.py")
    tree.write("-dash/deep.py")
    tree.commit()
    monkeypatch.chdir(tree.root)

    facts = await read_repository("-dash")

    assert facts.root == tree.root.resolve()
    assert list(await documents(Path("-dash"))) == ["-dash/deep.py", "top.py"]


async def test_a_tree_reached_through_a_symbolic_link_is_read(tree, tmp_path):
    tree.write("a/file.py")
    (tmp_path / "link").symlink_to(tree.root)

    assert (await read_repository(tmp_path / "link")).root == tree.root.resolve()
    assert await skipped(tmp_path / "link") == {"a/file.py": None}


async def test_the_root_may_have_any_name(tmp_path):
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/ \xff\n'\"\n"))
    tree = Tree(root)
    tree.write("a.py")
    tree.commit()

    facts = await read_repository(root)

    assert (facts.root, facts.name) == (root, " \\xff\n'\"\n")
    assert facts.location == f"{tmp_path}/ \\xff\n'\"\n"
    assert await skipped(root) == {"a.py": None}


async def test_a_shallow_clone_says_so_and_knows_the_default_branch(tree, tmp_path):
    tree.commit()
    tree.write("new.py")
    head = tree.commit()
    url = f"file://{tree.root}"
    tree.git("clone", "-q", "--depth", "1", url, str(tmp_path / "clone"))
    clone = Tree(tmp_path / "clone")
    clone.git("switch", "-q", "-c", "topic")

    facts = await read_repository(clone.root)

    assert facts.shallow
    assert (facts.commit_count, facts.head) == (1, head)
    assert (facts.branch, facts.default_branch) == ("topic", "main")
    assert facts.remote_url == url


async def test_a_linked_worktree_is_a_tree_of_its_own(tree, tmp_path):
    tree.commit()
    tree.git("worktree", "add", "-q", "-b", "other", str(tmp_path / "linked"))
    (tmp_path / "linked" / "only_here.py").write_text("x")

    facts = await read_repository(tmp_path / "linked")

    assert (facts.name, facts.branch, facts.commit_count) == ("linked", "other", 1)
    assert list(await documents(tmp_path / "linked")) == ["only_here.py"]


async def test_a_git_hook_does_not_lead_to_another_repository(
    tree, tmp_path, monkeypatch
):
    tree.write("mine.py")
    tree.commit()
    other = Tree(tmp_path / "other")
    monkeypatch.setenv("GIT_DIR", str(other.root / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other.root))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other.root / ".git/index"))

    facts = await read_repository(tree.root)

    assert (facts.name, facts.commit_count) == ("tree", 1)
    assert list(await documents(tree.root)) == ["mine.py"]


# --- remotes --------------------------------------------------------------------------


async def test_origin_is_the_remote_that_counts(tree):
    tree.git("remote", "add", "first", "https://example.org/first.git")
    tree.git("remote", "add", "origin", "https://ada:token@example.org/origin.git")
    tree.git("config", "--add", "remote.origin.url", "https://example.org/mirror.git")

    facts = await read_repository(tree.root)

    assert facts.remote_url == "https://example.org/origin.git"


async def test_without_origin_the_first_remote_counts(tree):
    tree.git("config", "remote.an odd/../name.url", "git@example.org:a/b.git")
    tree.git("remote", "add", "upstream", "https://example.org/first.git")

    facts = await read_repository(tree.root)

    assert facts.remote_url == "git@example.org:a/b.git"
    assert facts.default_branch is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://example.org/a/b.git", "https://example.org/a/b.git"),
        ("https://token@example.org/a", "https://example.org/a"),
        ("HTTPS://ada:s3cret@example.org:8443/a", "HTTPS://example.org:8443/a"),
        ("https://ada:s3@cr#t?@example.org/a@v1", "https://example.org/a@v1"),
        ("http://example.org/a?private_token=s3cret#x", "http://example.org/a"),
        ("ssh://git:s3cret@example.org:22/a", "ssh://git@example.org:22/a"),
        ("git+ssh://git@example.org/a", "git+ssh://git@example.org/a"),
        ("hg::https://ada:s3cret@example.org/a", "hg::https://example.org/a"),
        ("git@example.org:a/b.git", "git@example.org:a/b.git"),
        ("file:///srv/a@b#c.git", "file:///srv/a@b#c.git"),
        ("../sibling@2.git", "../sibling@2.git"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url, shown):
    assert without_credentials(url) == shown


# --- what is no working tree ----------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "not a git repository"),
        ("nowhere", "No such file"),
        ("-nowhere", "No such file"),
        ("file", "Not a directory"),
        ("bare", "bare repository"),
        ("tree/.git", r"\.git folder"),
        ("a\0b", "cannot contain NUL"),
    ],
)
async def test_what_is_no_working_tree_is_refused_with_the_reason(
    name, reason, tree, tmp_path
):
    (tmp_path / "file").write_text("x")
    Tree(tmp_path / "bare", "--bare")
    path = tmp_path / name

    with pytest.raises(NotARepositoryError, match=reason) as refused:
        await read_repository(path)
    with pytest.raises(NotARepositoryError, match=reason):
        await documents(path)
    with pytest.raises(NotARepositoryError, match=reason):
        await list_documents(path)

    assert refused.value.path == str(path)
    assert refused.value.__cause__ is not refused.value


async def test_a_working_tree_configured_elsewhere_is_refused(tree, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    tree.git("config", "core.worktree", str(tmp_path / "elsewhere"))

    with pytest.raises(NotARepositoryError, match=r"elsewhere, in .*/elsewhere"):
        await read_repository(tree.root)


async def test_a_folder_of_another_user_is_refused_with_the_way_out(tree, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")

    with pytest.raises(GitError, match="belongs to another user") as refused:
        await read_repository(tree.root)

    assert f"run `git config --global --add safe.directory {tree.root}`" in str(
        refused.value
    )
    assert refused.value.returncode == 128
    assert not isinstance(refused.value, NotARepositoryError)


async def test_a_missing_git_is_reported_as_such(tree, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(GitNotFoundError) as failed:
        await read_repository(tree.root)

    assert isinstance(failed.value.__cause__, FileNotFoundError)


async def test_a_broken_configuration_is_reported_in_the_words_of_git(tree):
    tree.write(".git/config", "[broken")

    with pytest.raises(GitError, match="bad config") as failed:
        await read_repository(tree.root)

    assert failed.value.command[0] == "git"
    assert failed.value.stderr in str(failed.value)
    assert failed.value.__cause__ is None


async def test_a_broken_branch_is_an_error_not_an_empty_history(tree):
    tree.write(".git/refs/heads/main", "broken")

    with pytest.raises(GitError, match="broken"):
        await read_repository(tree.root)


async def test_a_missing_commit_is_an_error_not_a_short_history(tree):
    tree.commit()
    head = tree.commit()
    tree.git("update-ref", "HEAD", head)
    parent = tree.git("rev-parse", "HEAD~1")
    (tree.root / ".git/objects" / parent[:2] / parent[2:]).unlink()

    with pytest.raises(GitError, match=parent):
        await read_repository(tree.root)


async def test_a_repository_that_vanishes_meanwhile_is_an_error(tmp_path):
    with pytest.raises(GitError, match="not a git repository"):
        await read_ref(tmp_path, "HEAD", "refs/heads/")


# --- documents ------------------------------------------------------------------------


async def test_a_text_file_is_read_with_its_facts(tree):
    tree.write("src/app.py", "import os\n\nprint('é')")

    assert await documents(tree.root) == {
        "src/app.py": DocumentFacts(
            path="src/app.py",
            size=22,
            lines=3,
            language="Python",
            sha256=hashlib.sha256("import os\n\nprint('é')".encode()).hexdigest(),
            content="import os\n\nprint('é')",
            encoding="utf-8",
        )
    }


async def test_tracked_and_new_files_are_read_but_not_ignored_ones(tree):
    tree.write(".gitignore", "*.log\n/build/\n")
    tree.write("tracked.log")
    tree.git("add", "--force", "--all")
    for name in ("b/new.py", "a.log", "build/c.py", ".git/d.py"):
        tree.write(name)

    found = await documents(tree.root)

    assert list(found) == [".gitignore", "b/new.py", "tracked.log"]


async def test_a_file_in_conflict_is_one_document(tree):
    tree.write("a.py", "one\n")
    tree.commit()
    blobs = [tree.git("hash-object", "-w", "--stdin", stdin=b"%d" % i) for i in (1, 2)]
    stages = [f"100644 {blobs[i - 2]} {i}\ta.py\n" for i in (2, 3)]
    zero = f"0 {'0' * 40}\ta.py\n"
    tree.git("update-index", "--index-info", stdin="".join([zero, *stages]).encode())

    assert tree.git("ls-files").splitlines() == ["a.py", "a.py"]
    assert await skipped(tree.root) == {"a.py": None}


@pytest.mark.parametrize(
    ("data", "content", "encoding", "lines"),
    [
        (b"", "", "utf-8", 0),
        (b"a", "a", "utf-8", 1),
        (b"a\n", "a\n", "utf-8", 1),
        (b"\r\n\r\n", "\r\n\r\n", "utf-8", 2),
        (b"\xef\xbb\xbfa\n", "a\n", "utf-8", 1),
        ("\N{SNOWMAN}".encode(), "\N{SNOWMAN}", "utf-8", 1),
        (b"caf\xe9\n", "café\n", "latin-1", 1),
        (b"\xed\xa0\x80", "í\xa0\x80", "latin-1", 1),
    ],
)
async def test_bytes_become_text(tree, data, content, encoding, lines):
    tree.write("a.txt", data)

    facts = (await documents(tree.root))["a.txt"]

    assert (facts.content, facts.encoding, facts.lines) == (content, encoding, lines)
    assert facts.sha256 == hashlib.sha256(data).hexdigest()
    assert facts.size == len(data)


@pytest.mark.parametrize("data", [b"\0", b"GIF89a\0\x01", b"text\n" * 10_000 + b"\0"])
async def test_a_file_with_a_nul_byte_is_binary(tree, data):
    tree.write("a.ts", data)

    assert (await documents(tree.root))["a.ts"] == DocumentFacts(
        path="a.ts",
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        skipped="binary",
    )


async def test_a_large_file_is_named_but_not_read(tree):
    tree.write("exact.sql", "x" * 10)
    tree.write("large.sql", "x" * 11)
    os.truncate(tree.write("huge.bin"), 1 << 33)

    found = await documents(tree.root, max_bytes=10)

    assert found["exact.sql"].content == "x" * 10
    assert found["large.sql"] == DocumentFacts(
        path="large.sql", size=11, language="SQL", skipped="too large"
    )
    assert (found["huge.bin"].size, found["huge.bin"].skipped) == (1 << 33, "too large")


async def test_file_names_of_every_kind_are_kept_apart(tree):
    names = [
        b"-rf", b" space ", b"new\nline.py", b"tab\t", b"quote'\".md", b"back\\slash",
        "ünïcode/\N{SNOWMAN}.py".encode(), b"caf\xe9.txt", b"\xff/deep.py",
        b"caf\\xe9.txt", b"twin\\xff\xfe", b"twin\xff\\xfe", b":(top)x", b"*",
    ]  # fmt: skip
    for name in names:
        tree.write(name, name)

    found = await documents(tree.root)

    assert len(found) == len(names)
    assert {"new\nline.py", "-rf", "\\xff/deep.py", "caf\\xe9.txt"} < found.keys()
    assert found["caf\\xe9.txt"].content == "caf\\xe9.txt"
    twin = hashlib.sha256(b"caf\xe9.txt").hexdigest()[:8]
    assert found[f"caf\\xe9.txt~{twin}"].content == "café.txt"
    assert found["\\xff/deep.py"].language == "Python"
    assert found["ünïcode/\N{SNOWMAN}.py"].content == "ünïcode/\N{SNOWMAN}.py"
    assert await documents(tree.root) == found


async def test_a_deleted_file_is_missing(tree):
    tree.write("gone.py")
    tree.write("folder/gone.py")
    tree.commit()
    (tree.root / "gone.py").unlink()
    (tree.root / "folder/gone.py").unlink()
    (tree.root / "folder").rmdir()
    tree.write("folder", "now a file")

    found = await documents(tree.root)

    assert found["gone.py"] == DocumentFacts(
        path="gone.py", language="Python", skipped="missing"
    )
    assert found["folder/gone.py"].skipped == "missing"
    assert found["folder"].content == "now a file"


async def test_no_symbolic_link_is_followed(tree, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret.py").write_text("secret")
    tree.write("folder/secret.py", "public")
    (tree.root / "link.py").symlink_to(tmp_path / "outside/secret.py")
    (tree.root / "links").symlink_to(tmp_path / "outside")
    (tree.root / "loop").symlink_to("loop")
    tree.commit()
    (tree.root / "folder/secret.py").unlink()
    (tree.root / "folder").rmdir()
    (tree.root / "folder").symlink_to(tmp_path / "outside")

    assert set((await skipped(tree.root)).values()) == {"symlink"}
    assert set(await documents(tree.root)) == {
        "folder", "folder/secret.py", "link.py", "links", "loop"
    }  # fmt: skip


async def test_a_forged_index_does_not_lead_out_of_the_tree(tree, tmp_path):
    (tmp_path / "out.py").write_text("secret")
    names = [b"..", b"../out.py", os.fsencode(tmp_path / "out.py"), b"a/../../out.py"]
    entries = b""
    for name in sorted(names):
        head = struct.pack(">10I20xH", *[0] * 6, 0o100644, *[0] * 3, len(name))
        entry = head + name
        entries += entry + b"\0" * (8 - len(entry) % 8)
    index = b"DIRC" + struct.pack(">II", 2, len(names)) + entries
    tree.write(".git/index", index + hashlib.sha1(index).digest())

    found = await documents(tree.root)

    assert len(found) == len(names)
    assert all(facts.content is facts.sha256 is None for facts in found.values())


async def test_repositories_inside_are_submodules(tree, tmp_path):
    library = Tree(tmp_path / "library")
    library.write("inside.py")
    library.commit()
    tree.git("submodule", "--quiet", "add", str(library.root), "tracked")
    nested = Tree(tree.root / "nested")
    nested.commit()

    found = await skipped(tree.root)

    assert found == {".gitmodules": None, "nested": "submodule", "tracked": "submodule"}


async def test_what_cannot_be_read_is_reported_and_ends_nothing(tree):
    tree.write("a.py")
    tree.write("pipe.py")
    tree.write("locked.py")
    blob = tree.git("hash-object", "-w", "--stdin", stdin=b"x")
    long_name = f"{'n' * 300}.py"
    tree.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{long_name}")
    tree.git("add", "--all", "a.py", "pipe.py", "locked.py")
    (tree.root / "pipe.py").unlink()
    os.mkfifo(tree.root / "pipe.py")
    (tree.root / "locked.py").chmod(0)

    found = await skipped(tree.root)

    assert (found["a.py"], found["pipe.py"]) == (None, "unreadable")
    assert found[long_name] == "unreadable"
    if os.geteuid():  # root reads everything
        assert found["locked.py"] == "unreadable"


async def test_excluded_files_are_left_out_and_never_opened(
    tree, tmp_path, monkeypatch
):
    for name in ("a.py", "data/app.duckdb", "z.py"):
        tree.write(name)
    (tree.root / "hard link").hardlink_to(tree.root / "data/app.duckdb")
    (tmp_path / "soft link").symlink_to(tree.root / "data")
    monkeypatch.chdir(tmp_path)
    exclude = [
        "soft link/app.duckdb", tree.root / "data/app.duckdb.wal", tmp_path / "other"
    ]  # fmt: skip

    found = [
        (facts.path, facts.skipped)
        async for batch in read_documents(tree.root, exclude=iter(exclude))
        for facts in batch
    ]

    assert found == [("a.py", None), ("hard link", "unreadable"), ("z.py", None)]
    assert len(await list_documents(tree.root, exclude=iter(exclude))) == 3


async def test_files_come_in_batches_sorted_by_path(tree):
    for i in range(7):
        tree.write(f"{i}.py")

    batches = [batch async for batch in read_documents(tree.root, batch_size=3)]

    assert [len(batch) for batch in batches] == [3, 3, 1]
    assert [d.path for batch in batches for d in batch] == [f"{i}.py" for i in range(7)]
    assert len([batch async for batch in read_documents(tree.root, batch_size=0)]) == 7


async def test_large_files_make_small_batches(tree):
    for i in range(20):
        tree.write(f"{i:02}.txt", "x" * 1_000_000)

    batches = [len(batch) async for batch in read_documents(tree.root)]

    assert batches == [17, 3]


# --- the process ----------------------------------------------------------------------


async def waiting_git(pipe: Path) -> int:
    """
    Wait until git has opened the pipe, where it now waits for us.
    """
    while True:
        with suppress(OSError):  # nobody reads it yet
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        await asyncio.sleep(0.001)


async def assert_gone(writer: int) -> None:
    """
    Check that nobody reads the pipe any more, and that no child is left unwaited for.
    """
    with suppress(BrokenPipeError):
        while os.write(writer, b"\n"):
            await asyncio.sleep(0.001)
    os.close(writer)
    while zombie():
        await asyncio.sleep(0.001)
    gc.collect()


def zombie() -> object:
    """
    Find a child that ended and was not waited for.
    """
    with suppress(ChildProcessError):
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return None


@pytest.mark.parametrize("times", [1, 2])
async def test_a_cancelled_reader_leaves_no_git_behind(tree, times):
    tree.commit()
    os.mkfifo(tree.root / ".mailmap")
    reader = asyncio.create_task(read_repository(tree.root))
    writer = await waiting_git(tree.root / ".mailmap")

    for _ in range(times):
        reader.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await reader

    await assert_gone(writer)


async def test_a_timeout_while_files_are_listed_leaves_no_git_behind(tree):
    os.mkfifo(tree.root / ".gitignore")
    counter = asyncio.create_task(list_documents(tree.root))
    writer = await waiting_git(tree.root / ".gitignore")

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await counter

    await assert_gone(writer)


@pytest.mark.parametrize("times", [0, 1, 2])
async def test_a_reader_that_leaves_early_leaves_no_git_behind(tree, times):
    tree.import_commits(b"A <a@b> 0 +0000" for _ in range(5_000))
    started = asyncio.Event()

    async def read_one_piece() -> None:
        pieces = stream(tree.root, "log", f"--format={'%H' * 20}")
        async with aclosing(pieces):
            assert await anext(pieces)
            await asyncio.sleep(0.1)  # meanwhile the pipe fills
            started.set()
            if times:
                await asyncio.sleep(3600)

    reader = asyncio.create_task(read_one_piece())
    await started.wait()
    for _ in range(times):
        reader.cancel()
        await asyncio.sleep(0)
    with suppress(asyncio.CancelledError):
        await reader
    del reader
    while len(asyncio.all_tasks()) > 1:
        await asyncio.sleep(0.001)

    assert zombie() is None
    gc.collect()  # a pipe left open would warn


async def test_documents_can_be_left_after_the_first_batch(tree):
    for i in range(5):
        tree.write(f"{i}.py")

    async for batch in read_documents(tree.root, batch_size=2):
        assert len(batch) == 2
        break

    gc.collect()


async def test_many_trees_can_be_read_at_once(tmp_path):
    trees = [Tree(tmp_path / f"tree{i}") for i in range(8)]
    for tree in trees:
        tree.commit()

    facts = await asyncio.gather(*(read_repository(tree.root) for tree in trees))

    assert [repository.name for repository in facts] == [f"tree{i}" for i in range(8)]


# --- languages ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "language"),
    [
        ("src/app.py", "Python"),
        ("APP.PY", "Python"),
        ("types.d.ts", "TypeScript"),
        ("a.b/Makefile", "Makefile"),
        ("Dockerfile", "Dockerfile"),
        ("Dockerfile.dev", "Dockerfile"),
        ("dev.dockerfile", "Dockerfile"),
        ("CMakeLists.txt", "CMake"),
        ("notes.txt", "Text"),
        (".gitignore", "Ignore List"),
        (".github/CODEOWNERS", "CODEOWNERS"),
        ("go.mod", "Go Module"),
        ("readme.xyz", None),
        ("logo.png", None),
        ("folder.py/data", None),
        (".py", "Python"),
        ("dot.", None),
        ("", None),
    ],
)
def test_the_language_is_told_by_the_name(path, language):
    assert language_of(path) == language
