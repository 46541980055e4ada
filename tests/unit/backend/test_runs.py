"""The life of a run through the REST door: created, started, watched, ended."""

from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import httpx
import pytest
from sqlalchemy.exc import OperationalError

from benchgate.backend.engine import record
from benchgate.backend.engine.conductor import CRASHED, SHUT_DOWN
from benchgate.backend.runs import NEVER_BEGAN, Ending, Run, RunTable
from benchgate.backend.series import SeriesTable
from benchgate.domain.contract import SeriesPoint
from benchgate.domain.runs import RunStatus
from benchgate.errors import DatabaseError, StoreError
from tests.unit.backend.scripted import (
    METRICS,
    SUMMARY,
    ScriptedLoad,
    draft,
    new_run,
    new_template,
    orders,
    outcome,
    scripted_app,
    seconds,
    served,
    until,
    until_status,
)

pytestmark = pytest.mark.anyio


async def start(http: httpx.AsyncClient, run_id: str) -> httpx.Response:
    return await http.post(f"/api/runs/{run_id}/start")


async def status_of(http: httpx.AsyncClient, run_id: str) -> dict[str, Any]:
    return (await http.get(f"/api/tests/{run_id}/")).json()


async def test_a_run_goes_from_prepared_to_completed(tmp_path: Path) -> None:
    load = ScriptedLoad(ticks=seconds(3))
    async with served(scripted_app(tmp_path, load)) as http:
        run_id = await new_run(http, draft(orders(tmp_path)))
        prepared = await status_of(http, run_id)
        assert (prepared["status"], prepared["phase"]) == ("PREPARED", None)

        started = await start(http, run_id)
        assert started.status_code == 202
        assert started.json() == {"run_id": run_id, "status": "STARTING", "warnings": []}

        await load.under_way.wait()
        live = await until(http, run_id, lambda seen: seen["phase"] == "MEASUREMENT")
        assert live["status"] == "RUNNING"
        assert live["metrics"] == METRICS.model_dump()
        assert live["timing"]["elapsed_display_seconds"] == 3
        assert live["timing"]["total_expected_seconds"] == 3
        assert (await http.get("/health")).json()["active_run_id"] == run_id

        load.finish.set()
        done = await until_status(http, run_id, "COMPLETED")
        assert done["summary"] == SUMMARY.model_dump()
        assert (done["metrics"], done["phase"], done["reason"]) == (None, None, None)
        assert done["timing"]["measured_seconds"] == 2
        assert done["estimated_cost"] == 0
        assert (await http.get("/health")).json()["active_run_id"] is None


async def test_the_load_is_what_the_template_said_when_the_run_was_created(tmp_path: Path) -> None:
    load = ScriptedLoad()
    async with served(scripted_app(tmp_path, load)) as http:
        body = draft(orders(tmp_path), concurrent_connections=7, think_time=9)
        template_id = await new_template(http, body)
        run = (await http.post("/api/runs/", json={"template_id": template_id})).json()
        changed = draft(orders_elsewhere(tmp_path), concurrent_connections=1)
        assert (await http.put(f"/api/templates/{template_id}", json=changed)).status_code == 200
        await start(http, run["run_id"])
        with anyio.fail_after(5):
            await load.under_way.wait()
        assert load.heard is not None
        assert (load.heard.connections, load.heard.think_time_ms) == (7, 9)
        assert load.heard.target.database == body["config"]["database"]
        detail = (await http.get(f"/api/runs/{run['run_id']}/")).json()
        assert detail["config"]["concurrent_connections"] == 7
        template = (await http.get(f"/api/templates/{template_id}")).json()
        assert template["usage_count"] == 1


def orders_elsewhere(tmp_path: Path) -> Path:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    return orders(elsewhere)


async def test_runs_are_listed_newest_first_and_by_status(tmp_path: Path) -> None:
    async with served(scripted_app(tmp_path)) as http:
        template_id = await new_template(http, draft(orders(tmp_path)))
        ids = [
            (await http.post("/api/runs/", json={"template_id": template_id})).json()["run_id"]
            for _ in range(3)
        ]
        await http.post(f"/api/runs/{ids[1]}/stop")

        async def listed(**query: Any) -> list[str]:
            rows = (await http.get("/api/runs/", params=query)).json()
            return [row["run_id"] for row in rows]

        assert await listed() == ids[::-1]
        assert await listed(limit=1) == [ids[2]]
        assert await listed(status="CANCELLED") == [ids[1]]
        for refused in ({"limit": 0}, {"limit": 101}, {"status": "ASLEEP"}):
            assert (await http.get("/api/runs/", params=refused)).status_code == 422


async def test_a_started_run_is_not_started_again(tmp_path: Path) -> None:
    load = ScriptedLoad()
    async with served(scripted_app(tmp_path, load)) as http:
        run_id = await new_run(http, draft(orders(tmp_path)))
        await start(http, run_id)
        await until_status(http, run_id, "RUNNING")
        again = await start(http, run_id)
        assert again.status_code == 409
        assert again.json()["detail"] == f"Run {run_id} is already RUNNING."
        load.finish.set()
        await until_status(http, run_id, "COMPLETED")
        late = await start(http, run_id)
        assert late.status_code == 409
        assert "has ended as COMPLETED" in late.json()["detail"]


async def test_no_second_run_starts_beside_an_active_one(tmp_path: Path) -> None:
    load = ScriptedLoad()
    async with served(scripted_app(tmp_path, load)) as http:
        first = await new_run(http, draft(orders(tmp_path)))
        second = await new_run(http, draft(tmp_path / "orders.db"))
        await start(http, first)
        refused = await start(http, second)
        assert refused.status_code == 409
        assert refused.json()["detail"].startswith(f"Run {first} is active")
        assert (await status_of(http, second))["status"] == "PREPARED"


async def test_of_many_starts_at_once_exactly_one_wins(tmp_path: Path) -> None:
    async with served(scripted_app(tmp_path)) as http:
        run_id = await new_run(http, draft(orders(tmp_path)))
        codes: list[int] = []

        async def try_it() -> None:
            codes.append((await start(http, run_id)).status_code)

        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(try_it)
        assert sorted(codes) == [202] + [409] * 7


async def test_stopping_an_active_run_cancels_it(tmp_path: Path) -> None:
    async with served(scripted_app(tmp_path, ScriptedLoad(ticks=seconds(2)))) as http:
        run_id = await new_run(http, draft(orders(tmp_path)))
        await start(http, run_id)
        await until_status(http, run_id, "RUNNING")
        stopped = await http.post(f"/api/runs/{run_id}/stop")
        assert stopped.status_code == 202
        assert stopped.json()["status"] == "CANCELLING"
        cancelled = await until_status(http, run_id, "CANCELLED")
        assert cancelled["summary"] == SUMMARY.model_dump()
        again = await http.post(f"/api/runs/{run_id}/stop")
        assert (again.status_code, again.json()["status"]) == (202, "CANCELLED")


async def test_a_prepared_run_that_is_stopped_cannot_be_started(tmp_path: Path) -> None:
    async with served(scripted_app(tmp_path)) as http:
        run_id = await new_run(http, draft(orders(tmp_path)))
        stopped = await http.post(f"/api/runs/{run_id}/stop")
        assert stopped.json()["status"] == "CANCELLED"
        assert (await status_of(http, run_id))["estimated_cost"] == 0
        assert (await start(http, run_id)).status_code == 409


async def test_a_run_that_is_stopped_before_it_is_ready_is_cancelled(tmp_path: Path) -> None:
    load = ScriptedLoad(ends=outcome(summary=None, measured_seconds=0))
    load.is_ready = False
    async with served(scripted_app(tmp_path, load)) as http:
        run_id = await new_run(http, draft(orders(tmp_path)))
        await start(http, run_id)
        assert (await status_of(http, run_id))["phase"] == "PREPARING"
        await http.post(f"/api/runs/{run_id}/stop")
        cancelled = await until_status(http, run_id, "CANCELLED")
        assert cancelled["summary"] is None


FAILURES: list[tuple[Any, str]] = [
    (outcome(failure="nothing works any more\nat all"), "nothing works any more at all"),
    (DatabaseError("too many connections"), "too many connections"),
    (RuntimeError("a secret detail"), "The load engine broke; the backend's log says how."),
]


@pytest.mark.parametrize(("end", "reason"), FAILURES)
async def test_a_load_that_cannot_go_on_fails_with_its_reason(
    tmp_path: Path, end: Any, reason: str
) -> None:
    load = ScriptedLoad(ticks=seconds(2), ends=end)
    async with served(scripted_app(tmp_path, load)) as http:
        run_id = await new_run(http, draft(orders(tmp_path)))
        await start(http, run_id)
        load.finish.set()
        failed = await until_status(http, run_id, "FAILED")
        assert failed["reason"] == reason
        assert failed["timing"]["elapsed_display_seconds"] >= 2
        other = await new_run(http, draft(tmp_path / "orders.db"))
        assert (await start(http, other)).status_code == 202


async def test_a_load_that_returns_before_it_began_has_failed(tmp_path: Path) -> None:
    load = ScriptedLoad(ends=outcome(summary=None))
    load.is_ready = False
    load.finish.set()
    async with served(scripted_app(tmp_path, load)) as http:
        run_id = await new_run(http, draft(orders(tmp_path)))
        await start(http, run_id)
        assert (await until_status(http, run_id, "FAILED"))["reason"] == NEVER_BEGAN


async def test_ending_the_backend_ends_the_active_run_and_says_so(tmp_path: Path) -> None:
    async with served(scripted_app(tmp_path)) as http:
        run_id = await new_run(http, draft(orders(tmp_path)))
        await start(http, run_id)
        await until_status(http, run_id, "RUNNING")
    async with served(scripted_app(tmp_path)) as http:
        ended = await status_of(http, run_id)
        assert (ended["status"], ended["reason"]) == ("CANCELLED", SHUT_DOWN)


async def test_a_load_that_ends_after_the_backend_has_given_it_up_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = RunTable.end

    def too_late(table: RunTable, run_id: str, ending: Ending, *, at: datetime) -> Run:
        table.fail_active(CRASHED, at=at)
        return end(table, run_id, ending, at=at)

    monkeypatch.setattr(RunTable, "end", too_late)
    async with served(scripted_app(tmp_path)) as http:
        run_id = await new_run(http, draft(orders(tmp_path)))
        await start(http, run_id)
        await until_status(http, run_id, "RUNNING")
    async with served(scripted_app(tmp_path)) as http:
        ended = await status_of(http, run_id)
        assert (ended["status"], ended["reason"]) == (RunStatus.FAILED, CRASHED)


def copy_state(data_dir: Path, after: Path) -> None:
    for file in data_dir.glob("backend.sqlite3*"):
        (after / file.name).write_bytes(file.read_bytes())


async def test_what_a_crash_left_active_is_failed_and_keeps_its_seconds(tmp_path: Path) -> None:
    """The state is that of a process that was killed: its database, copied while a run is on."""
    load = ScriptedLoad(ticks=seconds(3))
    after = tmp_path / "after"
    after.mkdir()
    async with served(scripted_app(tmp_path, load)) as http:
        run_id = await new_run(http, draft(orders(tmp_path)))
        await start(http, run_id)
        await load.under_way.wait()
        copy_state(tmp_path, after)
    async with served(scripted_app(after)) as http:
        lost = await status_of(http, run_id)
        assert (lost["status"], lost["reason"]) == (RunStatus.FAILED, CRASHED)
        assert lost["timing"]["elapsed_display_seconds"] == 3
        assert (await http.get(f"/api/tests/{run_id}/metrics")).json()["count"] == 3


async def test_a_run_whose_seconds_cannot_be_kept_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: SeriesTable, run_id: str, number: int, point: SeriesPoint) -> None:
        raise StoreError(f"disk full at second {number}") from OperationalError("", {}, OSError())

    monkeypatch.setattr(SeriesTable, "add", refuse)
    load = ScriptedLoad(ticks=seconds(1))
    async with served(scripted_app(tmp_path, load)) as http:
        run_id = await new_run(http, draft(orders(tmp_path)))
        await start(http, run_id)
        failed = await until_status(http, run_id, "FAILED")
        assert failed["reason"] == "disk full at second 0"


async def test_an_end_that_cannot_be_recorded_is_recorded_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end, refusals = RunTable.end, ["disk full", "disk still full"]

    def later(table: RunTable, run_id: str, ending: Ending, *, at: datetime) -> Run:
        if refusals:
            raise StoreError(refusals.pop())
        return end(table, run_id, ending, at=at)

    monkeypatch.setattr(RunTable, "end", later)
    monkeypatch.setattr(record, "RETRY_SECONDS", 0.01)
    load = ScriptedLoad()
    load.finish.set()
    async with served(scripted_app(tmp_path, load)) as http:
        run_id = await new_run(http, draft(orders(tmp_path)))
        await start(http, run_id)
        done = await until_status(http, run_id, "COMPLETED")
        assert done["summary"] == SUMMARY.model_dump()
        assert refusals == []


async def test_the_errors_of_a_run_can_be_read_after_its_end(tmp_path: Path) -> None:
    row = {"summary": "lock", "message": "database is locked", "count": 3, "query_type": "UPDATE"}
    load = ScriptedLoad(ends=outcome(errors=(row,)))
    async with served(scripted_app(tmp_path, load)) as http:
        run_id = await new_run(http, draft(orders(tmp_path)))
        await start(http, run_id)
        path = f"/api/tests/{run_id}/error-summary/"
        during = (await http.get(path)).json()
        assert (during["available"], during["rows"]) == (False, [])
        load.finish.set()
        await until_status(http, run_id, "COMPLETED")
        after = (await http.get(path)).json()
        assert after["available"]
        assert row.items() <= after["rows"][0].items()


HOSTILE_IDS = [
    "unknown",
    "x" * 5_000,
    "..",
    "../../etc/passwd",
    "a'b\"c",
    "a\nb",
    "%2e%2e",
    "\u202e",
]


@pytest.mark.parametrize("run_id", HOSTILE_IDS)
async def test_an_id_that_means_nothing_is_not_found(tmp_path: Path, run_id: str) -> None:
    async with served(scripted_app(tmp_path)) as http:
        name = quote(run_id, safe="")
        answers = [
            await http.get(f"/api/runs/{name}/"),
            await http.get(f"/api/runs/{name}/preflight"),
            await http.post(f"/api/runs/{name}/start"),
            await http.post(f"/api/runs/{name}/stop"),
            await http.get(f"/api/tests/{name}/"),
            await http.get(f"/api/tests/{name}/metrics/"),
            await http.get(f"/api/tests/{name}/error-summary/"),
            await http.get(f"/api/templates/{name}/"),
            await http.post(f"/api/connections/{name}/test"),
        ]
        for answer in answers:
            assert answer.status_code in {404, 405}
            assert len(answer.json()["detail"]) < 200
            assert "\n" not in answer.json()["detail"]
        created = await http.post("/api/runs/", json={"template_id": run_id})
        assert created.status_code in {404, 422}


async def test_the_readiness_of_a_run_is_its_detail_and_its_preflight(tmp_path: Path) -> None:
    async with served(scripted_app(tmp_path)) as http:
        run_id = await new_run(http, draft(orders(tmp_path)))
        ready = (await http.get(f"/api/runs/{run_id}/readiness")).json()
        report = (await http.get(f"/api/runs/{run_id}/preflight")).json()
    assert ready["run"]["run_id"] == run_id
    assert ready["active_run_id"] is None
    assert ready["preflight"] == report


async def test_no_database_is_looked_at_for_a_start_while_another_is_loaded(
    tmp_path: Path,
) -> None:
    load = ScriptedLoad()
    async with served(scripted_app(tmp_path, load)) as http:
        table = orders(tmp_path)
        active, waiting = await new_run(http, draft(table)), await new_run(http, draft(table))
        await start(http, active)
        await load.under_way.wait()
        ready = (await http.get(f"/api/runs/{waiting}/readiness")).json()
        load.finish.set()
        await until_status(http, active, "COMPLETED")
        ended = (await http.get(f"/api/runs/{active}/readiness")).json()
    assert (ready["active_run_id"], ready["preflight"]) == (active, None)
    assert (ended["active_run_id"], ended["preflight"]) == (None, None)
