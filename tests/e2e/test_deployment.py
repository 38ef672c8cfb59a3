"""
The example of a deployment, its commands run as the pipeline runs them.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import duckdb
import pytest

WORKFLOW = Path(__file__).parents[2] / "examples" / "workflows" / "deploy.yml"
MODELS = """
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from project_architect_db import DatabaseEngine


class Model(DeclarativeBase):
    pass


class Book(Model):
    __tablename__ = "books"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]


engine = DatabaseEngine(metadata=Model.metadata, migrations="migrations")
"""
LENGTH = "    length: Mapped[int | None]\n\n\nengine"


def steps():
    """
    The commands of the workflow by their names, and its environment.
    """
    source = WORKFLOW.read_text(encoding="utf-8")
    found = {}
    for step in re.split(r"^      - ", source, flags=re.MULTILINE)[1:]:
        name = re.match(r"name: (.*)", step)
        if command := re.search(r"run: (?:\|\n)?(.*)", step, re.DOTALL):
            found[name.group(1)] = textwrap.dedent(command.group(1)).strip()
    environment = dict(re.findall(r"^  (PROJECT_\w+): (\S+)$", source, re.MULTILINE))
    return found, environment


@pytest.fixture
def shell(tmp_path):
    """
    Run a step of the workflow, or another command, in the folder of the application.
    """
    (tmp_path / "shop.py").write_text(MODELS)
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, arguments in (
        ("python", ""), ("project-architect-db", "-m project_architect_db")
    ):  # fmt: skip
        tool = tools / name
        tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
        tool.chmod(0o755)
    commands, environment = steps()

    def run(name):
        return subprocess.run(
            ["bash", "-e", "-c", commands.get(name, name)],
            cwd=tmp_path, capture_output=True, text=True, check=False,
            env={**os.environ, **environment,
                 "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"},
        )  # fmt: skip

    run.names = [name for name in commands if name != "Put the backup back"]
    return run


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a shell")
def test_two_deployments_and_one_that_goes_wrong(shell, tmp_path):
    migrate = "project-architect-db migrate"
    shell("project-architect-db init --migrations migrations --database other.duckdb")
    shell(f"{migrate} new books")
    for name in shell.names:
        done = shell(name)
        assert (0, "") == (done.returncode, done.stderr), name
    assert [] == json.loads((tmp_path / "status.json").read_text())["pending"]
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as connection:
        connection.execute("INSERT INTO books (title) VALUES ('Emma')")

    (tmp_path / "shop.py").write_text(MODELS.replace("\n\nengine", LENGTH))
    assert 1 == shell(shell.names[0]).returncode  # somebody forgot to
    shell("rm -f migrations/versions/*forgotten.py")
    shell(f"{migrate} new length")
    for name in shell.names:
        done = shell(name)
        assert (0, "") == (done.returncode, done.stderr), name
    migrated = json.loads((tmp_path / "migrated.json").read_text())
    assert migrated["backup"] is not None

    done = shell("Put the backup back")
    assert (0, "") == (done.returncode, done.stderr)
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as connection:
        assert [(1, "Emma")] == connection.execute("FROM books").fetchall()
    found = json.loads(shell(f"{migrate} status --json").stdout)
    assert migrated["before"] == found["current"]
