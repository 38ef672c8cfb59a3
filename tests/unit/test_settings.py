"""
Settings come from the constructor, the environment or a file, and are checked.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from project_architect_db import ConfigurationError, DatabaseSettings

PREFIX = "PROJECT_ARCHITECT_DB_"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    import os

    for name in os.environ:
        if name.upper().startswith(PREFIX):
            monkeypatch.delenv(name)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "settings.toml"


def test_defaults_are_safe():
    settings = DatabaseSettings()

    assert "architect.duckdb" == settings.url
    assert {
        "storage_compatibility_version": "v1.5.0",
        "enable_external_access": False,
        "autoinstall_known_extensions": False,
    } == settings.duckdb_config()


def test_the_constructor_comes_before_the_environment(monkeypatch):
    monkeypatch.setenv(PREFIX + "THREADS", "3")
    monkeypatch.setenv(PREFIX + "POOL_SIZE", "7")

    settings = DatabaseSettings(threads=2)

    assert (2, 7) == (settings.threads, settings.pool_size)


def test_the_environment_may_be_written_in_small_letters(monkeypatch):
    monkeypatch.setenv(PREFIX.lower() + "threads", "3")

    assert 3 == DatabaseSettings().threads


def test_everything_is_translated_for_duckdb(tmp_path):
    settings = DatabaseSettings(
        read_only=True, allowed_directories=[tmp_path / "a" / ".."],
        lock_configuration=True, memory_limit="1GB", threads=2,
        storage_version="v1.0.0",
        temp_directory=tmp_path, max_temp_directory_size="2GB", external_access=True,
        auto_install_extensions=True, duckdb={"threads": 4, "default_null_order": "x"},
    )  # fmt: skip

    assert {
        "storage_compatibility_version": "v1.0.0",
        "enable_external_access": True,
        "autoinstall_known_extensions": True,
        "access_mode": "READ_ONLY",
        "allowed_directories": [str(tmp_path.resolve())],
        "lock_configuration": True,
        "memory_limit": "1GB",
        "threads": 4,
        "default_null_order": "x",
        "temp_directory": str(tmp_path),
        "max_temp_directory_size": "2GB",
    } == settings.duckdb_config()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"thread": 2}, "no setting 'thread'; did you mean threads?"),
        (
            {"qwertyuiop": 2},
            "no setting 'qwertyuiop'; there are ['allowed_directories'",
        ),
        ({"threads": "two"}, "setting 'threads': Input should be a valid integer"),
        ({"threads": 0}, "setting 'threads': Input should be greater than 0"),
        ({"max_overflow": -1}, "setting 'max_overflow'"),
        ({"write_timeout": 0}, "setting 'write_timeout'"),
        ({"write_timeout": "inf"}, "setting 'write_timeout'"),
        ({"query_timeout": float("nan")}, "setting 'query_timeout'"),
        ({"allowed_directories": 5}, "setting 'allowed_directories'"),
        ({"duckdb": "x"}, "setting 'duckdb'"),
        ({"url": None}, "setting 'url'"),
    ],
)
def test_a_wrong_setting_is_explained(values, message):
    with pytest.raises(ConfigurationError) as caught:
        DatabaseSettings(**values)

    assert message in str(caught.value)
    assert isinstance(caught.value.__cause__, ValidationError)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("THREAD", "2", f"variable {PREFIX}THREAD; did you mean {PREFIX}THREADS?"),
        ("QWERTYUIOP", "2", "there are ["),
        ("THREADS", "two", "setting 'threads': Input should be a valid integer"),
        ("ALLOWED_DIRECTORIES", "/tmp", "allowed_directories"),
        ("DUCKDB", "{", "duckdb"),
    ],
)
def test_a_wrong_environment_is_explained(monkeypatch, name, value, message):
    monkeypatch.setenv(PREFIX + name, value)

    with pytest.raises(ConfigurationError) as caught:
        DatabaseSettings()

    assert message in str(caught.value)


def test_lists_and_tables_are_json_in_the_environment(monkeypatch):
    monkeypatch.setenv(PREFIX + "ALLOWED_DIRECTORIES", '["/tmp/a"]')
    monkeypatch.setenv(PREFIX + "DUCKDB", '{"threads": 2}')

    settings = DatabaseSettings()

    assert [Path("/tmp/a")] == settings.allowed_directories
    assert {"threads": 2} == settings.duckdb


def test_a_file_gives_way_to_the_environment(monkeypatch, file):
    file.write_text('url = "a.duckdb"\nthreads = 2\n[duckdb]\ndefault_order = "DESC"\n')
    monkeypatch.setenv(PREFIX + "THREADS", "5")

    settings = DatabaseSettings.from_file(file)

    assert ("a.duckdb", 5) == (settings.url, settings.threads)
    assert "DESC" == settings.duckdb_config()["default_order"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"threads = ", "cannot read settings from"),
        (b"\xff\xfe", "cannot read settings from"),
        (b"thread = 2", "did you mean threads?"),
        (b"threads = 'x'", "setting 'threads'"),
    ],
)
def test_a_wrong_file_is_explained(file, content, message):
    file.write_bytes(content)

    with pytest.raises(ConfigurationError) as caught:
        DatabaseSettings.from_file(file)

    assert message in str(caught.value)


def test_a_missing_file_is_named(file):
    with pytest.raises(ConfigurationError, match=r"settings\.toml"):
        DatabaseSettings.from_file(file)


def test_the_query_of_a_url_is_settings():
    settings = DatabaseSettings(
        url="duckdb+async:///a.duckdb?threads=2&write_timeout=5&default_order=DESC",
        duckdb={"default_null_order": "NULLS_FIRST"},
    )

    assert "duckdb+async:///a.duckdb" == settings.url
    assert (2, 5.0) == (settings.threads, settings.write_timeout)
    assert {"default_order": "DESC", "default_null_order": "NULLS_FIRST"} == (
        settings.duckdb
    )


def test_settings_beside_a_query_have_to_be_settings():
    with pytest.raises(ConfigurationError, match="setting 'duckdb'"):
        DatabaseSettings(url="duckdb+async:///a.duckdb?threads=2", duckdb="x")


def test_a_path_is_no_url():
    assert "a?threads=2" == DatabaseSettings(url="a?threads=2").url


def test_settings_do_not_change():
    with pytest.raises(ValidationError, match="frozen"):
        DatabaseSettings().threads = 5
