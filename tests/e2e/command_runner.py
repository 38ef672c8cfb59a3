"""
Run the command without a process of its own: most of a second would be its imports.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import traceback
from typing import NamedTuple
from unittest import mock

from project_architect_db.cli import main


class Done(NamedTuple):
    """
    What a command has done, under the names of `subprocess.CompletedProcess`.
    """

    returncode: int
    stdout: str
    stderr: str


def run_command(arguments, *, cwd, env):
    """
    Run it as in a pipe, in a folder and an environment.
    """
    encoding = env.get("PYTHONIOENCODING", "utf-8")
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding) for _ in range(2))
    with (
        contextlib.chdir(cwd),
        mock.patch.dict(os.environ, {"COLUMNS": "80", **env}, clear=True),
        mock.patch.object(sys, "argv", ["project-architect-db", *arguments]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = _exit_code()
    for stream in (out, err):
        stream.flush()
    return Done(code, *(s.buffer.getvalue().decode(encoding) for s in (out, err)))


def _exit_code():
    try:
        main()
    except SystemExit as end:
        return end.code or 0
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def read_terminal(terminal):
    """
    All that is written to a terminal until nobody writes any more.
    """
    shown = b""
    with contextlib.suppress(OSError):  # as Linux says so
        while piece := os.read(terminal, 1024):
            shown += piece
    return shown
