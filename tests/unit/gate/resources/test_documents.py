"""The JSON resources over the protocol, in both of its eras."""

import json
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from mcp import Client
from mcp.server import MCPServer
from mcp.shared.exceptions import MCPError
from mcp.types import INTERNAL_ERROR, INVALID_PARAMS, TextResourceContents

from benchgate.domain.approvals import Channel
from benchgate.domain.contract import RunRow
from benchgate.domain.evidence import Evidence
from benchgate.domain.runs import RunSnapshot
from benchgate.domain.templates import Template
from benchgate.errors import BackendUnavailable, NotFound
from benchgate.gate.resources import documents
from benchgate.gate.resources.documents import RUNS_MAX
from tests.unit.examples import METRICS, NOON, SUMMARY, config_of, snapshot_of, template_of

pytestmark = pytest.mark.anyio

RUN = "benchgate://runs/run-789xyz"
TEMPLATE = "benchgate://templates/tpl-1"
YES = Evidence(run_id="run-789xyz", channel=Channel.PAGE, answered_at=NOON, digest="d")


def row_of(number: int, **changes: object) -> RunRow:
    known = {
        "run_id": f"run-{number}",
        "template_id": "tpl-1",
        "template_name": "Orders lookup",
        "status": "COMPLETED",
        "created_at": NOON - timedelta(minutes=number),
    }
    return RunRow.model_validate(known | changes)


class Shelf:
    """What a backend has; `asked` tells how often it was asked for anything."""

    def __init__(self) -> None:
        self.is_alive = True
        self.is_down = False
        self.asked = 0
        self.rows = [row_of(1), row_of(2)]
        self.run = snapshot_of("COMPLETED", summary=SUMMARY, estimated_cost=0.34)
        self.config = config_of()

    async def is_known_alive(self) -> bool:
        return self.is_alive

    async def runs(self) -> list[RunRow]:
        self._ask()
        return self.rows

    async def snapshot(self, run_id: str) -> RunSnapshot:
        self._ask()
        if run_id != self.run.run_id:
            raise NotFound(f"There is no run {run_id}.")
        return self.run

    async def template(self, template_id: str) -> Template:
        self._ask()
        if template_id != "tpl-1":
            raise NotFound(f"There is no template {template_id}.")
        return template_of(config=self.config)

    async def evidence(self, run_ids: Sequence[str]) -> tuple[list[Evidence], str | None]:
        return [YES for run_id in run_ids if run_id == YES.run_id], "7:abc"

    def _ask(self) -> None:
        self.asked += 1
        if self.is_down:
            raise BackendUnavailable


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture(params=["auto", "legacy"])
async def client(request: pytest.FixtureRequest, shelf: Shelf) -> AsyncIterator[Client]:
    server: MCPServer[Any] = MCPServer("documents", log_level="CRITICAL")
    documents.register(server, shelf, read_snapshot=shelf.snapshot, read_evidence=shelf.evidence)
    async with Client(server, mode=request.param) as client:
        yield client


async def read(client: Client, uri: str) -> dict[str, Any]:
    (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    assert content.mime_type == "application/json"
    return json.loads(content.text)


async def refusal_of(client: Client, uri: str) -> MCPError:
    with pytest.raises(MCPError) as caught:
        await client.read_resource(uri)
    return caught.value


async def test_they_are_offered_with_everything_that_a_host_shows(client: Client) -> None:
    listed = (await client.list_resources()).resources
    offered = (await client.list_resource_templates()).resource_templates
    assert [resource.uri for resource in listed] == ["benchgate://runs"]
    assert [template.uri_template for template in offered] == [
        "benchgate://runs/{run_id}",
        "benchgate://runs/{run_id}/results.json",
        "benchgate://templates/{template_id}",
    ]
    for shown in (*listed, *offered):
        assert shown.title
        assert shown.description
        assert shown.mime_type == "application/json"


async def test_the_list_has_the_runs_in_the_backends_order(client: Client) -> None:
    assert await read(client, "benchgate://runs") == {
        "runs": [
            {
                "run_id": "run-1",
                "template_id": "tpl-1",
                "template_name": "Orders lookup",
                "status": "COMPLETED",
                "created_at": "2026-01-01T11:59:00Z",
            },
            {
                "run_id": "run-2",
                "template_id": "tpl-1",
                "template_name": "Orders lookup",
                "status": "COMPLETED",
                "created_at": "2026-01-01T11:58:00Z",
            },
        ]
    }


async def test_an_empty_list_says_that_it_may_be_an_outage(client: Client, shelf: Shelf) -> None:
    shelf.rows = []
    assert "check its own database" in (await read(client, "benchgate://runs"))["note"]


async def test_a_long_list_is_cut_and_says_so(client: Client, shelf: Shelf) -> None:
    shelf.rows = [row_of(number) for number in range(RUNS_MAX + 20)]
    told = await read(client, "benchgate://runs")
    assert [run["run_id"] for run in told["runs"]] == [f"run-{n}" for n in range(RUNS_MAX)]
    assert told["note"] == f"The newest {RUNS_MAX} of {RUNS_MAX + 20} runs."


async def test_the_list_of_a_backend_that_is_not_alive_is_empty_and_starts_none(
    client: Client, shelf: Shelf
) -> None:
    shelf.is_alive = False
    told = await read(client, "benchgate://runs")
    assert told["runs"] == []
    assert "starts none" in told["note"]
    assert shelf.asked == 0


async def test_a_run_is_told_as_far_as_it_is_known(client: Client, shelf: Shelf) -> None:
    shelf.run = snapshot_of(
        "RUNNING", phase="MEASUREMENT", elapsed_seconds=7, expected_seconds=28, metrics=METRICS
    )
    told = await read(client, RUN)
    assert told["progress_pct"] == 25
    assert (told["status"], told["phase"], told["elapsed_seconds"]) == ("RUNNING", "MEASUREMENT", 7)
    assert told["metrics"]["p95_latency_ms"] == 45
    assert "summary" not in told


async def test_the_results_of_a_run_are_the_hand_over_with_its_yes(client: Client) -> None:
    told = await read(client, f"{RUN}/results.json")
    assert told["run_ids"] == ["run-789xyz"]
    assert told["status"] == "COMPLETED"
    assert told["summary_metrics"]["average_qps"] == 1_247
    assert told["estimated_cost"] == 0.34
    assert told["approvals"][0]["channel"] == "page"
    assert told["ledger_head"] == "7:abc"


@pytest.mark.parametrize("status", ["PREPARED", "RUNNING", "CANCELLING", "ADRIFT"])
async def test_a_run_that_has_not_ended_has_no_results_yet(
    client: Client, shelf: Shelf, status: str
) -> None:
    shelf.run = snapshot_of(status, summary=SUMMARY, metrics=METRICS, estimated_cost=0.34)
    told = json.dumps(await read(client, f"{RUN}/results.json"))
    assert f'"status": "{status}"' in told
    assert "1247" not in told
    assert "0.34" not in told


async def test_the_figures_of_a_run_that_failed_are_told_as_partial(
    client: Client, shelf: Shelf
) -> None:
    shelf.run = snapshot_of("FAILED", summary=SUMMARY, reason="Disk full")
    told = await read(client, f"{RUN}/results.json")
    assert "summary_metrics" not in told
    assert told["results"][0]["partial_metrics"]["total_queries"] == 374_100
    assert told["results"][0]["reason"] == "Disk full"


async def test_a_template_is_told_without_its_secrets(client: Client, shelf: Shelf) -> None:
    shelf.config = config_of(password="hunter2", note="postgres://b:hunter2@db/x", pool_size=4)
    told = await read(client, TEMPLATE)
    assert told["template_name"] == "Orders lookup"
    assert told["config"]["schema"] == "public"
    assert told["config"]["pool_size"] == 4
    assert "hunter2" not in json.dumps(told)


@pytest.mark.parametrize(
    "uri",
    [
        "benchgate://runs/{}",
        "benchgate://runs/{}/results.json",
        "benchgate://templates/{}",
    ],
)
@pytest.mark.parametrize(
    "identifier",
    ["run-1", "..", "%2e%2e", "a%2Fb", "a%0Ab", "%27", "%60x%60", "%00", "a%20b", "a" * 65, "é"],
)
async def test_what_there_is_not_is_not_found(
    client: Client, shelf: Shelf, uri: str, identifier: str
) -> None:
    refusal = await refusal_of(client, uri.format(identifier))
    assert refusal.code == INVALID_PARAMS
    assert "\n" not in refusal.message
    assert shelf.asked == (identifier == "run-1")


@pytest.mark.parametrize(
    "uri", ["benchgate://runs/", "benchgate://templates", "benchgate://runs/run-789xyz/results.xml"]
)
async def test_another_document_is_not_found(client: Client, uri: str) -> None:
    assert (await refusal_of(client, uri)).code == INVALID_PARAMS


@pytest.mark.parametrize("uri", ["benchgate://runs", RUN, f"{RUN}/results.json", TEMPLATE])
async def test_a_backend_that_is_down_is_told_with_what_to_do(
    client: Client, shelf: Shelf, uri: str
) -> None:
    shelf.is_down = True
    refusal = await refusal_of(client, uri)
    assert refusal.code == INTERNAL_ERROR
    assert "Check that the backend runs" in refusal.message
