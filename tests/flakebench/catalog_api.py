"""Templates, connections, warehouses and what the emulated backend says of itself."""

from typing import Any

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.flakebench.answers import body_of, detail, internal_error, world_of
from tests.flakebench.plans import Refused, check_saved
from tests.flakebench.samples import Json, frame_data
from tests.flakebench.world import NotThere

DETAILED_FRAME = 3
SINCE = "2026-02-13T12:00:00+00:00"
CONNECTIONS: list[Json] = [
    {
        "connection_name": name,
        "connection_type": kind,
        "host": host,
        "port": port,
        "pgbouncer_port": None,
        "account": account,
        "role": None,
        "connection_id": connection_id,
        "is_default": kind == "SNOWFLAKE",
        "is_active": True,
        "created_at": SINCE,
        "updated_at": SINCE,
        "created_by": None,
        "username": "bench",
        "has_password": True,
        "has_private_key": False,
    }
    for connection_id, name, kind, host, port, account in (
        ("conn-snowflake", "Snowflake", "SNOWFLAKE", None, None, "bench-account"),
        ("conn-postgres", "Postgres", "POSTGRES", "db.example.test", 5432, None),
    )
]
INFO: Json = {
    "name": "Unistore Benchmark",
    "version": "0.1.0",
    "description": "Benchmarks of Snowflake tables and Postgres",
    "results_warehouse": "RESULTS_WH",
    "features": {
        "table_types": ["STANDARD", "HYBRID", "INTERACTIVE", "POSTGRES"],
        "real_time_metrics": True,
        "max_comparisons": 5,
        "websocket_support": True,
    },
    "endpoints": {"docs": "/api/docs", "health": "/health"},
    "security_warnings": [],
}
HEALTH: Json = {
    "status": "healthy",
    "service": "flakebench",
    "version": "0.1.0",
    "environment": "development",
    "checks": {"snowflake": {"status": "healthy", "pool": {"initialized": True}}},
}


class Draft(BaseModel):
    """The body that saves a template."""

    template_name: str = Field(min_length=1, max_length=255)
    description: str | None = Field(default=None, max_length=1_000)
    config: dict[str, Any]
    tags: dict[str, str] | None = None


async def list_templates(request: Request) -> Response:
    world = world_of(request)
    templates = [] if world.outage else list(world.templates.values())
    return JSONResponse(sorted(templates, key=lambda one: one["updated_at"], reverse=True))


async def save_template(request: Request) -> Response:
    """A configuration that does not hold is told as a fault of the backend's own."""
    draft = await body_of(request, Draft)
    try:
        check_saved(draft.config)
    except Refused as exc:
        return internal_error("create template", str(exc))
    saved = world_of(request).save(draft.template_name, draft.config)
    saved |= {"description": draft.description, "tags": draft.tags}
    return JSONResponse(saved, status_code=201)


def _template(request: Request) -> Json:
    world, template_id = world_of(request), request.path_params["template_id"]
    template = None if world.outage else world.templates.get(template_id)
    if template is None:
        raise NotThere(f"Template not found: {template_id}")
    return template


async def get_template(request: Request) -> Response:
    return JSONResponse(_template(request))


async def delete_template(request: Request) -> Response:
    del world_of(request).templates[_template(request)["template_id"]]
    return Response(status_code=204)


async def list_connections(request: Request) -> Response:
    kind = request.query_params.get("connection_type")
    found = [one for one in CONNECTIONS if kind in {None, one["connection_type"]}]
    found = [] if world_of(request).outage else found
    return JSONResponse({"connections": found, "total": len(found)})


async def try_connection(request: Request) -> Response:
    """Tells a failure with 200, too."""
    connection_id = request.path_params["connection_id"]
    if connection_id not in {one["connection_id"] for one in CONNECTIONS}:
        raise NotThere(f"Connection not found: {connection_id}")
    if world_of(request).outage:
        told = {"success": False, "message": "Failed to connect", "latency_ms": None}
        return JSONResponse(told | {"server_version": None})
    told = {"success": True, "message": "Connected", "latency_ms": 12.5, "server_version": "17.2"}
    return JSONResponse(told)


def _warehouse() -> Json:
    warehouse: Json = frame_data("ws_fixed", DETAILED_FRAME)["warehouse_details"]["warehouse"]
    return {key: value for key, value in warehouse.items() if key != "captured_at"}


async def list_warehouses(request: Request) -> Response:
    return JSONResponse([] if world_of(request).outage else [_warehouse()])


async def get_warehouse(request: Request) -> Response:
    name = request.path_params["name"]
    if world_of(request).outage or name != _warehouse()["name"]:
        return detail(404, f"Warehouse not found: {name}")
    return JSONResponse(_warehouse())


async def health(request: Request) -> Response:
    """Always well, whatever has become of the database."""
    return JSONResponse(HEALTH)


async def info(request: Request) -> Response:
    return JSONResponse(INFO)


async def stub_test(request: Request) -> Response:
    """Tells of any id that it is running."""
    test_id = request.path_params["test_id"]
    return JSONResponse({"test_id": test_id, "status": "running", "duration": 300, "elapsed": 45})


async def stub_stop(request: Request) -> Response:
    return JSONResponse({"test_id": request.path_params["test_id"], "status": "stopped"})


ROUTES = [
    Route("/health", health),
    Route("/api/info", info),
    Route("/api/templates/", list_templates),
    Route("/api/templates/", save_template, methods=["POST"]),
    Route("/api/templates/{template_id}", get_template),
    Route("/api/templates/{template_id}", delete_template, methods=["DELETE"]),
    Route("/api/connections/", list_connections),
    Route("/api/connections/{connection_id}/test", try_connection, methods=["POST"]),
    Route("/api/warehouses/", list_warehouses),
    Route("/api/warehouses/{name}", get_warehouse),
    Route("/api/test/{test_id}", stub_test),
    Route("/api/test/{test_id}/stop", stub_stop, methods=["POST"]),
]
