"""
Files that get their name when all of them is there.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def partial_file(target: Path) -> Iterator[Path]:
    """
    The hidden name that a file is written under, beside the one that it is to get.

    What is left under it, or under it with an ending, is removed; and so is what
    processes have left that were killed.
    """
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    pattern = re.compile(rf"\.{re.escape(target.name)}\.(\d+)\.partial(?:\.\w+)?")
    _remove(target.parent, pattern, of_this_process=False)
    try:
        yield partial
    finally:
        _remove(target.parent, pattern, of_this_process=True)


def _remove(folder: Path, pattern: re.Pattern[str], *, of_this_process: bool) -> None:
    with suppress(OSError):  # whoever writes there says it better
        for file in folder.iterdir():
            if found := pattern.fullmatch(file.name):
                pid = int(found[1])
                if pid == os.getpid() if of_this_process else _has_ended(pid):
                    file.unlink(missing_ok=True)


def _has_ended(pid: int) -> bool:
    """
    Whether there is no such process; on Windows, where to ask would end it, never.
    """
    ask = os.kill if os.name == "posix" else (lambda *_: None)
    try:
        ask(pid, 0)
    except OSError as error:
        return isinstance(error, ProcessLookupError)
    return False
