"""
The tree is the architecture: imports go down only.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "project_architect_db"
MODULES = sorted(PACKAGE.rglob("*.py"))


def test_the_import_contracts_are_kept():
    command = "from importlinter.cli import lint_imports_command as run; run()"
    done = subprocess.run(
        [sys.executable, "-c", command],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_driver_is_not_imported_for_the_models_alone():
    """
    What is slow or optional is imported where it is needed.
    """
    code = "import sys, project_architect_db; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded = set(done.stdout.split())
    assert "project_architect_db" in loaded
    assert not loaded & {"alembic", "rich", "typer", "uvloop"}


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_a_module_says_what_it_is_for(module):
    source = module.read_text(encoding="utf-8")
    assert source.startswith(('"""\n', 'r"""\n'))
