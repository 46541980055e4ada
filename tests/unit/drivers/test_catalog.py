import sys

import pytest

from benchgate.backend.drivers.catalog import driver_for
from benchgate.domain.templates import TableType
from benchgate.errors import MissingExtra


@pytest.mark.parametrize("table_type", TableType)
def test_every_table_type_has_a_driver(table_type: TableType) -> None:
    assert driver_for(table_type)


def test_a_missing_library_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if ".drivers.postgres" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtra, match="psycopg") as caught:
        driver_for(TableType.POSTGRES)
    assert "pip install 'benchgate[postgres]'" in caught.value.hint
