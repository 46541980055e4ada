"""How many connections a load can have: of its server, and of this backend. Pure."""

from benchgate.backend.drivers.port import Survey
from benchgate.domain.bounds import WORKER_CONNECTIONS_DEFAULT, Bound, bound_of
from benchgate.domain.search import plan_of
from benchgate.domain.templates import (
    CONNECTIONS_MAX,
    FILE_TABLES,
    SNOWFLAKE_TABLES,
    LoadMode,
    TableType,
    TemplateConfig,
)

# Each connection to these is a thread; more of them only wait for one another, and in the end for
# the machine.
THREAD_TABLES = FILE_TABLES | SNOWFLAKE_TABLES
THREADS_MAX = 1_000
RATE_CONNECTIONS_AT_START = 4


def free_connections(survey: Survey) -> int | None:
    """How many connections the server has left for a load; None where nobody can tell."""
    if survey.connections_max is None or survey.connections_used is None:
        return None
    return max(0, survey.connections_max - survey.connections_used - survey.connections_reserved)


def needed_at_once(config: TemplateConfig) -> int:
    """The connections without which a load cannot begin."""
    if config.load_mode is LoadMode.QPS:  # which opens more of them as its rate needs them
        wanted = int(config.starting_threads or RATE_CONNECTIONS_AT_START)
        return max(1, min(wanted, config.connections))
    return config.connections


def driven_max(table_type: TableType) -> int:
    """The most connections to a table of *table_type* that this backend drives."""
    return THREADS_MAX if table_type in THREAD_TABLES else CONNECTIONS_MAX


def scaling_max(config: TemplateConfig) -> int | None:
    """The most connections that the template's `scaling` allows; None where it sets no limit."""
    workers = config.scaling.max_workers
    each = config.scaling.max_connections or WORKER_CONNECTIONS_DEFAULT
    return None if workers is None else workers * each


def search_limit(config: TemplateConfig, survey: Survey) -> int:
    """The highest concurrency to which a search may go; 0 where the server has nothing left."""
    limits = (driven_max(config.table_type), scaling_max(config), free_connections(survey))
    return min(limit for limit in limits if limit is not None)


def search_bound(config: TemplateConfig) -> Bound | None:
    """By what a search of *config* ends at the latest, whatever its server has left."""
    bound = bound_of(config)
    if bound is None:
        return None
    plan = plan_of(config, server_max=search_limit(config, Survey()))
    return Bound(
        seconds_max=bound.seconds_max,
        steps_max=plan.steps_max,
        concurrency_max=plan.concurrency_max,
    )
