"""
Read the history of a git repository: its commits, what they changed, its tags.

Which commits there are is cheap to ask (`read_graph`). What they did is not, so it is
asked of some at a time (`read_commits`), of those alone that somebody wants to know.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from project_architect_db.domain.git_commands import ask, output, stream
from project_architect_db.domain.paths import readable_name

Change = Literal["added", "modified", "deleted", "renamed"]
Graph = dict[str, tuple[str, ...]]
"""Commits with their parents, each after all of its parents."""

EPOCH = datetime.fromtimestamp(0, UTC)

_CHANGES: dict[str, Change] = {"A": "added", "D": "deleted", "R": "renamed"}
_GRAPH = ["rev-list", "--topo-order", "--reverse", "--parents", "--tags"]
_COMMIT = "%H%x00%P%x00%aN%x00%aE%x00%at%x00%ct%x00%B"
# Whatever the configuration says, the facts are the same, and no program of it is run.
_LOG = ["log", "--no-walk=unsorted", "--stdin", "-z", "--encoding=UTF-8", "--no-color"]
_LOG += ["--no-show-signature", f"--format=tformat:{_COMMIT}", "--root"]
_LOG += ["--no-ext-diff", "--no-textconv", "--diff-algorithm=myers", "-l1000"]
_NAMES_AND_LINES = ["--raw", "--numstat", "-M50%"]
_NAMES = ["--raw", "-M100%"]
_TAG = (
    "%(refname:lstrip=2)%00%(objectname)%00%(*objectname)%00%(taggername)%00"
    "%(taggerdate:unix)%00%(committerdate:unix)%00%(*committerdate:unix)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    r"""
    What a commit did to one file.

    Attributes:
        path: From the root, with `/`; bytes that are not UTF-8 are written `\xff`.
        previous_path: Where a renamed file was before.
        insertions: Lines added; `None` where git does not count, as in binary files.
        deletions: Lines removed; likewise.
    """

    path: str
    change: Change
    previous_path: str | None = None
    insertions: int | None = None
    deletions: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """
    One commit; what is not UTF-8 in it is replaced.

    Attributes:
        author: The name that the `.mailmap` gives; may be empty, as `email` may.
        at: When its author made it, or else when it was committed. Where git cannot
            read these dates either, it is 1970, as git shows it.
        message: All of it, without blank lines around.
        parents: How many; a merge has more than one.
        changes: Of files; none in a merge, whose branches have told theirs.
        cut_off: Whether a shallow clone left its parents behind, so that nothing is
            known of its changes.
    """

    hash: str
    author: str
    email: str
    at: datetime
    message: str
    parents: int
    changes: tuple[FileChange, ...] = field(default=(), repr=False)
    cut_off: bool = False

    @property
    def subject(self) -> str:
        """
        The first line of the message.
        """
        return self.message.partition("\n")[0].rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """
    A tag on a commit.

    Attributes:
        hash: Of the commit.
        at: When it was set; of a light tag, which does not tell, when the commit was
            committed.
        tagger: Who set it; `None` for a light tag.
        committed_at: When the commit was committed.
    """

    name: str
    hash: str
    at: datetime
    tagger: str | None
    committed_at: datetime


async def read_graph(root: Path, head: str | None) -> Graph:
    """
    Read which commits lead to `head` and to the tags.
    """
    graph: Graph = {}
    rest = b""
    starts = [head] if head else []
    async with aclosing(stream(root, *_GRAPH, *starts, "--")) as pieces:
        async for piece in pieces:
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                commit, *parents = line.decode().split()
                graph[commit] = tuple(parents)
    return graph


async def read_tags(root: Path) -> list[Tag]:
    """
    Read the tags, by name; one may be on a tree or a file instead of a commit.
    """
    answer = await output(root, "for-each-ref", f"--format={_TAG}", "refs/tags")
    tags = []
    for line in answer.splitlines():
        name, target, peeled, tagger, *dates = line.split(b"\0")
        tagged, *committed = (_moment(date) for date in dates)
        committed_at = committed[1] or committed[0] or EPOCH
        tags.append(
            Tag(
                name=readable_name(name), hash=(peeled or target).decode(),
                at=tagged or committed_at,
                tagger=tagger.decode(errors="replace") or None,
                committed_at=committed_at,
            )
        )  # fmt: skip
    return tags


async def read_boundary(root: Path) -> frozenset[str]:
    """
    Read where a shallow clone is cut off: commits that have parents somewhere else.
    """
    answer = await output(root, "rev-parse", "--git-path", "shallow")
    file = root / os.fsdecode(answer.removesuffix(b"\n"))
    text = await asyncio.to_thread(file.read_text)
    return frozenset(text.split())


async def read_commits(
    root: Path, hashes: Sequence[str], *, boundary: Collection[str] = ()
) -> list[Commit]:
    """
    Read some commits, in the order given.

    Args:
        root: The working tree.
        hashes: Of the commits, some hundreds of them: all are in memory at once.
        boundary: What `read_boundary` found.
    """
    if not hashes:
        return []
    options = [*_LOG, *await _diff_options(root), "--"]
    answer = await output(root, *options, stdin="\n".join(hashes).encode())
    return await asyncio.to_thread(lambda: [*_parse(answer, boundary)])


async def _diff_options(root: Path) -> list[str]:
    """
    How to ask for changes of files: git must not have to fetch what a clone left out.
    """
    pattern = r"^remote\..*\.partialclonefilter$"
    left_out = await ask(root, "config", "--get-regexp", pattern)
    if not left_out:
        return _NAMES_AND_LINES
    return [] if b"tree:" in left_out else _NAMES


def _parse(answer: bytes, boundary: Collection[str]) -> Iterator[Commit]:
    """
    Take `git log -z` apart: NUL is the one byte that is in no name and no message.

    After the fields of a commit come, if there are any, a line feed and the lines of
    `--raw`, then those of `--numstat` about the same files.
    """
    tokens = iter(answer.split(b"\0"))
    token = next(tokens)
    while token:
        fields = [token, *itertools.islice(tokens, 6)]
        changes: list[FileChange] = []
        counts: dict[str, tuple[int | None, int | None]] = {}
        token = next(tokens).lstrip(b"\n")
        while token.startswith(b":"):
            changes.append(_change(token, tokens))
            token = next(tokens)
        while b"\t" in token:
            counts |= _count(token, tokens)
            token = next(tokens)
        yield _commit(fields, changes, counts, boundary)


def _commit(
    fields: Sequence[bytes], changes: Sequence[FileChange],
    counts: Mapping[str, tuple[int | None, int | None]], boundary: Collection[str],
) -> Commit:  # fmt: skip
    hash_, parents, author, email, authored, committed, message = (
        value.decode(errors="replace") for value in fields
    )
    counted = []
    for change in changes:
        insertions, deletions = counts.get(change.path, (None, None))
        counted.append(replace(change, insertions=insertions, deletions=deletions))
    cut_off = hash_ in boundary
    return Commit(
        hash=hash_, author=author, email=email,
        at=_moment(authored) or _moment(committed) or EPOCH,
        message=message.strip(), parents=len(parents.split()),
        changes=() if cut_off else tuple(counted), cut_off=cut_off,
    )  # fmt: skip


def _change(token: bytes, tokens: Iterator[bytes]) -> FileChange:
    """
    A line of `--raw`: `:100644 100644 <hash> <hash> R083`, and one name or two.
    """
    letter = chr(token.rsplit(b" ", 1)[-1][0])
    before = readable_name(next(tokens)) if letter == "R" else None
    return FileChange(
        path=readable_name(next(tokens)), change=_CHANGES.get(letter, "modified"),
        previous_path=before,
    )  # fmt: skip


def _count(
    token: bytes, tokens: Iterator[bytes]
) -> dict[str, tuple[int | None, int | None]]:
    """
    A line of `--numstat`: two numbers, or dashes, and a name, or two names after it.
    """
    added, removed, name = token.split(b"\t", 2)
    if not name:
        _, name = next(tokens), next(tokens)
    lines = (None, None) if added == b"-" else (int(added), int(removed))
    return {readable_name(name): lines}


def _moment(seconds: str | bytes) -> datetime | None:
    """
    The time that git gives in seconds; a broken one is empty, or beyond the year 5138.
    """
    if not seconds.isdigit() or len(seconds) > 11:
        return None
    return datetime.fromtimestamp(int(seconds), UTC)
