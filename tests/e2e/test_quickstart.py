"""
The command, as a user runs it in a terminal, a pipe or a script.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest
from command_runner import run_command

import project_architect_db

COMMAND = str(Path(sys.executable).with_name("project-architect-db"))
TIME = "2026-03-01T12:00:00+00:00"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX terminals")


@pytest.fixture
def environment(tmp_path):
    """
    The environment without what the machine's git or our settings might add.
    """
    ours = ("GIT_", "PROJECT_ARCHITECT_DB_", "FORCE_COLOR", "NO_COLOR", "COLUMNS")
    env = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    for who in ("AUTHOR", "COMMITTER"):
        env |= {
            f"GIT_{who}_NAME": "Ada Lovelace",
            f"GIT_{who}_EMAIL": "ada@example.org",
            f"GIT_{who}_DATE": TIME,
        }
    return env | {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CEILING_DIRECTORIES": str(tmp_path),
        "PYTHONWARNINGS": "error",
    }


@pytest.fixture
def git(environment, tmp_path):
    """
    Run git in the tree.
    """
    (tmp_path / "tree").mkdir()

    def run(*arguments, stdin=b""):
        subprocess.run(
            ("git", "-c", "maintenance.auto=false", *arguments),
            cwd=tmp_path / "tree", env=environment, input=stdin, check=True,
        )  # fmt: skip

    run("init", "-q", "-b", "main", "--template=")
    return run


@pytest.fixture
def tree(git, tmp_path):
    """
    A tree with two files and a commit.
    """
    root = tmp_path / "tree"
    (root / "app.py").write_text("print(1)\nprint(2)\n")
    (root / "README.md").write_text("# [bold]hello[/bold]\n")
    git("add", "--all")
    git("commit", "-q", "-m", "x")
    return root


@pytest.fixture
def run(environment, tmp_path):
    """
    Run the command in the temporary folder.
    """

    def run(*arguments, code=0, **env):
        done = run_command(map(str, arguments), cwd=tmp_path, env=environment | env)
        assert code == done.returncode, done.stdout + done.stderr
        return done

    return run


@pytest.fixture
def run_process(environment, tmp_path):
    """
    Run the command in the temporary folder, in a process of its own.
    """

    def run(*arguments, code=0):
        done = subprocess.run(
            (COMMAND, *map(str, arguments)), cwd=tmp_path, env=environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert code == done.returncode, done.stdout + done.stderr
        return done

    return run


@pytest.fixture
def quickstart(run, tmp_path):
    """
    Run `quickstart --json` and return what it found.
    """

    def quickstart(*arguments):
        done = run("quickstart", *arguments, "--json", "-d", "app.duckdb")
        assert done.stderr == ""
        return json.loads(done.stdout)

    return quickstart


def failure(done):
    """
    The one line an error is.
    """
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: ")
    return line


# --- what it finds --------------------------------------------------------------


def test_the_tables_show_languages_documents_commits_and_contributors(
    run, tree, tmp_path
):
    done = run("quickstart", tree)
    assert (tmp_path / "architect.duckdb").exists()
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    lines = {re.sub(r"\s+", " ", line).strip() for line in done.stdout.splitlines()}
    assert {
        "Repository tree",
        "Commits 1, 2026-03-01 to 2026-03-01",
        "Releases 0",
        "Conversations 1",
        "Documents 2 in 3 lines",
        "Activity 7 events",
        "Import 2 new",
        "History 1 new commit",
        "Skipped nothing",
        "Languages",
        "Contributors",
        "Commits per month",
    } <= lines
    assert f"Python 1 2 {'█' * 24}" in lines
    assert f"Markdown 1 1 {'█' * 12}" in lines
    assert f"Ada Lovelace 1 {'█' * 24}" in lines
    assert f"2026-03 1 {'█' * 24}" in lines
    assert all(len(line) <= 80 for line in done.stdout.splitlines())


@pytest.mark.slow
def test_the_environment_names_the_database(run, tree, tmp_path):
    run("quickstart", tree, PROJECT_ARCHITECT_DB_URL="env.duckdb")
    assert [file.name for file in tmp_path.glob("*.duckdb")] == ["env.duckdb"]


def test_running_it_again_updates(quickstart, tree, git):
    first = quickstart(tree)
    (tree / "app.py").write_text("print(3)\n")
    (tree / "README.md").unlink()
    (tree / "new.sql").write_text("SELECT 1")
    git("add", "--all")
    git("commit", "-q", "-m", "x")
    second = quickstart(tree / ".git" / "..")

    def counts(found):
        return [found[k] for k in ("added", "updated", "unchanged", "removed")]

    assert counts(first) == [2, 0, 0, 0]
    assert counts(second) == [1, 1, 0, 1]
    assert second["repository"]["commits"] == 2
    assert first["repository_id"] == second["repository_id"]
    with duckdb.connect(tree.parent / "app.duckdb") as database:
        rows = database.execute("SELECT path FROM documents ORDER BY path").fetchall()
    assert rows == [("app.py",), ("new.sql",)]


@pytest.mark.slow
def test_commits_and_tags_are_counted_and_not_counted_twice(quickstart, run, tree, git):
    git("tag", "v1")
    git("commit", "-q", "--allow-empty", "-m", "y")
    names = ("commits", "releases", "conversations", "forgotten")
    first = quickstart(tree)
    second = quickstart(tree)
    assert [2, 1, 2, 0] == [first[name] for name in names]
    assert [0, 0, 0, 0] == [second[name] for name in names]
    found = second["repository"]
    assert (1, 2, first["events"]) == (
        found["releases"], found["conversations"], found["events"],
    )  # fmt: skip
    git("commit", "-q", "--amend", "--allow-empty", "-m", "z")
    shown = run("quickstart", tree, "-d", "app.duckdb").stdout
    assert re.search("History +1 new commit, 1 forgotten", shown)
    assert re.search("Releases +1 ", shown)


@pytest.mark.slow
def test_json_has_all_of_it_and_no_colours_even_where_they_are_forced(run, tree):
    done = run("quickstart", tree, "--json", "-d", "app.duckdb", FORCE_COLOR="1")
    found = json.loads(done.stdout)
    assert found["database"].endswith("app.duckdb")
    assert found["skipped"] == {}
    repository = found["repository"]
    assert repository["name"] == "tree"
    assert repository["path"] == str(tree)
    assert repository["branch"] == "main"
    assert repository["first_commit_at"] == TIME
    assert repository["commits_per_month"] == {"2026-03": 1}
    assert repository["languages"][0] == {
        "language": "Python", "documents": 1, "lines": 2, "bytes": 18,
    }  # fmt: skip
    assert repository["contributors"] == [
        {"name": "Ada Lovelace", "email": "ada@example.org", "commits": 1}
    ]


@pytest.mark.slow
def test_the_current_folder_is_read_by_default(environment, tree):
    done = subprocess.run(
        (COMMAND, "quickstart", "--json"), cwd=tree, env=environment,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["added"] == 2
    done = subprocess.run(
        (COMMAND, "quickstart", "--json"), cwd=tree, env=environment,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert (found["unchanged"], found["skipped"]) == (2, {})  # not the database


# --- unusual trees --------------------------------------------------------------


def test_a_tree_of_nothing(run, git):
    done = run("quickstart", "tree")
    assert "no commit yet" in done.stdout
    assert re.search("Conversations +0", done.stdout)
    assert re.search("History +nothing", done.stdout)
    assert re.search("Documents +0 in 0 lines", done.stdout)
    assert "Languages" not in done.stdout


def test_a_tree_without_commits(quickstart, git, tmp_path):
    (tmp_path / "tree" / "a.py").write_text("1")
    found = quickstart("tree")
    assert found["added"] == 1
    assert found["repository"]["head_commit"] is None
    assert found["repository"]["first_commit_at"] is None


@pytest.mark.slow
def test_ten_thousand_commits(run, quickstart, git):
    commit = (
        "commit refs/heads/main\ncommitter {0} <{0}@x> {1} +0000\ndata 1\nx\n"
    )  # fmt: skip
    history = "".join(
        commit.format(f"author{n % 30}", 1_600_000_000 + n * 3600)
        for n in range(10_000)
    )
    git("fast-import", "--quiet", stdin=history.encode())
    found = quickstart("tree")["repository"]
    assert found["commits"] == 10_000
    assert len(found["contributors"]) == 30
    assert sum(found["commits_per_month"].values()) == 10_000
    done = run("quickstart", "tree", "-d", "app.duckdb")
    assert "… and 18 more" in done.stdout


def test_a_long_table_says_how_much_more_there_is(run, tree):
    languages = [
        "c",
        "cpp",
        "css",
        "go",
        "html",
        "java",
        "js",
        "kt",
        "lua",
        "php",
        "rb",
    ]
    for ending in [*languages, "rs", "sql"]:
        (tree / f"a.{ending}").write_text("x\n")
    assert "more" in run("quickstart", tree).stdout


@pytest.mark.slow
def test_files_that_are_no_utf_8_text(quickstart, tree):
    (tree / "latin.txt").write_bytes("Grüße\n".encode("latin-1"))
    (tree / "picture.png").write_bytes(b"\x89PNG\0\0")
    (tree / "large.txt").write_bytes(b"x" * 1_000_001)
    (tree / "link").symlink_to("app.py")
    found = quickstart(tree)
    assert found["added"] == 3
    assert found["skipped"] == {"binary": 1, "too large": 1, "symlink": 1}
    with duckdb.connect(tree.parent / "app.duckdb") as database:
        row = database.execute(
            "SELECT content, encoding FROM documents WHERE title = 'latin.txt'"
        ).fetchone()
    assert row == ("Grüße\n", "latin-1")


HOSTILE = ["new\nline.py", "\x1b[31mred.py", "[bold]x.py", "😀 é.py", "-rf", "a'\"b"]


@pytest.mark.slow
def test_file_names_that_are_hostile(run, tree, git):
    for name in HOSTILE:
        (tree / name).write_text("1")
    (tree / os.fsdecode(b"not-utf8-\xff.py")).write_text("1")
    git("add", "--all")
    git("commit", "-q", "-m", "x", "--author", "\x1b[31m[red]Eve <e@x>")
    (tree / "picture.png").write_bytes(b"\x89PNG\0\0")
    done = run("quickstart", tree, "-d", "app.duckdb")
    assert re.search(rf"Import +{2 + len(HOSTILE) + 1} new", done.stdout)
    assert re.search(r"Skipped +1 binary", done.stdout)
    with duckdb.connect(tree.parent / "app.duckdb") as database:
        paths = {
            p for (p,) in database.execute("SELECT path FROM documents").fetchall()
        }
    assert {*HOSTILE, r"not-utf8-\xff.py"} <= paths
    assert "\x1b" not in done.stdout
    assert "[red]Eve" in done.stdout


@pytest.mark.slow
def test_a_terminal_that_knows_only_ascii(run, tree):
    done = run("quickstart", tree, PYTHONIOENCODING="ascii", LC_ALL="C")
    assert "Python" in done.stdout


# --- what goes wrong ------------------------------------------------------------


@pytest.mark.parametrize("path", ["plain", "absent"])
def test_no_git_tree_is_one_line_and_leaves_nothing_behind(run, tree, tmp_path, path):
    (tmp_path / "plain").mkdir()
    line = failure(run("quickstart", path, code=1))
    assert path.partition("/")[0] in line
    assert not list(tmp_path.glob("*.duckdb*"))


def test_a_missing_git_is_one_line(run, tree, tmp_path):
    assert "git was not found" in failure(
        run("quickstart", tree, code=1, PATH=str(tmp_path))
    )


@pytest.mark.parametrize(
    ("database", "message"),
    [
        ("absent/app.duckdb", "the folder .*absent does not exist"),
        ("folder", "folder is a directory"),
        ("text.duckdb", "cannot be read as a DuckDB database"),
    ],
)
def test_a_wrong_database_is_one_line(run, tree, tmp_path, database, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.duckdb").write_text("no database" * 1000)
    line = failure(run("quickstart", tree, "-d", database, code=1))
    assert re.search(message, line)


@pytest.mark.slow
def test_a_locked_database_names_the_process(run_process, tree, tmp_path):
    with duckdb.connect(tmp_path / "app.duckdb"):
        line = failure(run_process("quickstart", tree, "-d", "app.duckdb", code=1))
    assert f"pid {os.getpid()}" in line


@pytest.mark.parametrize(
    "variable",
    [
        {"PROJECT_ARCHITECT_DB_THREADS": "many"},
        {"PROJECT_ARCHITECT_DB_THREAD": "2"},
    ],
)
def test_a_wrong_setting_is_one_line_and_exit_code_2(run, tree, variable):
    failure(run("quickstart", tree, code=2, **variable))


def test_wrong_usage_is_exit_code_2(run):
    assert "Usage:" in run("--nonsense", code=2).stderr


def test_debug_shows_where_an_error_came_from(run):
    done = run("--debug", "quickstart", "absent", code=1)
    assert "Traceback" in done.stderr
    assert "NotARepositoryError" in done.stderr


# --- help, terminals, signals ---------------------------------------------------


def test_help_has_an_example_and_all_commands(run):
    done = run("--help")
    assert "quickstart" in done.stdout
    assert "Exit codes" in done.stdout
    done = run("quickstart", "--help")
    assert "Example: project-architect-db quickstart" in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines())


def in_a_terminal(environment, *arguments, cwd):
    """
    What the command prints where it thinks that somebody looks.
    """
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        (COMMAND, *map(str, arguments)), cwd=cwd,
        env=environment | {"TERM": "xterm", "COLUMNS": "80"},
        stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    seen = b""
    with process:
        while True:
            if select.select([ours], [], [], 0.1)[0]:
                try:
                    piece = os.read(ours, 4096)
                except OSError:  # Linux says so when the other end is closed
                    break
                if not piece:
                    break
                seen += piece
    os.close(ours)
    return process.returncode, seen.decode()


@pytest.mark.slow
def test_a_terminal_shows_progress_and_then_only_the_tables(environment, tree):
    for number in range(250):
        (tree / f"{number}.txt").write_text("x")
    code, seen = in_a_terminal(environment, "quickstart", cwd=tree)
    assert code == 0
    assert "Reading files" in seen
    assert "252/252" in seen
    shown = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", seen.rpartition("\x1b[2K")[2])
    assert shown.splitlines()[0].startswith("Repository")
    assert all(len(line) <= 80 for line in shown.splitlines())


@pytest.mark.slow
def test_an_error_in_a_terminal_is_red(environment, tmp_path):
    code, seen = in_a_terminal(environment, "quickstart", "absent", cwd=tmp_path)
    assert code == 1
    assert "\x1b[31mError: " in seen


def put_slow_git(environment, folder, then):
    """
    A git that does something when it is to tell the history, and then takes a minute.
    """
    slow_git = folder / "bin" / "git"
    slow_git.parent.mkdir()
    slow_git.write_text(
        "#!/bin/sh\n"
        f'case " $* " in *" log "*) {then}; exec sleep 60;; esac\n'
        f'exec {shutil.which("git")} "$@"\n'
    )
    slow_git.chmod(0o755)
    environment["PATH"] = f"{slow_git.parent}:{environment['PATH']}"


def test_an_interrupt_ends_it_with_exit_code_130(environment, run, tree, tmp_path):
    put_slow_git(environment, tmp_path, "kill -INT $PPID")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        done = run("quickstart", tree, "-d", "app.duckdb", code=130)
    finally:
        signal.signal(signal.SIGINT, before)
    assert ("", "Interrupted; run it again to read the rest.\n") == done[1:]
    with duckdb.connect(tmp_path / "app.duckdb") as database:
        database.execute("SELECT count(*) FROM projects")


@pytest.mark.slow
def test_an_interrupt_ends_a_process_of_its_own_too(environment, tree, tmp_path):
    put_slow_git(environment, tmp_path, f"touch {tmp_path}/reached")
    process = subprocess.Popen(
        (COMMAND, "quickstart", str(tree), "-d", "app.duckdb"), cwd=tmp_path,
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # A shell that put the tests in the background has them ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )  # fmt: skip
    while not (tmp_path / "reached").exists():
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert out == ""
    assert err == "Interrupted; run it again to read the rest.\n"
    with duckdb.connect(tmp_path / "app.duckdb") as database:
        database.execute("SELECT count(*) FROM projects")


def test_the_version_is_told(run):
    done = run("--version")
    assert done.returncode == 0
    assert done.stdout == (
        f"project-architect-db {project_architect_db.__version__}, "
        f"DuckDB {duckdb.__version__}\n"
    )


def test_the_package_can_be_run_as_well(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["project-architect-db", "--version"])
    monkeypatch.delitem(sys.modules, "project_architect_db.__main__", raising=False)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("project_architect_db", run_name="__main__")
    assert not ended.value.code
    assert capsys.readouterr().out.startswith("project-architect-db ")


@pytest.mark.slow
def test_a_reader_that_leaves_early_is_no_error(environment, tree, tmp_path):
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(
        (COMMAND, "quickstart", str(tree)), cwd=tmp_path, env=environment,
        stdout=theirs, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    os.close(theirs)
    assert "Traceback" not in done.stderr
