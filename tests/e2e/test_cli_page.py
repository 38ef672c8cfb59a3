"""
The page about the command says what the command says itself.

`python tests/e2e/test_cli_page.py` writes it anew.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from project_architect_db.cli import app

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
BLOCK = re.compile(r"^## `(.+?)`\n\n```text\n(.*?)```\n", re.MULTILINE | re.DOTALL)


def helps(command, context):
    """
    All commands by their names, with what `--help` prints at 80 columns.
    """
    yield context.command_path, command.get_help(context).rstrip() + "\n"
    for name, inner in sorted(getattr(command, "commands", {}).items()):
        own = type(context)(inner, info_name=name, parent=context, terminal_width=80)
        yield from helps(inner, own)


def expected():
    command = typer.main.get_command(app)
    context = command.make_context(
        "project-architect-db", [], resilient_parsing=True, terminal_width=80
    )
    return dict(helps(command, context))


@pytest.mark.parametrize("name", list(expected()))
def test_a_command_is_on_the_page_as_its_help_says(name):
    written = dict(BLOCK.findall(PAGE.read_text(encoding="utf-8")))
    assert expected()[name] == written.get(name), f"run {Path(__file__).name}"


def test_no_other_command_is_on_the_page():
    found = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert list(expected()) == [name for name, _ in found]


def test_every_command_has_an_example_and_fits():
    for name, text in expected().items():
        assert " " not in name or f"Example: {name}" in text or "Commands:" in text
        assert max(map(len, text.splitlines())) <= 80


if __name__ == "__main__":
    head, *_ = re.split(r"^## `", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    parts = [
        f"## `{name}`\n\n```text\n{text}```\n" for name, text in expected().items()
    ]
    PAGE.write_text(head.rstrip() + "\n\n" + "\n".join(parts), encoding="utf-8")
