"""
What migrations are made with: in `env.py`, in revisions, and in your code.

`DatabaseEngine.migrate` is all that most applications need.
"""

from project_architect_db.engine.migrations.migrations import Migrations
from project_architect_db.engine.migrations.results import (
    AppliedRevision,
    DryRun,
    Migrated,
    MigrationCheck,
    MigrationStatus,
    Revision,
    RowChange,
)
from project_architect_db.engine.migrations.running import run_migrations
from project_architect_db.engine.migrations.steps import (
    Chunk,
    in_chunks,
    in_environment,
)

__all__ = [
    "AppliedRevision",
    "Chunk",
    "DryRun",
    "Migrated",
    "MigrationCheck",
    "MigrationStatus",
    "Migrations",
    "Revision",
    "RowChange",
    "in_chunks",
    "in_environment",
    "run_migrations",
]
