"""The one port to a benchmark backend: the specification's REST contract over HTTP.

It turns every way in which a backend can fail into one of our errors, so that no caller knows
httpx. It never repeats a request that changes something: whether a start that got no answer
happened is found out by reading the state.
"""

import math
from collections import OrderedDict
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import anyio
import httpx
from pydantic import SecretStr, TypeAdapter

from benchgate.domain.contract import (
    ConnectionList,
    ErrorSummary,
    Health,
    Readiness,
    RunChanged,
    RunCreated,
    RunDetail,
    RunRow,
    Series,
    StartRun,
    TemplateReadiness,
    TestStatus,
)
from benchgate.domain.preflight import PreflightReport, may_proceed, warnings_of
from benchgate.domain.runs import RunSnapshot
from benchgate.domain.templates import Template, TemplateDraft
from benchgate.domain.text import one_line
from benchgate.domain.values import Value
from benchgate.errors import BackendUnavailable, BenchgateError, Unauthorized
from benchgate.gate.responses import content_of, our_errors, parsed

REQUEST_TIMEOUT_SECONDS = 20
CONNECT_TIMEOUT_SECONDS = 3
# So lately has a backend answered that it can be taken to be there still.
ALIVE_SECONDS = 0.5
LOOK_AFTER_ACT_SECONDS_MAX = 5
REMEMBERED_RUNS_MAX = 1_000

Shape = TypeVar("Shape")


class Address(Value):
    """Where a backend is, and what opens it."""

    url: str
    token: SecretStr | None = None
    dashboard_url: str
    is_embedded: bool = False


class Whereabouts(Protocol):
    """Knows where the backend is, and may have to start it first."""

    @property
    def identity(self) -> str:
        """What tells this backend from others, whether it is alive or not, as 64 hex digits."""
        ...

    async def ensure(self) -> Address:
        """The backend's address; it is alive, or ought to be."""
        ...

    async def find(self) -> Address | None:
        """The address, if that is known without starting anything."""
        ...


class Backend:
    """The backend's REST API, typed."""

    def __init__(self, whereabouts: Whereabouts, http: httpx.AsyncClient) -> None:
        """Speak through *http*, which the caller owns, to wherever *whereabouts* says."""
        self._whereabouts = whereabouts
        self._http = http
        self._address: Address | None = None
        self._heard_at = -math.inf
        self._test_ids: OrderedDict[str, str] = OrderedDict()

    async def templates(self) -> list[Template]:
        """All saved templates, newest first."""
        return await self._get("/api/templates/", TypeAdapter(list[Template]))

    async def template(self, template_id: str) -> Template:
        """One saved template."""
        return await self._get(f"/api/templates/{template_id}", TypeAdapter(Template))

    async def save_template(self, draft: TemplateDraft) -> Template:
        """*draft* as a new template. What it leaves open is left to the backend's defaults."""
        body = draft.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)
        return await self._post("/api/templates/", TypeAdapter(Template), body=body)

    async def template_readiness(self, template_id: str) -> TemplateReadiness:
        """What speaks for or against starting a template now, before there is a run of it.

        Only the embedded backend looks at the target of what is no run yet, and tells what is
        active beside it.
        """
        if await self._is_embedded():
            path = f"/api/templates/{template_id}/readiness"
            return await self._get(path, TypeAdapter(TemplateReadiness))
        template = await self.template(template_id)
        warnings = warnings_of(template.config)
        return TemplateReadiness(
            template=template,
            connection=template.config.connection_id or None,
            warnings=tuple(warnings),
            can_proceed=may_proceed(warnings),
        )

    async def connections(self) -> ConnectionList:
        """All saved connections."""
        return await self._get("/api/connections/", TypeAdapter(ConnectionList))

    async def runs(self) -> list[RunRow]:
        """The newest runs."""
        return await self._get("/api/runs/", TypeAdapter(list[RunRow]))

    async def create_run(self, template_id: str) -> RunCreated:
        """A new PREPARED run of a template."""
        created = await self._post(
            "/api/runs/", TypeAdapter(RunCreated), body={"template_id": template_id}
        )
        return created.model_copy(update={"dashboard_url": self._link(created.dashboard_url)})

    async def run(self, run_id: str) -> RunDetail:
        """What was fixed when the run was created."""
        detail = await self._get(f"/api/runs/{run_id}/", TypeAdapter(RunDetail))
        self._remember(run_id, detail.test_id)
        return detail.model_copy(update={"dashboard_url": self._link(detail.dashboard_url)})

    async def readiness(self, run_id: str) -> Readiness | None:
        """All that speaks for or against a start now; None where that takes several questions."""
        if not await self._is_embedded():
            return None
        ready = await self._get(f"/api/runs/{run_id}/readiness", TypeAdapter(Readiness))
        self._remember(run_id, ready.run.test_id)
        return ready

    async def preflight(self, run_id: str) -> PreflightReport:
        """The backend's warnings for a run, as of now."""
        return await self._get(f"/api/runs/{run_id}/preflight", TypeAdapter(PreflightReport))

    async def start(self, run_id: str, *, acknowledged: bool = False) -> RunChanged:
        """Start a run. Whoever calls this holds a person's yes.

        *acknowledged* says that it is a yes against the preflight's advice.
        """
        body = StartRun(acknowledged=True).model_dump() if acknowledged else None
        return await self._post(f"/api/runs/{run_id}/start", TypeAdapter(RunChanged), body=body)

    async def stop(self, run_id: str) -> RunChanged:
        """Stop a run."""
        return await self._post(f"/api/runs/{run_id}/stop", TypeAdapter(RunChanged))

    async def snapshot(self, run_id: str) -> RunSnapshot:
        """The newest known state of a run."""
        test_id = await self._test_id(run_id)
        status = await self._get(f"/api/tests/{test_id}/", TypeAdapter(TestStatus))
        return _snapshot(run_id, status, dashboard_url=self._link(status.dashboard_url))

    async def snapshot_or(self, told: RunSnapshot) -> RunSnapshot:
        """The newest known state, or *told* by an act that worked where only the look fails."""
        try:
            with within(LOOK_AFTER_ACT_SECONDS_MAX):
                return await self.snapshot(told.run_id)
        except BenchgateError:
            return told

    async def series(self, run_id: str) -> Series:
        """The run's seconds."""
        test_id = await self._test_id(run_id)
        return await self._get(f"/api/tests/{test_id}/metrics/", TypeAdapter(Series))

    async def errors(self, run_id: str) -> ErrorSummary:
        """The run's errors by category."""
        test_id = await self._test_id(run_id)
        return await self._get(f"/api/tests/{test_id}/error-summary/", TypeAdapter(ErrorSummary))

    async def health(self) -> Health:
        """How the backend is, and what it says of itself."""
        return await self._get("/health", TypeAdapter(Health))

    @property
    def identity(self) -> str:
        """The backend within which tests run one at a time, without asking or starting it."""
        return self._whereabouts.identity

    async def is_known_alive(self) -> bool:
        """Whether there is a backend to ask without starting one."""
        return await self._whereabouts.find() is not None

    async def _is_embedded(self) -> bool:
        address = self._address = self._address or await self._whereabouts.ensure()
        return address.is_embedded

    async def _test_id(self, run_id: str) -> str:
        return self._test_ids.get(run_id) or (await self.run(run_id)).test_id

    def _remember(self, run_id: str, test_id: str) -> None:
        self._test_ids[run_id] = test_id
        while len(self._test_ids) > REMEMBERED_RUNS_MAX:
            self._test_ids.popitem(last=False)

    def _link(self, path: str | None) -> str | None:
        """A dashboard link that a browser can open, made from what the backend answered."""
        if not path or self._address is None:
            return None
        base = self._address.dashboard_url.rstrip("/")
        return f"{base}{path}" if path.startswith("/") and not path.startswith("//") else None

    async def _get(self, path: str, shape: TypeAdapter[Shape]) -> Shape:
        try:
            return await self._ask("GET", path, shape)
        except (BackendUnavailable, Unauthorized):
            if self._address is None:
                raise
        # The backend may have ended since it was last found, and the next one may answer at the
        # same address with a token of its own; reading again is harmless.
        self._address = None
        return await self._ask("GET", path, shape)

    async def _post(
        self, path: str, shape: TypeAdapter[Shape], *, body: Mapping[str, Any] | None = None
    ) -> Shape:
        # What changes something is sent only once: so first make sure that it can arrive, unless
        # the backend has answered at this moment.
        if self._address is None or anyio.current_time() - self._heard_at > ALIVE_SECONDS:
            self._address = await self._whereabouts.find() or await self._whereabouts.ensure()
        return await self._ask("POST", path, shape, body=body)

    async def _ask(
        self,
        method: str,
        path: str,
        shape: TypeAdapter[Shape],
        *,
        body: Mapping[str, Any] | None = None,
    ) -> Shape:
        address = self._address = self._address or await self._whereabouts.ensure()
        headers = {"Accept": "application/json"}
        if address.token:
            headers["Authorization"] = f"Bearer {address.token.get_secret_value()}"
        with our_errors():
            request = self._http.build_request(
                method, address.url + path, headers=headers, json=body, timeout=TIMEOUT
            )
            with anyio.fail_after(REQUEST_TIMEOUT_SECONDS):
                response = await self._http.send(request, stream=True)
                try:
                    content = await content_of(response)
                finally:
                    await response.aclose()
        self._heard_at = anyio.current_time()
        return parsed(response, content, shape)


TIMEOUT = httpx.Timeout(REQUEST_TIMEOUT_SECONDS, connect=CONNECT_TIMEOUT_SECONDS)


@contextmanager
def within(seconds: float) -> Generator[None]:
    """Bound everything that is asked of a backend in here, however many requests it takes.

    Raises:
        BackendUnavailable: it took longer.
    """
    try:
        with anyio.fail_after(seconds):
            yield
    except TimeoutError as exc:
        raise BackendUnavailable(f"The backend did not answer within {seconds:g} s.") from exc


def _snapshot(run_id: str, status: TestStatus, *, dashboard_url: str | None) -> RunSnapshot:
    """The specification's test payload as a snapshot."""
    timing = status.timing
    return RunSnapshot(
        run_id=run_id,
        status=one_line(status.status, 40),
        phase=one_line(status.phase, 40) if status.phase else None,
        template_id=status.template_id,
        template_name=status.template_name,
        reason=status.reason,
        elapsed_seconds=timing.elapsed_display_seconds,
        expected_seconds=timing.total_expected_seconds,
        measured_seconds=timing.measured_seconds,
        current_step=status.current_step,
        total_steps=status.total_steps,
        current_concurrency=status.current_concurrency,
        metrics=status.metrics,
        summary=status.summary,
        estimated_cost=status.estimated_cost,
        dashboard_url=dashboard_url,
        started_at=status.started_at,
        updated_at=status.updated_at,
    )
