"""
What has become of the files of documents: changed, moved, missing, unreadable.
"""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from posixpath import basename

from project_architect_db.domain.file_reading import (
    MAX_BYTES,
    Skipped,
    identities,
    read_below,
    read_known,
)
from project_architect_db.domain.paths import is_clean, readable_name, real_folder
from project_architect_db.errors import ConfigurationError

_Path = str | os.PathLike[str]
_Content = tuple[int, str | None]
_SLICE = 200
"""Files read in one go, in a thread; between two the task can be cancelled."""


@dataclass(frozen=True, slots=True)
class KnownFile:
    """
    The file of a document as the database knows it.

    Attributes:
        id: The document.
        path: From the root, with `/`.
        checksum: SHA-256 of the bytes; `None` if it is not known.
        size: In bytes.
    """

    id: int
    path: str
    checksum: str | None
    size: int


@dataclass(frozen=True, slots=True)
class MovedFile:
    """
    A file that is in another place now, with the same content.
    """

    id: int
    old_path: str
    new_path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """
    What has become of the files; each document is in one of its lists, in their order.

    Attributes:
        unchanged: The documents whose file is where and what it was.
        changed: Files with another content: their path, new checksum and new size.
        moved: Files in a new place.
        missing: The documents whose file is nowhere below the root.
        skipped: Why files could not be compared, as ``"binary"``, and the documents.
        checked: The path of each document, where its file was looked for.
    """

    unchanged: tuple[int, ...] = ()
    changed: tuple[KnownFile, ...] = ()
    moved: tuple[MovedFile, ...] = ()
    missing: tuple[int, ...] = ()
    skipped: dict[Skipped, tuple[int, ...]] = field(default_factory=dict)
    checked: dict[int, str] = field(default_factory=dict, repr=False, compare=False)


async def check_files(
    root: _Path,
    known: Sequence[KnownFile],
    *,
    is_candidate: Callable[[str], bool] = lambda _: True,
    max_bytes: int = MAX_BYTES,
    exclude: Iterable[_Path] = (),
    progress: Callable[[int, int], None] | None = None,
) -> FileReport:
    """
    Compare the files below a root with what is known of them.

    A file that is missing has moved if one with the same checksum is found that no
    document has: first one with the same name, then by path. An empty file is like
    every other, and never found again. Files are read in a thread, some at a time,
    and their text is not kept.

    Args:
        root: The folder that the paths start from.
        known: The files; their paths need not be unique.
        is_candidate: By its path, whether a file can be one that has moved; asked in
            a thread. By default all can, but those in a folder called `.git`, and
            those that no document may be called like, as `clean_path` says.
        max_bytes: A larger file is not read.
        exclude: Files never to open, such as an open database.
        progress: Called with the number of documents whose fate is known, and of all.

    Raises:
        ConfigurationError: There is no such folder: no file is missing for that.
        UnsafePathError: No folder can be called as the root is.

    Example:
        >>> import pathlib, tempfile
        >>> known = [KnownFile(1, "plan.md", None, 0), KnownFile(2, "gone.md", None, 0)]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = pathlib.Path(folder, "plan.md").write_text("# Plan")
        ...     report = await check_files(folder, known)
        >>> [file.path for file in report.changed], report.missing
        (['plan.md'], (2,))
    """
    check = _Check(await asyncio.to_thread(_folder, root), max_bytes, tuple(exclude))
    for start in range(0, len(known), _SLICE):
        chosen = known[start : start + _SLICE]
        await asyncio.to_thread(check.compare, chosen)
        if progress is not None:
            progress(start + len(chosen) - len(check.lost), len(known))
    if check.lost:
        wanted = {_content(file) for file in check.lost if file.size and file.checksum}
        search = _Search(check, wanted, {file.path for file in known}, is_candidate)
        searching = bool(wanted)
        while searching:
            searching = await asyncio.to_thread(search.go_on)
        check.moved = await asyncio.to_thread(_pair, check.lost, search.found)
        await asyncio.to_thread(_folder, root)  # is it still there?
        if progress is not None:
            progress(len(known), len(known))
    paths = {file.id: file.path for file in known}
    return replace(check.report(), checked=paths)


def _folder(root: _Path) -> Path:
    """
    The folder itself, which has to be there.
    """
    top = real_folder(root)
    with suppress(OSError):  # its parent is locked, its name too long
        if top.is_dir():
            return top
    raise ConfigurationError(f"{root} is no folder, or cannot be reached; give one")


def _content(file: KnownFile) -> _Content:
    return file.size, file.checksum


@dataclass(slots=True)
class _Check:
    """
    The report while it is written.
    """

    top: Path
    max_bytes: int
    exclude: tuple[_Path, ...]
    unchanged: list[int] = field(default_factory=list)
    changed: list[KnownFile] = field(default_factory=list)
    lost: list[KnownFile] = field(default_factory=list)
    moved: dict[int, MovedFile] = field(default_factory=dict)
    skipped: defaultdict[Skipped, list[int]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def compare(self, files: Sequence[KnownFile]) -> None:
        """
        Compare some files with what is known of them.
        """
        closed = identities(self.exclude)
        for file in files:
            facts = read_known(self.top, file.path, self.max_bytes, closed)
            if facts.sha256 is not None and facts.sha256 == file.checksum:
                self.unchanged.append(file.id)
            elif facts.skipped in {"missing", "folder"}:  # where a file was
                self.lost.append(file)
            elif facts.skipped is not None:
                self.skipped[facts.skipped].append(file.id)
            else:
                now = replace(file, checksum=facts.sha256, size=facts.size)
                self.changed.append(now)

    def report(self) -> FileReport:
        """
        What was found out.
        """
        return FileReport(
            unchanged=tuple(self.unchanged),
            changed=tuple(self.changed),
            moved=tuple(self.moved[f.id] for f in self.lost if f.id in self.moved),
            missing=tuple(f.id for f in self.lost if f.id not in self.moved),
            skipped={reason: tuple(ids) for reason, ids in self.skipped.items()},
        )


class _Search:
    """
    The search for the contents of lost files in those that no document has.
    """

    def __init__(
        self, check: _Check, wanted: set[_Content], taken: set[str],
        is_candidate: Callable[[str], bool],
    ) -> None:  # fmt: skip
        self._check = check
        self._wanted = wanted
        self._sizes = {size for size, _ in wanted}
        self._taken = taken
        self._is_candidate = is_candidate
        self._files = _walk(check.top)
        self.found: defaultdict[_Content, list[str]] = defaultdict(list)

    def go_on(self) -> bool:
        """
        Look at some files; whether there were any left.
        """
        files = list(islice(self._files, _SLICE))
        closed = identities(self._check.exclude)
        for name, size in files:
            if size in self._sizes:
                self._look_at(Path(name), closed)
        return bool(files)

    def _look_at(self, file: Path, closed: set[tuple[int, int]]) -> None:
        top = self._check.top
        parts = file.relative_to(top).parts
        path = readable_name(os.fsencode("/".join(parts)))
        # What no document may be called is not proposed: a move would be refused.
        if path in self._taken or not is_clean(path) or not self._is_candidate(path):
            return
        facts = read_below(top, parts, path, self._check.max_bytes, closed)
        if (facts.size, facts.sha256) in self._wanted:
            self.found[facts.size, facts.sha256].append(path)


def _walk(top: Path) -> Iterator[tuple[str, int]]:
    """
    The files below a folder and their sizes; no link is followed, no `.git` entered.

    Not `os.walk`, which in Python 3.11 calls itself for each folder inside another.
    """
    folders = [str(top)]
    while folders:
        entries: list[os.DirEntry[str]] = []
        with suppress(OSError), os.scandir(folders.pop()) as listing:
            entries = [entry for entry in listing if entry.name != ".git"]
        for entry in entries:
            size = None
            with suppress(OSError):  # vanished meanwhile
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    size = entry.stat(follow_symlinks=False).st_size
            if size is not None:
                yield entry.path, size


def _pair(
    lost: Iterable[KnownFile], found: Mapping[_Content, Iterable[str]]
) -> dict[int, MovedFile]:
    """
    Give each lost file one of those found with its content, and each of them once.
    """
    same_name: defaultdict[tuple[_Content, str], deque[str]] = defaultdict(deque)
    for content, paths in found.items():
        for path in sorted(paths):
            same_name[content, basename(path)].append(path)
    moved: dict[int, MovedFile] = {}
    others: list[KnownFile] = []
    for file in sorted(lost, key=lambda file: file.path):
        paths = same_name[_content(file), basename(file.path)]
        if paths:
            moved[file.id] = MovedFile(file.id, file.path, paths.popleft())
        else:
            others.append(file)
    left: defaultdict[_Content, deque[str]] = defaultdict(deque)
    for path, content in sorted((p, c) for (c, _), ps in same_name.items() for p in ps):
        left[content].append(path)
    for file in others:
        if paths := left[_content(file)]:
            moved[file.id] = MovedFile(file.id, file.path, paths.popleft())
    return moved
