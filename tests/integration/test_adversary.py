"""The backend port against a server that does everything wrong, on a port and before FlakeBench."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import httpx
import pytest
from pydantic import SecretStr, TypeAdapter
from starlette.types import ASGIApp

from benchgate.domain.runs import RunSnapshot
from benchgate.errors import BackendError, BackendUnavailable, BenchgateError
from benchgate.gate.backend import Backend
from benchgate.gate.transport import wire
from benchgate.gate.transport.responses import ANSWER_BYTES_MAX
from benchgate.gate.transport.whereabouts import Configured
from benchgate.gate.transport.wire import Address, Wire
from tests.adversary.app import Adversary
from tests.adversary.script import (
    WEBSOCKET,
    Altered,
    Answer,
    Cut,
    Drip,
    Json,
    Mischief,
    Silence,
    Step,
    html,
    redirect,
    with_field,
)
from tests.adversary.server import LOOPBACK, ORIGIN, client, served
from tests.adversary.skew import skewed
from tests.flakebench.app import create_app
from tests.flakebench.clock import ManualClock
from tests.flakebench.world import World

pytestmark = pytest.mark.anyio

TEST_SECONDS_MAX = 60
SHORT_SECONDS = 0.3
# What closing and a busy machine may add to a limit, and no limit of the wire's own.
GRACE_SECONDS = 5
RUN = "/api/runs/r1/"
START = "/api/runs/r1/start"


@pytest.fixture(autouse=True)
async def limit() -> AsyncGenerator[None]:
    with anyio.fail_after(TEST_SECONDS_MAX):
        yield


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "REQUEST_TIMEOUT_SECONDS", SHORT_SECONDS)


def address_of(url: str) -> Configured:
    return Configured(Address(url=url, token=SecretStr("secret"), dashboard_url=url))


@asynccontextmanager
async def backend_of(app: ASGIApp) -> AsyncGenerator[Backend]:
    """The backend port to *app* on a port of loopback."""
    async with served(app) as url, httpx.AsyncClient(trust_env=False) as http:
        yield Backend(address_of(url), http)


SLOW: dict[str, Mischief] = {
    "no headers": Silence(),
    "no body": Silence(b""),
    "half a body": Silence(b'{"run_id": '),
    "a drop at a time": Drip(),
}
LOST: dict[str, Mischief] = {
    "reset": Cut(),
    "reset before the body": Cut(b""),
    "cut off": Cut(is_reset=False),
    "cut off before the body": Cut(b"", is_reset=False),
}
WRONG: dict[str, tuple[Mischief, str]] = {
    "an error page": (html(), "answered 500: no readable message"),
    "a page": (html(200), "cannot be read"),
    "nothing": (Answer(), "cannot be read"),
    "no content": (Answer(204), "cannot be read"),
    "too much": (Answer(body=b" " * (ANSWER_BYTES_MAX + 1)), "larger than"),
    "much": (Answer(body=b"[" + b"1," * 2_500_000 + b"1]"), "cannot be read"),
    "a redirect elsewhere": (redirect("http://elsewhere.test/"), r"to http://elsewhere\.test, w"),
    "a redirect to itself": (redirect(RUN), "again and again"),
    "a redirect of another kind": (redirect(RUN, 302), "which is not followed"),
    "a teapot": (Answer(418), "answered 418: no readable message"),
}


@pytest.mark.usefixtures("_short")
@pytest.mark.parametrize("how", SLOW)
async def test_nobody_waits_longer_than_the_limit(how: str) -> None:
    adversary = Adversary(Step(RUN, SLOW[how]), Step(START, SLOW[how], "POST"))
    async with backend_of(adversary) as backend:
        begun = anyio.current_time()
        for asked in (backend.run("r1"), backend.start("r1")):
            with pytest.raises(BackendUnavailable, match="did not answer in time") as caught:
                await asked
            assert caught.value.hint
        assert caught.value.may_be_on_its_way
        # Reading is tried a second time, starting never is.
        assert anyio.current_time() - begun < 3 * SHORT_SECONDS + GRACE_SECONDS
    assert adversary.requests(START) == 1


@pytest.mark.parametrize("how", LOST)
async def test_an_answer_that_breaks_off_is_read_again_and_a_start_is_not_repeated(
    how: str,
) -> None:
    adversary = Adversary(Step(RUN, LOST[how]), Step(START, LOST[how], "POST"))
    async with backend_of(adversary) as backend:
        for asked in (backend.run("r1"), backend.start("r1")):
            with pytest.raises(BackendUnavailable, match="could not be reached") as caught:
                await asked
            assert caught.value.hint
        assert caught.value.may_be_on_its_way
    assert (adversary.requests(RUN), adversary.requests(START)) == (2, 1)


@pytest.mark.parametrize("how", WRONG)
async def test_what_is_no_answer_is_told_as_what_it_is(how: str) -> None:
    mischief, words = WRONG[how]
    async with backend_of(Adversary(Step(RUN, mischief))) as backend:
        with pytest.raises(BackendError, match=words) as caught:
            await backend.run("r1")
    assert caught.value.hint
    assert len(caught.value.advice) < 1_000
    assert "hunter2" not in caught.value.advice


@pytest.mark.usefixtures("_short")
async def test_redirects_and_what_they_lead_to_share_one_limit() -> None:
    steps = (Step("/a", redirect("/b")), Step("/b", redirect("/c")), Step("/c", Silence()))
    adversary = Adversary(*steps)
    async with served(adversary) as url, httpx.AsyncClient(trust_env=False) as http:
        with pytest.raises(BackendUnavailable, match="did not answer in time"):
            await Wire(address_of(url), http).get("/a", TypeAdapter(int))
    assert adversary.requests("/c")


async def test_the_token_never_reaches_another_server() -> None:
    """Not even one on the same machine, by another port or name."""
    elsewhere = Adversary()
    async with served(elsewhere) as other:
        port = other.rsplit(":", 1)[1]
        for location in (f"{other}/", f"http://localhost:{port}/", f"//{LOOPBACK}:{port}/"):
            adversary = Adversary(
                Step(RUN, redirect(location)),
                Step(START, redirect(location), "POST"),
                Step("/ws/.*", redirect(location), WEBSOCKET),
            )
            async with served(adversary) as url, httpx.AsyncClient(trust_env=False) as http:
                backend, raw = Backend(address_of(url), http), Wire(address_of(url), http)
                for asked in (backend.run("r1"), backend.start("r1")):
                    with pytest.raises(BackendError, match=f":{port}, which is not followed"):
                        await asked
                with pytest.raises(BackendError, match="307"):
                    async with raw.stream("/ws/r1"):
                        pass
            assert {seen.authorization for seen in adversary.seen} == {"Bearer secret"}
    assert elsewhere.seen == []


class Scene:
    """FlakeBench with an adversary before it that changes a run's payload as a test wants."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.world = World(clock=self.clock)
        self.mischief: Altered | None = None
        step = Step("/api/tests/[^/]+", Altered(self._change))
        self.adversary = Adversary(step, behind=create_app(self.world))

    def _change(self, body: Json) -> Json:
        return self.mischief.change(body) if self.mischief else body

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[tuple[Backend, str]]:
        """The backend port, and a run that has been loading for a while."""
        async with client(self.adversary) as http:
            backend = Backend(address_of(ORIGIN), http)
            run_id = (await backend.create_run("tpl-fixed")).run_id
            await backend.start(run_id)
            self.clock.advance(5)
            yield backend, run_id


async def test_a_status_and_a_phase_that_nobody_knows_are_passed_on() -> None:
    scene = Scene()
    async with scene.running() as (backend, run_id):
        scene.mischief = with_field("status", "HIBERNATING")
        assert (await backend.snapshot(run_id)).status == "HIBERNATING"
        scene.mischief = with_field("phase", "DREAMING")
        assert (await backend.snapshot(run_id)).phase == "DREAMING"


@pytest.mark.parametrize("hours", [-26, -1, 3, 26])
async def test_no_figure_depends_on_the_clocks_of_a_backend(hours: int) -> None:
    scene = Scene()
    async with scene.running() as (backend, run_id):
        right = await backend.snapshot(run_id)
        scene.mischief = skewed(hours)
        wrong = await backend.snapshot(run_id)
    assert right.elapsed_seconds
    assert wrong.elapsed_seconds == right.elapsed_seconds
    assert (wrong.status, wrong.phase) == (right.status, right.phase)
    assert (wrong.metrics, wrong.progress_pct) == (right.metrics, right.progress_pct)


async def test_an_answer_of_five_megabytes_is_read_and_one_beyond_the_limit_is_not() -> None:
    scene = Scene()
    async with scene.running() as (backend, run_id):
        right = await backend.snapshot(run_id)
        scene.mischief = with_field("padding", "x" * 5_000_000)
        assert (await backend.snapshot(run_id)).status == right.status
        scene.mischief = with_field("padding", "x" * ANSWER_BYTES_MAX)
        with pytest.raises(BackendError, match="larger than"):
            await backend.snapshot(run_id)


STRANGE: dict[str, Json] = {
    "null": None,
    "text": "\u202eNaN",
    "list": [[]],
    "object": {"a": {}},
    "negative": -1.5,
    "huge": 10**400,
}


@pytest.mark.parametrize("strange", STRANGE)
async def test_a_strange_value_in_any_field_is_an_error_of_ours_or_does_not_matter(
    strange: str,
) -> None:
    scene = Scene()
    async with scene.running() as (backend, run_id):
        fields = await _fields(scene, run_id)
        told = 0
        for field in fields:
            scene.mischief = with_field(field, STRANGE[strange])
            seen = await _snapshot_or_error(backend, run_id)
            if isinstance(seen, BenchgateError):
                assert seen.hint
                assert len(seen.advice) < 1_000
            else:
                told += 1
                assert seen.run_id == run_id
                assert RunSnapshot.model_validate_json(seen.model_dump_json()) == seen
    assert len(fields) > 100
    assert told > 50


async def _snapshot_or_error(backend: Backend, run_id: str) -> RunSnapshot | BenchgateError:
    try:
        return await backend.snapshot(run_id)
    except BenchgateError as error:
        return error


async def _fields(scene: Scene, run_id: str) -> list[str]:
    async with client(create_app(scene.world)) as http:
        body: dict[str, Json] = (await http.get(f"/api/tests/{run_id}")).json()
    return [*body, *(f"timing.{key}" for key in body["timing"])]
