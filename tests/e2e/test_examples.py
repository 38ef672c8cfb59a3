"""
The examples run as they stand.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
PROGRAMS = {
    program.relative_to(EXAMPLES).as_posix(): program
    for program in sorted(EXAMPLES.rglob("*.py"))
}


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(
            program, id=name,
            marks=() if name.startswith("basic/") else [pytest.mark.slow],
        )
        for name, program in PROGRAMS.items()
    ],
)  # fmt: skip
def test_an_example_runs_and_prints(program, tmp_path):
    """
    In an empty folder, which is empty afterwards, with no warnings.
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", program],
        cwd=tmp_path, env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        capture_output=True, text=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert not done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_an_example_is_short_and_says_what_it_shows(program):
    source = program.read_text(encoding="utf-8")
    assert source.startswith('"""\n')
    assert source.rstrip().endswith("run(main())")
    assert len(source.splitlines()) < 80
