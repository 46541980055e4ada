"""Which dialect a server speaks is found out from its answers, and anew when they change."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import respx

from benchgate.domain.contract import RunRow
from benchgate.errors import BackendError, BackendUnavailable, NotFound, Unauthorized
from benchgate.gate.backend import Backend
from benchgate.gate.dialects import recognition
from benchgate.gate.dialects.flakebench.dialect import FlakeBench
from benchgate.gate.transport.whereabouts import Configured
from benchgate.gate.transport.wire import Address
from tests.flakebench.samples import sample

pytestmark = pytest.mark.anyio

URL = "http://backend.test"
FLAKEBENCH: dict[str, Any] = {"name": "Unistore Benchmark", "features": {"max_comparisons": 5}}
RUN: dict[str, Any] = sample("rest_prepared")
RUN_ID: str = RUN["run_id"]


@pytest.fixture(autouse=True)
def recognised(signs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognition, "SIGNS", signs)


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with httpx.AsyncClient(trust_env=False) as http:
        yield Backend(Configured(Address(url=URL, dashboard_url=URL)), http)


def there_is_a_run() -> respx.Route:
    counted = {"test_id": RUN_ID, "test_status": "PREPARED"}
    respx.get(f"{URL}/api/tests/{RUN_ID}/enrichment-status").respond(json=counted)
    return respx.get(f"{URL}/api/tests/{RUN_ID}").respond(json=RUN)


@respx.mock
async def test_flakebench_is_known_by_what_it_says_of_itself_and_asked_once(
    backend: Backend,
) -> None:
    info = respx.get(f"{URL}/api/info").respond(json=FLAKEBENCH)
    run = there_is_a_run()
    assert (await backend.snapshot(RUN_ID)).status == "PREPARED"
    rows = respx.get(f"{URL}/api/tests").respond(json={"results": [], "total_pages": 1})
    assert await backend.runs() == []
    assert (info.call_count, run.call_count, rows.call_count) == (1, 1, 1)


@pytest.mark.parametrize(
    "info",
    [
        httpx.Response(404, json={"detail": "Not Found"}),
        httpx.Response(200, json={"name": "benchgate"}),
        httpx.Response(200, json=[]),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json={"features": {"max_comparisons": "many"}}),
    ],
)
@respx.mock
async def test_who_shows_no_sign_is_taken_at_the_specifications_word(
    backend: Backend, info: httpx.Response
) -> None:
    respx.get(f"{URL}/api/info").mock(return_value=info)
    runs = respx.get(f"{URL}/api/runs/").respond(json=[])
    assert await backend.runs() == []
    assert runs.called


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(401), Unauthorized),
        (httpx.ConnectError("gone"), BackendUnavailable),
        (httpx.Response(502, text="Bad Gateway"), BackendError),
        (httpx.Response(503, json={"detail": "starting"}), BackendError),
    ],
)
@respx.mock
async def test_who_cannot_be_asked_is_not_guessed_at(
    backend: Backend, answer: httpx.Response | Exception, error: type[Exception]
) -> None:
    respx.get(f"{URL}/api/info").mock(side_effect=[answer, answer])
    with pytest.raises(error):
        await backend.runs()


@respx.mock
async def test_another_server_at_the_same_address_is_recognised_after_an_answer_that_makes_no_sense(
    backend: Backend,
) -> None:
    info = respx.get(f"{URL}/api/info").respond(404, json={"detail": "Not Found"})
    respx.get(f"{URL}/api/runs/").respond(json={"no": "list"})
    with pytest.raises(BackendError, match="cannot be read"):
        await backend.runs()
    info.respond(json=FLAKEBENCH)
    respx.get(f"{URL}/api/tests").respond(json={"results": [], "total_pages": 1})
    assert await backend.runs() == []


@respx.mock
async def test_who_cannot_say_what_it_is_speaks_as_before(backend: Backend) -> None:
    info = respx.get(f"{URL}/api/info").respond(json=FLAKEBENCH)
    rows = respx.get(f"{URL}/api/tests").respond(500)
    with pytest.raises(BackendError):
        await backend.runs()
    info.respond(500)
    rows.respond(json={"results": [], "total_pages": 1})
    assert await backend.runs() == []


@respx.mock
async def test_a_path_that_does_not_exist_is_no_word_of_who_was_recognised(
    backend: Backend,
) -> None:
    info = respx.get(f"{URL}/api/info").respond(404, json={"detail": "Not Found"})
    respx.get(f"{URL}/api/runs/").respond(404, json={"detail": "Not Found"})
    with pytest.raises(NotFound):
        await backend.runs()
    info.respond(json=FLAKEBENCH)
    respx.get(f"{URL}/api/tests").respond(json={"results": [], "total_pages": 1})
    assert await backend.runs() == []


@respx.mock
async def test_who_speaks_as_before_an_error_is_the_one_who_spoke(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoke: list[FlakeBench] = []

    class Speaker(FlakeBench):
        async def runs(self) -> list[RunRow]:
            spoke.append(self)
            return await super().runs()

    def is_it(info: recognition.Info) -> bool:
        return info.features.max_comparisons is not None

    monkeypatch.setattr(recognition, "SIGNS", ((is_it, Speaker),))
    info = respx.get(f"{URL}/api/info").respond(json=FLAKEBENCH)
    rows = respx.get(f"{URL}/api/tests").respond(500)
    with pytest.raises(BackendError):
        await backend.runs()
    rows.respond(json={"results": [], "total_pages": 1})
    assert await backend.runs() == []
    assert info.call_count == 2
    # Since when it waits for figures, it alone remembers.
    assert spoke == [spoke[0], spoke[0]]


@respx.mock
async def test_what_does_not_exist_says_nothing_about_the_dialect(backend: Backend) -> None:
    info = respx.get(f"{URL}/api/info").respond(404, json={"detail": "Not Found"})
    respx.get(f"{URL}/api/templates/gone").respond(404, json={"detail": "Template not found"})
    for _ in range(2):
        with pytest.raises(NotFound):
            await backend.template("gone")
    assert info.call_count == 1
