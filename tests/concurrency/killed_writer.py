"""
A process that commits and says so, line by line, until it is killed.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys

from concurrency_support import Model, Note
from sqlalchemy import insert

from project_architect_db import DatabaseEngine

WRITERS = 4


async def write(engine, numbers):
    """
    Commit two rows at a time, by the ORM and by columns; acknowledge the first.
    """
    for number in numbers:
        first, second = f"{number}", f"{number}, second half"
        async with engine.transaction() as session:
            if number % 2:
                session.add_all([Note(body=first), Note(body=second)])
            else:
                await session.execute(insert(Note), [{"body": first}, {"body": second}])
        os.write(1, f"{first}\n".encode())


async def main(path, start):
    # Checkpoints all the time: a kill may hit one of them, too.
    async with DatabaseEngine(
        path, metadata=Model.metadata, duckdb={"checkpoint_threshold": "16KB"}
    ) as engine:
        await engine.create_all()
        numbers = itertools.count(start)
        async with asyncio.TaskGroup() as group:
            for _ in range(WRITERS):
                group.create_task(write(engine, numbers))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
