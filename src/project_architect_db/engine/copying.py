"""
Copy files of an open database, in a process of its own.

On POSIX systems closing a file gives up all locks that the process has on it, also
those DuckDB has (https://man7.org/linux/man-pages/man2/fcntl_locking.2.html). So the
process that has the database open must not open its file a second time.

It is started and asked for its end by `subprocess`, not by an event loop: those watch
for the end of children with threads and signals, which each does in another way, and
uvloop runs Python code between fork and exec, beside the threads of DuckDB.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from project_architect_db.errors import BackupError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Progress = Callable[[int, int], object]

PROGRAM = """
import os, sys
source, target = sys.argv[1:]
try:
    with open(source, "rb") as old, open(target, "wb") as new:
        try:
            while os.sendfile(new.fileno(), old.fileno(), None, 1 << 24):
                pass
        except (AttributeError, OSError):
            if os.lseek(new.fileno(), 0, os.SEEK_CUR):
                raise
            while piece := old.read(1 << 22):
                new.write(piece)
            new.flush()
        os.fsync(new.fileno())
    os.chmod(target, os.stat(source).st_mode & 0o777 | 0o600)
except OSError as error:
    sys.exit(str(error))
"""
"""With as few imports as can be, and where it can, past the memory of the process."""

FIRST_LOOK, LOOK_SECONDS = 0.001, 0.01
"""How long to wait between two looks: for a small file, and at most."""


async def copy_file(
    source: Path, target: Path, *, progress: Progress | None = None
) -> None:
    """
    Copy a file onto the disk, for those who may read it.

    However it ends, the process that copies is gone.

    Args:
        source: What to copy.
        target: Where to; replaced if it is there.
        progress: Called with the bytes copied so far and of all.

    Raises:
        BackupError: It could not be read or written; says why.
    """
    tell = progress or (lambda *_: None)
    total, pause, process = _size(source), FIRST_LOOK, _start(source, target)
    try:
        while process.poll() is None:
            tell(min(_size(target), total), total)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LOOK_SECONDS)
        tell(total, total)
    finally:
        said = _end(process)
    if process.returncode:
        raise BackupError(f"cannot copy {source}: {said}")


def _start(source: Path, target: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", PROGRAM, source, target],
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def _end(process: subprocess.Popen[bytes]) -> str:
    """
    Kill it if it is still there, and return what it said: a line, which fits a pipe.
    """
    process.kill()
    _, said = process.communicate()
    return said.decode(errors="replace").strip()


def _size(path: Path) -> int:
    with suppress(OSError):  # not there yet
        return path.stat().st_size
    return 0
