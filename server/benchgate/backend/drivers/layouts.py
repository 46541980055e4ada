"""A table as the statements need to know it: its quoted name, its columns and its keys.

Pure: a driver finds the facts, this module holds them and draws the conclusions.
"""

from enum import StrEnum

from benchgate.backend.drivers.port import Column, TableShape
from benchgate.domain.values import Value
from benchgate.errors import InvalidInput


class Dialect(StrEnum):
    """Whose SQL it is."""

    SQLITE = "SQLITE"
    POSTGRES = "POSTGRES"
    DUCKDB = "DUCKDB"
    SNOWFLAKE = "SNOWFLAKE"


class Field(Value):
    """A column, with what decides whether and how a load can write it."""

    name: str
    type_name: str
    generated: bool = False  # the database fills it in where an INSERT leaves it out
    computed: bool = False  # nobody but the database can write it
    has_maximum: bool = False  # max() means something for its type
    characters_max: int | None = None
    few_values: bool = False  # its type has no more values than are in the table already


class Layout(Value):
    """A table of one database."""

    dialect: Dialect
    name: str  # quoted and qualified, ready to stand in a statement
    fields: tuple[Field, ...]
    key: tuple[str, ...]  # the primary key's columns in order; empty where there is none
    uniques: tuple[tuple[str, ...], ...] = ()  # the other unique indexes
    integer_key: bool = False  # the key is one column of integers
    has_rows: bool
    server_version: str

    @property
    def names(self) -> tuple[str, ...]:
        """Every column in table order."""
        return tuple(field.name for field in self.fields)

    @property
    def insertable(self) -> tuple[str, ...]:
        """The columns that an INSERT has to name, in table order."""
        return tuple(f.name for f in self.fields if not f.generated and not f.computed)

    @property
    def fresh(self) -> tuple[str, ...]:
        """The columns that need a value of their own in every new row.

        One column of each unique index is enough: the last that can have one, because the first
        ones of a composite key usually refer to another table.
        """
        few = {field.name for field in self.fields if field.few_values}
        chosen: list[str] = []
        for columns in (self.key, *self.uniques):
            many = [name for name in columns if name not in few]
            if many and not set(columns) & set(chosen):
                chosen.append(many[-1])
        return tuple(chosen)

    @property
    def value_column(self) -> str | None:
        """The first column that an UPDATE can set to another row's value, if there is one."""
        tied = set(self.key).union(*self.uniques)
        plain = (f.name for f in self.fields if not f.generated and not f.computed)
        return next((name for name in plain if name not in tied), None)

    def field(self, name: str) -> Field:
        """The column called *name*."""
        return next(field for field in self.fields if field.name == name)

    def shape(self) -> TableShape:
        """The table as the port describes it."""
        return TableShape(
            server_version=self.server_version,
            columns=tuple(Column(name=f.name, type_name=f.type_name) for f in self.fields),
            key=self.key,
            has_rows=self.has_rows,
        )


def quoted(name: str) -> str:
    """*name* as an identifier that it cannot leave.

    Raises:
        InvalidInput: it holds a NUL, which no database can quote.
    """
    if "\0" in name:
        raise InvalidInput("A name of the target holds a NUL character.")
    return '"' + name.replace('"', '""') + '"'


def qualified(*names: str) -> str:
    """The quoted names that are not empty, joined by dots."""
    return ".".join(quoted(name) for name in names if name)
