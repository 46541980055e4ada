"""What holds for every path: its spelling, its credentials, its limits and its errors."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from benchgate.domain.rendezvous import CONTRACT_VERSION
from tests.unit.backend.scripted import (
    BEARER,
    ORIGIN,
    draft,
    new_run,
    orders,
    scripted_app,
    served,
)

pytestmark = pytest.mark.anyio

STRANGER: dict[str, str] = {}


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    return scripted_app(tmp_path)


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with served(app) as http:
        yield http


def operations(app: FastAPI) -> list[tuple[str, str]]:
    """Every method and path of the OpenAPI description, and the description itself."""
    described = [
        (method.upper(), path)
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    ]
    return [*described, ("GET", "/api/docs"), ("GET", "/api/openapi.json")]


async def ask(http: httpx.AsyncClient, method: str, path: str, **options: Any) -> httpx.Response:
    for name in ("run_id", "test_id", "template_id", "connection_id"):
        path = path.replace("{" + name + "}", "unknown")
    return await http.request(method, path, **options)


async def test_every_path_answers_the_same_with_and_without_a_trailing_slash(
    http: httpx.AsyncClient, app: FastAPI
) -> None:
    for method, path in operations(app):
        plain, slashed = await ask(http, method, path), await ask(http, method, path + "/")
        assert plain.status_code == slashed.status_code, path
        assert not plain.has_redirect_location, path
        assert plain.json().keys() == slashed.json().keys() if method == "POST" else True


async def test_only_health_answers_a_stranger_and_tells_little(
    tmp_path: Path, app: FastAPI
) -> None:
    async with served(app, headers=STRANGER) as http:
        for method, path in operations(app):
            answer = await ask(http, method, path)
            if path == "/health":
                assert answer.json() == {"status": "healthy", "service": "benchgate"}
            else:
                assert answer.status_code == 401, path
                assert answer.headers["WWW-Authenticate"] == "Bearer"
                assert answer.json().keys() == {"detail", "hint"}


WRONG = ["Bearer wrong", "Bearer", "bearer ", "Basic the-token-of-this-test", "Bearer tök", ""]


@pytest.mark.parametrize("credential", WRONG)
async def test_a_wrong_credential_is_no_credential(app: FastAPI, credential: str) -> None:
    headers = {b"Authorization": credential.encode("latin-1")}
    async with served(app, headers=headers) as http:
        assert (await http.get("/api/runs/")).status_code == 401
        assert "instance_id" not in (await http.get("/health")).json()


async def test_health_tells_its_owner_who_it_is(http: httpx.AsyncClient) -> None:
    health = (await http.get("/health")).json()
    assert health["instance_id"] == "this-life"
    assert health["status"] == "healthy"
    assert health["contract_version"] == CONTRACT_VERSION
    assert health["active_run_id"] is None


FOREIGN = [
    "evil.example",
    "127.0.0.1.evil.example",
    "192.168.1.5:8000",
    "",
    "[::1",
    "localhost@evil",
    "evil@127.0.0.1",
]
OWN = ["localhost:8000", "127.0.0.1", "127.8.9.1:80", "[::1]:8000", "LOCALHOST"]


async def test_a_foreign_host_name_is_refused_even_with_the_token(app: FastAPI) -> None:
    async with served(app) as http:
        for host in FOREIGN:
            answer = await http.get("/api/runs/", headers={"Host": host})
            assert answer.status_code == 403, host
            assert answer.json()["hint"]
        for host in OWN:
            assert (await http.get("/api/runs/", headers={"Host": host})).status_code == 200, host


async def test_a_body_without_end_is_refused(http: httpx.AsyncClient) -> None:
    body = b'{"template_name": "' + b"x" * 1_000_001 + b'"}'
    headers = {"Content-Type": "application/json"}
    answer = await http.post("/api/templates/", content=body, headers=headers)
    assert answer.status_code == 413
    assert answer.json().keys() == {"detail", "hint"}


NO_JSON = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"text"',
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"a": ' + b"9" * 5_000,
]


@pytest.mark.parametrize("body", NO_JSON)
async def test_a_body_that_is_no_object_is_told_so(http: httpx.AsyncClient, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await http.post("/api/templates/", content=body, headers=headers)
    assert answer.status_code in {400, 422}
    assert answer.json()["detail"]


async def test_no_answer_repeats_a_secret(http: httpx.AsyncClient) -> None:
    drafts = [
        {"connection_name": "c", "connection_type": "POSTGRES", "password": "hunter2"},
        {"connection_name": "c", "connection_type": "POSTGRES", "password_env": "hunter2 !"},
        {"connection_name": "c", "connection_type": "POSTGRES", "passfile": ["hunter2"]},
        {"connection_name": "c", "connection_type": "POSTGRES", "service": "hunter2" * 50},
    ]
    for body in drafts:
        answer = await http.post("/api/connections/", json=body)
        assert answer.status_code == 422
        assert "hunter2" not in answer.text


async def test_what_is_repeated_is_short_and_on_one_line(http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/templates/", json=draft("a.db", duration="1\n\u202e" * 50_000))
    (told,) = answer.json()["detail"]
    assert len(told["value"]) <= 120
    assert told["value"].isprintable()


async def test_an_unknown_path_and_a_wrong_method_are_problems_too(http: httpx.AsyncClient) -> None:
    for method, path, status in [
        ("GET", "/api/nothing", 404),
        ("GET", "/", 404),
        ("DELETE", "/api/runs/", 405),
        ("GET", "/assets/../auth.py", 404),
        ("GET", "/assets/page.py", 404),
    ]:
        answer = await http.request(method, path)
        assert answer.status_code == status
        assert answer.json().keys() == {"detail", "hint"}


async def test_a_crash_tells_nothing_but_that_it_happened(app: FastAPI) -> None:
    @app.get("/api/crash")
    async def crash() -> None:
        raise RuntimeError("the inside story")

    async with served(app) as http:
        answer = await http.get("/api/crash")
        assert answer.status_code == 500
        assert answer.json().keys() == {"detail", "hint"}
        assert "inside story" not in answer.text
        assert (await http.get("/health")).status_code == 200


async def test_no_answer_may_be_kept_framed_or_guessed_at(
    http: httpx.AsyncClient, tmp_path: Path
) -> None:
    run_id = await new_run(http, draft(orders(tmp_path)))
    for path in (f"/api/runs/{run_id}/", f"/dashboard/{run_id}", "/assets/page.js", "/health"):
        headers = (await http.get(path)).headers
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


async def test_the_reference_names_every_path(http: httpx.AsyncClient, app: FastAPI) -> None:
    page = await http.get("/api/docs/")
    assert page.headers["Content-Type"].startswith("text/html")
    for path in app.openapi()["paths"]:
        assert path in page.text
    assert "http" not in page.text.replace("httpx", "")
    assert (await http.get("/api/info/")).json()["endpoints"] == list(app.openapi()["paths"])


async def test_the_token_is_in_no_answer(http: httpx.AsyncClient) -> None:
    token = BEARER["Authorization"].removeprefix("Bearer ")
    for path in ("/health", "/api/info", "/api/docs", "/api/openapi.json", "/api/runs"):
        assert token not in (await http.get(ORIGIN + path)).text
