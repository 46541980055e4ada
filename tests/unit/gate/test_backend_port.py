"""The backend port against every way in which a server can fail to keep the contract."""

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx
from pydantic import SecretStr

from benchgate.domain.templates import TemplateConfig, TemplateDraft
from benchgate.errors import (
    BackendError,
    BackendUnavailable,
    BenchgateError,
    Conflict,
    InvalidInput,
    NotFound,
    Unauthorized,
)
from benchgate.gate.backend import Backend
from benchgate.gate.transport.embedded import EmbeddedBackend
from benchgate.gate.transport.responses import ANSWER_BYTES_MAX
from benchgate.gate.transport.whereabouts import Configured, Embedded, configured
from benchgate.gate.transport.wire import Address
from benchgate.settings import Settings

pytestmark = pytest.mark.anyio

URL = "http://backend.test"
RUN: dict[str, Any] = {
    "run_id": "r1",
    "test_id": "t1",
    "status": "RUNNING",
    "template_id": "a",
    "template_name": "orders",
    "config": {"database": "d", "table_name": "t", "custom_point_lookup_pct": 100},
    "created_at": "2026-01-01T00:00:00Z",
}
HEALTH: dict[str, Any] = {
    "status": "healthy",
    "service": "benchgate",
    "version": "1",
    "contract_version": 1,
    "instance_id": "i",
}
TEST: dict[str, Any] = {"test_id": "t1", "run_id": "r1", "status": "RUNNING"}


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    address = Address(url=URL, token=SecretStr("secret"), dashboard_url="http://pages.test/")
    async with httpx.AsyncClient(trust_env=False) as http:
        yield Backend(Configured(address), http)


@respx.mock
async def test_a_snapshot_is_read_by_the_test_id_that_the_run_names(backend: Backend) -> None:
    run = respx.get(f"{URL}/api/runs/r1/").respond(json=RUN)
    test = respx.get(f"{URL}/api/tests/t1/").respond(
        json=TEST | {"dashboard_url": "/dashboard/r1?key=k"}
    )
    first, second = await backend.snapshot("r1"), await backend.snapshot("r1")
    assert first == second
    assert first.dashboard_url == "http://pages.test/dashboard/r1?key=k"
    assert (run.call_count, test.call_count) == (1, 2)
    assert test.calls.last.request.headers["Authorization"] == "Bearer secret"


@pytest.mark.parametrize("path", ["https://elsewhere.test/", "//elsewhere.test/x", "", None])
@respx.mock
async def test_a_dashboard_link_never_leads_elsewhere(backend: Backend, path: str | None) -> None:
    respx.get(f"{URL}/api/runs/r1/").respond(json=RUN)
    respx.get(f"{URL}/api/tests/t1/").respond(json=TEST | {"dashboard_url": path})
    assert (await backend.snapshot("r1")).dashboard_url is None


@respx.mock
async def test_a_status_that_nobody_knows_is_passed_on(backend: Backend) -> None:
    respx.get(f"{URL}/api/runs/r1/").respond(json=RUN)
    respx.get(f"{URL}/api/tests/t1/").respond(json=TEST | {"status": "HIBERNATING\n# x"})
    assert (await backend.snapshot("r1")).status == "HIBERNATING # x"


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        ({"status_code": 404, "json": {"detail": "Run not found: r1"}}, NotFound, "r1"),
        ({"status_code": 409, "json": {"detail": "Run x is active"}}, Conflict, "x is active"),
        (
            {"status_code": 422, "json": {"detail": [{"field": "f", "rule": "r"}]}},
            InvalidInput,
            "f: r",
        ),
        ({"status_code": 400, "json": {"detail": "no"}}, InvalidInput, "no"),
        ({"status_code": 404, "text": "<h1>nginx</h1>"}, BackendError, "404"),
        ({"status_code": 401, "json": {"detail": "who?"}}, Unauthorized, "credentials"),
        ({"status_code": 500, "html": "<h1>Traceback</h1>"}, BackendError, "500"),
        ({"status_code": 503, "json": {"detail": {"code": "X"}}}, BackendError, "503"),
        ({"status_code": 200, "html": "<h1>hello</h1>"}, BackendError, "cannot be read"),
        ({"status_code": 200, "text": '{"run_id": "r1", '}, BackendError, "cannot be read"),
        ({"status_code": 200, "json": RUN | {"config": 7}}, BackendError, "config"),
        ({"status_code": 200, "json": []}, BackendError, "cannot be read"),
        ({"status_code": 200, "content": b"\xff\xfe"}, BackendError, "cannot be read"),
        (
            {"status_code": 307, "headers": {"Location": "http://elsewhere.test/"}},
            BackendError,
            "redirect",
        ),
        ({"status_code": 200, "content": b" " * (ANSWER_BYTES_MAX + 1)}, BackendError, "larger"),
    ],
)
@respx.mock
async def test_an_answer_that_is_not_as_agreed_is_told_as_what_it_is(
    backend: Backend, answer: dict[str, Any], error: type[BenchgateError], words: str
) -> None:
    respx.get(f"{URL}/api/runs/r1/").respond(**answer)
    with pytest.raises(error, match=words) as caught:
        await backend.run("r1")
    assert caught.value.hint
    assert len(str(caught.value)) < 600


@respx.mock
async def test_a_redirect_does_not_take_the_token_elsewhere(backend: Backend) -> None:
    respx.get(f"{URL}/api/runs/r1/").respond(307, headers={"Location": "http://elsewhere.test/"})
    elsewhere = respx.get("http://elsewhere.test/").respond(json=RUN)
    with pytest.raises(BackendError):
        await backend.run("r1")
    assert not elsewhere.called


TEMPLATE: dict[str, Any] = {
    "template_id": "a",
    "template_name": "orders",
    "config": {
        "database": "d",
        "schema": "s",
        "table_name": "t",
        "custom_point_lookup_pct": 100,
        "scaling": {"mode": "AUTO", "patience": 3},
        "alarms": {"enabled": True, "limit": None},
    },
    "created_at": "2026-01-01T00:00:00Z",
    "updated_at": "2026-01-01T00:00:00Z",
}


@respx.mock
async def test_a_template_is_saved_as_it_was_read_and_with_no_defaults_of_ours(
    backend: Backend,
) -> None:
    respx.get(f"{URL}/api/templates/a").respond(json=TEMPLATE)
    saved = respx.post(f"{URL}/api/templates/").respond(201, json=TEMPLATE)
    read = await backend.template("a")
    draft = TemplateDraft(template_name="orders (2)", config=read.config, tags=read.tags)
    assert await backend.save_template(draft) == read
    assert json.loads(saved.calls.last.request.content) == {
        "template_name": "orders (2)",
        "config": TEMPLATE["config"],
    }


@respx.mock
async def test_a_template_that_holds_no_number_is_saved_without_it(backend: Backend) -> None:
    """Not every backend writes JSON; what it means by this nobody knows."""
    text = json.dumps(TEMPLATE | {"config": TEMPLATE["config"] | {"alarms": float("nan")}})
    respx.get(f"{URL}/api/templates/a").respond(text=text)
    saved = respx.post(f"{URL}/api/templates/").respond(201, json=TEMPLATE)
    read = await backend.template("a")
    await backend.save_template(TemplateDraft(template_name="o", config=read.config))
    assert json.loads(saved.calls.last.request.content)["config"]["alarms"] is None


@respx.mock
async def test_a_template_that_the_backend_refuses_is_told_in_its_words(backend: Backend) -> None:
    told = {"code": "INTERNAL_ERROR", "debug": "weights must sum to 100.00"}
    respx.post(f"{URL}/api/templates/").respond(500, json={"detail": told})
    draft = TemplateDraft(
        template_name="o", config=TemplateConfig.model_validate(TEMPLATE["config"])
    )
    with pytest.raises(BackendError, match=r"weights must sum to 100\.00"):
        await backend.save_template(draft)


@respx.mock
async def test_the_embedded_backend_tells_a_templates_readiness_at_once() -> None:
    ready = {
        "template": TEMPLATE,
        "connection": "db.internal as bench (orders-db)",
        "active_run_id": "r7",
        "warnings": [{"severity": "high", "title": "Table Is Empty", "message": "No rows."}],
        "can_proceed": False,
    }
    respx.get(f"{URL}/api/templates/a/readiness").respond(json=ready)
    address = Address(url=URL, dashboard_url=URL, is_embedded=True)
    async with httpx.AsyncClient(trust_env=False) as http:
        told = await Backend(Configured(address), http).template_readiness("a")
    assert (told.connection, told.active_run_id) == (ready["connection"], "r7")
    assert (told.template.template_id, told.can_proceed) == ("a", False)
    assert [warning.title for warning in told.warnings] == ["Table Is Empty"]


WRITERS = {"table_type": "STANDARD", "custom_point_lookup_pct": 0, "custom_update_pct": 100}


@pytest.mark.parametrize(("writers", "can_proceed"), [(1, True), (15, True), (50, False)])
@respx.mock
async def test_of_another_backend_a_templates_readiness_is_what_it_alone_gives_reason_for(
    backend: Backend, writers: int, can_proceed: bool
) -> None:
    config = TEMPLATE["config"] | WRITERS | {"concurrent_connections": writers}
    respx.get(f"{URL}/api/templates/a").respond(json=TEMPLATE | {"config": config})
    told = await backend.template_readiness("a")
    assert (told.connection, told.active_run_id) == (None, None)
    assert (len(told.warnings), told.can_proceed) == (writers > 1, can_proceed)


@respx.mock
async def test_of_another_backend_a_templates_connection_is_told_by_its_id(
    backend: Backend,
) -> None:
    config = TEMPLATE["config"] | {"connection_id": "con-1"}
    respx.get(f"{URL}/api/templates/a").respond(json=TEMPLATE | {"config": config})
    told = await backend.template_readiness("a")
    assert told.connection == "con-1"


def elsewhere(url: str) -> Backend:
    """The port to a backend that is configured at *url*."""
    whereabouts = configured(Settings.model_validate({"backend_url": url}))
    assert whereabouts is not None
    return Backend(whereabouts, httpx.AsyncClient())


async def test_a_configured_backend_is_known_by_its_url_however_that_is_written() -> None:
    urls = [f"{URL}/", URL, URL.upper(), f"{URL}:80", f"{URL}:8001", "http://other.test"]
    first, *same, port, host = [elsewhere(url).identity for url in urls]
    assert len(first) == 64
    assert {*same} == {first}
    assert len({first, port, host}) == 3


async def test_an_embedded_backend_is_known_by_its_folder_where_others_share_the_record(
    tmp_path: Path,
) -> None:
    """And nobody asks or starts it for that."""

    async def identity(folder: Path, **known: object) -> str:
        settings = Settings.model_validate({"data_dir": folder, **known})
        async with httpx.AsyncClient(trust_env=False) as http:
            return Backend(Embedded(EmbeddedBackend(folder, http), settings), http).identity

    one, other, link = tmp_path / "one", tmp_path / "other", tmp_path / "link"
    link.symlink_to(one)
    with respx.mock:  # every request would be an error
        shared = {"database_url": "postgresql://db.test/benchgate"}
        identities = [await identity(folder, **shared) for folder in (one, other, link, one)]
        moved = [await identity(folder) for folder in (one, other)]
    assert {len(each) for each in identities} == {64}
    assert identities[0] != identities[1]
    assert identities[0] == identities[2] == identities[3]
    assert moved[0] == moved[1]
    assert not one.exists()


@pytest.mark.parametrize(
    ("said", "body"),
    [
        ({}, b""),
        ({"acknowledged": True}, b'{"acknowledged":true}'),
        ({"connection": "db:1 as me"}, b'{"connection":"db:1 as me"}'),
    ],
    ids=str,
)
@respx.mock
async def test_a_start_says_only_what_a_person_overrode_and_which_server_they_were_shown(
    backend: Backend, said: dict[str, Any], body: bytes
) -> None:
    started = respx.post(f"{URL}/api/runs/r1/start").respond(
        202, json={"run_id": "r1", "status": "STARTING"}
    )
    await backend.start("r1", **said)
    assert started.calls.last.request.content == body


async def save(backend: Backend, name: str) -> object:
    config = TemplateConfig.model_validate(TEMPLATE["config"])
    return await backend.save_template(TemplateDraft(template_name=name, config=config))


UNREACHABLE = [
    httpx.ConnectError("refused"),
    httpx.ReadError("reset"),
    httpx.RemoteProtocolError("cut"),
    httpx.ReadTimeout("slow"),
    httpx.ConnectError(str(ssl.SSLCertVerificationError("self-signed"))),
]


@pytest.mark.parametrize("failure", UNREACHABLE, ids=lambda f: type(f).__name__)
@respx.mock
async def test_a_read_that_got_no_answer_is_tried_once_more(
    backend: Backend, failure: httpx.TransportError
) -> None:
    respx.get(f"{URL}/api/runs/r1/").mock(side_effect=[failure, httpx.Response(200, json=RUN)])
    assert (await backend.run("r1")).test_id == "t1"


@pytest.mark.parametrize("failure", UNREACHABLE, ids=lambda f: type(f).__name__)
@pytest.mark.parametrize("act", [Backend.start, Backend.stop, Backend.create_run, save])
@respx.mock
async def test_what_changes_something_is_sent_only_once(
    backend: Backend,
    failure: httpx.TransportError,
    act: Callable[[Backend, str], Awaitable[object]],
) -> None:
    route = respx.post(url__startswith=URL).mock(side_effect=failure)
    with pytest.raises(BackendUnavailable, match="The backend"):
        await act(backend, "r1")
    assert route.call_count == 1
