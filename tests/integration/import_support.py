"""
Real git trees for tests of the importer, and what it has made of them.
"""

from __future__ import annotations

import os
import subprocess

from sqlalchemy import func, select

from project_architect_db import Conversation, Document
from project_architect_db.domain.importer import import_working_tree
from project_architect_db.domain.models import Activity
from project_architect_db.testing import temporary_database


class Tree:
    """
    A real git working tree in a temporary folder.
    """

    def __init__(self, root):
        self.root = root
        root.mkdir()
        self.git("init", "-q", "-b", "main", "--template=")

    def git(self, *arguments):
        """
        Run git, which does not look for something to tidy up afterwards.
        """
        command = ("git", "-c", "maintenance.auto=false", *arguments)
        subprocess.run(command, cwd=self.root, check=True)

    def write(self, **files):
        for name, data in files.items():
            (self.root / name.replace("_", ".")).write_text(data, encoding="utf-8")

    def commit(self, author="Ada <ada@example.org>", message="x", day=1):
        self.git("add", "--all")
        self.git(
            "commit", "-q", "--allow-empty", "-m", message, f"--author={author}",
            f"--date=2026-03-{day:02}T12:00:00+00:00",
        )  # fmt: skip
        head = (self.root / ".git/HEAD").read_text().removeprefix("ref: ").strip()
        return (self.root / ".git" / head).read_text().strip()

    def commits(self, numbers):
        """
        Make an empty commit for each number, which is its message.
        """
        tip = self.root / ".git/refs/heads/main"
        parent = "from refs/heads/main^0\n" if tip.exists() else ""
        told = "".join(
            f"commit refs/heads/main\ncommitter C <c@d> {number * 3_600} +0000\n"
            f"data {len(str(number))}\n{number}\n{parent * (not at)}\n"
            for at, number in enumerate(numbers)
        )
        command = ("git", "fast-import", "--quiet", "--force")
        subprocess.run(command, cwd=self.root, input=told.encode(), check=True)


def new_tree(root, monkeypatch):
    """
    A tree, and a git that no configuration of this machine has an effect on.
    """
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", who)
        monkeypatch.setenv(f"GIT_{who}_EMAIL", f"{who}@example.org")
        monkeypatch.setenv(f"GIT_{who}_DATE", "2026-03-01T00:00:00+00:00")
    return Tree(root)


def outcome(report):
    return report.added, report.updated, report.unchanged, report.removed


async def documents(engine):
    async with engine.session() as session:
        rows = await session.scalars(select(Document).order_by(Document.path))
        return {document.path: document for document in rows}


async def count(engine, model):
    async with engine.session() as session:
        return await session.scalar(select(func.count()).select_from(model))


async def events(engine, action, entity=None):
    """
    The events of that name, in the order written.
    """
    query = select(Activity).where(Activity.action == action).order_by(Activity.id)
    async with engine.session() as session:
        rows = [*await session.scalars(query)]
    return [event for event in rows if entity in {None, event.entity}]


async def talk(engine):
    """
    The conversations as they are: title → contents of the messages.
    """
    async with engine.session() as session:
        rows = await session.scalars(select(Conversation).order_by(Conversation.id))
        return {row.title: [m["content"] for m in row.messages] for row in rows}


async def told(engine):
    """
    All that an import tells about a history, without keys and times of its own.
    """
    return (
        sorted((e.payload["hash"], e.actor) for e in await events(engine, "commit")),
        sorted(
            (e.payload["hash"], e.payload["path"], e.payload["change"])
            for e in await events(engine, "changed")
        ),
        sorted(
            (e.payload["tag"], e.occurred_at) for e in await events(engine, "release")
        ),
        {
            title: sorted(contents)
            for title, contents in (await talk(engine)).items()
        },
    )  # fmt: skip


async def fresh(root):
    """
    What the first import into an empty database tells.
    """
    async with temporary_database() as engine:
        await import_working_tree(engine, root)
        return await told(engine)


def counted(report):
    return report.commits, report.releases, report.conversations, report.forgotten
