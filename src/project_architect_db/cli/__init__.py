"""
The command ``project-architect-db``.
"""

from project_architect_db.cli.app import app, main

__all__ = ["app", "main"]
