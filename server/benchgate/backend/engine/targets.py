"""Where a run leads: from a template's configuration to the target that a driver understands.

Knows where connections are saved, and asks the driver where the environment leads whatever a
connection leaves open; resolves references only, never a password.
"""

from collections.abc import Callable

from benchgate.backend.connections import ConnectionTable, SavedConnection
from benchgate.backend.drivers.port import ConnectionReference, Driver, Target
from benchgate.domain.contract import ConnectionDraft
from benchgate.domain.templates import SNOWFLAKE_TABLES, TableType, TemplateConfig
from benchgate.domain.text import one_line
from benchgate.domain.whereabouts import NAME_CHARACTERS_MAX, named, server
from benchgate.errors import BenchgateError, InvalidInput, NotFound

NOT_NAMED = "the default server of the backend's environment"
CONNECTED = {TableType.POSTGRES: "POSTGRES"} | dict.fromkeys(SNOWFLAKE_TABLES, "SNOWFLAKE")


class Targets:
    """The targets of configurations. Its calls may read files: they belong into threads."""

    def __init__(
        self, connections: ConnectionTable, driver_for: Callable[[TableType], Driver]
    ) -> None:
        """Resolve with *connections*, and with the drivers that *driver_for* gives."""
        self._connections = connections
        self._driver_for = driver_for

    def of(self, config: TemplateConfig) -> Target:
        """The table that *config* names, on the server to which its connection leads now.

        Without a connection of its own that is the default one of its type, and without that
        the environment's. Whoever loads it goes to that server, whatever its own environment is.

        Raises:
            NotFound: the connection does not exist any more.
            InvalidInput: the connection is for another kind of database.
            DatabaseError: where it leads cannot be told.
            MissingExtra: the driver is not installed.
        """
        return self._resolved(config, self._saved(config))

    def described(self, config: TemplateConfig) -> str | None:
        """The server that *config* leads to, as a person knows it; None where a file is loaded."""
        if config.table_type not in CONNECTED:
            return None
        try:
            saved = self._saved(config)
        except (NotFound, InvalidInput) as exc:
            return str(exc)
        if config.table_type is not TableType.POSTGRES:
            return NOT_NAMED if saved is None else _account(saved.draft)
        try:
            found = self._resolved(config, saved).connection or ConnectionReference()
        except BenchgateError as exc:
            name = "" if saved is None else saved.draft.connection_name
            return f"{one_line(name, NAME_CHARACTERS_MAX) or NOT_NAMED} ({one_line(str(exc))})"
        return _shown(found, saved, database=config.database)

    def _resolved(self, config: TemplateConfig, saved: SavedConnection | None) -> Target:
        target = Target(
            table_type=config.table_type,
            database=config.database,
            schema_name=config.schema_name,
            table_name=config.table_name,
            warehouse_name=config.warehouse_name,
            connection=None if saved is None else reference_of(saved.draft),
        )
        # A file is where it is, and its driver need not be there to say so.
        if config.table_type not in CONNECTED:
            return target
        return self._driver_for(config.table_type).resolved(target)

    def _saved(self, config: TemplateConfig) -> SavedConnection | None:
        wanted = CONNECTED.get(config.table_type)
        if wanted is None:
            return None
        if config.connection_id is None:
            return self._connections.default(wanted)
        try:
            saved = self._connections.get(config.connection_id)
        except NotFound as exc:
            raise NotFound(
                f"The template's connection {config.connection_id} does not exist.",
                hint="Save the connection again and point the template at it.",
            ) from exc
        if saved.draft.connection_type != wanted:
            raise InvalidInput(
                f"The template's connection {config.connection_id} is for "
                f"{saved.draft.connection_type}, but the table is {config.table_type}.",
                hint=f"Point the template at a {wanted} connection.",
            )
        return saved


def reference_of(draft: ConnectionDraft) -> ConnectionReference:
    """What a driver needs of a saved connection."""
    return ConnectionReference(
        host=draft.host or None,
        port=draft.port,
        username=draft.username,
        password_env=draft.password_env,
        passfile=draft.passfile,
        account=draft.account,
        role=draft.role,
        private_key_file=draft.private_key_file,
        private_key_passphrase_env=draft.private_key_passphrase_env,
        service=draft.service,
    )


def _account(draft: ConnectionDraft) -> str:
    """An account of Snowflake, which no environment leads to."""
    account = draft.account or draft.host or "no account"
    return named(server(account, username=draft.username, role=draft.role), draft.connection_name)


def _shown(found: ConnectionReference, saved: SavedConnection | None, *, database: str) -> str:
    """A server as it was found, by the name of the connection that leads there."""
    # One that is named by its address alone is verified by nothing else.
    host = " at ".join(part for part in (found.host, found.hostaddr) if part)
    where = server(host, port=found.port, database=database, username=found.username or "nobody")
    service = f"service {found.service}" if found.service else ""
    if saved is None:
        return named(f"{where}, by the backend's environment", service)
    return named(where, saved.draft.connection_name, service)
