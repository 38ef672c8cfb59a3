"""
The wheel has all that the package needs, its migrations among them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """
    A folder with what the wheel installs.
    """
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, ROOT],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "hatchling" in done.stderr and done.returncode:
        pytest.skip("building needs hatchling, which cannot be had here")
    assert 0 == done.returncode, done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.mark.slow
def test_the_wheel_creates_and_migrates_databases(site, tmp_path):
    files = {path.name for path in (site / "project_architect_db/migrations").iterdir()}
    assert {"env.py", "script.py.mako", "versions", "alembic.ini"} <= files
    code = (
        "from project_architect_db.cli import main\n"
        "from project_architect_db.engine.migrations.folder import own_folder\n"
        "import sys; print(own_folder(), file=sys.stderr); main()"
    )
    # Its modules are not those whose coverage is measured.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-c", code, "init", "-d", "a.duckdb"],
        cwd=tmp_path, env={**environment, "PYTHONPATH": str(site)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    assert f"{site}/project_architect_db/migrations" == done.stderr.strip()
    assert "0001" in done.stdout
