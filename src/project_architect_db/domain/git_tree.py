"""
Read a git working tree: its history, and the files in it.

The history comes from one `git log`, the names of the files from `git ls-files`. No
file outside the working tree is ever opened.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import os
import stat
from bisect import bisect_left
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

from project_architect_db.domain.git_commands import (
    Contributor,
    find_root,
    list_names,
    read_history,
    read_ref,
    read_remote,
)
from project_architect_db.domain.languages import language_of

Skipped = Literal[
    "binary", "missing", "submodule", "symlink", "too large", "unreadable"
]

_Path = str | os.PathLike[str]
_KINDS: dict[int, Skipped] = {stat.S_IFLNK: "symlink", stat.S_IFDIR: "submodule"}
_BATCH_BYTES = 1 << 24
# A link or a pipe put in the file's place a moment ago is not followed either.
_FLAGS = ("O_BINARY", "O_NOFOLLOW", "O_NONBLOCK")
_OPEN = os.O_RDONLY | sum(getattr(os, flag, 0) for flag in _FLAGS)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentFacts:
    r"""
    One file of a working tree, and its text unless it was skipped.

    Attributes:
        path: From the root, with `/`; bytes that are not UTF-8 are written `\xff`.
        size: In bytes; 0 when unknown.
        language: By the file's name; `None` for what is not text.
        sha256: Of the bytes on disk; `None` when they were not all read.
        content: The text, free of NUL, without a byte order mark.
        skipped: Why there is no text. What lies behind a symbolic link is a
            `symlink`, a folder with a repository of its own a `submodule`.
    """

    path: str
    size: int = 0
    lines: int = 0
    language: str | None = None
    sha256: str | None = None
    content: str | None = field(default=None, repr=False)
    encoding: Literal["utf-8", "latin-1"] | None = None
    skipped: Skipped | None = None


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
        location=_readable(os.fsencode(root)),
        name=_readable(os.fsencode(root.name)) or root.anchor,
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


async def count_documents(root: _Path, *, exclude: Iterable[_Path] = ()) -> int:
    """
    How many documents `read_documents` will yield, without opening them.
    """
    return len((await _list_documents(root, exclude))[1])


async def read_documents(
    root: _Path,
    *,
    max_bytes: int = 1_000_000,
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
        name = os.fsencode(real.relative_to(top).as_posix())
        at = bisect_left(names, name)
        if names[at : at + 1] == [name]:
            del names[at]


def _readable(name: bytes, others: Sequence[bytes] = ()) -> str:
    """
    Turn a file name into text: the same each time, and no other file's name.
    """
    try:
        return name.decode()
    except UnicodeDecodeError:
        text = name.replace(b"\\", b"\\\\").decode(errors="backslashreplace")
    at = bisect_left(others, text.encode())
    if others[at : at + 1] == [text.encode()]:
        text += f"~{hashlib.sha256(name).hexdigest()[:8]}"
    return text


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
    real = functools.cache(os.path.realpath)
    closed = _identities(exclude)
    batch: list[DocumentFacts] = []
    read = 0
    for name in names[chosen.start : chosen.stop]:
        path, file = _readable(name, names), root / os.fsdecode(name)
        inside = file.is_relative_to(root) and real(file.parent) == str(file.parent)
        facts = DocumentFacts(path=path, skipped="symlink")
        if inside:
            facts = _read_file(file, path, max_bytes, closed)
        batch.append(facts)
        read += len(facts.content or "")
        if read >= _BATCH_BYTES:
            break
    return batch


def _identities(files: Iterable[_Path]) -> set[tuple[int, int]]:
    """
    Tell files apart by what they are: one file may have several names.
    """
    found = set()
    for file in files:
        with suppress(OSError):
            status = Path(file).stat()
            found.add((status.st_dev, status.st_ino))
    return found


def _read_file(
    file: Path, path: str, max_bytes: int, closed: set[tuple[int, int]]
) -> DocumentFacts:
    """
    Read one file, or say why not.
    """
    facts = DocumentFacts(path=path, language=language_of(path))
    try:
        status = file.lstat()
        kind = stat.S_IFMT(status.st_mode)
        if kind != stat.S_IFREG:
            return DocumentFacts(path=path, skipped=_KINDS.get(kind, "unreadable"))
        facts = replace(facts, size=status.st_size)
        if (status.st_dev, status.st_ino) in closed:
            return replace(facts, skipped="unreadable")
        with os.fdopen(os.open(file, _OPEN), "rb") as opened:
            data = opened.read(max_bytes + 1)
    except (FileNotFoundError, NotADirectoryError):
        return replace(facts, skipped="missing")
    except OSError:
        return replace(facts, skipped="unreadable")
    if len(data) > max_bytes:
        return replace(facts, skipped="too large")
    return _read_text(data, facts)


def _read_text(data: bytes, facts: DocumentFacts) -> DocumentFacts:
    """
    Add the text that the bytes of a file are, if they are text.
    """
    facts = replace(facts, size=len(data), sha256=hashlib.sha256(data).hexdigest())
    if b"\0" in data:
        return replace(facts, language=None, skipped="binary")
    encoding: Literal["utf-8", "latin-1"] = "utf-8"
    try:
        content = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        encoding, content = "latin-1", data.decode("latin-1")
    lines = content.count("\n") + bool(content and not content.endswith("\n"))
    return replace(facts, content=content, encoding=encoding, lines=lines)
