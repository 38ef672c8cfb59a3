"""
Read a git working tree: its history, and the files in it.

The history comes from one `git log`, the names of the files from `git ls-files`. No
file outside the working tree is ever opened.
"""

from __future__ import annotations

import asyncio
import os
from bisect import bisect_left
from collections.abc import AsyncGenerator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path

from project_architect_db.domain.file_reading import (
    MAX_BYTES,
    DocumentFacts,
    identities,
    read_below,
)
from project_architect_db.domain.git_commands import (
    Contributor,
    find_root,
    list_names,
    read_history,
    read_ref,
    read_remote,
)
from project_architect_db.domain.paths import readable_name

__all__ = [
    "DocumentFacts",
    "RepositoryFacts",
    "find_sizes",
    "list_documents",
    "read_contents",
    "read_documents",
    "read_repository",
]

_Path = str | os.PathLike[str]
_BATCH_BYTES = 1 << 24
_SLICE = 200
"""Files looked at in one go, in a thread; between two the task can be cancelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryFacts:
    r"""
    What git knows of a repository; times and months are author dates in UTC.

    Attributes:
        location: The root as text; bytes that are not UTF-8 are written `\xff`.
        name: The name of the root's folder.
        branch: The branch checked out; `None` when detached or without a commit.
        default_branch: The remote's default branch where known, else `branch`.
        head: The hash of the commit checked out; `None` without a commit.
        remote_url: Of `origin`, or else of the first remote; without credentials.
        shallow: Whether a shallow clone left older commits behind.
        commit_count: Of the commits that lead to `head`.
        contributors: The busiest first.
        commits_per_month: `"2026-08"` → commits, oldest first, no empty months.
    """

    root: Path
    location: str
    name: str
    branch: str | None
    default_branch: str | None
    head: str | None
    remote_url: str | None
    shallow: bool
    commit_count: int
    first_commit_at: datetime | None
    last_commit_at: datetime | None
    contributors: tuple[Contributor, ...]
    commits_per_month: dict[str, int]


async def read_repository(path: _Path) -> RepositoryFacts:
    """
    Read what git knows of the repository that `path` is in.

    Raises:
        NotARepositoryError: `path` is not in a git working tree.
        GitNotFoundError: git is not installed.
        GitError: git failed, or does not trust the owner of the folder.
    """
    root, shallow = await find_root(path)
    history = await read_history(root)
    branch = await read_ref(root, "HEAD", "refs/heads/") if history.head else None
    remote, url = await read_remote(root)
    heads = f"refs/remotes/{remote}/"
    default_branch = await read_ref(root, f"{heads}HEAD", heads) or branch
    first, last = history.span()
    return RepositoryFacts(
        root=root,
        location=readable_name(os.fsencode(root)),
        name=readable_name(os.fsencode(root.name)) or root.anchor,
        branch=branch,
        default_branch=default_branch,
        head=history.head,
        remote_url=url,
        shallow=shallow,
        commit_count=history.authors.total(),
        first_commit_at=first,
        last_commit_at=last,
        contributors=history.contributors(),
        commits_per_month=history.months(),
    )


async def read_documents(
    root: _Path,
    *,
    max_bytes: int = MAX_BYTES,
    batch_size: int = 200,
    exclude: Iterable[_Path] = (),
) -> AsyncGenerator[list[DocumentFacts], None]:
    """
    Yield all files, tracked or untracked but not ignored, in batches, by path.

    They are read in a thread, and fewer at once when they are large. One that is
    missing, binary or unreadable is reported as `skipped` and ends nothing.

    Args:
        root: The working tree, or a folder in it: the whole tree is read.
        max_bytes: A larger file is not read.
        batch_size: The most files in one batch.
        exclude: Files to leave out and never to open, such as an open database.

    Raises:
        GitError: As in `read_repository`.
    """
    exclude = tuple(exclude)
    top, names = await _list_documents(root, exclude)
    start = 0
    while start < len(names):
        chosen = range(start, min(start + max(batch_size, 1), len(names)))
        batch = await asyncio.to_thread(
            _read_batch, top, names, chosen, max_bytes, exclude
        )
        start += len(batch)
        yield batch


async def list_documents(
    root: _Path, *, exclude: Iterable[_Path] = ()
) -> dict[str, bytes]:
    """
    The paths that `read_documents` will yield, and the names of the files in git.
    """
    _, names = await _list_documents(root, exclude)
    return await asyncio.to_thread(
        lambda: {_path_of(name, names): name for name in names}
    )


async def find_sizes(root: Path, files: Mapping[str, bytes]) -> dict[str, int]:
    """
    The sizes of those files that are there, by path, without opening them.

    Of one that is there and cannot be reached the size is 0.
    """
    there: dict[str, int] = {}
    # None is small enough to be opened: what is too large is a file.
    async for facts in _look_at(root, files, -1, ()):
        if facts.skipped in {"too large", "unreadable"}:
            there[facts.path] = facts.size
    return there


async def read_contents(
    root: Path, files: Mapping[str, bytes], *, exclude: Collection[_Path] = ()
) -> dict[str, tuple[int, str]]:
    """
    The sizes and checksums of files of some text, by path; the text is not kept.

    Args:
        root: The top of the working tree.
        files: As from `list_documents`.
        exclude: Files never to open.
    """
    return {
        facts.path: (facts.size, facts.sha256)
        async for facts in _look_at(root, files, MAX_BYTES, exclude)
        if facts.sha256 is not None and facts.skipped is None
    }


async def _look_at(
    root: Path, files: Mapping[str, bytes], max_bytes: int, exclude: Collection[_Path]
) -> AsyncGenerator[DocumentFacts, None]:
    def look(chosen: Sequence[tuple[str, bytes]]) -> list[DocumentFacts]:
        closed = identities(exclude)
        return [
            replace(_read_one(root, name, path, max_bytes, closed), content=None)
            for path, name in chosen
        ]

    waiting = iter(files.items())
    while chosen := list(islice(waiting, _SLICE)):
        for facts in await asyncio.to_thread(look, chosen):
            yield facts


async def _list_documents(
    root: _Path, exclude: Iterable[_Path]
) -> tuple[Path, list[bytes]]:
    """
    Find the top of the tree, and list its files without the excluded ones.
    """
    top, _ = await find_root(root)
    names = await list_names(top)
    for file in exclude:
        _remove(file, top, names)
    return top, names


def _remove(file: _Path, top: Path, names: list[bytes]) -> None:
    """
    Remove a file from the sorted names if it is among them.
    """
    real = Path(os.path.realpath(file))
    if real.is_relative_to(top):
        at = _position(os.fsencode(real.relative_to(top).as_posix()), names)
        if at is not None:
            del names[at]


def _position(name: bytes, names: list[bytes]) -> int | None:
    """
    Where a name is in the sorted names, if it is among them.
    """
    at = bisect_left(names, name)
    return at if names[at : at + 1] == [name] else None


def _read_batch(
    root: Path,
    names: list[bytes],
    chosen: range,
    max_bytes: int,
    exclude: Iterable[_Path],
) -> list[DocumentFacts]:
    """
    Read the chosen files, or the first of them when they are large.
    """
    closed = identities(exclude)
    batch: list[DocumentFacts] = []
    read = 0
    for name in names[chosen.start : chosen.stop]:
        facts = _read_one(root, name, _path_of(name, names), max_bytes, closed)
        if facts.skipped == "folder":  # git lists one only for the repository in it
            facts = replace(facts, skipped="submodule")
        batch.append(facts)
        read += len(facts.content or "")
        if read >= _BATCH_BYTES:
            break
    return batch


def _path_of(name: bytes, names: list[bytes]) -> str:
    """
    The path of a document, as text.
    """
    return readable_name(name, lambda text: _position(text, names) is not None)


def _read_one(
    root: Path, name: bytes, path: str, max_bytes: int, closed: set[tuple[int, int]]
) -> DocumentFacts:
    return read_below(root, os.fsdecode(name).split("/"), path, max_bytes, closed)
