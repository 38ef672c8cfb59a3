"""
The path of a document: what it may be, and which file below a root it means.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

from project_architect_db.errors import UnsafePathError

PATH_BYTES = 4_096
SEGMENT_BYTES = 255

_Path = str | os.PathLike[str]
_WINDOWS = os.name == "nt"
# Line ends and what turns the direction of writing count as control characters.
_CONTROL = re.compile("[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_DRIVE = re.compile(r"[a-z]:", re.IGNORECASE)
_DEVICE = re.compile(
    r"(con|prn|aux|nul|com[0-9]|lpt[0-9]|conin\$|conout\$|clock\$) *([.:].*)?",
    re.IGNORECASE,
)
# Look like a slash or a backslash, and are not taken for one by NFKC.
_SLASHES = str.maketrans("\u2044\u2215\u2216\u29f5\u29f8\u29f9", "//\\\\/\\")
_ESCAPED = re.compile(rb"\\(?:\\|x([89a-f][0-9a-f]))")


def clean_path(text: str) -> str:
    r"""
    The path of a document from its root, in its only form: `/` between segments.

    What passes means a file below the root on every platform, to every file system,
    and after Unicode normalisation, too. Apart from `.` and doubled slashes nothing is
    changed: two names that look alike stay two names. A backslash is refused, because
    it separates folders on Windows only; the importer of git trees, which has real
    names before it, stores them as `readable_name` writes them.

    Raises:
        UnsafePathError: It is empty, absolute, longer than 4,096 bytes, or one of its
            segments longer than 255; it has a `..`, a drive, a device of Windows, a
            backslash or a control character, or something that can be taken for one.
            A `ValueError` too.

    Example:
        >>> clean_path("./docs//plan.md")
        'docs/plan.md'
        >>> try:
        ...     clean_path("docs/../plan.md")
        ... except ValueError as error:
        ...     print(error)
        'docs/../plan.md': '..' is no name of a file or folder; leave such segments out
    """
    if reason := _problem(text):
        raise UnsafePathError(text, reason)
    path = "/".join(part for part in text.split("/") if part not in {"", "."})
    if not path:
        raise UnsafePathError(text, "it names no file; give one, as 'docs/plan.md'")
    if any(len(part.encode()) > SEGMENT_BYTES for part in path.split("/")):
        reason = f"one of its names is longer than {SEGMENT_BYTES} bytes"
        raise UnsafePathError(text, reason)
    for part in re.split(r"[/\\]", _as_others_read_it(path)):
        if reason := _segment_problem(part):
            raise UnsafePathError(text, reason)
    if "\\" in path:
        meant = path.replace("\\", "/")
        raise UnsafePathError(text, f"write / between folders, as in {meant!r}")
    return path


def is_clean(path: str) -> bool:
    """
    Whether a path is what `clean_path` would make of it.
    """
    try:
        return clean_path(path) == path
    except UnsafePathError:
        return False


def _problem(text: str) -> str | None:
    """
    Why the text as a whole cannot be a path.
    """
    if _SURROGATE.search(text):
        return "it is no valid Unicode: a surrogate stands alone"
    if len(text.encode()) > PATH_BYTES:
        return f"it is longer than {PATH_BYTES:,} bytes"
    if found := _CONTROL.search(text):
        return f"it has the control character U+{ord(found[0]):04X}; leave that out"
    if _as_others_read_it(text).startswith(("/", "\\")):
        return "it is absolute; give it from the root of its repository or folder"
    return None


def _as_others_read_it(text: str) -> str:
    """
    The path as some file system or library may understand it.

    They normalise full-width dots and slashes, and skip characters without a width.
    """
    if text.isascii():  # which has none of them
        return text
    plain = unicodedata.normalize("NFKC", text).translate(_SLASHES)
    return "".join(c for c in plain if unicodedata.category(c) != "Cf")


def _segment_problem(part: str) -> str | None:
    """
    Why no file or folder may be called so.
    """
    if not part.strip(". "):
        return f"{part!r} is no name of a file or folder; leave such segments out"
    if _DRIVE.match(part):
        return f"{part[:2]!r} is a drive of Windows; give the path from the root"
    if _DEVICE.fullmatch(part):
        return f"{part!r} is a device on Windows; choose another name"
    return None


def readable_name(
    name: bytes, is_taken: Callable[[bytes], bool] = lambda _: False
) -> str:
    r"""
    Turn the name of a file into text: the same each time, and no other file's name.

    A name in UTF-8 stays as it is, backslashes included. In any other, a byte that
    does not fit is written `\xff` and a backslash twice; where `is_taken` says that
    another file is really called so, the checksum of the name is added.

    Example:
        >>> print(readable_name(b"caf\xe9.txt"))
        caf\xe9.txt
    """
    try:
        return name.decode()
    except UnicodeDecodeError:
        text = name.replace(b"\\", b"\\\\").decode(errors="backslashreplace")
    return text + _mark(name) if is_taken(text.encode()) else text


def split_path(path: str) -> list[str]:
    """
    The segments of a stored path, none of which leads up or elsewhere here.

    Raises:
        UnsafePathError: One does, or no file can be called so.
    """
    if _WINDOWS:  # what is a name elsewhere may be a drive or a way up here
        path = clean_path(path)
    if "\0" in path or _SURROGATE.search(path):
        raise UnsafePathError(path, "no file can be called so")
    parts = path.split("/")
    if not {"", ".", ".."}.isdisjoint(parts):
        raise UnsafePathError(path)
    return parts


def _mark(name: bytes) -> str:
    return f"~{hashlib.sha256(name).hexdigest()[:8]}"


def _names(path: str) -> Iterator[str]:
    """
    What the file with this path may be called on disk: as it is, or else unescaped.
    """
    yield path
    for text, mark in ((path, ""), (path[:-9], path[-9:])):
        name = _ESCAPED.sub(_unescaped, text.encode())
        # Only what `readable_name` wrote: no slash or dot comes out of an escape.
        if "\\" in text and readable_name(name) == text and mark in {"", _mark(name)}:
            yield os.fsdecode(name)


def _unescaped(found: re.Match[bytes]) -> bytes:
    return bytes.fromhex(found[1].decode()) if found[1] else b"\\"


def real_folder(root: _Path) -> Path:
    """
    Where a folder really is, without symbolic links on the way.

    Raises:
        UnsafePathError: It contains NUL, or no valid Unicode.
    """
    try:
        possible = b"\0" not in os.fsencode(root)
    except UnicodeEncodeError:
        possible = False
    if not possible:
        raise UnsafePathError(root, "no folder can be called so")
    return Path(os.path.realpath(root))


def resolve_path(root: _Path, path: str) -> Path:
    """
    The file that a document's path means below a root; it need not exist.

    What `clean_path` returns is understood, and what the importer of git trees stores.
    Symbolic links are followed as long as they stay below the root. Use `read_file` to
    read it: that is not deceived by a link put there a moment later.

    Raises:
        UnsafePathError: It leads out of the root. A `ValueError` too.

    Example:
        >>> resolve_path("/srv/docs", "plans/2026.md").as_posix()
        '/srv/docs/plans/2026.md'
    """
    top = real_folder(root)
    path = "/".join(split_path(path))
    name = next((name for name in _names(path) if os.path.lexists(top / name)), path)
    try:
        file = Path(os.path.realpath(top / name))
    except (OSError, RecursionError) as error:  # they change, or are thousands
        raise UnsafePathError(path, "its symbolic links cannot be followed") from error
    if not file.is_relative_to(top):
        raise UnsafePathError(path)
    return file
