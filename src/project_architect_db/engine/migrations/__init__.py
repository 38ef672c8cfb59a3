"""
The migration system: folders of revisions, run by Alembic on a database of ours.

Imported when it is needed, as Alembic is slow to import.
"""

from project_architect_db.engine.migrations.migrations import Migrations

__all__ = ["Migrations"]
