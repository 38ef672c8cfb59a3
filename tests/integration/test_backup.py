"""
A backup is one moment of the database, whole or not there; a restore brings it back.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    MetaData,
    String,
    Table,
    insert,
    text,
)

from project_architect_db import (
    BackupError,
    DatabaseEngine,
    DatabaseLockedError,
    restore,
    verify_backup,
)
from project_architect_db.engine.backup import manifest_of, read_manifest
from project_architect_db.engine.copying import copy_file

METADATA = MetaData()
ACCOUNTS = Table(
    "accounts", METADATA,
    Column("id", Integer, primary_key=True),
    Column("amount", BigInteger),
    Column("hash", String, comment="as functions are called"),
)  # fmt: skip
OPEN = """
import duckdb, sys
try:
    duckdb.connect(sys.argv[1])
except duckdb.IOException as error:
    sys.exit("lock" if "lock" in str(error) else str(error))
"""
HOLD = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "app.duckdb"


@pytest.fixture
def target(tmp_path):
    return tmp_path / "backup.duckdb"


@pytest.fixture
async def engine(path):
    async with DatabaseEngine(path, metadata=METADATA) as engine:
        await engine.create_all()
        async with engine.transaction() as session:
            rows = [{"id": n, "amount": 10, "hash": f"é{n}"} for n in range(1000)]
            await session.execute(insert(ACCOUNTS), rows)
        yield engine


async def amounts(engine):
    async with engine.session() as session:
        return await session.scalar(text("SELECT sum(amount)::BIGINT FROM accounts"))


def names(folder):
    return sorted(file.name for file in folder.iterdir())


# --- backup -----------------------------------------------------------------------


@pytest.mark.slow
async def test_a_backup_holds_what_the_database_holds(engine, path, target):
    backup = await engine.backup(target)
    assert (path, target) == (Path(backup.source), backup.path)
    assert 1000 == backup.tables["main.accounts"].rows
    assert target.stat().st_size == backup.bytes
    assert backup == read_manifest(target)
    assert backup == await verify_backup(str(target))
    assert ["app.duckdb", "backup.duckdb", "backup.duckdb.json"] == [
        name for name in names(target.parent) if not name.endswith(".wal")
    ]
    async with DatabaseEngine(target, metadata=METADATA) as copy:
        assert 10_000 == await amounts(copy)
        async with copy.session() as session:
            comment = "SELECT comment FROM duckdb_columns() WHERE column_name = 'hash'"
            assert "as functions are called" == await session.scalar(text(comment))


@pytest.mark.slow
async def test_what_a_reader_keeps_from_the_file_is_in_the_backup(engine, target):
    """
    CHECKPOINT cannot move updates that a reader must not see yet.
    """
    async with engine.session() as reader:
        await reader.execute(text("SELECT count(*) FROM accounts"))
        async with engine.transaction() as session:
            await session.execute(text("UPDATE accounts SET amount = 20"))
        await engine.backup(target)
    async with DatabaseEngine(target) as copy:
        assert 20_000 == await amounts(copy)


@pytest.mark.slow
async def test_a_backup_beside_writers_is_one_moment(engine, target):
    """
    Each transaction moves amounts; their sum never changes.
    """
    stop = asyncio.Event()

    async def write(number):
        count = 0
        while not stop.is_set():
            async with engine.transaction() as session:
                for change, id in ((-1, number), (+1, 900 + number)):
                    await session.execute(
                        text("UPDATE accounts SET amount = amount + :c WHERE id = :i"),
                        {"c": change, "i": id},
                    )
            count += 1
        return count

    writers = [asyncio.create_task(write(number)) for number in range(4)]
    backups = [await engine.backup(target, overwrite=True) for _ in range(3)]
    stop.set()
    assert min(await asyncio.gather(*writers)) > 0
    assert 3 == len({backup.sha256 for backup in backups})
    async with DatabaseEngine(target) as copy:
        assert 10_000 == await amounts(copy)


@pytest.mark.slow
async def test_the_file_stays_locked(engine, path, target):
    """
    Reading it in this process would give DuckDB's lock away.
    """
    await engine.backup(target)
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", OPEN, path], stderr=subprocess.PIPE
    )
    assert b"lock" == done.stderr.strip()


async def test_progress_is_told(engine, target):
    steps = []
    await engine.backup(target, progress=lambda *step: steps.append(step))
    assert ["copy", "verify", "checksum"] == [*dict.fromkeys(n for n, *_ in steps)]
    assert all(done <= total for _, done, total in steps)
    assert {n: d for n, d, _ in steps} == {n: t for n, _, t in steps}


async def test_where_no_backup_can_be(engine, path, target, tmp_path):
    target.write_text("precious")
    for wrong, problem in (
        (target, "there already"),
        (path, "the database itself"),
        (tmp_path / "app.duckdb.wal", "the database itself"),
        (tmp_path, "is a folder"),
        (tmp_path / "absent/b", "no folder"),
    ):
        with pytest.raises(BackupError, match=problem):
            await engine.backup(wrong)
    assert "precious" == target.read_text()


async def test_a_file_of_the_user_is_not_taken_for_a_manifest(engine, target, path):
    """
    Neither that of another backup, nor the database itself.
    """
    manifest_of(target).write_text("precious")
    with pytest.raises(BackupError, match=r"backup\.duckdb\.json is there already"):
        await engine.backup(target)
    assert "precious" == manifest_of(target).read_text()
    named = path.with_name("data.json")
    async with DatabaseEngine(named) as other:
        await other.create_all()
        with pytest.raises(BackupError, match="the database itself"):
            await other.backup(path.with_name("data"), overwrite=True)


async def test_what_stands_in_the_way_of_a_manifest_is_said(engine, target, path):
    manifest_of(target).mkdir()
    before = names(path.parent)
    with pytest.raises(BackupError, match=r"cannot be written: .*directory"):
        await engine.backup(target, overwrite=True)
    assert {*names(path.parent)} <= {*before, "app.duckdb.wal"}


async def test_nobody_moves_the_log_while_it_is_copied(engine, target):
    """
    It would be neither in the copy of the file nor in that of the log.
    """
    moves = []

    def progress(step, done, total):
        if step == "copy" and not moves:
            moves.append(asyncio.create_task(engine.checkpoint()))

    async with engine.session() as reader:  # keeps some of it in the log
        await reader.execute(text("FROM accounts"))
        async with engine.transaction() as session:
            await session.execute(text("UPDATE accounts SET amount = 20"))
        backup = await engine.backup(target, progress=progress)
    (error,) = await asyncio.gather(*moves, return_exceptions=True)
    assert "Cannot CHECKPOINT" in str(error)
    async with DatabaseEngine(target) as copy:
        assert 20_000 == await amounts(copy)
    assert 1000 == backup.tables["main.accounts"].rows


@pytest.mark.slow
async def test_a_database_that_is_only_read_has_a_backup(engine, path, target):
    await engine.close()
    async with DatabaseEngine(path, read_only=True) as reader:
        backup = await reader.backup(target)
    assert 1000 == backup.tables["main.accounts"].rows


@pytest.mark.slow
async def test_a_backup_is_for_those_who_may_read_the_database(engine, path, target):
    """
    And so is the database that it is restored into.
    """
    path.chmod(0o600)
    backup = await engine.backup(target)
    assert 0o600 == stat.S_IMODE(target.stat().st_mode)
    await engine.close()
    target.chmod(0o644)
    await restore(target, path)
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    await restore(backup.path, path.with_name("new.duckdb"))
    assert 0o644 == stat.S_IMODE(path.with_name("new.duckdb").stat().st_mode)


async def test_a_copy_of_what_may_only_be_read_can_be_written(tmp_path):
    source = tmp_path / "source"
    source.write_text("text")
    source.chmod(0o400)
    await copy_file(source, tmp_path / "copy")
    assert 0o600 == stat.S_IMODE((tmp_path / "copy").stat().st_mode)


async def test_a_database_in_memory_has_no_backup(target):
    async with DatabaseEngine(":memory:") as engine:
        with pytest.raises(BackupError, match="in memory"):
            await engine.backup(target)


@pytest.mark.parametrize("step", ["copy", "verify", "checksum"])
async def test_a_cancelled_backup_leaves_nothing(engine, path, target, step):
    before = names(path.parent)
    reached, cancelled = threading.Event(), threading.Event()

    def progress(name, *_):
        if name == step:
            reached.set()
        if name == "checksum":  # which is told in a thread
            cancelled.wait()

    task = asyncio.create_task(engine.backup(target, progress=progress))
    while not reached.is_set():
        await asyncio.sleep(0.001)
    task.cancel()
    cancelled.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert {*names(path.parent)} <= {*before, "app.duckdb.wal"}
    assert 10_000 == await amounts(engine)


async def test_a_full_disk_is_said(path, engine):
    await engine.checkpoint()
    with pytest.raises(BackupError, match="No space left"):
        await copy_file(path, Path("/dev/full"))


# --- damage -----------------------------------------------------------------------


def flip(path, position):
    data = bytearray(path.read_bytes())
    data[position] ^= 0xFF
    path.write_bytes(data)


async def test_a_damaged_backup_is_noticed(engine, target):
    await engine.backup(target)
    flip(target, 20_000)
    with pytest.raises(BackupError, match="its sha256 is"):
        await verify_backup(target)
    target.write_bytes(target.read_bytes()[:-1])
    with pytest.raises(BackupError, match="its bytes is"):
        await verify_backup(target)
    target.unlink()
    with pytest.raises(BackupError, match="cannot read"):
        await verify_backup(target)


@pytest.mark.parametrize(
    "content", ["", "[]", "null", "{}", '{"tables": 5}', '{"tables": {"a": {}}}', "\0"]
)
async def test_a_damaged_manifest_is_noticed(engine, target, content):
    await engine.backup(target)
    manifest_of(target).write_text(content)
    with pytest.raises(BackupError, match="is damaged"):
        read_manifest(target)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("revision", 5), ("bytes", "many"), ("source", None), ("duckdb", ["2"]),
        ("tables", {"main.accounts": {"rows": "many", "checksum": "0"}}),
        ("created_at", 5), ("more", 1),
    ],
)  # fmt: skip
async def test_a_manifest_of_other_types_is_damaged(engine, target, name, value):
    backup = await engine.backup(target)
    await rewritten(backup, **{name: value})
    with pytest.raises(BackupError, match="is damaged"):
        read_manifest(target)


async def test_a_path_without_a_name_is_no_backup():
    for path in (".", "/", ".."):
        with pytest.raises(BackupError, match="is no backup"):
            await verify_backup(path)


async def test_what_has_no_manifest_is_no_backup(engine, target, path):
    with pytest.raises(BackupError, match="is no backup"):
        await verify_backup(path)


# --- restore ----------------------------------------------------------------------


@pytest.fixture
async def backup(engine, target):
    """
    A backup, after which everything changed, and the database was closed.
    """
    backup = await engine.backup(target)
    async with engine.transaction() as session:
        await session.execute(text("UPDATE accounts SET amount = 0"))
    await engine.close()
    return backup


@pytest.mark.slow
async def test_a_database_is_restored_and_the_old_one_kept(backup, path, target):
    restored = await restore(target, path)
    assert (backup, path) == (restored.backup, restored.path)
    async with DatabaseEngine(path) as engine:
        assert 10_000 == await amounts(engine)
    async with DatabaseEngine(restored.kept) as engine:
        assert 0 == await amounts(engine)
    files = [path, restored.kept, target, backup.manifest]
    assert [file.name for file in files] == names(path.parent)


@pytest.mark.slow
async def test_a_database_is_restored_where_none_was(backup, tmp_path, target):
    restored = await restore(target, tmp_path / "other.duckdb")
    assert restored.kept is None
    async with DatabaseEngine(restored.path) as engine:
        assert 10_000 == await amounts(engine)


@pytest.mark.slow
async def test_a_damaged_database_is_restored(backup, path, target):
    path.write_bytes(b"no database")
    log = path.with_name(path.name + ".wal")
    log.write_bytes(b"no log")
    restored = await restore(target, path)
    assert b"no database" == restored.kept.read_bytes()
    assert (
        b"no log" == restored.kept.with_name(restored.kept.name + ".wal").read_bytes()
    )
    async with DatabaseEngine(path) as engine:
        assert 10_000 == await amounts(engine)


async def test_a_database_that_is_gone_but_for_its_log_is_restored(
    backup, path, target
):
    """
    DuckDB would not open the new file beside the log of the old one.
    """
    path.unlink()
    log = path.with_name(path.name + ".wal")
    log.write_bytes(b"a log")
    assert (await restore(target, path)).kept is None
    async with DatabaseEngine(path) as engine:
        assert 10_000 == await amounts(engine)
    (kept,) = path.parent.glob("app.duckdb.before-restore-*.wal")
    assert b"a log" == kept.read_bytes()


async def test_a_file_system_without_links_keeps_a_copy(
    backup, path, target, monkeypatch
):
    """
    And no half one, if there is no room for it.
    """

    def link(*_):
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr("os.link", link)
    before = path.read_bytes()
    restored = await restore(target, path)
    assert before == restored.kept.read_bytes()
    left = names(path.parent)

    def fail(_, copy):
        copy.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr("shutil.copyfile", fail)
    with pytest.raises(BackupError, match=r"cannot be written: .*no room"):
        await restore(target, path)
    assert left == names(path.parent)


async def test_an_open_database_is_not_replaced(engine, path, target):
    await engine.backup(target)
    with pytest.raises(BackupError, match="open in this process"):
        await restore(target, path)
    await engine.close()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=-1, stdout=-1
    ) as holder:
        holder.stdout.readline()
        with pytest.raises(DatabaseLockedError) as caught:
            await restore(target, path)
        assert holder.pid == caught.value.pid
        holder.stdin.close()
    assert 10_000 == (await verify_backup(target)).tables["main.accounts"].rows * 10


async def test_where_nothing_can_be_restored(backup, target, tmp_path):
    with pytest.raises(BackupError, match="the backup itself"):
        await restore(target, target)
    with pytest.raises(BackupError, match="no folder"):
        await restore(target, tmp_path / "absent/app.duckdb")
    for folder in (tmp_path, "/"):
        with pytest.raises(BackupError, match="is a folder"):
            await restore(target, folder)


async def rewritten(backup, **changes):
    """
    The manifest with other facts in it.
    """
    manifest = json.loads(backup.manifest.read_text())
    backup.manifest.write_text(json.dumps({**manifest, **changes}))


@pytest.mark.parametrize(
    "content",
    [
        {"rows": 999, "checksum": "0"},
        {"rows": 1000, "checksum": "0"},
        None,
    ],
)
async def test_a_backup_that_does_not_hold_what_it_says(backup, path, target, content):
    tables = {"main.accounts": content} if content else {"main.gone": vars_of(backup)}
    await rewritten(backup, tables=tables)
    before = path.read_bytes()
    with pytest.raises(BackupError, match="is damaged: the table"):
        await restore(target, path)
    assert before == path.read_bytes()
    assert 3 == len(names(path.parent))


async def test_a_backup_that_is_no_database(backup, path, target):
    target.write_bytes(b"no database")
    digest = hashlib.sha256(b"no database").hexdigest()
    await rewritten(backup, bytes=11, sha256=digest)
    with pytest.raises(BackupError, match="cannot be read"):
        await restore(target, path)
    assert 3 == len(names(path.parent))


def vars_of(backup):
    content = backup.tables["main.accounts"]
    return {"rows": content.rows, "checksum": content.checksum}


@pytest.mark.slow
async def test_a_table_that_another_duckdb_does_not_find(backup, path, target):
    await rewritten(backup, tables={"main.gone": vars_of(backup)}, duckdb="v1.5.0")
    with pytest.raises(BackupError, match=r"the table main\.gone holds None"):
        await restore(target, path)


async def test_another_duckdb_may_count_checksums_otherwise(backup, path, target):
    tables = {"main.accounts": {"rows": 1000, "checksum": "0"}}
    await rewritten(backup, tables=tables, duckdb="v1.5.0")
    assert (await restore(target, path)).kept is not None


@pytest.mark.slow
async def test_a_newer_backup_is_refused_unless_told(path, target):
    async with DatabaseEngine(path) as engine:
        async with engine.transaction() as session:
            await session.execute(
                text("CREATE TABLE alembic_version (version_num TEXT)")
            )
            await session.execute(text("INSERT INTO alembic_version VALUES ('abc')"))
        assert "abc" == (await engine.backup(target)).revision
    with pytest.raises(BackupError, match="migration abc, which this code"):
        await restore(target, path, known_revisions={"older"})
    assert await restore(target, path, known_revisions={"older", "abc"})
    assert await restore(target, path)


@pytest.mark.slow
async def test_a_backup_without_migrations_may_be_of_any(backup, path, target):
    assert backup.revision is None
    assert await restore(target, path, known_revisions={"older"})


async def test_what_killed_processes_have_left_is_removed_and_of_living_ones_nothing(
    engine, target
):
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    ended, alive = process.pid, os.getppid()
    names = [
        f".{target.name}.{pid}.partial{ending}"
        for pid in (ended, alive)
        for ending in ("", ".wal", ".json")
    ]
    other = f".other.duckdb.{ended}.partial"
    for name in (*names, other):
        (target.parent / name).write_text("half")
    await engine.backup(target)
    left = {file.name for file in target.parent.glob(".*")}
    assert {*names[3:], other} == left
