"""The backend's tables: what the numbered changes make is what the code expects."""

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchgate.backend.store import METADATA, open_store


def shape_of(engine: sa.Engine, table: str) -> dict[str, Any]:
    """The columns, keys and indexes of *table*, as the database describes them."""
    seen = sa.inspect(engine)
    columns = [(c["name"], str(c["type"]), c["nullable"]) for c in seen.get_columns(table)]
    indexes = sorted((i["name"] or "", i["column_names"]) for i in seen.get_indexes(table))
    return {
        "columns": columns,
        "key": seen.get_pk_constraint(table)["constrained_columns"],
        "indexes": indexes,
        "uniques": [u["column_names"] for u in seen.get_unique_constraints(table)],
    }


def test_the_numbered_changes_make_exactly_the_tables_that_the_code_knows(tmp_path: Path) -> None:
    changed = open_store(tmp_path)
    declared = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    METADATA.create_all(declared)
    for table in METADATA.tables:
        assert shape_of(changed, table) == shape_of(declared, table)
    assert set(sa.inspect(changed).get_table_names()) == {*METADATA.tables, "schema_version"}
    for engine in (changed, declared):
        engine.dispose()
