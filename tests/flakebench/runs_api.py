"""`/api/runs` and `/api/tests` of the emulated backend."""

import math
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.flakebench import payloads
from tests.flakebench.answers import Unreachable, body_of, detail, query_of, world_of
from tests.flakebench.clock import moment
from tests.flakebench.loads import qps_of
from tests.flakebench.plans import Refused
from tests.flakebench.runs import TERMINAL, Run
from tests.flakebench.samples import Json
from tests.flakebench.world import NotThere, World

PAGE_SIZE = 20
SEARCH_ROWS_MAX = 25
LIVE_SECONDS = 5.0


class CreateRun(BaseModel):
    """The body of a creation; whatever else it holds is ignored."""

    template_id: str


def _run_id(request: Request) -> str:
    run_id: str = request.path_params["run_id"]
    return run_id


def _reachable(request: Request, operation: str) -> World:
    world = world_of(request)
    if world.connector_raises:
        raise Unreachable(operation)
    return world


def _existing(world: World, run_id: str, missing: str) -> Run:
    run = world.find(run_id)
    if run is None:
        raise NotThere(missing)
    return run


async def create_run(request: Request) -> Response:
    body = await body_of(request, CreateRun)
    run = _reachable(request, "create run").create(body.template_id)
    created = {
        "run_id": run.run_id,
        "status": run.status,
        "dashboard_url": f"/dashboard/{run.run_id}",
    }
    return JSONResponse(created, status_code=201)


async def preflight(request: Request) -> Response:
    """Never warns: the rules read their figures where a run keeps none."""
    world = _reachable(request, "get preflight warnings")
    run = _existing(world, _run_id(request), "Run not found")
    return JSONResponse({"run_id": run.run_id, "warnings": [], "can_proceed": True})


def _changed(run: Run, id_key: str) -> Response:
    body: Json = {id_key: run.run_id, "status": run.status}
    if id_key == "run_id":
        body["warnings"] = []
    return JSONResponse(body, status_code=202)


async def start_run(request: Request) -> Response:
    """Whatever speaks against the start is told as a run that does not exist."""
    try:
        return _changed(_reachable(request, "start run").start(_run_id(request)), "run_id")
    except Refused:
        return detail(404, "Run not found")


async def start_test(request: Request) -> Response:
    return _changed(_reachable(request, "start run").start(_run_id(request)), "test_id")


async def stop_run(request: Request) -> Response:
    return _changed(await _reachable(request, "stop run").stop(_run_id(request)), "run_id")


async def stop_test(request: Request) -> Response:
    return _changed(await _reachable(request, "stop run").stop(_run_id(request)), "test_id")


async def cache_status(request: Request) -> Response:
    world = world_of(request)
    current = [world.current(run_id) for run_id in world.runs]
    live = {run.run_id: _live(run, world.clock.now()) for run in current if run and _is_live(run)}
    return JSONResponse({"cache_runs": len(live), "runs": live, "ttl_seconds": LIVE_SECONDS})


def _is_live(run: Run) -> bool:
    return run.loaded_at_s is not None and run.unloaded_at_s is None


def _live(run: Run, now_s: float) -> Json:
    worker = {
        "phase": run.phase,
        "status": "RUNNING",
        "age_seconds": 0.2,
        "qps": qps_of(payloads.threads(run, now_s)),
        "total_ops": payloads.operations(run, now_s),
    }
    return {
        "worker_count": 1,
        "test_ids": [run.run_id],
        "updated_at": moment(now_s).isoformat(),
        "workers": {"worker-0": worker},
    }


async def get_test(request: Request) -> Response:
    """The run's payload. One that tells of an end is repeated for five minutes."""
    world, run_id = world_of(request), _run_id(request)
    now_s = world.clock.now()
    until_s, body = world.cached.get(run_id, (-math.inf, {}))
    if now_s < until_s:
        return JSONResponse(body)
    missing = "Test not found"
    if world.connector_raises:
        raise NotThere(missing)
    body = payloads.detail(_existing(world, run_id, missing), now_s)
    if body["status"] in TERMINAL:
        world.cached[run_id] = (now_s + world.pace.cache_s, body)
    return JSONResponse(body)


async def list_tests(request: Request) -> Response:
    world, query = world_of(request), request.query_params
    page, size = int(query.get("page", 1)), int(query.get("page_size", PAGE_SIZE))
    found = [run for run in _newest_first(world) if _matches(run, query)]
    rows = [payloads.list_row(run, world.clock.now()) for run in found]
    return JSONResponse(
        {
            "results": rows[(page - 1) * size : page * size],
            "total_pages": max(1, math.ceil(len(rows) / size)),
        }
    )


def _newest_first(world: World) -> list[Run]:
    current = [world.find(run_id) for run_id in world.runs]
    there = [run for run in current if run is not None]
    return sorted(there, key=lambda run: run.shown_start_s, reverse=True)


def _matches(run: Run, query: Any) -> bool:
    wanted = {
        "table_type": run.plan.table_type,
        "load_mode": run.plan.load_mode,
        "status": run.result_status,
    }
    return query.get("search_query", "").lower() in run.name.lower() and all(
        query.get(key) in {None, "", value} for key, value in wanted.items()
    )


async def search_tests(request: Request) -> Response:
    """Worker rows are found too, though they are no runs."""
    world, wanted = world_of(request), query_of(request, "q").strip().lower()
    rows: list[Json] = []
    for run in _newest_first(world) if wanted else []:
        if wanted in run.name.lower():
            row = payloads.search_row(run, world.clock.now())
            rows.append(row)
            if run.loaded_at_s is not None:
                rows.append(row | {"test_id": f"{run.run_id}-worker-0"})
    return JSONResponse({"results": rows[:SEARCH_ROWS_MAX]})


async def delete_test(request: Request) -> Response:
    """Forgets the run, known or not; a cached payload of it goes on answering."""
    world_of(request).runs.pop(_run_id(request), None)
    return Response(status_code=204)


async def rerun(request: Request) -> Response:
    world = world_of(request)
    run = _existing(world, _run_id(request), "Test not found")
    return JSONResponse({"new_test_id": world.create(run.template_id).run_id})


async def enrichment_status(request: Request) -> Response:
    run = _existing(world_of(request), _run_id(request), "Test not found")
    return JSONResponse(payloads.enrichment(run))


async def error_summary(request: Request) -> Response:
    world, run_id = world_of(request), _run_id(request)
    return JSONResponse(payloads.errors(run_id, world.find(run_id), world.clock.now()))


async def metrics(request: Request) -> Response:
    """The series, which is repeated for five minutes also where it was empty."""
    world, run_id = world_of(request), _run_id(request)
    now_s, key = world.clock.now(), f"{run_id}/metrics"
    until_s, body = world.cached.get(key, (-math.inf, {}))
    if now_s >= until_s:
        body = payloads.series(run_id, world.find(run_id), now_s)
        world.cached[key] = (now_s + world.pace.cache_s, body)
    return JSONResponse(body)


async def statistics(request: Request) -> Response:
    world = world_of(request)
    run = _existing(world, _run_id(request), "Test not found")
    average = payloads.average_qps(run, world.clock.now()) if run.has_figures else 0.0
    return JSONResponse({"test_id": run.run_id, "throughput": {"avg_qps": average}})


async def logs(request: Request) -> Response:
    run_id = _run_id(request)
    empty: Json = {"targets": [], "workers": [], "logs": []}
    return JSONResponse({"test_id": run_id, "selected_test_id": run_id} | empty)


ROUTES = [
    Route("/api/runs/", create_run, methods=["POST"]),
    Route("/api/runs/cache-status", cache_status),
    Route("/api/runs/{run_id}/preflight", preflight),
    Route("/api/runs/{run_id}/start", start_run, methods=["POST"]),
    Route("/api/runs/{run_id}/stop", stop_run, methods=["POST"]),
    Route("/api/tests", list_tests),
    Route("/api/tests/search", search_tests),
    Route("/api/tests/{run_id}", get_test),
    Route("/api/tests/{run_id}", delete_test, methods=["DELETE"]),
    Route("/api/tests/{run_id}/start", start_test, methods=["POST"]),
    Route("/api/tests/{run_id}/stop", stop_test, methods=["POST"]),
    Route("/api/tests/{run_id}/rerun", rerun, methods=["POST"]),
    Route("/api/tests/{run_id}/enrichment-status", enrichment_status),
    Route("/api/tests/{run_id}/error-summary", error_summary),
    Route("/api/tests/{run_id}/metrics", metrics),
    Route("/api/tests/{run_id}/statistics", statistics),
    Route("/api/tests/{run_id}/logs", logs),
]
