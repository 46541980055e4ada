"""From a template's configuration to the target and the load that a driver understands.

Knows where connections are saved; resolves references only, never a password.
"""

from benchgate.backend.connections import ConnectionTable, SavedConnection
from benchgate.backend.drivers.port import ConnectionReference, Target
from benchgate.backend.engine.load import Load
from benchgate.backend.runs import Run
from benchgate.domain.contract import ConnectionDraft
from benchgate.domain.templates import TableType, TemplateConfig
from benchgate.errors import InvalidInput, NotFound

NOT_NAMED = "the default server of the backend's environment"
CONNECTED = {TableType.POSTGRES: "POSTGRES"}


def target_of(config: TemplateConfig, connections: ConnectionTable) -> Target:
    """The table that *config* names, with the connection that it names or the default of its type.

    Raises:
        NotFound: the connection does not exist any more.
        InvalidInput: the connection is for another kind of database.
    """
    return Target(
        table_type=config.table_type,
        database=config.database,
        schema_name=config.schema_name,
        table_name=config.table_name,
        connection=_reference(config, connections),
    )


def described(config: TemplateConfig, connections: ConnectionTable) -> str | None:
    """The server that *config* leads to, as a person knows it; None where a file is loaded."""
    wanted = CONNECTED.get(config.table_type)
    if wanted is None:
        return None
    try:
        saved = _saved(config, connections, wanted=wanted)
    except (NotFound, InvalidInput) as exc:
        return str(exc)
    return NOT_NAMED if saved is None else _shown(saved.draft)


def load_of(run: Run, target: Target) -> Load:
    """What the workers are told when *run* starts."""
    config = run.config
    return Load(
        run_id=run.run_id,
        target=target,
        workload=config.workload,
        connections=config.connections,
        think_time_ms=config.think_time,
        warmup_seconds=config.warmup,
        duration_seconds=config.duration,
        seed=run.seed,
    )


def reference_of(draft: ConnectionDraft) -> ConnectionReference:
    """What a driver needs of a saved connection."""
    return ConnectionReference(
        host=draft.host or None,
        port=draft.port,
        username=draft.username,
        password_env=draft.password_env,
        passfile=draft.passfile,
        service=draft.service,
    )


def _shown(draft: ConnectionDraft) -> str:
    port = f":{draft.port}" if draft.port else ""
    user = f"{draft.username}@" if draft.username else ""
    where = (
        f"service {draft.service}" if draft.service else f"{user}{draft.host or 'localhost'}{port}"
    )
    return f"{draft.connection_name} ({where})"


def _reference(config: TemplateConfig, connections: ConnectionTable) -> ConnectionReference | None:
    wanted = CONNECTED.get(config.table_type)
    if wanted is None:
        return None
    saved = _saved(config, connections, wanted=wanted)
    return None if saved is None else reference_of(saved.draft)


def _saved(
    config: TemplateConfig, connections: ConnectionTable, *, wanted: str
) -> SavedConnection | None:
    if config.connection_id is None:
        return connections.default(wanted)
    try:
        saved = connections.get(config.connection_id)
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
