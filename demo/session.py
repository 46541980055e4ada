"""One demo from its first process to the end of its last: databases, server, conversation."""

from collections.abc import Generator
from pathlib import Path

import anyio
from anyio import to_thread
from mcp.shared.exceptions import MCPError

from demo import backend, host, orders, owner, postgres
from demo.conversation import Conversation
from demo.errors import DemoError, ToolFailed
from demo.host import Host
from demo.interrupts import Interrupts
from demo.owner import Databases
from demo.person import Person
from demo.postgres import PostgresServer
from demo.screen import Screen

AFTERWARDS = """
The demo has ended all that it started, so its dashboard links are dead now.
Its files lie in {folder}.\
"""
POSTGRES_DATABASE = "shop"
EXIT_FAILED = 1
EXIT_INTERRUPTED = 130  # as a shell has it for Ctrl-C


class Session:
    """One demo below one folder."""

    def __init__(self, folder: Path, *, seconds: int, screen: Screen) -> None:
        self._folder = folder
        self._data = host.data_dir(folder)
        self._seconds = seconds
        self._screen = screen

    async def hold(self, person: Person, interrupts: Interrupts) -> int:
        """Hold the demo and end every process that it started; the answer is the exit code."""
        code = EXIT_FAILED
        async with anyio.create_task_group() as tasks:
            await tasks.start(interrupts.listen)
            with interrupts.work:
                code = await self._hold(person, interrupts)
            tasks.cancel_scope.cancel()
        if interrupts.happened:
            self._screen.say("Interrupted: everything that the demo started has been ended.")
            return EXIT_INTERRUPTED
        if code == 0:
            self._screen.say(AFTERWARDS.format(folder=host.short(self._folder)))
        return code

    async def _hold(self, person: Person, interrupts: Interrupts) -> int:
        failed = False
        completed = False
        try:
            async with (
                postgres.running(self._folder / "postgres") as server,
                backend.ended_afterwards(self._data),
            ):
                databases = await self._fill(server)
                async with host.connected(
                    self._folder, screen=self._screen, person=person
                ) as connection:
                    completed = await self._converse(connection, databases, interrupts)
        except* (DemoError, MCPError, OSError) as group:
            failed = True
            for exc in _leaves(group):
                self._show(exc)
        return 0 if completed and not failed else EXIT_FAILED

    async def _fill(self, server: PostgresServer) -> Databases:
        """The same orders for both databases."""
        self._screen.say(f"PostgreSQL {await server.version()} runs on port {server.port}.")
        orders_csv, sqlite = self._folder / "orders.csv", self._folder / "shop.sqlite3"
        await to_thread.run_sync(orders.write_csv, orders_csv)
        await to_thread.run_sync(orders.fill_sqlite, sqlite, orders_csv)
        await server.run_sql("postgres", f"CREATE DATABASE {POSTGRES_DATABASE}")
        given = await to_thread.run_sync(orders_csv.read_bytes)
        await server.run_sql(POSTGRES_DATABASE, *orders.postgres_commands(), given=given)
        self._screen.say(
            f"{orders.ROWS:,} orders lie in {host.short(sqlite)} and in its database "
            f"{POSTGRES_DATABASE!r}."
        )
        return Databases(sqlite=sqlite, postgres=server, postgres_database=POSTGRES_DATABASE)

    async def _converse(
        self, connection: Host, databases: Databases, interrupts: Interrupts
    ) -> bool:
        self._screen.say("The server is launched from mcp.json; its first call starts the backend.")
        await connection.call("list_templates", {})
        templates = await owner.save_templates(self._data, databases, seconds=self._seconds)
        self._screen.say("As its owner would, two templates were saved in the backend.")
        talk = Conversation(connection, self._screen, interrupts)
        return await talk.hold(templates, self._folder / "results")

    def _show(self, exc: Exception) -> None:
        if isinstance(exc, ToolFailed):
            self._screen.block(str(exc))
            return
        log = host.short(self._folder / host.SERVER_LOG)
        hint = f"\nThe server's own words are in {log}." if isinstance(exc, MCPError) else ""
        self._screen.problem(f"{exc}{hint}")


def _leaves(group: BaseExceptionGroup[Exception]) -> Generator[Exception]:
    for exc in group.exceptions:
        if isinstance(exc, BaseExceptionGroup):
            yield from _leaves(exc)
        else:
            yield exc
