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


@pytest.fixture(scope="module")
def arguments(tmp_path_factory):
    """
    What programs are given, by name: a small working tree to read, instead of ours.
    """
    tree = tmp_path_factory.mktemp("tree")
    (tree / "app.py").write_text("print(1)\n")
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    for command in (("init", "-q"), ("add", "."), ("commit", "-qm", "x")):
        settings = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
        subprocess.run(("git", *settings, *command), cwd=tree, env=env, check=True)
    return {"advanced/analytics.py": [tree]}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name, marks=() if name == "basic/project_crud.py" else pytest.mark.slow
        )
        for name in PROGRAMS
    ],
)
def test_an_example_runs_and_prints(name, arguments, tmp_path):
    """
    In an empty folder, which is empty afterwards, with no warnings.
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", PROGRAMS[name], *arguments.get(name, ())],
        cwd=tmp_path, env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        capture_output=True, text=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout
    # On a busy machine a quick transaction may last so long that it is told.
    told = [each for each in done.stderr.splitlines() if "been writing for" not in each]
    assert [] == told
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_an_example_is_short_and_says_what_it_shows(program):
    source = program.read_text(encoding="utf-8")
    assert source.startswith('"""\n')
    assert source.rstrip().endswith("run(main())")
    assert len(source.splitlines()) < 80
