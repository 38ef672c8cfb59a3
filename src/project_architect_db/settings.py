"""
How a database is opened: from the constructor, the environment or a file.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import parse_qsl

from pydantic import (
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from project_architect_db.errors import ConfigurationError

ENV_PREFIX = "PROJECT_ARCHITECT_DB_"

Environment = Literal["dev", "test", "staging", "prod"]
"""What kind of database it is."""


class DatabaseSettings(BaseSettings):
    """
    Everything that can be set about a database and its connections.

    A value comes from the constructor, else from the environment variable
    ``PROJECT_ARCHITECT_DB_<NAME>``, else from the default below. `from_file` reads
    a TOML file, which the environment overrides. What stands in the query of the
    URL goes first; names there that are not below are DuckDB's own.

    Raises:
        ConfigurationError: A name or value is wrong; the message suggests the
            right name.

    Example:
        >>> settings = DatabaseSettings(url=":memory:", threads=2)
        >>> settings.pool_size
        5
    """

    model_config = SettingsConfigDict(
        allow_inf_nan=False,
        env_prefix=ENV_PREFIX,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )

    url: str = "architect.duckdb"
    """A path, ``:memory:``, or a SQLAlchemy URL."""

    # connections
    pool_size: PositiveInt = 5
    """Connections kept open, each with a thread of its own."""
    max_overflow: int = Field(default=10, ge=0)
    """Connections opened on top of those while there is a rush."""
    pool_timeout: PositiveFloat = 30.0
    """Seconds to wait for a free connection."""
    write_timeout: PositiveFloat = 30.0
    """Seconds to wait for the transaction that is writing."""
    query_timeout: PositiveFloat | None = None
    """Seconds after which any statement is stopped."""
    close_timeout: float = Field(default=10.0, ge=0)
    """Seconds `close()` lets running work finish before it interrupts it."""

    # DuckDB's resources
    memory_limit: str | None = None
    """Such as ``4GB``; DuckDB's default is 80 % of the memory."""
    threads: PositiveInt | None = None
    """Threads for one query; DuckDB's default is one per core."""
    temp_directory: Path | None = None
    """Where queries larger than memory spill to; by default beside the file."""
    max_temp_directory_size: str | None = None
    """Such as ``20GB``; DuckDB's default is 90 % of the free space."""
    read_only: bool = False
    """Open the file for reading; several processes may."""

    # safety
    allowed_directories: list[Path] = []
    """Folders SQL may read and write files in, for example for exports."""
    external_access: bool = False
    """Let SQL read and write any file, attach databases and use the network."""
    auto_install_extensions: bool = False
    """Let DuckDB download extensions when a query needs them."""
    lock_configuration: bool = False
    """Forbid SQL to change settings; also freezes per-connection ones."""
    storage_version: str = "v1.5.0"
    """Oldest DuckDB that has to be able to read a newly created file."""

    # monitoring
    slow_query_seconds: PositiveFloat | None = 1.0
    """Statements that take longer are logged as a warning."""
    log_values: bool = False
    """Give hooks the bound values of statements, which may be secrets."""

    # migrations
    app: str | None = None
    """Where commands find your engine or models, such as ``myapp.db:engine``."""
    migrations: Path | None = None
    """The folder of your revisions; by default those of this library's models."""
    environment: Environment | None = None
    """What kind of database it is; revisions can ask for it."""

    emit_foreign_keys: bool = False
    """Create FOREIGN KEY constraints, with all that DuckDB forbids then."""
    duckdb: dict[str, Any] = {}
    """Any other settings of DuckDB, by its own names."""

    if not TYPE_CHECKING:  # the pydantic plugin knows the fields better

        def __init__(self, **values: Any) -> None:
            _refuse_unknown_variables(type(self).model_fields)
            try:
                super().__init__(**values)
            except ValidationError as error:
                raise ConfigurationError(_explain(error, type(self))) from error
            except SettingsError as error:  # not the JSON it has to be
                raise ConfigurationError(f"{error}: {error.__cause__}") from error

    @model_validator(mode="before")
    @classmethod
    def _read_query(cls, values: dict[str, Any]) -> dict[str, Any]:
        url, _, query = str(values.get("url", "")).partition("?")
        if "://" not in url or not query:
            return values
        found = dict(parse_qsl(query, keep_blank_values=True))
        ours = {name: found.pop(name) for name in cls.model_fields.keys() & found}
        duckdb = values.get("duckdb", {})
        if isinstance(duckdb, dict):  # else its own validation says so
            duckdb = {**duckdb, **found}
        return {**values, **ours, "url": url, "duckdb": duckdb}

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """
        Read a TOML file; environment variables override what it says.

        Raises:
            ConfigurationError: The file is missing, no TOML, or has a wrong name
                or value.
        """
        try:
            values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigurationError(
                f"cannot read settings from {path}: {error}"
            ) from error
        for name in cls.model_fields:
            if ENV_PREFIX + name.upper() in _environment():
                values.pop(name, None)
        return cls(**values)

    def duckdb_config(self) -> dict[str, Any]:
        """
        The settings in DuckDB's terms.
        """
        config: dict[str, Any] = {
            "storage_compatibility_version": self.storage_version,
            "enable_external_access": self.external_access,
            "autoinstall_known_extensions": self.auto_install_extensions,
        }
        if self.read_only:
            config["access_mode"] = "READ_ONLY"
        if self.allowed_directories:
            config["allowed_directories"] = [
                str(directory.resolve()) for directory in self.allowed_directories
            ]
        if self.lock_configuration:
            config["lock_configuration"] = True
        for name in ("memory_limit", "threads", "temp_directory",
                     "max_temp_directory_size"):  # fmt: skip
            if (value := getattr(self, name)) is not None:
                config[name] = str(value)
        return {**config, **self.duckdb}


def _environment() -> set[str]:
    return {name.upper() for name in os.environ if name.upper().startswith(ENV_PREFIX)}


def _refuse_unknown_variables(fields: dict[str, Any]) -> None:
    known = {name.upper() for name in fields}
    for variable in sorted(_environment()):
        if (name := variable.removeprefix(ENV_PREFIX)) not in known:
            raise ConfigurationError(
                f"there is no setting for the environment variable {variable}"
                + _suggestion(name, known, prefix=ENV_PREFIX)
            )


def _explain(error: ValidationError, settings: type[DatabaseSettings]) -> str:
    problem = error.errors()[0]
    name = str(problem["loc"][0])
    if problem["type"] == "extra_forbidden":
        return f"there is no setting {name!r}" + _suggestion(
            name, settings.model_fields
        )
    return f"setting {name!r}: {problem['msg']}"


def _suggestion(name: str, known: Any, *, prefix: str = "") -> str:
    if close := difflib.get_close_matches(name, list(known), n=1):
        return f"; did you mean {prefix}{close[0]}?"
    return f"; there are {sorted(prefix + name for name in known)}"
