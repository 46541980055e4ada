"""A person who says "Modify", and what the agent can do about it: the same test, another load."""

from typing import Any

import pytest
from mcp.types import ElicitResult

from tests.acceptance.home import Home
from tests.acceptance.person import ERAS, YES, Era, Person, call, client_of, text_of

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("era", ERAS)]

MODIFY = ElicitResult(action="accept", content={"decision": "modify", "note": "one connection"})


def template_named(home: Home, template_id: str) -> dict[str, Any]:
    """A template without what using it changes."""
    template: dict[str, Any] = home.ask("GET", f"/api/templates/{template_id}")
    return {
        key: value
        for key, value in template.items()
        if key not in {"usage_count", "last_used_at", "updated_at"}
    }


def template_ids(home: Home) -> set[str]:
    return {template["template_id"] for template in home.ask("GET", "/api/templates/")}


async def test_a_changed_run_comes_from_a_new_template_and_the_given_one_stays(
    home: Home, era: Era
) -> None:
    template_id = home.template(f"changing {era}", concurrent_connections=4)
    original, known = template_named(home, template_id), template_ids(home)
    changes = {"concurrent_connections": 1, "duration": 2, "think_time": 7}
    async with client_of(home.settings, era) as client:
        created = await call(client, "create_run", template_id=template_id, changes=changes)
    assert template_ids(home) - known == {created["template_id"]}
    assert created["template_name"] == f"changing {era} (1 connection, 2 s, 7 ms think time)"
    saved = template_named(home, created["template_id"])
    assert saved["template_name"] == created["template_name"]
    assert template_id in saved["description"]
    assert saved["config"] == original["config"] | changes
    assert template_named(home, template_id) == original
    run = home.ask("GET", f"/api/runs/{created['run_id']}/")
    assert (run["status"], run["template_id"]) == ("PREPARED", created["template_id"])
    assert run["config"]["concurrent_connections"] == 1


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"concurrent_connections": 1}, "nothing in them differs"),
        ({"target_qps": 5}, "has no effect in load mode CONCURRENCY"),
        ({"custom_insert_pct": 50}, "custom_insert_pct: 50 cannot be used"),
        ({"concurrent_connections": 0}, "greater than or equal to 1"),
        ({"table_name": "payroll"}, "changes.table_name: 'payroll' cannot be used"),
        ({"database": "/tmp/other.db", "duration": 2}, "changes.database"),
    ],
    ids=str,
)
async def test_changes_that_break_a_rule_save_nothing(
    home: Home, era: Era, changes: dict[str, Any], rule: str
) -> None:
    template_id = home.template()
    known, runs = template_ids(home), len(home.ask("GET", "/api/runs/"))
    arguments = {"template_id": template_id, "changes": changes}
    async with client_of(home.settings, era) as client:
        result = await client.call_tool("create_run", arguments)
    assert result.is_error
    assert result.structured_content is not None
    assert rule in result.structured_content["message"]
    assert template_ids(home) == known
    assert len(home.ask("GET", "/api/runs/")) == runs


async def test_a_wish_to_modify_leads_to_a_run_that_is_asked_about_anew(
    home: Home, era: Era
) -> None:
    person = Person(MODIFY, YES)
    template_id = home.template(f"wished {era}", concurrent_connections=4)
    async with client_of(home.settings, era, person) as client:
        first = await call(client, "create_run", template_id=template_id)
        result = await client.call_tool("start_run", {"run_id": first["run_id"]})
        assert result.structured_content is not None
        assert result.structured_content["outcome"] == "modify_requested"
        assert result.structured_content["note"] == "one connection"
        assert "**The person's note:** one connection" in text_of(result).splitlines()
        assert "`create_run` with `changes`" in text_of(result)

        changes = {"concurrent_connections": 1}
        second = await call(client, "create_run", template_id=template_id, changes=changes)
        started = await call(client, "start_run", run_id=second["run_id"])
        assert started["outcome"] == "started"
        ended = await call(client, "get_status", run_id=second["run_id"], wait_seconds=25)
    assert ended["status"] == "COMPLETED"
    asked, adjusted = person.questions
    assert "- Connections: 4" in asked.splitlines()
    assert "- Connections: 1" in adjusted.splitlines()
    assert f"**Test:** `wished {era} (1 connection)`" in adjusted.splitlines()
    assert home.status(first["run_id"]) == "PREPARED"


async def test_a_run_that_should_be_modified_is_not_asked_about_again_as_it_is(
    home: Home, era: Era
) -> None:
    person = Person(MODIFY, YES)
    async with client_of(home.settings, era, person) as client:
        created = await call(client, "create_run", template_id=home.template())
        await call(client, "start_run", run_id=created["run_id"])
        seen = await client.call_tool("get_status", {"run_id": created["run_id"]})
        again = await call(client, "start_run", run_id=created["run_id"])
    assert seen.structured_content is not None
    assert seen.structured_content["approval"] == "modify_requested"
    assert "`start_run` gives their note and asks nothing" in text_of(seen)
    assert (again["outcome"], again["note"]) == ("modify_requested", "one connection")
    assert len(person.questions) == 1
    assert home.status(created["run_id"]) == "PREPARED"


async def test_a_failed_run_is_retried_with_reduced_concurrency_on_another_yes(
    home: Home, own_home: Home, era: Era
) -> None:
    name = f"failing {era}"
    all_the_same = ElicitResult(action="accept", content={"decision": "yes", "typed_name": name})
    person = Person(all_the_same, YES)
    target: dict[str, Any] = {"database": str(own_home.database), "concurrent_connections": 4}
    template_id = home.template(name, **target)
    away = own_home.database.with_suffix(".away")
    own_home.database.rename(away)
    async with client_of(home.settings, era, person) as client:
        first = await call(client, "create_run", template_id=template_id)
        assert (await call(client, "start_run", run_id=first["run_id"]))["outcome"] == "started"
        watched = {"run_id": first["run_id"], "wait_seconds": 25}
        failed = await client.call_tool("get_status", watched)
        assert "**Status:** FAILED" in text_of(failed).splitlines()

        away.rename(own_home.database)
        changes = {"concurrent_connections": 1}
        retry = await call(client, "create_run", template_id=template_id, changes=changes)
        assert (await call(client, "start_run", run_id=retry["run_id"]))["outcome"] == "started"
        ended = await call(client, "get_status", run_id=retry["run_id"], wait_seconds=25)
    assert ended["status"] == "COMPLETED"
    assert retry["template_name"] == f"{name} (1 connection)"
    assert "type the name of the test besides saying yes" in person.questions[0]
    assert "- Connections: 1" in person.questions[1].splitlines()
    assert "type the name" not in person.questions[1]
