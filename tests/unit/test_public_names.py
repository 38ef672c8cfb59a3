"""
A name is public or private, never both, and every public name is documented.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import project_architect_db
from project_architect_db import DatabaseEngine, DatabaseSettings, cli, engine

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("module", [project_architect_db, engine, cli])
def test_the_list_of_public_names_is_sorted(module):
    assert module.__all__ == sorted(module.__all__)


def test_what_is_visible_is_public():
    visible = {
        name
        for name, value in vars(project_architect_db).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert visible == set(project_architect_db.__all__)


def test_public_names_are_what_they_are_called():
    for name in project_architect_db.__all__:
        value = getattr(project_architect_db, name)
        assert value.__name__ == name
        assert value.__module__.startswith("project_architect_db")
        assert value.__doc__


def test_every_public_name_is_in_the_reference():
    reference = (DOCS / "reference.md").read_text(encoding="utf-8")
    shown = {
        path.rpartition(".")[2]
        for path in re.findall(r"^::: ([\w.]+)", reference, re.MULTILINE)
    }
    assert shown == set(project_architect_db.__all__)


def test_every_name_in_the_reference_exists():
    reference = (DOCS / "reference.md").read_text(encoding="utf-8")
    for path in re.findall(r"^::: ([\w.]+)", reference, re.MULTILINE):
        package, _, name = path.rpartition(".")
        assert package == "project_architect_db"
        assert hasattr(project_architect_db, name)


def test_every_setting_is_in_the_guide_with_its_default():
    guide = (DOCS / "engine.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| `(.*?)` \|", guide, re.MULTILINE))
    assert rows == {
        name: repr(field.get_default(call_default_factory=True))
        for name, field in DatabaseSettings.model_fields.items()
    }


def test_every_statistic_is_in_the_guide():
    guide = (DOCS / "engine.md").read_text(encoding="utf-8")
    for name in DatabaseEngine(":memory:").stats():
        assert f"`{name}`" in guide


def test_every_error_is_in_the_guide():
    guide = (DOCS / "engine.md").read_text(encoding="utf-8")
    for name in project_architect_db.__all__:
        if name.endswith("Error"):
            assert f"`{name}`" in guide, name


def test_the_version_is_that_of_the_package():
    assert re.fullmatch(r"\d+\.\d+\.\d+\w*", project_architect_db.__version__)
