"""Which driver loads which kind of table; imports a driver only when one is wanted."""

import importlib

from benchgate.backend.drivers.port import Driver
from benchgate.domain.templates import SNOWFLAKE_TABLES, TableType
from benchgate.errors import MissingExtra

SNOWFLAKE = ("benchgate.backend.drivers.snowflake.driver", "SnowflakeDriver", "snowflake")

# Module, class, and the extra that brings the database's client library.
DRIVERS: dict[TableType, tuple[str, str, str]] = {
    TableType.SQLITE: ("benchgate.backend.drivers.sqlite.driver", "SqliteDriver", ""),
    TableType.DUCKDB: ("benchgate.backend.drivers.duckdb.driver", "DuckdbDriver", "duckdb"),
    TableType.POSTGRES: ("benchgate.backend.drivers.postgres.driver", "PostgresDriver", "postgres"),
    **dict.fromkeys(SNOWFLAKE_TABLES, SNOWFLAKE),
}


def driver_for(table_type: TableType) -> Driver:
    """The driver that loads tables of *table_type*.

    Raises:
        MissingExtra: the driver's library is not installed; the message says what to install.
    """
    module_name, class_name, extra = DRIVERS[table_type]
    try:
        module = importlib.import_module(module_name)
    except ImportError as exc:
        raise MissingExtra(
            f"{table_type} needs the package {exc.name}, which is not installed.",
            hint=f"Run `pip install 'benchgate[{extra}]'`, then start the backend again.",
        ) from exc
    driver: Driver = getattr(module, class_name)()
    return driver
