"""How many connections a load can have: of its server, and of this backend. Pure."""

from benchgate.backend.drivers.port import Survey
from benchgate.domain.templates import (
    CONNECTIONS_MAX,
    FILE_TABLES,
    SNOWFLAKE_TABLES,
    TableType,
    TemplateConfig,
)

# Each connection to these is a thread; more of them only wait for one another, and in the end for
# the machine.
THREAD_TABLES = FILE_TABLES | SNOWFLAKE_TABLES
THREADS_MAX = 1_000


def free_connections(survey: Survey) -> int | None:
    """How many connections the server has left for a load; None where nobody can tell."""
    if survey.connections_max is None or survey.connections_used is None:
        return None
    return max(0, survey.connections_max - survey.connections_used - survey.connections_reserved)


def driven_max(table_type: TableType) -> int:
    """The most connections to a table of *table_type* that this backend drives."""
    return THREADS_MAX if table_type in THREAD_TABLES else CONNECTIONS_MAX


def scaling_max(config: TemplateConfig) -> int | None:
    """The most connections that the template's `scaling` allows; None where it sets no limit."""
    workers, each = config.scaling.max_workers, config.scaling.max_connections
    return None if workers is None or each is None else workers * each


def search_limit(config: TemplateConfig, survey: Survey) -> int:
    """The highest concurrency to which a search may go; 0 where the server has nothing left."""
    limits = (driven_max(config.table_type), scaling_max(config), free_connections(survey))
    return min(limit for limit in limits if limit is not None)
