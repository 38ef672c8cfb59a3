"""
DuckDB under SQLAlchemy: ``duckdb+async://``.

The only package here that knows the database is DuckDB. Bottom up: `worker` (a
thread per connection), `driver` (its transaction), `adapter` (DBAPI shapes), then
what SQLAlchemy asks of a dialect. `database`, `write_gate` and `commit_log` are
shared by all connections of the process to the same file.
"""

from sqlalchemy.dialects import registry

from project_architect_db.dialect.dialect import DuckDBDialect_async

__all__ = ["DuckDBDialect_async"]

registry.register("duckdb.async", __name__, "DuckDBDialect_async")
