"""Which form of a path answers, and what the other one says."""

import httpx
import pytest

from tests.flakebench.app import ORIGIN, client, served
from tests.flakebench.world import World

pytestmark = pytest.mark.anyio

NEW = {"template_id": "tpl-fixed"}
NO_ROUTE = {"detail": "Not Found"}


async def new_run(http: httpx.AsyncClient) -> str:
    run_id: str = (await http.post("/api/runs/", json=NEW)).json()["run_id"]
    return run_id


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/api/runs/{id}/start", 202),
        ("POST", "/api/runs/{id}/stop", 202),
        ("GET", "/api/runs/{id}/preflight", 200),
        ("GET", "/api/tests", 200),
        ("GET", "/api/tests/search?q=a", 200),
        ("GET", "/api/tests/{id}", 200),
        ("GET", "/api/tests/{id}/enrichment-status", 200),
        ("GET", "/api/tests/{id}/error-summary", 200),
        ("GET", "/api/templates/", 200),
        ("GET", "/api/templates/tpl-fixed", 200),
        ("GET", "/api/connections/", 200),
        ("GET", "/api/warehouses/", 200),
        ("GET", "/health", 200),
        ("GET", "/api/info", 200),
    ],
)
async def test_the_right_form_answers_directly(method: str, path: str, status: int) -> None:
    async with client(World()) as http:
        answer = await http.request(method, path.format(id=await new_run(http)))
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("method", "path", "location"),
    [
        ("POST", "/api/runs", "/api/runs/"),
        ("GET", "/api/runs", "/api/runs/"),
        ("GET", "/api/runs/{id}/preflight/", "/api/runs/{id}/preflight"),
        ("POST", "/api/runs/{id}/start/", "/api/runs/{id}/start"),
        ("POST", "/api/runs/{id}/stop/", "/api/runs/{id}/stop"),
        ("GET", "/api/tests/", "/api/tests"),
        ("GET", "/api/tests/{id}/", "/api/tests/{id}"),
        ("DELETE", "/api/tests/{id}/", "/api/tests/{id}"),
        ("GET", "/api/tests/{id}/error-summary/", "/api/tests/{id}/error-summary"),
        ("GET", "/api/templates", "/api/templates/"),
        ("GET", "/api/templates/tpl-fixed/", "/api/templates/tpl-fixed"),
        ("GET", "/api/connections", "/api/connections/"),
        ("POST", "/api/connections/conn-postgres/test/", "/api/connections/conn-postgres/test"),
        ("GET", "/api/warehouses", "/api/warehouses/"),
        ("GET", "/health/", "/health"),
        ("GET", "/api/info/", "/api/info"),
        ("GET", "/api/tests/search/?q=a", "/api/tests/search?q=a"),
    ],
)
async def test_the_wrong_form_redirects_to_the_host_that_was_asked(
    method: str, path: str, location: str
) -> None:
    async with client(World()) as http:
        run_id = await new_run(http)
        answer = await http.request(
            method, path.format(id=run_id), headers={"Host": "bench.example.test:81"}
        )
    assert answer.status_code == 307
    told = "http://bench.example.test:81" + location.format(id=run_id)
    assert (answer.headers["location"], answer.content) == (told, b"")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", "/api/runs/", "POST"), ("GET", "/api/runs/{id}/start", "POST")],
)
async def test_the_wrong_method_is_told_as_json(method: str, path: str, allowed: str) -> None:
    async with client(World()) as http:
        answer = await http.request(method, path.format(id=await new_run(http)))
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert answer.json() == {"detail": "Method Not Allowed"}


@pytest.mark.parametrize(
    "path",
    [
        "/api/runs/{id}",
        "/api/runs/{id}/",
        "/api/tests/{id}/export",
        "/api/tests/{id}/results.csv",
        "/api/runs/{id}/estimate",
        "/nowhere",
    ],
)
async def test_what_is_no_route_is_told_in_the_same_words(path: str) -> None:
    async with client(World()) as http:
        answer = await http.get(path.format(id=await new_run(http)))
    assert (answer.status_code, answer.json()) == (404, NO_ROUTE)


async def test_a_redirected_creation_has_to_be_sent_anew() -> None:
    async with client(World()) as http:
        answer = await http.post("/api/runs", json=NEW, follow_redirects=True)
        assert answer.status_code == 201
        looked = await http.get("/api/runs", follow_redirects=True)
    assert looked.status_code == 405
    assert str(answer.url) == f"{ORIGIN}/api/runs/"


async def test_a_redirect_of_a_real_port_leads_back_to_it() -> None:
    async with served(World()) as address, httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(f"{address}/api/templates")
        assert answer.headers["location"] == f"{address}/api/templates/"
        assert len((await http.get(answer.headers["location"])).json()) > 1
