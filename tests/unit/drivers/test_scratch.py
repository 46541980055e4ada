"""What scratch copies are called, and which writes of a plan would miss them."""

import json
from typing import Any

import pytest

from benchgate.backend.drivers.port import Target
from benchgate.backend.drivers.postgres.scratch import foreign_writes, leading_to, scratch_of
from benchgate.domain.templates import TableType

ORDERS = Target(
    table_type=TableType.POSTGRES, database="shop", schema_name="sales", table_name="orders"
)
HOSTILE_IDS = (
    "run-1",
    "run_1",
    "RUN-1",
    "",
    "a" * 64,
    "a" * 65,
    'x"; DROP SCHEMA public CASCADE; --',
    "lauf-ä-😀",
    "ﬀ" * 200,
    "run\0",
)


def modifying(**fields: Any) -> dict[str, Any]:
    return {"Node Type": "ModifyTable", **fields}


def planned(*nodes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"Plan": {"Node Type": "Result", "Plans": list(nodes)}}]


def test_a_scratch_copy_has_the_tables_name_in_a_schema_of_the_runs_own() -> None:
    scratch = scratch_of(ORDERS, "run-5f3a")
    assert scratch.schema_name.startswith("benchgate_scratch_run_5f3a_")
    assert (scratch.table_name, scratch.copy_of) == ("orders", "sales")
    assert scratch.database == "shop"


@pytest.mark.parametrize("run_id", HOSTILE_IDS)
def test_the_schema_of_any_run_is_a_plain_name_that_fits(run_id: str) -> None:
    name = scratch_of(ORDERS, run_id).schema_name
    assert name.isascii()
    assert name.replace("_", "").isalnum()
    assert name == name.lower()
    assert len(name) <= 63
    assert name == scratch_of(ORDERS, run_id).schema_name


def test_runs_whose_ids_look_alike_have_schemas_of_their_own() -> None:
    names = {scratch_of(ORDERS, run_id).schema_name for run_id in HOSTILE_IDS}
    assert len(names) == len(HOSTILE_IDS)


def test_the_way_to_a_copy_leaves_out_a_schema_that_nobody_named() -> None:
    bare = ORDERS.model_copy(update={"schema_name": ""})
    assert '"sales"' in leading_to(scratch_of(ORDERS, "run-1"))
    assert '""' not in leading_to(scratch_of(bare, "run-1"))


def test_a_write_to_the_copy_and_a_read_of_the_original_are_no_foreign_writes() -> None:
    scratch = scratch_of(ORDERS, "run-1")
    reading = {"Node Type": "Seq Scan", "Relation Name": "orders", "Schema": "sales"}
    writing = modifying(
        Operation="Insert", Schema=scratch.schema_name, **{"Relation Name": "orders"}
    )
    plan = planned(writing | {"Plans": [reading]})
    assert foreign_writes(plan, scratch) == ()
    assert foreign_writes(json.dumps(plan), scratch) == ()


def test_every_table_that_is_written_elsewhere_is_named_once() -> None:
    scratch = scratch_of(ORDERS, "run-1")
    original = modifying(Schema="sales", **{"Relation Name": "orders"})
    journal = modifying(Schema='we"ird', **{"Relation Name": "a.b"})
    plan = planned(original, {"Node Type": "CTE Scan", "Plans": [journal, original]})
    assert foreign_writes(plan, scratch) == ('"sales"."orders"', '"we""ird"."a.b"')


def test_the_parts_of_a_partitioned_table_are_named_with_it() -> None:
    part = {"Schema": "sales", "Relation Name": "orders_2024"}
    plan = planned(
        modifying(Schema="sales", **{"Relation Name": "orders", "Target Tables": [part]})
    )
    found = foreign_writes(plan, scratch_of(ORDERS, "run-1"))
    assert found == ('"sales"."orders"', '"sales"."orders_2024"')


def test_a_table_without_a_schema_counts_as_foreign() -> None:
    plan = planned(modifying(**{"Relation Name": "orders"}))
    assert foreign_writes(plan, scratch_of(ORDERS, "run-1")) == ('"orders"',)


def test_a_text_in_a_plan_is_no_table() -> None:
    text = json.dumps(modifying(Schema="sales", **{"Relation Name": "orders"}))
    plan = planned({"Node Type": "Result", "Output": [text, None, 1]})
    assert foreign_writes(plan, scratch_of(ORDERS, "run-1")) == ()
