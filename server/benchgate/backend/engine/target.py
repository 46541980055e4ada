"""From a template's configuration to the target and the load that a driver understands.

Knows where connections are saved; resolves references only, never a password.
"""

from benchgate.backend.connections import ConnectionTable, SavedConnection
from benchgate.backend.drivers.port import ConnectionReference, Target
from benchgate.backend.engine.capacity import needed_at_once
from benchgate.backend.engine.load import Load, Ramp, Schedule
from benchgate.backend.runs import Run
from benchgate.domain.bounds import bound_of
from benchgate.domain.contract import ConnectionDraft
from benchgate.domain.objectives import objectives_of
from benchgate.domain.search import plan_of
from benchgate.domain.templates import (
    SNOWFLAKE_TABLES,
    LoadMode,
    ScalingMode,
    TableType,
    TemplateConfig,
)
from benchgate.errors import InvalidInput, NotFound

NOT_NAMED = "the default server of the backend's environment"
CONNECTED = {TableType.POSTGRES: "POSTGRES"} | dict.fromkeys(SNOWFLAKE_TABLES, "SNOWFLAKE")


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
        warehouse_name=config.warehouse_name,
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


def load_of(run: Run, target: Target, *, search_limit: int | None = None) -> Load:
    """What the workers are told when *run* starts; a search keeps within *search_limit*."""
    config = run.config
    ramp = _ramp(config, search_limit)
    at_most = config.connections if ramp is None else ramp.plan.concurrency_max
    return Load(
        run_id=run.run_id,
        target=target,
        workload=config.workload,
        connections=at_most,
        connections_at_start=_at_start(config, ramp),
        workers_min=config.scaling.min_workers,
        workers_max=_workers_max(config),
        think_time_ms=config.think_time,
        schedule=_schedule(config),
        ramp=ramp,
        decode_rows=config.decode_rows,
        use_cached_result=config.use_cached_result,
        warmup_seconds=config.warmup,
        duration_seconds=load_seconds_max(config),
        seed=run.seed,
        worker_loss=config.worker_loss,
        guardrails=config.guardrails,
        objectives=objectives_of(config),
    )


def load_seconds_max(config: TemplateConfig) -> int:
    """How long the load of *config* may take after its warm-up."""
    bound = bound_of(config)
    return config.duration if bound is None else bound.seconds_max - config.warmup


def _ramp(config: TemplateConfig, search_limit: int | None) -> Ramp | None:
    if config.load_mode is not LoadMode.FIND_MAX_CONCURRENCY:
        return None
    plan = plan_of(config, server_max=search_limit)
    return Ramp(plan=plan, step_seconds=config.step_duration_seconds)


def _schedule(config: TemplateConfig) -> Schedule | None:
    if config.load_mode is not LoadMode.QPS:
        return None
    assert config.target_qps is not None, "a template with a rate names it"
    return Schedule(rate_per_s=config.target_qps, spacing=config.arrivals)


def _at_start(config: TemplateConfig, ramp: Ramp | None) -> int:
    if ramp is not None:
        return ramp.plan.start_concurrency
    return needed_at_once(config)


def _workers_max(config: TemplateConfig) -> int | None:
    """The most worker processes that the template allows; None where it leaves that open."""
    scaling = config.scaling
    return scaling.min_workers if scaling.mode is ScalingMode.FIXED else scaling.max_workers


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


def _shown(draft: ConnectionDraft) -> str:
    port = f":{draft.port}" if draft.port else ""
    user = f"{draft.username}@" if draft.username else ""
    role = f", role {draft.role}" if draft.role else ""
    if draft.service:
        where = f"service {draft.service}"
    elif draft.connection_type == "SNOWFLAKE":
        where = f"{user}{draft.account or draft.host or 'no account'}{role}"
    else:
        where = f"{user}{draft.host or 'the default host of the environment'}{port}"
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
