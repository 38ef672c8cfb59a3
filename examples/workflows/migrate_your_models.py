"""
Your own models, from an empty folder to a restored backup, by the command alone.
"""

import os
import subprocess
import sys
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import text

from project_architect_db import DatabaseEngine, run

APP = """
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from project_architect_db import DatabaseEngine
class Model(DeclarativeBase): pass
class Book(Model):
    __tablename__ = "books"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
engine = DatabaseEngine("shop.duckdb", metadata=Model.metadata, migrations="migrations")
"""
LENGTH = "\n    length: Mapped[int | None] = mapped_column(index=True)\nengine ="
INDEX = "op.create_index"
FILL = 'op.execute("UPDATE books SET length = length(title)")\n    op.create_index'
BROKEN = '    op.execute("DELETE FROM books")\n    op.execute("SELECT nonsense")'


def _command(*arguments: str, fails: bool = False) -> None:  # in your shell
    done = subprocess.run(
        [sys.executable, "-m", "project_architect_db", *arguments],
        env={**os.environ, "PROJECT_ARCHITECT_DB_APP": "shop:engine"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if fails != bool(done.returncode):
        raise SystemExit(done.stderr)
    print("$", *arguments, "\n ", (done.stdout + done.stderr).splitlines()[0])


def _edit(pattern: str, old: str, new: str) -> None:  # in your editor
    for file in Path().glob(pattern):
        file.write_text(file.read_text().replace(old, new, 1))


async def _execute(sql: str) -> None:  # in your application
    async with DatabaseEngine("shop.duckdb") as engine, engine.transaction() as session:
        print(" ", *await session.scalars(text(sql)))


async def main() -> None:
    """
    Two migrations are written from the models; a third one fails.
    """
    with TemporaryDirectory() as folder, chdir(folder):
        Path("shop.py").write_text(APP)  # noqa: ASYNC240 - nothing else runs
        _command("init")  # a database, and a folder for migrations
        _command("migrate", "new", "books")
        _command("migrate")
        await _execute("INSERT INTO books (title) VALUES ('Emma') RETURNING title")
        _edit("shop.py", "\nengine =", LENGTH)
        _command("migrate", "new", "length")
        _edit("migrations/versions/*_length.py", INDEX, FILL)
        _command("migrate", "check")  # on a copy
        _command("migrate")
        _command("migrate", "new", "broken", "--empty")
        _edit("migrations/versions/*_broken.py", "    pass", BROKEN)
        _command("migrate", fails=True)
        await _execute("SELECT title || ' ' || length FROM books")
        _command("backup", "safe.duckdb", "-d", "shop.duckdb")
        _command("migrate", "rollback")
        _command("restore", "safe.duckdb", "-d", "shop.duckdb")
        await _execute("SELECT title || ' ' || length FROM books")


run(main())
