"""A person's browser before the approvals page, and the questions that wait there."""

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.routing import Route

from benchgate.domain.approvals import Approval, ApprovalState, Asked, Channel, subject_of
from benchgate.domain.facts import StartFacts
from benchgate.domain.preflight import PreflightWarning
from benchgate.domain.text import digest_of
from benchgate.gate.approvals.browser.look import Look
from benchgate.gate.approvals.browser.site import Site
from benchgate.gate.approvals.desk import Desk, utc_now
from benchgate.gate.approvals.page import METHODS, PATH
from benchgate.gate.approvals.pin import Pin
from benchgate.gate.blocks import Blocks
from benchgate.gate.home import GateHome
from benchgate.settings import Settings
from tests.unit.asked import ask_both
from tests.unit.examples import NOON, facts_of

ADDRESS = "http://127.0.0.1:8765"
PIN = "4711-and-more"
ASKED = Asked(channel=Channel.PAGE, client_name="a-host", client_version="1.2")
TOKEN = re.compile(r'action="([^"]+)".*?name="csrf" value="([0-9a-f]{64})"', re.DOTALL)


def named(name: str, *warnings: PreflightWarning) -> StartFacts:
    """The facts of a run of its own, under that name."""
    changes = {"template_name": name, "run_id": f"run-{digest_of(name)[:8]}"}
    return facts_of(None, *warnings).model_copy(update=changes)


class Office:
    """A desk with its PIN, in a home of its own."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        home = GateHome(Settings(data_dir=folder, **settings))
        self.lifetimes = home.lifetimes
        self.desk = Desk(home)
        self.pin = Pin(home)

    def set_pin(self) -> None:
        self.pin.set(SecretStr(PIN))

    async def ask(
        self, name: str = "Orders lookup", *warnings: PreflightWarning, asked: Asked = ASKED
    ) -> Approval:
        """A question about a run of that name, as the gate records it."""
        facts = named(name, *warnings)
        found = await self.desk.ask(
            facts,
            wording=lambda changed: Blocks().render("question", facts=facts, changed=changed),
            asked=asked,
            fallback=Channel.PAGE,
            before=None,
            facts_at=utc_now(),
        )
        return found.approval

    async def ask_both(self, comparison_id: str = "cmp-1") -> Approval:
        """A question about a comparison of two tests."""
        return await self.desk.do(lambda record: ask_both(record, comparison_id, at=utc_now()))

    async def state(self, approval: Approval) -> str:
        return (await self.desk.get(approval.approval_id)).state.value


class Browser:
    """Opens pages and sends their forms, as a browser does."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def open(self, approval: Approval) -> str:
        response = await self.http.get(path_of(approval))
        assert response.status_code == 200, response.text
        return response.text

    async def token(self, approval: Approval) -> str:
        """What the form of that question holds."""
        return dict(TOKEN.findall(await self.open(approval)))[path_of(approval)]

    async def post(
        self,
        approval: Approval,
        fields: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
        *,
        path: str = "",
    ) -> httpx.Response:
        """Send those fields as they are, from our own page unless *headers* say otherwise."""
        sent = {"Origin": ADDRESS, **(headers or {})}
        return await self.http.post(path_of(approval) + path, data={**fields}, headers=sent)

    async def answer(self, approval: Approval, decision: str, **fields: str) -> httpx.Response:
        """Open the page and send its form."""
        token = await self.token(approval)
        return await self.post(approval, {"decision": decision, "csrf": token, **fields})


def look_of(question: str) -> Look:
    """An open question of those words, as its page sees it."""
    facts = named("Orders lookup")
    approval = Approval(
        approval_id="an-approval",
        subject=subject_of(facts),
        name=facts.template_name,
        facts=facts,
        digest=facts.digest,
        question=question,
        question_digest=digest_of(question),
        state=ApprovalState.ASKED,
        asked=ASKED,
        asked_at=NOON,
    )
    return Look(
        approval=approval,
        others=(),
        closed=(),
        can_reopen=False,
        asks_for_pin=False,
        at=NOON,
        until=NOON + timedelta(minutes=30),
        yes_lasts=timedelta(minutes=10),
    )


def path_of(approval: Approval) -> str:
    return f"/approvals/{approval.approval_id}"


@asynccontextmanager
async def office_at(folder: Path, **settings: Any) -> AsyncGenerator[tuple[Office, Browser]]:
    """A desk, and a browser before its page, in this process."""
    office = Office(folder, **settings)
    site = Site(office.desk, office.pin, address=ADDRESS)
    app = Starlette(routes=[Route(PATH, site.respond, methods=METHODS)])
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=ADDRESS) as http:
        try:
            yield office, Browser(http)
        finally:
            await office.desk.close()
