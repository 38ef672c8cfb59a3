"""
Ask git: one function for each command whose answer is needed.

git runs as a child process that never outlives the call. Nothing is written or
fetched, nobody is asked for a password, and no program that the repository's
configuration names is run.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
from collections import Counter
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from project_architect_db.errors import GitError, GitNotFoundError, NotARepositoryError

PIECE = 1 << 16

_GIT = ("git", "--no-pager", "-c", "core.quotepath=off", "-c", "core.fsmonitor=false")
_LOG = ["log", "-z", "--no-show-signature", "--no-color", "--encoding=UTF-8"]
_LOG += ["--format=tformat:%H%x00%aN%x00%aE%x00%at", "--"]
_LIST = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]
_PLACE = ["--is-inside-work-tree", "--is-shallow-repository", "--show-toplevel"]
_SETTINGS = {
    "GIT_ALLOW_PROTOCOL": "",  # git before 2.45 does not know the next one
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
# Set inside a git hook: they would lead git to another repository than the path.
_REDIRECTIONS = frozenset({
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_DIR", "GIT_INDEX_FILE",
    "GIT_NAMESPACE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_WORK_TREE",
})  # fmt: skip
_LOGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([^/]*)@", re.IGNORECASE)


async def stream(
    folder: str | os.PathLike[str], *arguments: str, stdin: bytes = b""
) -> AsyncGenerator[bytes, None]:
    """
    Run git in a folder and yield what it writes, piece by piece.

    However the reading ends, git is gone and waited for when the generator is closed.

    Args:
        folder: Where to run it.
        arguments: Of git.
        stdin: What it reads, before it writes anything.

    Raises:
        GitNotFoundError: git is not installed.
        GitError: git exited with another code than 0.
    """
    command = [*_GIT, "-C", os.fspath(folder), *arguments]
    inherited = {k: v for k, v in os.environ.items() if k not in _REDIRECTIONS}
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=pipe if stdin else asyncio.subprocess.DEVNULL, stdout=pipe,
            stderr=pipe, env=inherited | _SETTINGS,
        )  # fmt: skip
    except (FileNotFoundError, PermissionError) as error:
        raise GitNotFoundError from error
    if process.stdin is not None:
        process.stdin.write(stdin)
        process.stdin.close()
    stdout = cast("asyncio.StreamReader", process.stdout)
    stderr = cast("asyncio.StreamReader", process.stderr)
    complaints = asyncio.create_task(stderr.read())
    try:
        while piece := await stdout.read(PIECE):
            yield piece
        code = await process.wait()
    finally:
        await _to_its_end(_finish(process, stdout, complaints))
    if code:
        said = complaints.result().decode(errors="replace").strip()
        raise GitError(command=command, returncode=code, stderr=said)


async def _finish(
    process: asyncio.subprocess.Process,
    stdout: asyncio.StreamReader,
    complaints: asyncio.Task[bytes],
) -> None:
    """
    Kill git if it still runs, and wait for it and its pipes.

    A pipe that nobody reads to its end would never be closed.
    """
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
    while await stdout.read(PIECE):
        pass
    await asyncio.wait({complaints})
    await process.wait()


async def _to_its_end(work: Coroutine[object, object, None]) -> None:
    """
    Await it to its end, however often the task is cancelled meanwhile.
    """
    task, cancellation = asyncio.ensure_future(work), None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancellation = error
    task.result()
    if cancellation is not None:
        raise cancellation


async def output(
    folder: str | os.PathLike[str], *arguments: str, stdin: bytes = b""
) -> bytes:
    """
    Run git in a folder and return what it writes.
    """
    async with aclosing(stream(folder, *arguments, stdin=stdin)) as pieces:
        return b"".join([piece async for piece in pieces])


async def find_root(path: str | os.PathLike[str]) -> tuple[Path, bool]:
    """
    Find the top of the working tree that `path` is in, and whether it is shallow.
    """
    try:
        path = os.fsdecode(os.fsencode(path))
    except (TypeError, UnicodeEncodeError) as error:
        raise NotARepositoryError(path, "no folder can be called so") from error
    if "\0" in path:
        raise NotARepositoryError(path, "a path cannot contain NUL")
    try:
        answer = await output(path, "rev-parse", *_PLACE)
    except GitError as error:
        if clearer := _explained(error, path):
            raise clearer from error
        raise
    inside, shallow, root = answer.split(b"\n", 2)
    top = Path(os.fsdecode(root.removesuffix(b"\n")))
    if inside != b"true":
        raise NotARepositoryError(path, f"its working tree is elsewhere, in {top}")
    return top, shallow == b"true"


def _explained(error: GitError, path: str | os.PathLike[str]) -> GitError | None:
    """
    Say why git found no working tree, and what to do, where we know better than git.
    """
    said = error.stderr
    if "must be run in a work tree" in said:
        reason = "a bare repository or the inside of a .git folder, not a working tree"
        return NotARepositoryError(path, reason)
    if "not a git repository" in said or "cannot change to" in said:
        return NotARepositoryError(path, said.removeprefix("fatal: "))
    if "safe.directory" in said:
        advice = said.splitlines()[-1].strip()
        return GitError(
            f"{path} belongs to another user, so git does not trust it; if you do, "
            f"run `{advice}` and try again",
            command=error.command, returncode=error.returncode, stderr=said,
        )  # fmt: skip
    return None


async def ask(root: Path, *arguments: str) -> bytes:
    """
    Run git where its exit code 1 says that there is no such thing.
    """
    try:
        return await output(root, *arguments)
    except GitError as error:
        # A remote's name in the configuration need not be possible in a ref.
        if error.returncode != 1 and "No such ref" not in error.stderr:
            raise
        return b""


async def read_ref(root: Path, name: str, prefix: str) -> str | None:
    """
    Read the ref that a symbolic ref names, without its prefix; `None` if there is none.
    """
    target = await ask(root, "symbolic-ref", "-q", name)
    return target.decode(errors="replace").strip().removeprefix(prefix) or None


async def read_remote(root: Path) -> tuple[str, str | None]:
    """
    Read the name and the URL of `origin`, or else of the first remote.
    """
    answer = await ask(root, "config", "-z", "--get-regexp", r"^remote\..*\.url$")
    remotes: dict[str, str] = {}
    for line in answer.decode(errors="replace").split("\0"):
        key, _, url = line.partition("\n")
        if url:
            name = key.removeprefix("remote.").removesuffix(".url")
            remotes.setdefault(name, without_credentials(url))
    name = next((name for name in ("origin", *remotes) if name in remotes), "origin")
    return name, remotes.get(name)


def without_credentials(url: str) -> str:
    """
    Remove passwords and tokens from a URL; ssh keeps its user, who is no secret.
    """

    def login(found: re.Match[str]) -> str:
        scheme, user = found[1], found[2].partition(":")[0]
        return f"{scheme}://{user}@" if "ssh" in scheme.lower() else f"{scheme}://"

    url = _LOGIN.sub(login, url)
    if url.lower().startswith("http"):  # ?private_token=…
        url = re.split("[?#]", url, maxsplit=1)[0]
    return url


@dataclass(frozen=True, slots=True, kw_only=True)
class Contributor:
    """
    An author, under the name and address that the `.mailmap` gives.
    """

    name: str
    email: str
    commits: int


@dataclass(slots=True)
class History:
    """
    The sums over `git log`: they grow with authors and days, not with commits.
    """

    head: str | None = None
    authors: Counter[tuple[bytes, bytes]] = field(default_factory=Counter)
    days: Counter[int] = field(default_factory=Counter)
    ends: tuple[int, ...] = ()

    def add(self, fields: list[bytes]) -> None:
        """
        Count whole records of four fields: hash, name, email, time.
        """
        self.head = self.head or fields[0].decode()
        self.authors.update(zip(fields[1::4], fields[2::4], strict=True))
        # A broken date is empty, or beyond the year 5138: no day, yet a commit.
        dates = (date for date in fields[3::4] if date.isdigit() and len(date) < 12)
        times = [int(date) for date in dates]
        self.days.update(time // 86_400 for time in times)
        times.extend(self.ends)
        self.ends = (min(times), max(times)) if times else ()

    def span(self) -> list[datetime | None]:
        """
        When the first and the last commit were made.
        """
        return [_moment(end) for end in self.ends] or [None, None]

    def months(self) -> dict[str, int]:
        """
        Count the commits of each month.
        """
        months: Counter[str] = Counter()
        for day, commits in sorted(self.days.items()):
            months[f"{_moment(day * 86_400):%Y-%m}"] += commits
        return dict(months)

    def contributors(self) -> tuple[Contributor, ...]:
        """
        List the authors, the busiest first.
        """
        authors: Counter[tuple[str, str]] = Counter()
        for (name, email), commits in self.authors.items():
            key = name.decode(errors="replace"), email.decode(errors="replace")
            authors[key] += commits
        ranked = sorted(authors.items(), key=lambda author: (-author[1], author[0]))
        return tuple(Contributor(name=n, email=e, commits=c) for (n, e), c in ranked)


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


async def read_history(root: Path) -> History:
    """
    Add up `git log` as it comes in.
    """
    history, rest = History(), b""
    try:
        async with aclosing(stream(root, *_LOG)) as pieces:
            async for piece in pieces:
                fields = (rest + piece).split(b"\0")
                whole = (len(fields) - 1) // 4 * 4
                if whole:
                    history.add(fields[:whole])
                rest = b"\0".join(fields[whole:])
    except GitError as error:
        if "does not have any commits yet" not in error.stderr:
            raise
    return history


async def list_names(root: Path) -> list[bytes]:
    """
    List the files of a working tree as git names them, sorted.
    """
    listing = await output(root, *_LIST)

    def names() -> list[bytes]:
        # An untracked folder with a repository of its own is listed with a slash.
        found = sorted(name.rstrip(b"/") for name in listing.split(b"\0"))
        return [name for name, _ in itertools.groupby(found) if name]

    return await asyncio.to_thread(names)
