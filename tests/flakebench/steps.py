"""What a test does with the emulation again and again."""

import httpx

from tests.flakebench.samples import Json

RUN_NOT_FOUND = {"detail": "Run not found"}


async def new_run(http: httpx.AsyncClient, template_id: str = "tpl-fixed") -> str:
    """The id of a new PREPARED run."""
    answer = await http.post("/api/runs/", json={"template_id": template_id})
    run_id: str = answer.json()["run_id"]
    return run_id


async def started(http: httpx.AsyncClient, template_id: str = "tpl-fixed") -> str:
    """The id of a run that has just been started."""
    run_id = await new_run(http, template_id)
    assert (await http.post(f"/api/runs/{run_id}/start")).status_code == 202
    return run_id


async def seen(http: httpx.AsyncClient, run_id: str) -> Json:
    """The run's payload."""
    body: Json = (await http.get(f"/api/tests/{run_id}")).json()
    return body


async def row(http: httpx.AsyncClient, run_id: str) -> Json:
    """The run's row in the list."""
    rows: list[Json] = (await http.get("/api/tests")).json()["results"]
    return next(one for one in rows if one["run_id"] == run_id)
