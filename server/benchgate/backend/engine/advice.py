"""What a look at a server gives reason to warn of: a table of rules. Pure.

A rule speaks only of what was measured or asked for. What nobody could tell is None in the
survey, and no rule guesses at it.
"""

from collections.abc import Callable

from benchgate.backend.drivers.port import ConnectionReference, Survey
from benchgate.backend.engine.capacity import (
    driven_max,
    free_connections,
    needed_at_once,
    scaling_max,
    search_limit,
)
from benchgate.backend.engine.surroundings import Surroundings
from benchgate.domain.preflight import PreflightWarning, Severity, about
from benchgate.domain.production import telling
from benchgate.domain.templates import (
    FILE_TABLES,
    SNOWFLAKE_TABLES,
    LoadMode,
    TemplateConfig,
)
from benchgate.domain.text import one_line
from benchgate.domain.values import Value

# So many are to be left for others, who could not so much as look at the server otherwise.
CONNECTIONS_SPARE = 5
# From so many other sessions at work on, the figures are theirs as much as the run's.
SESSIONS_BUSY = 4
# A thread that waits for a core adds a turn of every other one to its latency.
THREADS_PER_CORE_MAX = 4
# At some 40 µs for each answer, one that comes in with so many others waits 10 ms for its turn.
SOCKETS_PER_CORE_MAX = 250
# Snowflake's connector takes milliseconds of a core for each of its queries.
SNOWFLAKE_PER_CORE_MAX = 32
# No core of a Python process sends and takes in more operations in a second.
SERVER_OPERATIONS_PER_CORE_S = 50_000
FILE_OPERATIONS_PER_CORE_S = 250_000


class Look(Value):
    """What is known before a load: what was asked for, and what was seen."""

    config: TemplateConfig
    survey: Survey
    surroundings: Surroundings
    connection: ConnectionReference | None = None

    @property
    def free_cores(self) -> int:
        """The cores for making the load: a server on this machine needs as many for itself."""
        cores = self.surroundings.cores
        return max(1, cores // 2) if self.shares_cores else cores

    @property
    def shares_cores(self) -> bool:
        """Whether there is a server, and it runs on this machine."""
        is_server = self.config.table_type not in FILE_TABLES
        return is_server and self.survey.is_on_this_machine is True

    @property
    def is_pressing(self) -> bool:
        """Whether a fixed number of connections work all the time."""
        return self.config.load_mode is LoadMode.CONCURRENCY and self.config.think_time == 0


Rule = Callable[[Look], PreflightWarning | None]


def advice(rules: tuple[Rule, ...], look: Look) -> list[PreflightWarning]:
    """What each of *rules* has to say to *look*, in their order."""
    return [warning for rule in rules if (warning := rule(look)) is not None]


def _connections_left(look: Look) -> PreflightWarning | None:
    """A server takes so many connections, and others have some of them."""
    free, needed = free_connections(look.survey), needed_at_once(look.config)
    if free is None:
        return None
    if needed > free:
        return _few(
            look,
            severity=Severity.HIGH,
            title="Not Enough Connections Left",
            effect=f"{needed} are needed at once",
        )
    wanted = _wanted(look.config)
    if wanted > free:
        return _beyond(look, wanted)
    if free - wanted < CONNECTIONS_SPARE:
        return _few(
            look,
            severity=Severity.MEDIUM,
            title="Few Connections Left",
            effect=f"with the {wanted} of this load, {free - wanted} are left for everybody else",
        )
    return None


def _wanted(config: TemplateConfig) -> int:
    """The most connections that the load may come to open."""
    if config.load_mode is not LoadMode.FIND_MAX_CONCURRENCY:
        return config.connections
    most = driven_max(config.table_type)
    return max(config.connections, min(most, scaling_max(config) or most))


def _beyond(look: Look, wanted: int) -> PreflightWarning:
    """A load that begins with what is left, and may come to want more."""
    free = search_limit(look.config, look.survey)
    if look.config.load_mode is LoadMode.QPS:
        return _few(
            look,
            severity=Severity.MEDIUM,
            title="Few Connections Left",
            effect=f"should the rate need more, up to the limit of {wanted}, they are refused "
            "and count as errors",
        )
    is_asked_for = scaling_max(look.config) is not None
    return _few(
        look,
        severity=Severity.MEDIUM if is_asked_for else Severity.LOW,
        title="Search Limited by Connections",
        effect=f"the search goes no higher than {free}"
        + (f", where scaling allows {wanted}" if is_asked_for else ""),
    )


def _few(look: Look, *, severity: Severity, title: str, effect: str) -> PreflightWarning:
    survey, free = look.survey, free_connections(look.survey)
    return about(
        look.config,
        severity=severity,
        title=title,
        message=(
            f"The server takes {survey.connections_max} connections, {survey.connections_used} "
            f"are in use and {survey.connections_reserved} reserved, so {free} are left: {effect}."
        ),
        recommendations=(
            f"Use at most {max(1, (free or 0) - CONNECTIONS_SPARE)} connections",
            "Close connections that nobody needs, or raise the server's limit",
        ),
        details={
            "connections_max": survey.connections_max,
            "connections_used": survey.connections_used,
            "connections_reserved": survey.connections_reserved,
            "connections_free": free,
            "connections_at_start": needed_at_once(look.config),
            "connections_wanted": _wanted(look.config),
        },
        of_a_moment=True,
    )


def _others_at_work(look: Look) -> PreflightWarning | None:
    """What other sessions do is in the figures, and the load is in theirs."""
    active = look.survey.active_sessions or 0
    if active == 0:
        return None
    return about(
        look.config,
        severity=Severity.MEDIUM if active >= SESSIONS_BUSY else Severity.LOW,
        title="Others Are Using the Database",
        message=(
            f"{active} other session{'' if active == 1 else 's'} did something at the moment of "
            "the look: the run will slow them down, and they the run."
        ),
        recommendations=(
            "Run when the database is idle",
            "Repeat the run, and trust only what the repetitions agree on",
        ),
        details={"active_sessions": active},
        of_a_moment=True,
    )


def _replica(look: Look) -> PreflightWarning | None:
    """A replica refuses writes, and its reads are those of a replica."""
    if not look.survey.is_replica:
        return None
    writes = look.config.write_pct > 0
    return about(
        look.config,
        severity=Severity.HIGH if writes else Severity.LOW,
        title="Writes to a Replica" if writes else "Target Is a Replica",
        message=(
            f"The server is a replica and takes no writes; {look.config.write_pct:g}% of the "
            "workload writes."
            if writes
            else "The server is a replica: what it is sent by its primary competes with the load, "
            "and long reads may be cancelled for it."
        ),
        recommendations=(
            ("Point the connection at the primary", "Take the writes out of the workload")
            if writes
            else ("Compare it only with runs on replicas",)
        ),
        details={"is_replica": True, "write_percentage": look.config.write_pct},
    )


def _production(look: Look) -> PreflightWarning | None:
    """A name is no proof, but it is all that can be seen beforehand."""
    told = telling(_names(look), look.surroundings.production_patterns)
    if told is None:
        return None
    name, pattern = (one_line(part) for part in told)
    return about(
        look.config,
        severity=Severity.MEDIUM,
        title="This Looks Like Production",
        message=f"{name} fits {pattern}, one of the patterns of production systems.",
        recommendations=(
            "Make sure that this database may be put under load now",
            "Use a copy of it on a server of its own",
            "Set BENCHGATE_PRODUCTION_PATTERNS if the name means something else",
        ),
        details={"name": name, "pattern": pattern},
    )


def _names(look: Look) -> list[str]:
    """Every name by which the target's server and database are known here."""
    server = look.connection or ConnectionReference()
    named = (server.host, server.hostaddr, server.service, server.account, look.config.database)
    return [name for name in named if name]


def _threads(look: Look) -> PreflightWarning | None:
    """Each connection to a file is a thread, which does the database's own work."""
    config, cores = look.config, look.surroundings.cores
    if config.table_type not in FILE_TABLES or not look.is_pressing or config.connections <= cores:
        return None
    is_crowded = config.connections > cores * THREADS_PER_CORE_MAX
    return about(
        config,
        severity=Severity.MEDIUM if is_crowded else Severity.LOW,
        title="More Connections Than Cores",
        message=(
            f"{config.connections} connections are threads that share {_cores(cores)}: part of "
            "their latency will be waiting for one."
        ),
        recommendations=(f"Use {cores} connections or fewer to measure the database alone",),
        details={"cores": cores, "concurrent_connections": config.connections},
    )


def _load_generator(look: Look) -> PreflightWarning | None:
    """Where more connections are busy than the workers can serve, the workers are measured."""
    config = look.config
    if config.table_type in FILE_TABLES or not look.is_pressing:
        return None
    is_snowflake = config.table_type in SNOWFLAKE_TABLES
    each = SNOWFLAKE_PER_CORE_MAX if is_snowflake else SOCKETS_PER_CORE_MAX
    most = look.free_cores * each
    if config.connections <= most:
        return None
    return about(
        config,
        severity=Severity.MEDIUM,
        title="Load Generator May Be the Limit",
        message=(
            f"{config.connections} connections are driven by {_cores(look.free_cores)} of this "
            f"machine; beyond {each} for each, its own work shows in the latency."
        ),
        recommendations=(
            f"Use {most} connections or fewer",
            "Run benchgate on a machine with more cores",
        ),
        details={
            "cores": look.surroundings.cores,
            "cores_for_load": look.free_cores,
            "concurrent_connections": config.connections,
            "connections_per_core_max": each,
        },
    )


def _rate(look: Look) -> PreflightWarning | None:
    """A rate that no program on so many cores can send will be missed, whatever is loaded."""
    config = look.config
    is_file = config.table_type in FILE_TABLES
    each = FILE_OPERATIONS_PER_CORE_S if is_file else SERVER_OPERATIONS_PER_CORE_S
    most = look.free_cores * each
    if config.load_mode is not LoadMode.QPS or (config.target_qps or 0) <= most:
        return None
    return about(
        config,
        severity=Severity.MEDIUM,
        title="Rate Out of This Machine's Reach",
        message=(
            f"{config.target_qps:,.0f} operations per second are asked for; "
            f"{_cores(look.free_cores)} of this machine can send {most:,} at the very most."
        ),
        recommendations=(
            f"Reduce target_qps to well below {most:,}",
            "Run benchgate on a machine with more cores",
        ),
        details={
            "cores": look.surroundings.cores,
            "cores_for_load": look.free_cores,
            "target_qps": config.target_qps,
            "operations_per_s_max": most,
        },
    )


def _shared_cores(look: Look) -> PreflightWarning | None:
    """A server beside the load generator has only part of the machine, and so has that."""
    if not look.shares_cores:
        return None
    cores = look.surroundings.cores
    return about(
        look.config,
        severity=Severity.LOW,
        title="Server Runs on This Machine",
        message=(
            f"The server and the load share {_cores(cores)}: the figures are those of both "
            "together, and another machine's cannot be compared with them."
        ),
        recommendations=("Run the server on a machine of its own for figures that stand alone",),
        details={"is_on_this_machine": True, "cores": cores},
    )


def _cores(count: int) -> str:
    return "1 core" if count == 1 else f"{count} cores"


SERVER_RULES: tuple[Rule, ...] = (
    _connections_left,
    _replica,
    _production,
    _others_at_work,
    _threads,
    _load_generator,
    _rate,
    _shared_cores,
)
