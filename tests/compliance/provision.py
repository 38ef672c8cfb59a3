"""
What SQLAlchemy's compliance suite needs to know of a DuckDB test database.
"""

from sqlalchemy import delete, event, select
from sqlalchemy.testing.provision import (
    delete_from_all_tables,
    post_configure_engine,
    set_default_schema_on_connection,
    temp_table_keyword_args,
)


@post_configure_engine.for_db("duckdb")
def _create_test_schemas(url, engine, follower_ident):
    @event.listens_for(engine, "first_connect")
    def create(dbapi_connection, connection_record):
        cursor = dbapi_connection.cursor()
        for schema in ("test_schema", "test_schema_2"):
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        dbapi_connection.commit()


@temp_table_keyword_args.for_db("duckdb")
def _temporary(cfg, eng):
    return {"prefixes": ["TEMPORARY"]}


@set_default_schema_on_connection.for_db("duckdb")
def _use_schema(cfg, dbapi_connection, schema_name):
    dbapi_connection.cursor().execute(f"SET schema = '{schema_name}'")
    dbapi_connection.commit()


@delete_from_all_tables.for_db("duckdb")
def _delete_in_steps(connection, cfg, metadata):
    # With FOREIGN KEYs, DuckDB cannot delete children and parents in one transaction.
    for table in reversed(metadata.sorted_tables):
        for key in table.foreign_keys:
            while key.references(table) and _delete_leaves(connection, key):
                connection.connection.dbapi_connection.commit()
        connection.execute(table.delete())
        connection.connection.dbapi_connection.commit()


def _delete_leaves(connection, key):
    parents = key.parent.table.alias().c[key.parent.key]
    in_use = select(parents).where(parents.is_not(None))
    leaves = delete(key.parent.table).where(key.column.not_in(in_use))
    return connection.execute(leaves).rowcount
