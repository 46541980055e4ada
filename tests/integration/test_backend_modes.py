"""The modes of load on a real backend, followed while they run: a search, a rate, and limits."""

from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.integration.backend_process import backend, frames_of
from tests.unit.backend.scripted import draft, new_run, orders, until, until_status

pytestmark = pytest.mark.anyio

SEARCH: dict[str, Any] = {
    "load_mode": "FIND_MAX_CONCURRENCY",
    "start_concurrency": 1,
    "concurrency_increment": 1,
    "step_duration_seconds": 10,
    "scaling": {"max_workers": 1, "max_connections": 2},
    # A busy machine shall not be taken for the limit of the database.
    "qps_stability_pct": 50,
    "latency_stability_pct": 1_000,
    "think_time": 20,
    "duration": 60,
    "warmup": 0,
}
RATE: dict[str, Any] = {
    "load_mode": "QPS",
    "target_qps": 100,
    "scaling": {"max_workers": 1},
    "target_point_lookup_p99_latency_ms": 0.001,
    "target_point_lookup_error_rate_pct": 0,
    "warmup": 0,
}
LIMITS = {"enabled": True, "max_cpu_percent": 100, "max_memory_percent": 100, "max_seconds": 2}


async def started(http: httpx.AsyncClient, folder: Path, **config: Any) -> str:
    """A run that has been started."""
    run_id = await new_run(http, draft(folder / "orders.db", **config))
    response = await http.post(f"/api/runs/{run_id}/start")
    assert response.status_code == 202, response.text
    return run_id


def position(seen: dict[str, Any]) -> tuple[int | None, int | None]:
    """The step and the concurrency that a status or a frame shows."""
    return seen["current_step"], seen["current_concurrency"]


async def test_a_search_can_be_followed_step_by_step_to_what_it_found(tmp_path: Path) -> None:
    orders(tmp_path)
    frames: list[dict[str, Any]] = []
    first: dict[str, Any] = {}
    second: dict[str, Any] = {}
    async with backend(tmp_path / "data") as process, process.client() as http:
        run_id = await started(http, tmp_path, **SEARCH)

        async def watch() -> None:
            frames.extend(await frames_of(process, run_id))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            first |= await until(http, run_id, lambda seen: position(seen) == (1, 1))
            second |= await until(http, run_id, lambda seen: position(seen) == (2, 2))
        done = await until_status(http, run_id, "COMPLETED")

    for live in (first, second):
        assert live["current_step"] <= live["total_steps"]
        assert live["metrics"]["qps"] > 0
    assert second["best_concurrency"] == 1
    assert second["best_qps"] > 0
    shown = [position(frame) for frame in frames if frame["status"] == "RUNNING"]
    assert {(1, 1), (2, 2)} <= set(shown)
    assert (frames[-1]["status"], frames[-1]["best_concurrency"]) == ("COMPLETED", 2)

    assert done["best_concurrency"] == 2
    assert done["best_qps"] > first["metrics"]["qps"] / 2
    assert (done["current_step"], done["total_steps"]) == (2, 2)
    search = done["findings"]["search"]
    assert [step["figures"]["concurrency"] for step in search["steps"]] == [1, 2]
    assert all(step["is_stable"] for step in search["steps"])
    assert search["outcome"]["end"] == "CEILING_STABLE"
    assert "the limit of 2 connections was reached and was stable" in done["reason"].lower()
    assert done["summary"]["average_qps"] == pytest.approx(done["best_qps"], rel=0.1)


async def test_a_rate_is_judged_and_a_limit_ends_a_run_with_the_reason(tmp_path: Path) -> None:
    orders(tmp_path)
    async with backend(tmp_path / "data") as process, process.client() as http:
        run_id = await started(http, tmp_path, **RATE, duration=3)
        live = await until(http, run_id, lambda seen: bool(seen["metrics"]))
        done = await until_status(http, run_id, "COMPLETED")
        limited = await started(http, tmp_path, **RATE, duration=600, guardrails=LIMITS)
        stopped = await until_status(http, limited, "STOPPED")

    assert live["current_concurrency"] >= 1
    assert done["findings"]["rate"]["target_qps"] == 100
    # A last second that is cut late is longer.
    measured_s = done["summary"]["total_queries"] / done["summary"]["average_qps"]
    assert measured_s > 2.9
    assert done["findings"]["schedule"]["scheduled"] == pytest.approx(100 * measured_s, abs=10)
    (figures,) = done["findings"]["kinds"]
    assert figures["response"]["p99_ms"] >= figures["service"]["p50_ms"] > 0
    missed, held = done["findings"]["verdicts"]
    assert (missed["holds"], held["holds"]) == (False, True)
    assert missed["value"] > 0.001
    assert "Point lookups: the p99 response time of" in done["reason"]
    assert "exceeds 0.001 ms." in done["reason"]

    assert "Guardrail: the limit of 2 s was reached." in stopped["reason"]
    assert stopped["summary"]["total_queries"] > 0
    assert stopped["timing"]["elapsed_display_seconds"] < 60
