import sys

import pytest

from benchgate.backend.drivers.catalog import DRIVERS, driver_for
from benchgate.domain.templates import SNOWFLAKE_TABLES, TableType
from benchgate.errors import InvalidInput, MissingExtra


@pytest.mark.parametrize("table_type", TableType)
def test_every_table_type_has_a_driver_or_a_refusal_with_a_way_out(table_type: TableType) -> None:
    if table_type in DRIVERS:
        assert driver_for(table_type)
        return
    assert table_type in SNOWFLAKE_TABLES
    with pytest.raises(InvalidInput, match=f"cannot load {table_type}") as caught:
        driver_for(table_type)
    assert "BENCHGATE_BACKEND_URL" in caught.value.hint


def test_a_missing_library_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if ".drivers.postgres" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(MissingExtra, match="asyncpg") as caught:
        driver_for(TableType.POSTGRES)
    assert "pip install 'benchgate[postgres]'" in caught.value.hint
