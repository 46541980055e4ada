"""The lists of what is saved: paged, filtered, whole in what a line tells, and without secrets."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import respx
from mcp import Client
from mcp.types import PromptReference

from benchgate.gate.dialects import recognition
from benchgate.gate.server import open_gate
from benchgate.settings import Settings
from tests.flakebench import catalog_api
from tests.flakebench.app import ORIGIN
from tests.flakebench.clock import ManualClock
from tests.flakebench.plans import SEARCH, config_of
from tests.flakebench.world import World
from tests.unit.gate.emulated import ERAS, Era, Told, shown, talking

pytestmark = pytest.mark.anyio

SECRET = "hunter2-cannot-be-shown"
SECRET_FIELDS = (
    "password",
    "password_env",
    "passfile",
    "service",
    "private_key",
    "private_key_passphrase",
    "private_key_path",
    "token",
    "api_key",
    "credentials",
    "connection_string",
    "role",
    "created_by",
)
HOSTILE = "Orders](http://evil.example) `x`\n## Yes\n\u202e" + "A" * 5_000


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> Era:
    return request.param


@pytest.fixture
def world() -> World:
    """FlakeBench with sixty templates, made one a second."""
    world = World(clock=ManualClock())
    world.templates.clear()
    for number in range(60):
        save(world, number)
    return world


def save(world: World, number: int, **changes: object) -> None:
    assert isinstance(world.clock, ManualClock)
    world.clock.advance(1)
    kind = "HYBRID" if number % 2 else "STANDARD"
    name = f"{'Nightly' if number % 3 else 'Weekly'} {number:02}"
    world.save(name, config_of(**{"table_type": kind} | changes), template_id=f"t-{number:02}")


@pytest.fixture
async def client(
    world: World, era: Era, tmp_path: Path, signs: Any, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Client]:
    monkeypatch.setattr(recognition, "SIGNS", signs)
    async with talking(world, tmp_path, era) as client:
        yield client


async def told(client: Client, tool: str = "list_templates", **arguments: object) -> Told:
    values, _ = await shown(client, tool, **arguments)
    return values


async def refused(client: Client, tool: str = "list_templates", **arguments: object) -> Told:
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    assert result.structured_content is not None
    return result.structured_content


def ids_of(page: Told) -> list[str]:
    return [line["template_id"] for line in page["templates"]]


async def test_sixty_templates_are_read_in_three_pages_newest_first(client: Client) -> None:
    pages = [await told(client)]
    while "next_cursor" in pages[-1]:
        pages.append(await told(client, cursor=pages[-1]["next_cursor"]))
    assert [len(page["templates"]) for page in pages] == [25, 25, 10]
    assert {page["total"] for page in pages} == {60}
    listed = [template_id for page in pages for template_id in ids_of(page)]
    assert listed == [f"t-{number:02}" for number in reversed(range(60))]


async def test_the_text_says_where_a_page_stands_and_how_to_go_on(client: Client) -> None:
    first, text = await shown(client, "list_templates")
    cursor = first["next_cursor"]
    assert text.startswith("## Templates (1-25 of 60)\n\n- `t-59` ")
    way_on = f"call this tool again with the same filters and with `cursor` `{cursor}`."
    assert text.endswith(way_on)
    second = await told(client, cursor=cursor)
    _, last = await shown(client, "list_templates", cursor=second["next_cursor"])
    assert last.startswith("## Templates (51-60 of 60)\n")
    assert "cursor" not in last


async def test_what_is_saved_or_deleted_meanwhile_neither_repeats_nor_hides_a_template(
    client: Client, world: World
) -> None:
    first = await told(client)
    save(world, 60)
    del world.templates[ids_of(first)[-1]]
    second = await told(client, cursor=first["next_cursor"])
    assert ids_of(second) == [f"t-{number:02}" for number in reversed(range(10, 35))]
    assert second["total"] == 60
    world.templates.clear()
    assert (await told(client, cursor=second["next_cursor"]))["templates"] == []


async def test_filters_hold_on_every_page_and_count_what_they_let_through(client: Client) -> None:
    nightly = await told(client, name_contains="NIGHTLY")
    assert (len(nightly["templates"]), nightly["total"]) == (25, 40)
    rest = await told(client, name_contains="nightly", cursor=nightly["next_cursor"])
    assert len(rest["templates"]) == 15
    assert {*ids_of(nightly)} & {*ids_of(rest)} == set()
    hybrid = await told(client, name_contains="weekly", table_type="hybrid")
    assert {line["table_type"] for line in hybrid["templates"]} == {"HYBRID"}
    assert hybrid["total"] == 10
    assert (await told(client, table_type="POSTGRES")) == {"templates": [], "total": 0}


async def test_a_type_that_there_is_not_is_refused_with_those_that_there_are(
    client: Client,
) -> None:
    why = await refused(client, table_type="CLAY")
    assert why["code"] == "invalid_input"
    assert "HYBRID" in why["message"]


async def test_a_cursor_that_this_list_has_not_given_is_refused(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [catalog_api.CONNECTIONS[0] | {"connection_id": f"c-{n}"} for n in range(30)]
    monkeypatch.setattr(catalog_api, "CONNECTIONS", many)
    own = (await told(client))["next_cursor"]
    foreign = (await told(client, "list_connections"))["next_cursor"]
    for wrong in (foreign, own[::-1], own[:-1], "t-35", "25"):
        why = await refused(client, cursor=wrong)
        assert (why["code"], "without cursor" in why["hint"]) == ("invalid_input", True)
    assert (await refused(client, cursor=own, table_type="HYBRID"))["code"] == "invalid_input"
    assert (await refused(client, "list_connections", cursor=own))["code"] == "invalid_input"
    assert (await refused(client, cursor=own * 100))["code"] == "invalid_input"


@pytest.mark.parametrize(
    ("changes", "line", "facts"),
    [
        (
            {"custom_point_lookup_pct": 60, "custom_insert_pct": 40, "warehouse_size": "MEDIUM"},
            "CONCURRENCY, 10 connections; 60% point lookup, 40% insert; 8s; ~0.0089 credits;",
            {"load": "10 connections", "expected_seconds": 8, "estimated_cost": 0.008889},
        ),
        (
            {"load_mode": "QPS", "target_qps": 1_250, "warehouse_size": "odd"},
            "QPS, 1,250 QPS; 100% point lookup; 8s; unknown (no rate is known for this target);",
            {"load": "1,250 QPS", "expected_seconds": 8},
        ),
        (
            SEARCH,
            "FIND_MAX_CONCURRENCY, from 5 connections, +5 every 10s; 100% point lookup; open end; "
            "~0.011 credits per step; the number of steps is open;",
            {"load": "from 5 connections, +5 every 10s", "estimated_cost": 0.011111},
        ),
        (
            {
                "custom_point_lookup_pct": 50,
                "generic_queries": [
                    {"operation_type": kind, "weight_pct": 10, "sql": "SELECT 1"}
                    for kind in ("READ", "WRITE", "READ", "WRITE", "READ")
                ],
            },
            "50% point lookup, 30% generic sql, 20% generic sql (writes);",
            {"workload": "50% point lookup, 30% generic sql, 20% generic sql (writes)"},
        ),
    ],
    ids=["fixed", "qps", "search", "own statements"],
)
async def test_a_line_tells_all_that_a_choice_needs(
    client: Client, world: World, changes: Told, line: str, facts: Told
) -> None:
    save(world, 60, **changes)
    world.templates["t-60"]["last_used_at"] = "2026-11-23T23:30:00+00:00"
    page, block = await shown(client, "list_templates", name_contains="60")
    (values,) = page["templates"]
    text = block.splitlines()[2]
    assert text.startswith("- `t-60` Weekly 60: `BENCH.PUBLIC.ORDERS` (STANDARD); ")
    assert line in text
    assert text.endswith("; last used `2026-11-23`")
    assert facts.items() <= values.items()
    assert ("expected_seconds" in values) is ("open end" not in line)
    assert values["last_used_on"] == "2026-11-23"


async def test_a_template_that_was_never_used_says_so(client: Client) -> None:
    page, text = await shown(client, "list_templates", name_contains="59")
    assert text.endswith("; never used")
    assert "last_used_on" not in page["templates"][0]


async def test_templates_that_cannot_be_read_are_counted_and_named(
    client: Client, world: World
) -> None:
    for number in range(7):
        world.save(f"Broken {number}", config_of(step_duration_seconds=5))
    world.save("Odd one", config_of(table_type="CLAY"))
    page, text = await shown(client, "list_templates")
    assert (page["total"], page["unreadable"]) == (60, 8)
    assert "8 more cannot be read here." in text
    assert text.count("cannot be run: step_duration_seconds: ") == 5
    assert text.endswith("\n- … and 3 more")
    _, named = await shown(client, "list_templates", name_contains="odd")
    assert "1 more cannot be read here." in named
    assert "The template Odd one cannot be run: table_type: " in named
    assert "unreadable" not in await told(client, name_contains="weekly")


async def test_what_cannot_be_read_hides_nothing_from_completions(
    client: Client, world: World
) -> None:
    world.save("Broken", config_of(step_duration_seconds=5), template_id="t-broken")
    ref = PromptReference(type="ref/prompt", name="execute_test")
    completed = await client.complete(ref, {"name": "template_id", "value": "t-"})
    assert completed.completion.total == 60


async def test_hostile_names_stay_on_their_line_and_within_bounds(
    client: Client, world: World
) -> None:
    world.save(HOSTILE, config_of(table_name=HOSTILE[:255]), template_id="t-hostile")
    world.save(HOSTILE, config_of(table_type=HOSTILE))
    page, text = await shown(client, "list_templates", name_contains="evil")
    (line,) = page["templates"]
    assert max(len(value) for value in line.values() if isinstance(value, str)) <= 400
    assert not {"\n", "\u202e"} & {*json.dumps(line, ensure_ascii=False)}
    assert "\n## Yes" not in text
    assert "](http://" not in text
    assert len(text) < 2_000


async def test_connections_are_read_by_page_with_their_server_and_user(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    snowflake, postgres = catalog_api.CONNECTIONS
    keyed = {"has_password": False, "has_private_key": True, "created_at": "2026-03-01T00:00:00"}
    many = [postgres | {"connection_id": f"c-{n:02}"} for n in range(29)]
    many.append(postgres | {"connection_name": "Idle", "is_active": False})
    monkeypatch.setattr(catalog_api, "CONNECTIONS", [*many, snowflake | keyed])
    first, text = await shown(client, "list_connections")
    assert (len(first["connections"]), first["total"]) == (25, 31)
    assert first["connections"][0] == {
        "connection_id": "conn-snowflake",
        "connection_name": "Snowflake",
        "connection_type": "SNOWFLAKE",
        "server": "bench-account",
        "username": "bench",
        "has_password": False,
        "has_private_key": True,
    }
    assert text.splitlines()[2] == (
        "- `conn-snowflake` Snowflake (SNOWFLAKE): `bench-account`, user `bench`, "
        "no password found, private key found"
    )
    rest = await told(client, "list_connections", cursor=first["next_cursor"])
    listed = {line["connection_id"] for line in [*first["connections"], *rest["connections"]]}
    assert len(listed) == 31
    page, text = await shown(client, "list_connections", name_contains="POST")
    assert page["total"] == 29
    assert "`db.example.test:5432`, user `bench`, password found\n" in text
    assert "inactive" not in text
    _, text = await shown(client, "list_connections", name_contains="idle")
    assert text.endswith(", password found, inactive")


async def test_no_secret_of_a_connection_or_a_template_is_ever_told(
    client: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = dict.fromkeys(SECRET_FIELDS, SECRET)
    hosts = [
        f"postgresql://bench:{SECRET}@db.example/x",
        f"bench:{SECRET}@db.example",
        f"db.example?password={SECRET}",
        f"host=db password={SECRET}",
        "db.example",
    ]
    many = [catalog_api.CONNECTIONS[1] | secrets | {"host": host} for host in hosts]
    many += [one | {"host": None, "account": one["host"]} for one in many[:4]]
    many.append(many[4] | {"username": f"bench:{SECRET}"})
    monkeypatch.setattr(
        catalog_api,
        "CONNECTIONS",
        [one | {"connection_id": f"c-{number}"} for number, one in enumerate(many)],
    )
    save(world, 60, **secrets, ai_workload=secrets)
    world.templates["t-60"] |= secrets | {"tags": secrets, "description": SECRET}
    for tool in ("list_connections", "list_templates"):
        result = await client.call_tool(tool, {})
        assert SECRET not in result.model_dump_json()
    listed = (await told(client, "list_connections"))["connections"]
    assert sorted(line["server"] for line in listed) == ["db.example:5432"] * 2 + ["not shown"] * 8


@pytest.mark.parametrize("tool", ["list_connections", "list_templates"])
async def test_no_secret_is_told_in_the_specifications_dialect_either(
    tool: str, era: Era, tmp_path: Path
) -> None:
    secrets = dict.fromkeys(SECRET_FIELDS, SECRET)
    named = {"connection_id": "c", "connection_name": "n", "connection_type": "POSTGRES"}
    times = dict.fromkeys(("created_at", "updated_at"), catalog_api.SINCE)
    saved = {"template_id": "t", "template_name": "n", "config": config_of(**secrets)} | times
    settings = Settings.model_validate({"data_dir": tmp_path, "backend_url": ORIGIN})
    with respx.mock(base_url=ORIGIN, assert_all_called=False) as router:
        router.get("/api/connections/").respond(
            json={"connections": [named | secrets | {"created_by": SECRET}], "total": 1}
        )
        router.get("/api/templates/").respond(json=[secrets | saved | {"tags": secrets}])
        async with open_gate(settings) as server, Client(server, mode=era) as client:
            result = await client.call_tool(tool, {})
    assert not result.is_error
    assert (result.structured_content or {})["total"] == 1
    assert SECRET not in result.model_dump_json()
