"""The CSV files over the protocol, in both of its eras, and what stands in them."""

import csv
import io
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from mcp import Client
from mcp.server import MCPServer
from mcp.shared.exceptions import MCPError
from mcp.types import INTERNAL_ERROR, INVALID_PARAMS, TextResourceContents

from benchgate.domain.contract import Series, SeriesPoint
from benchgate.domain.results import result_of
from benchgate.domain.runs import RunSnapshot
from benchgate.errors import BackendUnavailable, NotFound
from benchgate.gate.resources import sheets
from benchgate.gate.resources.sheets import SERIES_COLUMNS, SUMMARY_COLUMNS, series_csv, summary_csv
from tests.unit.examples import NOON, SUMMARY, snapshot_of
from tests.unit.hostile import FOREIGN

pytestmark = pytest.mark.anyio


def series_of(seconds: int) -> Series:
    points = tuple(
        SeriesPoint(
            timestamp=NOON + timedelta(seconds=second),
            elapsed_seconds=second,
            warmup=second < 1,
            ops_per_sec=1_247.5,
            p50_latency=12,
            p95_latency=None if second < 1 else 45,
            p99_latency=89,
            error_rate=0,
            active_connections=8,
        )
        for second in range(seconds)
    )
    return Series(test_id="t", snapshots=points, count=seconds)


class Runs:
    """One completed run, unless the backend is down."""

    down = False

    async def snapshot(self, run_id: str) -> RunSnapshot:
        self._check(run_id)
        return snapshot_of("COMPLETED", summary=SUMMARY, elapsed_seconds=310, estimated_cost=0.34)

    async def series(self, run_id: str) -> Series:
        self._check(run_id)
        return series_of(2)

    def _check(self, run_id: str) -> None:
        if self.down:
            raise BackendUnavailable
        if run_id != "run-789xyz":
            raise NotFound(f"There is no run {run_id}.")


@pytest.fixture
def runs() -> Runs:
    return Runs()


@pytest.fixture(params=["auto", "legacy"])
async def client(request: pytest.FixtureRequest, runs: Runs) -> AsyncIterator[Client]:
    server: MCPServer[Any] = MCPServer("resources", log_level="CRITICAL")
    sheets.register(server, read_snapshot=runs.snapshot, read_series=runs.series)
    async with Client(server, mode=request.param) as client:
        yield client


async def text_of(client: Client, uri: str) -> str:
    (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    assert content.mime_type == "text/csv"
    return content.text


async def refusal_of(client: Client, uri: str) -> MCPError:
    with pytest.raises(MCPError) as caught:
        await client.read_resource(uri)
    return caught.value


def rows_of(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


async def test_both_files_are_offered_with_everything_that_a_host_shows(client: Client) -> None:
    offered = (await client.list_resource_templates()).resource_templates
    assert [template.uri_template for template in offered] == [
        "benchgate://runs/{run_id}/summary.csv",
        "benchgate://runs/{run_id}/series.csv",
    ]
    for template in offered:
        assert template.title
        assert template.description
        assert template.mime_type == "text/csv"


async def test_the_summary_of_a_run_is_one_line(client: Client) -> None:
    text = await text_of(client, "benchgate://runs/run-789xyz/summary.csv")
    assert text == (
        "run_id,template_name,status,reason,metrics,total_queries,average_qps,"
        "p50_latency_ms,p95_latency_ms,p99_latency_ms,error_rate,duration_seconds,estimated_cost"
        "\r\nrun-789xyz,Orders lookup,COMPLETED,,final,374100,1247.0,12.0,45.0,89.0,0.0,310.0,0.34"
        "\r\n"
    )


async def test_the_series_of_a_run_has_a_line_for_each_second(client: Client) -> None:
    text = await text_of(client, "benchgate://runs/run-789xyz/series.csv")
    assert rows_of(text) == [
        [*SERIES_COLUMNS],
        ["2026-01-01T12:00:00+00:00", "0.0", "true", "1247.5", "12.0", "", "89.0", "0.0", "8"],
        ["2026-01-01T12:00:01+00:00", "1.0", "false", "1247.5", "12.0", "45.0", "89.0", "0.0", "8"],
    ]


@pytest.mark.parametrize("file", ["summary", "series"])
@pytest.mark.parametrize(
    "run_id",
    ["run-1", "..", "%2e%2e", "a%2Fb", "a%0Ab", "%27", "%60x%60", "%00", "a%20b", "a" * 65, "é"],
)
async def test_a_run_that_there_is_not_is_not_found(client: Client, file: str, run_id: str) -> None:
    refusal = await refusal_of(client, f"benchgate://runs/{run_id}/{file}.csv")
    assert refusal.code == INVALID_PARAMS
    assert "\n" not in refusal.message


@pytest.mark.parametrize(
    "uri", ["benchgate://runs/run-789xyz/secrets.csv", "benchgate://runs//summary.csv", "x://y"]
)
async def test_another_file_is_not_found(client: Client, uri: str) -> None:
    assert (await refusal_of(client, uri)).code == INVALID_PARAMS


async def test_a_backend_that_is_down_is_told_with_what_to_do(client: Client, runs: Runs) -> None:
    runs.down = True
    refusal = await refusal_of(client, "benchgate://runs/run-789xyz/summary.csv")
    assert refusal.code == INTERNAL_ERROR
    assert "Check that the backend runs" in refusal.message


@pytest.mark.parametrize(
    ("status", "known", "metrics"),
    [
        ("COMPLETED", {"summary": SUMMARY}, "final"),
        ("FAILED", {"summary": SUMMARY}, "partial"),
        ("RUNNING", {}, "none"),
    ],
)
def test_the_summary_says_what_its_figures_are_worth(
    status: str, known: dict[str, Any], metrics: str
) -> None:
    (header, row) = rows_of(summary_csv(result_of(snapshot_of(status, **known))))
    assert dict(zip(header, row, strict=True))["metrics"] == metrics


def test_a_run_without_seconds_has_a_header_alone() -> None:
    assert rows_of(series_csv(series_of(0))) == [[*SERIES_COLUMNS]]


@pytest.mark.parametrize(
    "name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r\n=1", " =1", "\uff1d1", "\u200b=1"]
)
def test_a_name_is_never_a_formula(name: str) -> None:
    (_, row) = rows_of(summary_csv(result_of(snapshot_of("COMPLETED", template_name=name))))
    assert row[1].startswith("'")


@given(FOREIGN)
def test_whatever_a_name_is_the_file_has_its_columns_and_two_lines(text: str) -> None:
    result = result_of(snapshot_of("FAILED", template_name=text, reason=text, run_id=text))
    written = summary_csv(result)
    rows = rows_of(written)
    assert [len(row) for row in rows] == [len(SUMMARY_COLUMNS)] * 2
    assert written.count("\r\n") == 2
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in rows[1])
