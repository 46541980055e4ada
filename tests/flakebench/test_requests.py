"""What the emulation says to requests that it does not take, and what it lists."""

from typing import Any

import pytest

from tests.flakebench.app import client
from tests.flakebench.clock import ManualClock
from tests.flakebench.plans import config_of
from tests.flakebench.samples import Json, sample
from tests.flakebench.steps import new_run, row, seen, started
from tests.flakebench.world import World

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def world(clock: ManualClock) -> World:
    return World(clock=clock)


@pytest.mark.parametrize(
    ("options", "kind", "loc"),
    [
        ({"json": {}}, "missing", ["body", "template_id"]),
        ({"json": {"template_id": 5}}, "string_type", ["body", "template_id"]),
        ({"content": "{", "headers": JSON}, "json_invalid", ["body", 1]),
        ({"content": '{"template_id": "tpl-fixed"}'}, "model_attributes_type", ["body"]),
    ],
)
async def test_a_body_of_another_shape_is_told_as_a_list(
    world: World, options: dict[str, Any], kind: str, loc: list[Any]
) -> None:
    async with client(world) as http:
        answer = await http.post("/api/runs/", **options)
    assert answer.status_code == 422
    problem = answer.json()["detail"][0]
    assert (problem["type"], problem["loc"]) == (kind, loc)


async def test_a_search_without_words_is_told_as_a_list(world: World) -> None:
    async with client(world) as http:
        answer = await http.get("/api/tests/search")
        assert (await http.get("/api/tests/search?q=%20")).json() == {"results": []}
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", "q"]


async def test_a_template_that_does_not_hold_is_told_as_a_fault(world: World) -> None:
    draft = {"template_name": "Half", "config": config_of(custom_point_lookup_pct=50.0)}
    async with client(world) as http:
        answer = await http.post("/api/templates/", json=draft)
    assert answer.status_code == 500
    assert answer.json()["detail"] == {
        "code": "INTERNAL_ERROR",
        "message": "create template failed.",
        "operation": "create template",
        "debug": "Custom query weights must sum to 100.00 (currently 50.00).",
    }


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"warehouse_name": ""}, "warehouse_name is required (select an existing warehouse)."),
        ({"step_duration_seconds": 5}, "1 validation error for TestScenario\n"),
    ],
)
async def test_some_faults_of_a_template_are_found_when_a_run_is_created(
    world: World, changes: Json, reason: str
) -> None:
    draft = {"template_name": "Late", "config": config_of(**changes)}
    async with client(world) as http:
        saved = await http.post("/api/templates/", json=draft)
        assert saved.status_code == 201
        body = {"template_id": saved.json()["template_id"]}
        answer = await http.post("/api/runs/", json=body)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(reason)


async def test_templates_are_a_bare_list_and_count_their_starts(world: World) -> None:
    async with client(world) as http:
        await started(http)
        templates: list[Json] = (await http.get("/api/templates/")).json()
        unknown = (await http.get("/api/templates/unknown")).json()
    used = next(one for one in templates if one["template_id"] == "tpl-fixed")
    assert used["usage_count"] == 1
    assert used["last_used_at"] is not None
    assert unknown == {"detail": "Template not found: unknown"}


async def test_connections_are_wrapped_and_warehouses_are_not(world: World) -> None:
    async with client(world) as http:
        connections: Json = (await http.get("/api/connections/?connection_type=POSTGRES")).json()
        warehouses: list[Json] = (await http.get("/api/warehouses/")).json()
        tried = await http.post("/api/connections/conn-postgres/test")
        world.outage = True
        failed = await http.post("/api/connections/conn-postgres/test")
    assert connections["total"] == len(connections["connections"]) == 1
    assert {"password", "private_key"}.isdisjoint(connections["connections"][0])
    assert (warehouses[0]["name"], warehouses[0]["size"]) == ("BENCH_WH", "Medium")
    assert (tried.status_code, tried.json()["success"]) == (200, True)
    assert (failed.status_code, failed.json()["success"]) == (200, False)


@pytest.mark.parametrize(
    ("template_id", "name"),
    [("tpl-fixed", "fixed"), ("tpl-findmax", "findmax"), ("tpl-qps", "qps")],
)
async def test_a_row_has_the_recorded_keys(
    world: World, clock: ManualClock, template_id: str, name: str
) -> None:
    async with client(world) as http:
        run_id = await started(http, template_id)
        clock.advance(3_600)
        listed = await row(http, run_id)
    recorded = sample(f"list_row_{name}")
    assert listed.keys() == recorded.keys()
    assert listed["created_at"].endswith("Z")
    for key in ("status", "phase", "enrichment_status", "load_mode", "ops_per_sec"):
        assert listed[key] == recorded[key]


async def test_rows_come_in_pages_newest_first_without_a_total(
    world: World, clock: ManualClock
) -> None:
    async with client(world) as http:
        run_ids: list[str] = []
        for _ in range(5):
            run_ids.append(await new_run(http))
            clock.advance(1)
        answer: Json = (await http.get("/api/tests?page=2&page_size=2")).json()
        found: Json = (await http.get("/api/tests?search_query=find")).json()
    assert answer.keys() == {"results", "total_pages"}
    assert answer["total_pages"] == 3
    assert [one["run_id"] for one in answer["results"]] == [run_ids[2], run_ids[1]]
    assert found == {"results": [], "total_pages": 1}


async def test_a_search_finds_workers_too_and_tells_no_status(
    world: World, clock: ManualClock
) -> None:
    async with client(world) as http:
        run_id = await started(http)
        clock.advance(60)
        rows: list[Json] = (await http.get("/api/tests/search?q=fixed")).json()["results"]
    assert [one["run_id"] for one in rows] == [run_id, run_id]
    assert rows[1]["test_id"] != run_id
    assert "status" not in rows[0]
    assert rows[0]["p50_latency"] == 20


async def test_a_rerun_is_a_new_run_of_the_same_template(world: World) -> None:
    async with client(world) as http:
        run_id = await new_run(http)
        answer = await http.post(f"/api/tests/{run_id}/rerun")
        again = await seen(http, answer.json()["new_test_id"])
    assert answer.status_code == 200
    assert (again["status"], again["template_id"]) == ("PREPARED", "tpl-fixed")
    assert again["run_id"] != run_id


async def test_requests_are_counted_as_they_arrive(world: World) -> None:
    async with client(world) as http:
        await http.get("/api/templates", follow_redirects=True)
        await http.get("/api/templates/")
    assert world.counts.requests == {"GET /api/templates": 1, "GET /api/templates/": 2}
