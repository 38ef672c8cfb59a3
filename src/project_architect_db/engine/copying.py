"""
Copy files of an open database, in a process of its own.

On POSIX systems closing a file gives up all locks that the process has on it, also
those DuckDB has (https://man7.org/linux/man-pages/man2/fcntl_locking.2.html). So the
process that has the database open must not open its file a second time.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from project_architect_db.errors import BackupError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Progress = Callable[[int, int], object]

PROGRAM = """
import os, shutil, sys
source, target = sys.argv[1:]
try:
    shutil.copyfile(source, target)
    with open(target, "rb+") as copy:
        os.fsync(copy.fileno())
except OSError as error:
    sys.exit(str(error))
"""
LOOK_SECONDS = 0.05


async def copy_file(
    source: Path, target: Path, *, progress: Progress | None = None
) -> None:
    """
    Copy a file onto the disk; however it ends, the process that copies is gone.

    Args:
        source: What to copy.
        target: Where to; replaced if it is there.
        progress: Called with the bytes copied so far and of all.

    Raises:
        BackupError: It could not be read or written; says why.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", "-c", PROGRAM, os.fspath(source), os.fspath(target),
        stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        if progress is not None:
            total = _size(source)
            while process.returncode is None:
                progress(min(_size(target), total), total)
                with suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), LOOK_SECONDS)
            progress(total, total)
        _, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise BackupError(f"cannot copy {source}: {said.decode().strip()}")


def _size(path: Path) -> int:
    with suppress(OSError):  # not there yet
        return path.stat().st_size
    return 0
