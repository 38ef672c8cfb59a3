"""
A newcomer who follows the first page, and nothing else, sees what it says.
"""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "getting_started.md"


def blocks(kind):
    """
    The blocks of one kind, in their order.
    """
    text = PAGE.read_text(encoding="utf-8")
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_each_program_prints_what_the_page_says(tmp_path):
    """
    In an empty folder, under the names that the page gives them; the first one twice.
    """
    names = re.findall(r"Save (?:this|it) as `(\w+\.py)`", PAGE.read_text("utf-8"))
    for name, source in zip(names, blocks("python"), strict=True):
        (tmp_path / name).write_text(source, encoding="utf-8")

    printed = [
        subprocess.run(
            [sys.executable, "-W", "error", name],
            cwd=tmp_path, capture_output=True, text=True, check=True,
        ).stdout
        for name in [names[0], *names]
    ]  # fmt: skip

    year = str(datetime.now(UTC).year)
    assert printed == [text.replace("2026", year) for text in blocks("text")]
    assert {path.name for path in tmp_path.iterdir()} == {*names, "atlas.duckdb"}
