"""`/api/templates` through the REST door."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.unit.backend.scripted import (
    ScriptedLoad,
    draft,
    new_run,
    new_template,
    orders,
    scripted_app,
    served,
    until_status,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with served(scripted_app(tmp_path)) as http:
        yield http


async def test_a_template_comes_back_as_it_was_saved(http: httpx.AsyncClient) -> None:
    body: dict[str, Any] = draft("orders.db") | {
        "description": "for the demo",
        "tags": {"team": "core"},
    }
    saved = (await http.post("/api/templates/", json=body)).json()
    read = (await http.get(f"/api/templates/{saved['template_id']}/")).json()
    assert read == saved
    assert read["template_name"] == "Point lookups"
    assert read["description"] == "for the demo"
    assert read["tags"] == {"team": "core"}
    assert read["usage_count"] == 0
    assert body["config"].items() <= read["config"].items()


async def test_keys_that_are_not_known_are_kept(http: httpx.AsyncClient) -> None:
    body = draft("orders.db", ai_workload={"enabled": True, "pool_id": "p"})
    template_id = await new_template(http, body)
    read = (await http.get(f"/api/templates/{template_id}")).json()
    assert read["config"]["ai_workload"] == {"enabled": True, "pool_id": "p"}


async def test_the_newest_template_is_listed_first(http: httpx.AsyncClient) -> None:
    ids = [await new_template(http, draft("a.db", name=name)) for name in ("one", "two", "three")]
    listed = (await http.get("/api/templates/")).json()
    assert [template["template_id"] for template in listed] == ids[::-1]


async def test_a_replaced_template_keeps_its_id_and_its_birthday(http: httpx.AsyncClient) -> None:
    saved = (await http.post("/api/templates/", json=draft("a.db"))).json()
    path = f"/api/templates/{saved['template_id']}/"
    replaced = (await http.put(path, json=draft("b.db", name="Other"))).json()
    assert replaced["template_id"] == saved["template_id"]
    assert replaced["created_at"] == saved["created_at"]
    assert (replaced["template_name"], replaced["config"]["database"]) == ("Other", "b.db")


async def test_a_deleted_template_is_gone(http: httpx.AsyncClient) -> None:
    template_id = await new_template(http, draft("a.db"))
    assert (await http.delete(f"/api/templates/{template_id}")).status_code == 204
    gone = await http.get(f"/api/templates/{template_id}")
    assert gone.status_code == 404
    assert gone.json()["detail"] == f"Template not found: {template_id}"
    assert gone.json()["hint"]


async def test_a_template_is_not_changed_under_an_active_run(tmp_path: Path) -> None:
    load = ScriptedLoad()
    async with served(scripted_app(tmp_path, load)) as http:
        body = draft(orders(tmp_path))
        run_id = await new_run(http, body)
        template_id = (await http.get(f"/api/runs/{run_id}")).json()["template_id"]
        assert (await http.post(f"/api/runs/{run_id}/start")).status_code == 202
        refusals = [
            await http.put(f"/api/templates/{template_id}", json=body),
            await http.delete(f"/api/templates/{template_id}"),
        ]
        assert [r.status_code for r in refusals] == [409, 409]
        assert all(run_id in r.json()["detail"] for r in refusals)
        load.finish.set()
        await until_status(http, run_id, "COMPLETED")
        assert (await http.delete(f"/api/templates/{template_id}")).status_code == 204


BAD_CONFIGS: list[tuple[dict[str, Any], str, str]] = [
    ({"custom_point_lookup_pct": 60}, "config", "sum to 100"),
    ({"custom_point_lookup_pct": 160}, "config.custom_point_lookup_pct", "100"),
    ({"duration": -1}, "config.duration", "greater than or equal to 1"),
    ({"duration": 10**400}, "config.duration", ""),
    ({"concurrent_connections": 1_000_001}, "config.concurrent_connections", "10000"),
    ({"table_type": "ORACLE"}, "config.table_type", "SQLITE"),
    ({"table_name": ""}, "config.table_name", "at least 1 character"),
    ({"load_mode": "QPS"}, "config", "target_qps"),
    ({"warmup": "soon"}, "config.warmup", "integer"),
]


@pytest.mark.parametrize(("change", "field", "rule"), BAD_CONFIGS)
async def test_what_cannot_be_meant_is_told_by_field_value_and_rule(
    http: httpx.AsyncClient, change: dict[str, Any], field: str, rule: str
) -> None:
    response = await http.post("/api/templates/", json=draft("a.db", **change))
    assert response.status_code == 422
    (told,) = response.json()["detail"]
    assert told["field"] == field
    assert rule in told["rule"]
    assert 0 < len(told["value"]) <= 120
    assert response.json()["hint"]


def nested(levels: int) -> dict[str, Any]:
    """An object of so many in each other."""
    deep: dict[str, Any] = {}
    for _ in range(levels):
        deep = {"deeper": deep}
    return deep


async def test_parameters_that_are_nested_too_deeply_are_refused(http: httpx.AsyncClient) -> None:
    for levels in (230, 600, 900):
        query = {"operation_type": "READ", "weight_pct": 100, "sql": "SELECT 1"}
        own = query | {"parameters": [nested(levels)]}
        body = draft("a.db", custom_point_lookup_pct=0, generic_queries=[own])
        assert (await http.post("/api/templates/", json=body)).status_code in {400, 422}
    assert (await http.get("/api/templates/")).json() == []


async def test_what_json_cannot_hold_is_refused(http: httpx.AsyncClient) -> None:
    tagged = draft("a.db") | {"tags": {"team": "\ud800"}}
    deep = (draft("a.db", extra=nested(levels)) for levels in (199, 230, 600))
    for body in (*deep, draft("a.db", extra="\ud800"), tagged):
        headers = {"Content-Type": "application/json"}
        response = await http.post("/api/templates/", content=json.dumps(body), headers=headers)
        assert response.status_code == 422
        assert "cannot be stored" in response.json()["detail"]
    assert (await http.get("/api/templates/")).json() == []
