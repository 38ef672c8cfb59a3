"""
A document's path names a file below its root, whatever is written in it.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import socket
import threading
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from project_architect_db import ArchitectError, UnsafePathError
from project_architect_db.domain import paths
from project_architect_db.domain.file_reading import (
    DocumentFacts,
    identities,
    read_below,
    read_file,
)
from project_architect_db.domain.paths import clean_path, readable_name, resolve_path

SECRET = "secret"

UPS = [
    "..", ". .", ".. ", " ..", "...", ".\u200b.", "\uff0e\uff0e", "\u2024\u2024",
    ".\uff0e", "\u2025", "\ufe52.", "..\u00a0", "\ufeff..", ".\u2060.", ".. .",
]  # fmt: skip
SLASHES = ["/", "\\", "\uff0f", "\u2215", "\u2044", "\uff3c", "\u2216", "\u29f8", "//"]
BEFORE = ["", "docs", "./docs/deep", "file.txt"]
AFTER = ["outside/secret.txt", "..", ""]
ABSOLUTE = [
    *(f"{slash}etc{slash}passwd" for slash in SLASHES),
    *(f"{drive}{slash}secret.txt" for drive in ("C:", "c:", "\uff23\uff1a", "Z:")
      for slash in ["", *SLASHES]),
    *(f"docs/{drive}secret.txt" for drive in ("C:", "\uff23:", "c\ufe55", "\u200bC:")),
    r"\\server\share\secret.txt", "//server/share/secret.txt",
    r"\\?\C:\secret.txt", r"\\.\PhysicalDrive0", r"\??\C:\secret.txt",
    "\u200b/etc/passwd", "\uff3c\uff3cserver\uff3cshare",
]  # fmt: skip
DEVICES = [
    f"{folder}{name}{suffix}"
    for folder in ("", "docs/")
    for name in ("CON", "nul", "Aux", "PRN", "COM1", "lpt9", "COM\u00b9", "CONIN$")
    for suffix in ("", ".txt", " ", " .txt", ":", ".tar.gz", "\u200b")
]
CONTROLS = [
    text
    for c in ["\0", "\n", "\r", "\t", "\x1b", "\x7f", "\x85", "\u2028", "\u202e",
              "\u2066", "\u200f", "\u061c"]
    for text in (f"docs/a{c}.txt", f"{c}docs/a.txt", f"../outside/secret.txt{c}.md")
]  # fmt: skip
BROKEN = [
    "", ".", "./", "././", " ", "docs/ /a", "docs/./.../a", "\u200b", "\u2026",
    "\ud800", "docs/\udcff", "a" * 256, "docs/" + "\u00e9" * 128, "a/" * 2_049,
    "../" * 2_000 + "etc/passwd", "docs/\u2026/a", "a\\b", "docs\\deep\\a.txt",
]  # fmt: skip
REFUSED = [
    f"{before}{slash if before else ''}{up}{slash}{after}"
    for before, slash, up, after in itertools.product(BEFORE, SLASHES, UPS, AFTER)
]
REFUSED += [*ABSOLUTE, *DEVICES, *CONTROLS, *BROKEN]
# They are names like any other, unless a link of that name leads away.
NAMES = [
    *(f"{link}{rest}" for link in (
        "out", "docs/out", "up", "docs/up", "absolute", "chain", "inner/out", "far",
        "etc", "proc", "dangling", "secret.txt", "loop", "docs/long")
      for rest in ("", "/secret.txt", "/outside/secret.txt", "/passwd", "/root/secret",
                   "/self/root/etc/passwd", "/a/b")),
    "%2e%2e/outside/secret.txt", "%2e%2e%2foutside", "..%2foutside", "..%c0%af", "~",
    "~root/secret.txt", "$HOME/secret.txt", "..a/b", "a../b", "docs/a..", "${IFS}",
    "-rf", "*", "file.txt/x", "file.txt::$DATA",
]  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    A folder with a secret beside it, and links of every kind that lead there.
    """
    home = tmp_path_factory.mktemp("home")
    for folder in ("root/docs/deep", "root/inner", "outside/outside"):
        (home / folder).mkdir(parents=True)
    for name in ("secret.txt", "outside/secret.txt", "outside/outside/secret.txt"):
        (home / name).write_text(SECRET)
    root = home / "root"
    (root / "file.txt").write_text("public")
    (root / "docs/file.txt").write_text("public")
    for name, target in {
        "out": "../outside",
        "docs/out": "../../outside",
        "up": "..",
        "docs/up": "../..",
        "absolute": str(home / "outside"),
        "chain": "docs/out",
        "inner/out": "../chain",
        "far": "docs/../../outside",
        "etc": "/etc",
        "proc": "/proc",
        "dangling": "../nowhere",
        "secret.txt": "../outside/secret.txt",
        "loop": "loop",
        "docs/long": "../docs/../docs/../docs/up",
        "short cut": "docs",
        "link.txt": "docs/file.txt",
        "here": ".",
    }.items():
        (root / name).symlink_to(target)
    return root


# --- what a path may be ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a", "a"),
        ("./a//b", "a/b"),
        ("a/./b/", "a/b"),
        (".env", ".env"),
        (".github/workflows/ci.yml", ".github/workflows/ci.yml"),
        ("..a/b../c..d", "..a/b../c..d"),
        ("10:30 notes?.md", "10:30 notes?.md"),
        ("a b/ünïcode \N{SNOWMAN}.md", "a b/ünïcode \N{SNOWMAN}.md"),
        ("e\u0301.md", "e\u0301.md"),
        ("½ cup…txt", "½ cup…txt"),
        ("console.py", "console.py"),
        ("docs/nullable.sql", "docs/nullable.sql"),
        ("\U0001f469\u200d\U0001f680.md", "\U0001f469\u200d\U0001f680.md"),
        ("a" * 255, "a" * 255),
        ("a/" * 2_047 + "a", "a/" * 2_047 + "a"),
    ],
)
def test_a_path_has_one_form(text, path):
    assert path == clean_path(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "names no file"),
        ("/etc/passwd", "absolute"),
        (r"\\server\share", "absolute"),
        ("C:/a", "'C:' is a drive of Windows"),
        ("a/../b", r"'\.\.' is no name"),
        ("a/\uff0e\uff0e/b", r"'\.\.' is no name"),
        ("a/nul.txt", r"'nul\.txt' is a device on Windows"),
        ("a\0b", r"control character U\+0000"),
        ("a\u202eb", r"control character U\+202E"),
        ("a\ud800", "surrogate"),
        ("docs\\a.txt", "write / between folders, as in 'docs/a.txt'"),
        ("a" * 256, r"^'a{80}'…: one of its names is longer than 255 bytes"),
        ("a/" * 5_000, "longer than 4,096 bytes"),
    ],
)
def test_a_refusal_says_why_and_what_to_do(text, reason):
    with pytest.raises(UnsafePathError, match=reason) as refused:
        clean_path(text)

    assert isinstance(refused.value, ValueError)
    assert isinstance(refused.value, ArchitectError)
    assert text == refused.value.path


@given(st.text(st.sampled_from("a.:/\\ CON\uff0e\uff0f\u2025\u2215\u200b\0\ud800~1é")))
@example("a/\u2025/b")
def test_what_passes_is_below_the_root_however_it_is_read(text):
    try:
        path = clean_path(text)
    except UnsafePathError as refused:
        str(refused).encode()
        return
    assert path == clean_path(path)
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        read = unicodedata.normalize(form, path).replace("\\", "/")
        assert not read.startswith("/")
        assert ".." not in os.path.normpath(read).split("/")
        assert "" not in [part.strip(" .") for part in read.split("/")]


# --- hostile paths --------------------------------------------------------------------


def test_there_are_a_thousand_hostile_paths():
    assert len({*REFUSED, *NAMES}) > 1_500


def test_no_hostile_path_is_taken_for_one_of_a_document():
    passed = []
    for text in REFUSED:
        try:
            passed.append((text, clean_path(text)))
        except UnsafePathError:
            continue
    assert passed == []


def test_a_path_is_refused_for_itself_alone_not_for_what_is_on_disk():
    for text in NAMES:
        assert text == clean_path(text)


@pytest.mark.parametrize("platform", ["POSIX", "Windows"])
def test_no_hostile_path_leads_out_of_the_root(root, platform, monkeypatch):
    """
    Stored ones are understood without `clean_path`, so that they are tried alone, too.
    """
    if platform == "Windows":  # its rules; the file system is that of this machine
        monkeypatch.setattr(paths, "_WINDOWS", True)
        monkeypatch.setattr(os, "supports_dir_fd", set())
    refused = 0
    for text in {*REFUSED, *NAMES}:
        try:
            file = resolve_path(root, text)
        except UnsafePathError:
            refused += 1
        else:
            assert file.is_relative_to(root.resolve()), text
            assert str(file) == os.path.realpath(file), text
        assert read_file(root, text).content in {None, "public"}, text
    assert refused > 700


@pytest.mark.parametrize("name", ["..", "../outside/secret.txt", "docs/../../x", ""])
def test_no_segment_leads_up_even_for_those_who_name_them_one_by_one(root, name):
    facts = read_below(root, name.split("/"), name, 100, set())

    assert DocumentFacts(path=name, skipped="unsafe") == facts


def test_without_folder_descriptors_nothing_is_opened_elsewhere(root, monkeypatch):
    monkeypatch.setattr(os, "supports_dir_fd", set())
    secret = str(root.parent / "outside/secret.txt")

    assert read_below(root, [secret], "x", 100, set()).skipped == "symlink"
    assert read_below(root, ["out", "secret.txt"], "x", 9, set()).skipped == "symlink"
    assert read_file(root, "docs/file.txt").content == "public"
    assert read_file(root, "short cut/file.txt").content == "public"


def test_links_that_stay_inside_are_followed(root):
    file = root.resolve() / "docs/file.txt"

    assert file == resolve_path(root, "link.txt")
    assert file == resolve_path(root, "short cut/file.txt")
    assert file == resolve_path(root, "here/here/link.txt")
    assert file.with_name("new") == resolve_path(root, "short cut/new")
    assert read_file(root, "link.txt").content == "public"
    assert read_file(root, "link.txt").path == "link.txt"
    assert read_file(root, "short cut/file.txt").content == "public"
    assert read_file(root, "short cut/gone.txt").skipped == "missing"
    assert read_file(root, "loop").skipped == "symlink"


def test_the_root_itself_may_be_reached_through_a_link(root, tmp_path):
    (tmp_path / "link").symlink_to(root)

    assert read_file(tmp_path / "link", "file.txt").content == "public"
    assert root.resolve() / "file.txt" == resolve_path(tmp_path / "link", "file.txt")


def test_thousands_of_links_in_a_row_are_unsafe_not_fatal(tmp_path):
    (tmp_path / "0").write_text("public")
    for i in range(1_200):
        (tmp_path / str(i + 1)).symlink_to(str(i))

    with pytest.raises(UnsafePathError, match="cannot be followed") as refused:
        resolve_path(tmp_path, "1200")

    assert isinstance(refused.value.__cause__, RecursionError)
    assert read_file(tmp_path, "1200").skipped == "unsafe"
    assert read_file(tmp_path, "9").content == "public"


@pytest.mark.parametrize("root", ["/srv\0", "/srv\ud800", Path("\0")])
def test_a_root_that_no_folder_can_be_is_refused(root):
    with pytest.raises(UnsafePathError, match="no folder can be called so"):
        read_file(root, "a")


# --- swapped meanwhile ----------------------------------------------------------------


def before_opening(name, action, monkeypatch):
    """
    Do something right before a name is opened, once.
    """
    really, done = os.open, []

    def open_(path, *arguments, **options):
        if Path(path).name == name and not done:
            done.append(action())
        return really(path, *arguments, **options)

    monkeypatch.setattr(os, "open", open_)
    monkeypatch.setattr(os, "supports_dir_fd", {*os.supports_dir_fd, open_})


def test_a_folder_that_becomes_a_link_meanwhile_leads_nowhere(tmp_path, monkeypatch):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/a.txt").write_text(SECRET)
    folder = tmp_path / "root/folder"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("public")

    def swap():
        folder.rename(tmp_path / "root/aside")
        folder.symlink_to(tmp_path / "outside")

    before_opening("folder", swap, monkeypatch)

    assert read_file(tmp_path / "root", "folder/a.txt").skipped == "unsafe"


def test_a_root_that_becomes_a_link_meanwhile_leads_nowhere(tmp_path, monkeypatch):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/a.txt").write_text(SECRET)
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.txt").write_text("public")

    def swap():
        root.rename(tmp_path / "aside")
        root.symlink_to(tmp_path / "outside")

    before_opening("root", swap, monkeypatch)

    assert read_file(root, "a.txt").skipped == "unsafe"


def test_a_file_that_becomes_a_link_meanwhile_is_not_followed(tmp_path, monkeypatch):
    (tmp_path / "secret.txt").write_text(SECRET)
    file = tmp_path / "root/a.txt"
    file.parent.mkdir()
    file.write_text("public")

    def swap():
        file.unlink()
        file.symlink_to("../secret.txt")

    before_opening("a.txt", swap, monkeypatch)

    assert read_file(tmp_path / "root", "a.txt").skipped == "unsafe"


def test_a_file_that_becomes_a_pipe_meanwhile_is_not_waited_for(tmp_path, monkeypatch):
    file = tmp_path / "a.txt"
    file.write_text("public")
    before_opening("a.txt", lambda: (file.unlink(), os.mkfifo(file)), monkeypatch)

    assert read_file(tmp_path, "a.txt").skipped == "unreadable"


def test_a_file_that_vanishes_meanwhile_is_missing(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("public")
    before_opening("a.txt", (tmp_path / "a.txt").unlink, monkeypatch)

    assert read_file(tmp_path, "a.txt").skipped == "missing"


def test_a_file_that_grows_meanwhile_is_too_large(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("public")
    grow = lambda: (tmp_path / "a.txt").write_text("public" * 9)  # noqa: E731
    before_opening("a.txt", grow, monkeypatch)

    assert read_file(tmp_path, "a.txt", max_bytes=6).skipped == "too large"


def test_links_swapped_all_the_time_never_show_the_secret(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/a.txt").write_text(SECRET)
    folder, aside = tmp_path / "root/folder", tmp_path / "root/aside"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("public")
    stop = threading.Event()

    def swap():
        while not stop.is_set():
            folder.rename(aside)
            folder.symlink_to(tmp_path / "outside")
            folder.unlink()
            aside.rename(folder)

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        found = {
            read_file(tmp_path / "root", "folder/a.txt").content for _ in range(1_000)
        }
    finally:
        stop.set()
        swapper.join()

    assert found <= {None, "public"}


# --- reading --------------------------------------------------------------------------


def test_a_text_is_read_with_its_facts(tmp_path):
    data = b"import os\r\n\nx = 'caf\xe9'"
    (tmp_path / "a.py").write_bytes(data)

    facts = read_file(tmp_path, "a.py")

    assert facts == DocumentFacts(
        path="a.py",
        size=22,
        lines=3,
        language="Python",
        sha256=hashlib.sha256(data).hexdigest(),
        content="import os\r\n\nx = 'café'",
        encoding="latin-1",
    )


def test_whatever_is_there_is_reported_and_never_fatal(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary.md").write_bytes(b"a\0b")
    (tmp_path / "huge.md").touch()
    os.truncate(tmp_path / "huge.md", 1 << 30)
    os.mkfifo(tmp_path / "pipe.md")
    (tmp_path / "locked.md").touch(mode=0)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(tmp_path / "socket"))
    (tmp_path / "other").touch()
    (tmp_path / "hard link").hardlink_to(tmp_path / "other")

    def reason(path):
        return read_file(tmp_path, path, exclude=[tmp_path / "other", "/x"]).skipped

    assert reason("folder") == "folder"
    assert reason("folder/gone") == reason("gone/gone") == "missing"
    assert reason("binary.md/below") == reason("pipe.md/below") == "missing"
    assert reason("binary.md") == "binary"
    assert reason("huge.md") == "too large"
    assert read_file(tmp_path, "huge.md").size == 1 << 30
    assert reason("pipe.md") == reason("socket") == "unreadable"
    assert reason("a" * 256) == "unreadable"
    assert reason("hard link") == "unreadable"
    assert reason("../a") == "unsafe"
    assert read_file(tmp_path / "nowhere", "a").skipped == "missing"
    if not os.access(tmp_path / "locked.md", os.R_OK):  # root reads everything
        assert reason("locked.md") == "unreadable"


def test_an_error_of_the_disk_is_reported(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("public")

    def fail():
        raise OSError(errno.EIO, "the disk is broken")

    before_opening("a.txt", fail, monkeypatch)

    facts = read_file(tmp_path, "a.txt")

    assert (facts.skipped, facts.size) == ("unreadable", 6)


# --- names that git found -------------------------------------------------------------

ODD_NAMES = [
    b"back\\slash", b"caf\xe9.txt", b"\xff/deep.txt", b"both\\\xff", b"\\xff\xfe",
    b"C:", b"con", "\uff0e\uff0e".encode(), b" ", b"new\nline", b"~e3b0c442",
]  # fmt: skip


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_path_that_the_importer_stored_means_its_file(name, tmp_path):
    file = tmp_path / os.fsdecode(name)
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(name)
    path = readable_name(name)

    assert file == resolve_path(tmp_path, path)
    assert read_file(tmp_path, path).size == len(name)


def test_two_files_that_read_alike_are_kept_apart(tmp_path):
    real, odd = b"caf\\xe9.txt", b"caf\xe9.txt"
    for name in (real, odd):
        (tmp_path / os.fsdecode(name)).write_bytes(name)
    marked = readable_name(odd, lambda name: name == real)

    assert readable_name(real) == readable_name(odd) == "caf\\xe9.txt"
    assert read_file(tmp_path, "caf\\xe9.txt").content == "caf\\xe9.txt"
    assert read_file(tmp_path, marked).content == "café.txt"
    assert read_file(tmp_path, marked[:-1] + "!").skipped == "missing"


@pytest.mark.parametrize("path", ["\\x2e\\x2e/a", "docs\\x2f..\\x2fa", "\\xe9\\x2e."])
def test_no_dot_or_slash_comes_out_of_an_escape(root, path):
    assert read_file(root, path).skipped == "missing"


@given(st.binary(min_size=1, max_size=20).filter(lambda b: not {*b} & {0, 47}))
@example(b"\\xff\xff")
@example(b"\xff~12345678")
def test_every_name_comes_back_from_its_text(name):
    text = readable_name(name)

    assert os.fsdecode(name) in list(paths._names(text))


def test_an_excluded_file_that_is_not_there_excludes_nothing(tmp_path):
    assert identities([tmp_path / "nowhere"]) == set()
