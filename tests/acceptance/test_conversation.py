"""Whole conversations through the protocol, in both of its eras, on a real backend and table."""

import re

import anyio
import pytest
from mcp.types import ResourceLink, TextResourceContents

from tests.acceptance.home import Home
from tests.acceptance.person import ERAS, YES, Era, Person, call, client_of, text_of

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("era", ERAS)]


async def test_a_benchmark_is_run_from_its_template_to_its_hand_over(home: Home, era: Era) -> None:
    person = Person(YES)
    template_id = home.template("nightly lookups", warmup=1, duration=2, concurrent_connections=2)
    async with client_of(home.settings, era, person) as client:
        listed = await call(client, "list_templates", name_contains="NIGHTLY")
        assert template_id in [line["template_id"] for line in listed["templates"]]

        run_id = (await call(client, "create_run", template_id=template_id))["run_id"]
        assert home.status(run_id) == "PREPARED"

        checked = await call(client, "preflight", run_id=run_id)
        assert (checked["can_proceed"], checked["warnings"]) == (True, [])

        started = await call(client, "start_run", run_id=run_id)
        assert started["outcome"] == "started"
        (question,) = person.questions
        assert "nightly lookups" in question
        assert "0 credits" in question

        with anyio.fail_after(20):
            status = await call(client, "get_status", run_id=run_id, wait_seconds=25)
        assert status["status"] == "COMPLETED"
        assert "next_check_seconds" not in status
        summary = status["summary"]
        assert summary["total_queries"] > 0
        assert summary["average_qps"] == pytest.approx(summary["total_queries"] / 2, rel=0.2)
        assert summary["p50_latency_ms"] <= summary["p95_latency_ms"] <= summary["p99_latency_ms"]
        assert status["estimated_cost"] == 0

        handed = await call(client, "get_results", run_ids=[run_id])
        assert handed["run_ids"] == [run_id]
        assert handed["status"] == "COMPLETED"
        assert handed["summary_metrics"] == summary
        assert handed["duration_seconds"] >= 3

        assert (await call(client, "get_errors", run_id=run_id))["rows"] == []


async def test_progress_travels_while_a_run_is_watched(home: Home, era: Era) -> None:
    heard: list[tuple[float, float | None, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, total, message))

    async with client_of(home.settings, era, Person(YES)) as client:
        created = await call(client, "create_run", template_id=home.template(duration=3))
        await call(client, "start_run", run_id=created["run_id"])
        await client.call_tool(
            "get_status",
            {"run_id": created["run_id"], "wait_seconds": 25},
            progress_callback=hear,
        )
    assert len(heard) >= 2
    assert all(total == 3 for _, total, _ in heard)
    assert [progress for progress, _, _ in heard] == sorted({progress for progress, _, _ in heard})
    assert any(message and re.search(r"\d QPS", message) for _, _, message in heard)


async def test_the_figures_can_be_read_as_csv(home: Home, era: Era) -> None:
    async with client_of(home.settings, era, Person(YES)) as client:
        created = await call(client, "create_run", template_id=home.template())
        await call(client, "start_run", run_id=created["run_id"])
        await call(client, "get_status", run_id=created["run_id"], wait_seconds=25)
        result = await client.call_tool("get_results", {"run_ids": [created["run_id"]]})
        links = [block.uri for block in result.content if isinstance(block, ResourceLink)]
        assert len(links) == 2
        for link in links:
            (content,) = (await client.read_resource(link)).contents
            assert isinstance(content, TextResourceContents)
            header, *rows = content.text.splitlines()
            assert "," in header
            assert rows


async def test_a_run_can_be_stopped_without_asking_anyone(home: Home, era: Era) -> None:
    person = Person(YES)
    async with client_of(home.settings, era, person) as client:
        created = await call(client, "create_run", template_id=home.template(duration=60))
        await call(client, "start_run", run_id=created["run_id"])
        stopped = await call(client, "stop_run", run_id=created["run_id"])
        assert stopped["status"] in {"CANCELLING", "CANCELLED"}
        with anyio.fail_after(10):
            ended = await call(client, "get_status", run_id=created["run_id"], wait_seconds=25)
        handed = await call(client, "get_results", run_ids=[created["run_id"]])
    assert ended["status"] == "CANCELLED"
    assert "summary_metrics" not in handed
    assert len(person.questions) == 1


async def test_tests_run_one_at_a_time(home: Home, era: Era) -> None:
    person = Person(YES)
    async with client_of(home.settings, era, person) as client:
        template_id = home.template(duration=60)
        first = (await call(client, "create_run", template_id=template_id))["run_id"]
        second = (await call(client, "create_run", template_id=template_id))["run_id"]
        await call(client, "start_run", run_id=first)
        refused = await client.call_tool("start_run", {"run_id": second})
        await call(client, "stop_run", run_id=first)
        await call(client, "get_status", run_id=first, wait_seconds=25)
    assert refused.structured_content is not None
    assert refused.structured_content["outcome"] == "refused"
    assert first in text_of(refused)
    assert home.status(second) == "PREPARED"
    assert len(person.questions) == 1


async def test_an_ended_run_does_not_start_again(home: Home, era: Era) -> None:
    person = Person(YES)
    async with client_of(home.settings, era, person) as client:
        created = await call(client, "create_run", template_id=home.template())
        await call(client, "start_run", run_id=created["run_id"])
        await call(client, "get_status", run_id=created["run_id"], wait_seconds=25)
        again = await call(client, "start_run", run_id=created["run_id"])
    assert again["outcome"] == "refused"
    assert "COMPLETED" in again["reason"]
    assert len(person.questions) == 1


async def test_connections_are_listed_without_any_secret(home: Home, era: Era) -> None:
    body = {
        "connection_name": f"staging {era}",
        "connection_type": "POSTGRES",
        "host": "127.0.0.1",
        "password_env": "NOBODY_HAS_SET_THIS",
    }
    saved = home.ask("POST", "/api/connections/", body=body)
    async with client_of(home.settings, era) as client:
        result = await client.call_tool("list_connections", {})
    assert result.structured_content is not None
    (listed,) = [
        line
        for line in result.structured_content["connections"]
        if line["connection_id"] == saved["connection_id"]
    ]
    assert listed == {
        "connection_id": saved["connection_id"],
        "connection_name": f"staging {era}",
        "connection_type": "POSTGRES",
        "server": "127.0.0.1",
        "has_password": False,
    }
    assert f"staging {era}" in text_of(result)
    home.ask("DELETE", f"/api/connections/{saved['connection_id']}/")
