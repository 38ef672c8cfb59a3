"""
Read a file below a root, or say why not: nothing outside of the root is ever opened.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from project_architect_db.domain.languages import language_of
from project_architect_db.domain.paths import real_folder, resolve_path, split_path

MAX_BYTES = 1_000_000
"""Of a file that is read: one million."""

Skipped = Literal[
    "binary",
    "folder",
    "missing",
    "submodule",
    "symlink",
    "too large",
    "unreadable",
    "unsafe",
]

_Path = str | os.PathLike[str]
_KINDS: dict[int, Skipped] = {stat.S_IFLNK: "symlink", stat.S_IFDIR: "folder"}
# A link or a pipe put in the file's place a moment ago is not followed either.
_FLAGS = ("O_BINARY", "O_NOFOLLOW", "O_NONBLOCK")
_OPEN = os.O_RDONLY | sum(getattr(os, flag, 0) for flag in _FLAGS)


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentFacts:
    r"""
    One file below a root, and its text unless it was skipped.

    Attributes:
        path: From the root, with `/`; bytes that are not UTF-8 are written `\xff`.
        size: In bytes; 0 when unknown.
        language: By the file's name; `None` for what is not text.
        sha256: Of the bytes on disk; `None` when they were not all read.
        content: The text, free of NUL, without a byte order mark.
        skipped: Why there is no text. What lies behind a symbolic link that is not
            followed is a `symlink`, a folder with a git repository of its own a
            `submodule`; what would lead out of the root is `unsafe`.
    """

    path: str
    size: int = 0
    lines: int = 0
    language: str | None = None
    sha256: str | None = None
    content: str | None = field(default=None, repr=False)
    encoding: Literal["utf-8", "latin-1"] | None = None
    skipped: Skipped | None = None


def read_file(
    root: _Path, path: str, *, max_bytes: int = MAX_BYTES, exclude: Iterable[_Path] = ()
) -> DocumentFacts:
    """
    Read the file that a document's path means below a root, or say why not.

    Whatever is on disk there is reported as `skipped`, and never raised. The way to
    the file is walked folder by folder without following a link, so that one put
    there meanwhile leads nowhere; where the platform has no calls for that (Windows),
    the way is checked right before the file is opened.

    Args:
        root: The folder that is not left.
        path: As `resolve_path` takes it.
        max_bytes: A larger file is not read.
        exclude: Files never to open, such as an open database.

    Raises:
        UnsafePathError: No folder can be called as the root is.

    Example:
        >>> read_file("/nowhere", "plan.md").skipped
        'missing'
        >>> read_file("/nowhere", "../plan.md").skipped
        'unsafe'
    """
    return read_known(real_folder(root), path, max_bytes, identities(exclude))


def read_known(
    top: Path, path: str, max_bytes: int, closed: set[tuple[int, int]]
) -> DocumentFacts:
    """
    Read like `read_file`, below a `real_folder`, without `identities` to leave out.
    """
    try:
        facts = read_below(top, split_path(path), path, max_bytes, closed)
        if facts.skipped == "symlink" or (facts.skipped == "missing" and "\\" in path):
            parts = resolve_path(top, path).relative_to(top).parts
            facts = read_below(top, parts, path, max_bytes, closed)
    except ValueError:  # an UnsafePathError, or the root itself was swapped meanwhile
        return DocumentFacts(path=path, skipped="unsafe")
    return facts


def identities(files: Iterable[_Path]) -> set[tuple[int, int]]:
    """
    Tell files apart by what they are: one file may have several names.
    """
    found = set()
    for file in files:
        with suppress(OSError):
            status = Path(file).stat()
            found.add((status.st_dev, status.st_ino))
    return found


def read_below(
    top: Path, parts: Sequence[str], path: str, max_bytes: int,
    closed: set[tuple[int, int]],
) -> DocumentFacts:  # fmt: skip
    """
    Read one file, following no symbolic link below `top`, or say why not.
    """
    facts = DocumentFacts(path=path, language=language_of(path))
    if not parts or not {"", ".", ".."}.isdisjoint(parts):
        return DocumentFacts(path=path, skipped="unsafe")
    try:
        with _folder_of(top, parts) as (name, folder):
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            facts = _describe(status, path, max_bytes, closed)
            if facts.skipped is not None:
                return facts
            data = _read(name, folder, max_bytes + 1)
    except (FileNotFoundError, NotADirectoryError):
        return replace(facts, skipped="missing")
    except OSError as error:
        link = error.errno in {errno.ELOOP, errno.EMLINK}  # EMLINK says FreeBSD
        return replace(facts, skipped="symlink" if link else "unreadable")
    if len(data) > max_bytes:
        return replace(facts, skipped="too large")
    return _read_text(data, facts)


def _describe(
    status: os.stat_result, path: str, max_bytes: int, closed: set[tuple[int, int]]
) -> DocumentFacts:
    """
    Say what a file is, and why it is not to be opened.
    """
    kind = stat.S_IFMT(status.st_mode)
    if kind != stat.S_IFREG:
        return DocumentFacts(path=path, skipped=_KINDS.get(kind, "unreadable"))
    skipped: Skipped | None = None
    if (status.st_dev, status.st_ino) in closed:
        skipped = "unreadable"
    elif status.st_size > max_bytes:
        skipped = "too large"
    return DocumentFacts(
        path=path, language=language_of(path), size=status.st_size, skipped=skipped
    )


@contextmanager
def _folder_of(top: Path, parts: Sequence[str]) -> Iterator[tuple[str, int | None]]:
    """
    The name of a file, and its folder, open; or its whole path, and `None`.
    """
    if os.open not in os.supports_dir_fd:
        file = top.joinpath(*parts)
        inside = file.is_relative_to(top)
        if not inside or os.path.realpath(file.parent) != str(file.parent):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(file))
        yield str(file), None
        return
    folder = os.open(top, _OPEN)
    try:
        for name in parts[:-1]:
            inner = os.open(name, _OPEN, dir_fd=folder)
            os.close(folder)
            folder = inner
        yield parts[-1], folder
    finally:
        os.close(folder)


def _read(name: str, folder: int | None, size: int) -> bytes:
    """
    Read the first bytes of a regular file.
    """
    opened = os.open(name, _OPEN, dir_fd=folder)
    try:
        if not stat.S_ISREG(os.fstat(opened).st_mode):  # swapped meanwhile
            raise OSError(errno.EINVAL, "not a regular file", name)
        with os.fdopen(opened, "rb", closefd=False) as file:
            return file.read(size)
    finally:
        os.close(opened)


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
