"""
Databases that last for a test.
"""

from __future__ import annotations

import operator
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import MetaData

from project_architect_db.base import Base
from project_architect_db.engine import DatabaseEngine
from project_architect_db.settings import DatabaseSettings


@asynccontextmanager
async def temporary_database(
    *, metadata: MetaData | None = None, template: bool = True, **settings: Any
) -> AsyncIterator[DatabaseEngine]:
    """
    An open database with its tables, in a file that is deleted afterwards.

    Its folder has the name of the pytest-xdist worker in it, so that you see whose
    file it is. The tables are created once in a process, then the file is copied,
    which halves the time to a ready database.

    Args:
        metadata: The tables; by default those of `Base`.
        template: Whether a copy will do. Without, the tables are created each time,
            and listeners to that are called.
        **settings: Any fields of `DatabaseSettings`.

    Example:
        >>> from project_architect_db.testing import temporary_database
        >>> async with temporary_database() as engine:
        ...     async with engine.session() as session:
        ...         print(await session.scalar(select(func.count(Project.id))))
        0
    """
    metadata = Base.metadata if metadata is None else metadata
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    with TemporaryDirectory(prefix=f"project-architect-db-{worker}-") as folder:
        path = Path(folder, "test.duckdb")
        if template:
            content = await _template(metadata, settings, Path(folder))
            path.write_bytes(content)  # noqa: ASYNC240 - within 1 ms
        async with DatabaseEngine(path, metadata=metadata, **settings) as engine:
            if not template:
                await engine.create_all()
            yield engine


async def _template(
    metadata: MetaData, settings: dict[str, Any], folder: Path
) -> bytes:
    """
    The file of an empty database with these tables, as they are by now.
    """
    key = f"template of {DatabaseSettings(**settings)!r}"
    parts = [
        part
        for table in metadata.tables.values()
        for part in (table, *table.columns, *table.constraints, *table.indexes)
    ]
    known: list[Any]
    content: bytes
    known, content = metadata.info.get(key, ([], b""))
    if len(known) != len(parts) or not all(map(operator.is_, known, parts)):
        path = folder / "template.duckdb"
        async with DatabaseEngine(path, metadata=metadata, **settings) as engine:
            await engine.create_all()
            await engine.checkpoint()
        content = path.read_bytes()
        metadata.info[key] = parts, content
    return content
