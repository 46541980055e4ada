"""Which driver loads which kind of table; imports a driver only when one is wanted."""

import importlib

from benchgate.backend.drivers.port import Driver
from benchgate.domain.templates import TableType
from benchgate.errors import InvalidInput, MissingExtra

# Module, class, and the extra that brings the database's client library.
DRIVERS: dict[TableType, tuple[str, str, str]] = {
    TableType.SQLITE: ("benchgate.backend.drivers.sqlite", "SqliteDriver", ""),
    TableType.POSTGRES: ("benchgate.backend.drivers.postgres", "PostgresDriver", "postgres"),
}


def driver_for(table_type: TableType) -> Driver:
    """The driver that loads tables of *table_type*.

    Raises:
        InvalidInput: this backend cannot load such a table.
        MissingExtra: the driver's library is not installed; the message says what to install.
    """
    if table_type not in DRIVERS:
        raise InvalidInput(
            f"This backend cannot load {table_type} tables; "
            f"it loads {' and '.join(sorted(DRIVERS))}.",
            hint="Connect a backend that drives Snowflake: set BENCHGATE_BACKEND_URL to it.",
        )
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
