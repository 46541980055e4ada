"""Who may not answer: foreign pages, forms that were not given out, and what is no form."""

from pathlib import Path

import httpx
import pytest
from mcp.server import MCPServer

from benchgate.gate.approvals.browser.form import BODY_BYTES_MAX
from benchgate.gate.approvals.browser.guard import COOKIE
from benchgate.gate.approvals.page import ApprovalsPage
from tests.unit.gate.approvals.browsing import ADDRESS, Browser, Office, office_at, path_of

pytestmark = pytest.mark.anyio

FORM = {"Origin": ADDRESS, "Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:9"},
        {"Origin": "http://localhost:8765"},
        {"Origin": "https://127.0.0.1:8765"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
)
async def test_a_form_from_elsewhere_records_nothing_and_shows_nothing(
    tmp_path: Path, headers: dict[str, str]
) -> None:
    async with office_at(tmp_path) as (office, browser):
        approval = await office.ask()
        fields = {"decision": "yes", "csrf": await browser.token(approval)}
        refused = await browser.post(approval, fields, headers)
        assert refused.status_code == 403
        assert "Orders lookup" not in refused.text
        assert await office.state(approval) == "asked"


async def test_a_form_without_an_origin_records_nothing(tmp_path: Path) -> None:
    async with office_at(tmp_path) as (office, browser):
        approval = await office.ask()
        fields = {"decision": "yes", "csrf": await browser.token(approval)}
        refused = await browser.http.post(path_of(approval), data=fields)
        assert refused.status_code == 403
        assert await office.state(approval) == "asked"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:8765",
        "127.0.0.1.evil.example:8765",
        "127.0.0.1:9",
        "127.0.0.1",
        "evil.example@127.0.0.1:8765",
        "192.0.2.1:8765",
        "[::1:8765",
        "",
    ],
)
async def test_a_page_that_calls_us_by_another_name_sees_nothing(tmp_path: Path, host: str) -> None:
    async with office_at(tmp_path) as (office, browser):
        approval = await office.ask()
        refused = await browser.http.get(path_of(approval), headers={"Host": host})
        assert refused.status_code == 403
        assert "Orders lookup" not in refused.text
        fields = {"decision": "yes", "csrf": await browser.token(approval)}
        headers = {"Host": host, "Origin": f"http://{host}"}
        assert (await browser.post(approval, fields, headers)).status_code == 403
        assert await office.state(approval) == "asked"


@pytest.mark.parametrize("host", ["localhost:8765", "LOCALHOST:8765", "[::1]:8765"])
async def test_every_loopback_name_of_ours_leads_to_the_page(tmp_path: Path, host: str) -> None:
    async with office_at(tmp_path) as (office, browser):
        approval = await office.ask()
        fields = {"decision": "no", "csrf": await browser.token(approval)}
        headers = {"Host": host, "Origin": f"http://{host.lower()}"}
        assert (await browser.post(approval, fields, headers)).status_code == 303


async def test_a_token_is_good_for_one_question_in_one_browser(tmp_path: Path) -> None:
    async with office_at(tmp_path) as (office, browser):
        approval, other = await office.ask("one"), await office.ask("other")
        token = await browser.token(approval)
        for wrong in ("", "0" * 64, "\u00e9", await browser.token(other)):
            refused = await browser.post(approval, {"decision": "yes", "csrf": wrong})
            assert refused.status_code == 403
            assert "was not given out to this browser" in refused.text

        browser.http.cookies.clear()
        assert (await browser.post(approval, {"decision": "yes", "csrf": token})).status_code == 403
        for session in ("", "short", "x" * 43):
            headers = {"Cookie": f"{COOKIE}={session}"}
            fields = {"decision": "yes", "csrf": token}
            assert (await browser.post(approval, fields, headers)).status_code == 403
        refused = await browser.post(approval, {"csrf": token}, path="/reopen")
        assert refused.status_code == 403
        assert await office.state(approval) == "asked"


async def test_the_page_that_refuses_a_stale_form_brings_one_that_works(tmp_path: Path) -> None:
    async with office_at(tmp_path) as (office, browser):
        approval = await office.ask()
        stale = await browser.post(approval, {"decision": "yes", "csrf": "0" * 64, "note": "mine"})
        assert "mine</textarea>" in stale.text
        await browser.answer(approval, "yes")
        assert await office.state(approval) == "approved"


async def test_every_answer_forbids_framing_caching_and_foreign_parts(tmp_path: Path) -> None:
    async with office_at(tmp_path) as (office, browser):
        approval = await office.ask()
        answers = [
            await browser.http.get(path_of(approval)),
            await browser.http.get("/approvals/nowhere"),
            await browser.http.get("/approvals/assets/page.css"),
            await browser.post(approval, {"decision": "yes"}),
            await browser.answer(approval, "no"),
            await browser.http.get(path_of(approval), headers={"Host": "evil.example"}),
        ]
    assert [one.status_code for one in answers] == [200, 404, 200, 403, 303, 403]
    for one in answers:
        assert one.headers["cache-control"] == "no-store"
        assert one.headers["x-frame-options"] == "DENY"
        assert one.headers["x-content-type-options"] == "nosniff"
        assert one.headers["referrer-policy"] == "same-origin"
        policy = one.headers["content-security-policy"].split("; ")
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "form-action 'self'" in policy
        assert not any("script" in rule or "unsafe" in rule or "http" in rule for rule in policy)


async def test_the_cookie_is_for_this_page_alone(tmp_path: Path) -> None:
    async with office_at(tmp_path) as (office, browser):
        approval = await office.ask()
        shown = await browser.http.get(path_of(approval))
    name, _, rest = shown.headers["set-cookie"].partition("=")
    assert name == COOKIE
    assert {part.strip().lower() for part in rest.split(";")[1:]} == {
        "httponly",
        "path=/approvals",
        "samesite=strict",
    }


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"decision=yes&decision=no", None),
        (b"&".join(b"a%d=1" % number for number in range(20)), None),
        (b"note=" + b"x" * BODY_BYTES_MAX, None),
        (b"\xff\xfe", None),
        (b'{"decision": "yes"}', "application/json"),
        (b"decision=yes", "text/plain"),
    ],
)
async def test_what_is_not_the_pages_own_form_is_refused(
    tmp_path: Path, body: bytes, content_type: str | None
) -> None:
    async with office_at(tmp_path) as (office, browser):
        approval = await office.ask()
        headers = FORM | ({"Content-Type": content_type} if content_type else {})
        refused = await browser.http.post(path_of(approval), content=body, headers=headers)
        assert refused.status_code == 422
        assert await office.state(approval) == "asked"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_other_methods_are_not_allowed(tmp_path: Path, method: str) -> None:
    async with office_at(tmp_path) as (office, browser):
        approval = await office.ask()
        refused = await browser.http.request(method, path_of(approval))
        assert refused.status_code == 405


async def test_over_http_the_page_is_a_part_of_the_server_behind_the_same_guard(
    tmp_path: Path,
) -> None:
    office = Office(tmp_path)
    server: MCPServer[None] = MCPServer("a-server")
    async with ApprovalsPage(office.desk, office.pin, address=ADDRESS) as page:
        page.register(server)
        transport = httpx.ASGITransport(server.streamable_http_app())
        async with httpx.AsyncClient(transport=transport, base_url=ADDRESS) as http:
            approval = await office.ask()
            assert await page.link_to(approval.approval_id) == ADDRESS + path_of(approval)
            browser = Browser(http)
            foreign = await http.get(path_of(approval), headers={"Host": "evil.example:8765"})
            assert foreign.status_code == 403
            await browser.answer(approval, "yes")
            assert await office.state(approval) == "approved"
    await office.desk.close()
