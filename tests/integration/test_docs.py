"""
Nothing is documented that does not run.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import doctest
import importlib
import inspect
import io
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy
import sqlalchemy.orm
from sybil import Sybil
from sybil.parsers.markdown import CodeBlockParser, SkipParser

import project_architect_db

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
LONG = {
    DOCS / "engine.md",
    DOCS / "getting_started.md",
    *(DOCS / "guides").glob("*.md"),
}
"""Pages that run for a second or more: programs, backups, many rows."""


def prose(page):
    """
    A page without its blocks of code.
    """
    return re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def anchors(page):
    """
    The anchors of its headings, on GitHub as on the site.
    """
    headings = re.findall(r"^#+ (.+)$", prose(page).lower(), re.MULTILINE)
    return [re.sub(r"[^\w -]", "", h).strip().replace(" ", "-") for h in headings]


def run_code(source, path, namespace, runner, mode="exec"):
    """
    Run Python with `await` at the top level, in the page's namespace.
    """
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(source, path, mode, flags=flags, dont_inherit=True)
    result = eval(code, namespace)
    if inspect.iscoroutine(result):
        runner.run(result)


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(
            page, id=str(page.relative_to(ROOT)),
            marks=[pytest.mark.slow] if page in LONG else (),
        )
        for page in PAGES
    ],
)  # fmt: skip
def test_the_code_on_a_page_runs(page, tmp_path, monkeypatch):
    """
    All blocks of a page, one after the other, in a folder of their own.
    """
    monkeypatch.chdir(tmp_path)
    with asyncio.Runner() as runner:

        def evaluate(example):
            line = example.line + example.parsed.line_offset
            source = "\n" * line + example.parsed
            if "asyncio.run(" in source:  # a whole program
                program = tmp_path / "program.py"
                program.write_text(source)
                subprocess.run([sys.executable, "-W", "error", program], check=True)
            else:
                run_code(source, example.path, example.namespace, runner)

        parsers = [CodeBlockParser("python", evaluate), SkipParser()]
        for example in Sybil(parsers, path=str(ROOT)).parse(page):
            example.evaluate()


def docstrings():
    """
    The examples of all docstrings of the package.
    """
    prefix = f"{project_architect_db.__name__}."
    for found in pkgutil.walk_packages(project_architect_db.__path__, prefix):
        module = importlib.import_module(found.name)
        for test in doctest.DocTestFinder().find(module):
            if test.examples:
                yield pytest.param(test, id=test.name.removeprefix(prefix))


@pytest.mark.parametrize("test", list(docstrings()))
def test_the_example_in_a_docstring_runs(test, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {**vars(sqlalchemy), **vars(sqlalchemy.orm), **test.globs}
    namespace |= vars(project_architect_db)
    # No module and no file: Pydantic would read the source of a class there.
    place = namespace["__name__"] = f"<{test.name}>"
    with asyncio.Runner() as runner:
        for example in test.examples:
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                run_code(example.source, place, namespace, runner, "single")
            assert printed.getvalue() == example.want


def test_every_page_is_in_the_menu():
    menu = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    assert set(re.findall(r'"([\w/]+\.md)"', menu)) == {
        page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")
    }


def test_links_between_pages_lead_somewhere():
    link = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)")
    for page in [*PAGES, ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md"]:
        for target, anchor in link.findall(prose(page)):
            there = page.parent / target if target else page
            assert there.exists(), f"{page.name}: {target}"
            if anchor:
                assert anchor in anchors(there), f"{page.name}: #{anchor}"
