"""
A folder of migrations: `env.py`, `script.py.mako`, and the revisions in `versions`.
"""

from __future__ import annotations

import errno
import io
import os
import shutil
import sys
from argparse import Namespace
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from project_architect_db.engine.migrations.results import Revision
from project_architect_db.errors import ArchitectError, MigrationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alembic.script import Script

ENV = '''"""
What `{target}` and Alembic run migrations with.
"""

from project_architect_db.migrating import run_migrations
from {module} import {first}

run_migrations({name})
'''

INI = """\
# For `alembic -c {folder}/alembic.ini`; `project-architect-db migrate` reads it, too.
[alembic]
script_location = %(here)s
prepend_sys_path = .
path_separator = os
file_template = %%(year)d_%%(month).2d_%%(day).2d_%%(rev)s_%%(slug)s
"""


def own_folder() -> Path:
    """
    Where the migrations of this library's models are.
    """
    package = Path(__file__).parents[2]
    installed, checkout = package / "migrations", package.parents[1] / "migrations"
    return installed if installed.is_dir() else checkout


@contextmanager
def our_errors(folder: Path) -> Iterator[None]:
    """
    Alembic's errors, and those of files it reads, as `MigrationError`.
    """
    try:
        yield
    except ArchitectError:
        raise
    except CommandError as error:
        raise MigrationError(f"{folder}: {error}") from error
    except Exception as error:
        raise MigrationError(f"{folder}: {type(error).__name__}: {error}") from error


class MigrationFolder:
    """
    What is in a folder of migrations.

    Args:
        path: The folder; an `alembic.ini` in it is read.

    Raises:
        MigrationError: It is none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        if not (self.path / "env.py").is_file():
            raise MigrationError(
                f"there are no migrations in {path}: it has no env.py; "
                "project-architect-db init --migrations writes one"
            )

    def config(self, **attributes: Any) -> Config:
        """
        How Alembic is told about it, and `env.py` about the attributes.
        """
        ini = self.path / "alembic.ini"
        config = Config(
            ini if ini.is_file() else None,
            output_buffer=io.StringIO(),
            cmd_opts=Namespace(quiet=True),
            attributes=attributes,
        )
        escaped = str(self.path).replace("%", "%%")
        config.set_main_option("script_location", escaped)
        config.set_main_option("path_separator", "os")
        _prepend_paths(config)
        return config

    def scripts(self) -> ScriptDirectory:
        """
        The revisions as Alembic has them, read anew.
        """
        return ScriptDirectory.from_config(self.config())

    def heads(self) -> tuple[str, ...]:
        """
        The newest revisions; several with branches.
        """
        with our_errors(self.path):
            return tuple(self.scripts().get_heads())

    def history(self) -> list[Revision]:
        """
        All revisions, newest first.
        """
        with our_errors(self.path):
            return [revision_of(script) for script in self.scripts().walk_revisions()]


def _prepend_paths(config: Config) -> None:
    """
    Have the folders in `sys.path` that the ini file names; once, and whole.

    Alembic would add them each time, and a relative one is another folder later.
    """
    folders = config.get_prepend_sys_paths_list() or []
    for folder in map(os.path.abspath, reversed(folders)):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    config.file_config.remove_option(config.config_ini_section, "prepend_sys_path")


def revision_of(script: Script) -> Revision:
    """
    What a revision's file says.
    """
    down: Any = script.down_revision
    after = (down,) if isinstance(down, str) else tuple(down or ())
    return Revision(script.revision, message_of(script), after, Path(script.path))


def message_of(script: Script) -> str:
    """
    What a revision does, in a line without a full stop.
    """
    return (script.doc or "").rstrip(".")


def write_folder(path: Path, app: str) -> list[Path]:
    """
    Write a new folder of migrations, and return its files.

    Args:
        path: The folder.
        app: Where the engine or the models are, as in ``myapp.db:engine``.

    Raises:
        MigrationError: There is something of that name, or it cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _fill(part, path.name, app)
        if path.exists():  # an empty folder would be replaced
            raise FileExistsError(errno.EEXIST, "it is there already")
        part.rename(path)
    except OSError as error:
        raise MigrationError(f"cannot write {path}: {error.strerror}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return sorted(path.iterdir())


def _fill(folder: Path, name: str, app: str) -> None:
    module, _, attribute = app.partition(":")
    (folder / "versions").mkdir(parents=True)
    files = {
        "env.py": ENV.format(
            target="project-architect-db",
            module=module, name=attribute, first=attribute.partition(".")[0],
        ),
        "alembic.ini": INI.format(folder=name),
    }  # fmt: skip
    for file, content in files.items():
        (folder / file).write_text(content, encoding="utf-8")
    shutil.copy(own_folder() / "script.py.mako", folder)
