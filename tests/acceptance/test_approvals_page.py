"""The approvals page in a real browser: a person answers there, and the next call knows it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitRequestURLParams, ElicitResult
from playwright.async_api import Browser, BrowserContext, Page, expect

from benchgate.domain.approvals import Approval, Asked, Channel, ExecutionMode
from benchgate.gate.approvals.page import ApprovalsPage
from benchgate.gate.server import open_gate
from tests.acceptance.browsers import visit
from tests.acceptance.home import Home
from tests.acceptance.person import ERAS, Era, call, client_of
from tests.unit.examples import HIGH
from tests.unit.gate.approvals.browsing import PIN, Office

pytestmark = pytest.mark.anyio

TABS_MAX = 30
HOSTILE = (
    "<img src=x onerror=\"document.title='owned'\"> [Yes](http://evil.example) # **bold** \u202e"
)


@asynccontextmanager
async def office_with_page(folder: Path) -> AsyncGenerator[tuple[Office, ApprovalsPage]]:
    """A desk whose page is served on a port of its own, as on stdio."""
    office = Office(folder)
    async with ApprovalsPage(office.desk, office.pin, address=None) as page:
        yield office, page
    await office.desk.close()


async def opened(context: BrowserContext, served: ApprovalsPage, approval: Approval) -> Page:
    """The page of *approval*."""
    link = await served.link_to(approval.approval_id)
    assert link is not None
    page = await context.new_page()
    await page.goto(link)
    return page


async def tab_to(page: Page, name: str) -> None:
    """Press Tab until the button called *name* has the focus."""
    button = page.get_by_role("button", name=name, exact=True)
    for _ in range(TABS_MAX):
        if await button.evaluate("button => button === document.activeElement"):
            return
        await page.keyboard.press("Tab")
    raise AssertionError(f"{name} cannot be reached by Tab")


async def press(page: Page, name: str) -> None:
    await page.get_by_role("button", name=name, exact=True).click()


def said(page: Page) -> Any:
    return expect(page.get_by_role("status").get_by_role("heading"))


@pytest.mark.parametrize("era", ERAS)
async def test_a_yes_by_the_keyboard_alone_lets_the_next_call_start_the_run(
    home: Home, context: BrowserContext, era: Era
) -> None:
    async with client_of(home.settings, era) as client:
        run_id = (await call(client, "create_run", template_id=home.template()))["run_id"]
        waiting = await call(client, "start_run", run_id=run_id)
        assert waiting["outcome"] == "awaiting_approval"
        page = await context.new_page()
        await page.goto(waiting["approval_url"])
        await tab_to(page, "Yes")
        await page.keyboard.press("Enter")
        await said(page).to_have_text("Your yes is recorded")
        assert home.status(run_id) == "PREPARED"
        started = await call(client, "start_run", run_id=run_id)
        assert started["outcome"] == "started"
        await page.reload()
        await said(page).to_have_text("The yes has been used")
        # The next test's run has to find the backend free.
        await call(client, "get_status", run_id=run_id, wait_seconds=25)


async def test_a_no_on_the_page_is_told_to_the_next_call(
    home: Home, context: BrowserContext
) -> None:
    async with client_of(home.settings, "auto") as client:
        run_id = (await call(client, "create_run", template_id=home.template()))["run_id"]
        waiting = await call(client, "start_run", run_id=run_id)
        page = await context.new_page()
        await page.goto(waiting["approval_url"])
        await page.get_by_label("Note").fill("not while the others measure")
        await press(page, "No")
        await said(page).to_have_text("The answer is no")
        told = await call(client, "start_run", run_id=run_id)
        assert told["outcome"] == "declined"
        assert home.status(run_id) == "PREPARED"


async def test_a_wish_to_modify_reaches_the_agent_with_its_note(
    home: Home, context: BrowserContext
) -> None:
    async with client_of(home.settings, "auto") as client:
        run_id = (await call(client, "create_run", template_id=home.template()))["run_id"]
        waiting = await call(client, "start_run", run_id=run_id)
        page = await context.new_page()
        await page.goto(waiting["approval_url"])
        await page.get_by_label("Note").fill("half the connections")
        await press(page, "Modify")
        await said(page).to_have_text("Your wish is recorded")
        told = await call(client, "start_run", run_id=run_id)
        assert (told["outcome"], told["note"]) == ("modify_requested", "half the connections")


class Opener:
    """A client that can open a link for its person, who answers there with *answer*."""

    def __init__(self, context: BrowserContext, answer: str) -> None:
        self._context = context
        self._answer = answer
        self.links: list[str] = []

    async def __call__(
        self, context: ClientRequestContext, params: ElicitRequestParams
    ) -> ElicitResult:
        assert isinstance(params, ElicitRequestURLParams)
        self.links.append(params.url)
        page = await self._context.new_page()
        await page.goto(params.url)
        if self._answer:
            await press(page, self._answer)
            await expect(page.get_by_role("status")).to_be_visible()
        return ElicitResult(action="accept")


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(("answer", "outcome"), [("Yes", "started"), ("No", "declined")])
async def test_a_link_that_the_client_opens_leads_to_the_same_page(
    home: Home, context: BrowserContext, era: Era, answer: str, outcome: str
) -> None:
    opener = Opener(context, answer)
    channels = {"approval_channels": (Channel.URL, Channel.PAGE)}
    settings = home.settings.model_copy(update=channels)
    async with (
        open_gate(settings) as server,
        Client(server, mode=era, elicitation_callback=opener) as client,
    ):
        run_id = (await call(client, "create_run", template_id=home.template()))["run_id"]
        ended = await call(client, "start_run", run_id=run_id)
        await call(client, "stop_run", run_id=run_id)
        await call(client, "get_status", run_id=run_id, wait_seconds=25)
    assert ended["outcome"] == outcome
    assert len(opener.links) == 1


async def test_a_link_that_was_only_opened_starts_nothing(
    home: Home, context: BrowserContext
) -> None:
    opener = Opener(context, "")
    update = {"approval_channels": (Channel.URL, Channel.PAGE), "ask_wait_seconds": 1}
    async with (
        open_gate(home.settings.model_copy(update=update)) as server,
        Client(server, mode="legacy", elicitation_callback=opener) as client,
    ):
        run_id = (await call(client, "create_run", template_id=home.template()))["run_id"]
        waiting = await call(client, "start_run", run_id=run_id)
        assert waiting["outcome"] == "awaiting_approval"
        assert home.status(run_id) == "PREPARED"


async def test_a_closed_question_opens_again_and_its_yes_counts(
    context: BrowserContext, tmp_path: Path
) -> None:
    async with office_with_page(tmp_path) as (office, served):
        approval = await office.ask("closed"), await office.ask("open")
        page = await opened(context, served, approval[0])
        await press(page, "No")
        await page.get_by_role("link", name="open").click()
        await expect(page.get_by_role("button", name="Yes")).to_be_visible()
        await page.get_by_role("button", name="Open the question about closed again").click()
        await press(page, "Yes")
        await said(page).to_have_text("Your yes is recorded")
        assert await office.state(approval[0]) == "declined"
        newest = await office.desk.newest(approval[0].subject.subject_id)
        assert newest is not None
        assert newest.state == "approved"


async def test_enter_in_a_field_says_nothing(context: BrowserContext, tmp_path: Path) -> None:
    async with office_with_page(tmp_path) as (office, served):
        office.set_pin()
        approval = await office.ask("Orders", HIGH)
        page = await opened(context, served, approval)
        for label, text in (("the name of the test", "Orders"), ("PIN", PIN), ("Note", "so")):
            await page.get_by_label(label).fill(text)
        for label in ("the name of the test", "PIN", "Note"):
            await page.get_by_label(label).press("Enter")
        assert await office.state(approval) == "asked"
        await press(page, "Yes")
        await said(page).to_have_text("Your yes is recorded")


async def test_an_override_needs_its_name_and_the_pin_besides_a_yes(
    context: BrowserContext, tmp_path: Path
) -> None:
    async with office_with_page(tmp_path) as (office, served):
        office.set_pin()
        approval = await office.ask("Orders", HIGH)
        page = await opened(context, served, approval)
        name, pin = page.get_by_label("the name of the test"), page.get_by_label("PIN")
        await press(page, "Yes")  # the browser itself asks for what is missing
        assert await name.evaluate("field => field === document.activeElement")
        await name.fill("orders")
        await pin.fill(PIN)
        await press(page, "Yes")
        await expect(page.get_by_role("alert")).to_contain_text("type the name of the test")
        await name.fill("Orders")
        await pin.fill("not-this-one")
        await press(page, "Yes")
        await expect(page.get_by_role("alert")).to_contain_text("That is not the PIN")
        await expect(pin).to_have_value("")
        await pin.fill(PIN)
        await press(page, "Yes")
        await said(page).to_have_text("Your yes is recorded")
        assert await office.state(approval) == "approved"


async def choose(page: Page, name: str) -> None:
    """Choose one of the two by a press on its words, as people do."""
    await page.get_by_text(name).click()
    await expect(page.get_by_role("radio", name=name)).to_be_checked()


async def test_all_tests_run_in_a_row_where_a_person_chooses_that(
    context: BrowserContext, tmp_path: Path
) -> None:
    async with office_with_page(tmp_path) as (office, served):
        office.set_pin()
        approval = await office.ask_both()
        page = await opened(context, served, approval)
        await expect(page.get_by_role("heading", level=1)).to_have_text("May these tests start?")
        await expect(
            page.get_by_role("group", name="how would you like to proceed")
        ).to_be_visible()
        await expect(page.get_by_role("radio", name="B) Pause after each test")).to_be_checked()
        await choose(page, "A) Run all tests sequentially")
        await page.get_by_label("PIN").fill("not-this-one")
        await press(page, "Yes")
        await expect(page.get_by_role("alert")).to_contain_text("That is not the PIN")
        await expect(page.get_by_role("radio", name="A) Run all")).to_be_checked()
        await page.get_by_label("PIN").fill(PIN)
        await press(page, "Yes")
        await said(page).to_have_text("Your yes is recorded")
        await expect(page.get_by_role("status")).to_contain_text("A) Run all tests sequentially")
        answered = await office.desk.get(approval.approval_id)
    assert (answered.state, answered.mode) == ("approved", ExecutionMode.SEQUENTIAL)


async def test_whoever_only_presses_yes_is_asked_after_each_test(
    context: BrowserContext, tmp_path: Path
) -> None:
    async with office_with_page(tmp_path) as (office, served):
        approval = await office.ask_both()
        page = await opened(context, served, approval)
        await tab_to(page, "Yes")
        await page.keyboard.press("Enter")
        await said(page).to_have_text("Your yes is recorded")
        await expect(page.get_by_role("status")).to_contain_text("B) Pause after each test")
        answered = await office.desk.get(approval.approval_id)
    assert answered.mode is ExecutionMode.PAUSE


async def test_a_no_needs_neither_name_nor_pin(context: BrowserContext, tmp_path: Path) -> None:
    async with office_with_page(tmp_path) as (office, served):
        office.set_pin()
        approval = await office.ask("Orders", HIGH)
        page = await opened(context, served, approval)
        await press(page, "No")
        await said(page).to_have_text("The answer is no")


async def test_hostile_texts_are_shown_as_text(context: BrowserContext, tmp_path: Path) -> None:
    asked = Asked(channel=Channel.PAGE, client_name=HOSTILE, client_version="<h1>2</h1>")
    async with office_with_page(tmp_path) as (office, served):
        approval = await office.ask(HOSTILE, HIGH, asked=asked)
        page = await opened(context, served, approval)
        await expect(page.locator("article a, main img, main script, dd h1")).to_have_count(0)
        await expect(page.get_by_role("link")).to_have_count(0)
        await expect(page.get_by_role("heading", level=1)).to_have_count(1)
        await expect(page.locator("article code").first).to_contain_text("<img src=x")
        assert "owned" not in (await page.title()).partition("<")[0]


async def test_no_page_can_frame_the_question(browser: Browser, tmp_path: Path) -> None:
    async with office_with_page(tmp_path) as (office, served):
        approval = await office.ask()
        link = await served.link_to(approval.approval_id)
        page = await browser.new_page()
        async with page.expect_console_message(lambda told: "frame-ancestors" in told.text):
            await page.set_content(f'<iframe src="{link}"></iframe>')
        inside = page.frame_locator("iframe")
        await expect(inside.get_by_role("button", name="Yes")).to_have_count(0)
        await page.close()


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:9"])
async def test_a_form_of_another_page_answers_nothing(
    browser: Browser, tmp_path: Path, origin: str
) -> None:
    async with office_with_page(tmp_path) as (office, served):
        approval = await office.ask()
        link = await served.link_to(approval.approval_id)
        page = await browser.new_page()
        await page.goto(str(link))
        token = await page.locator("form.answer input[name=csrf]").get_attribute("value")
        form = (
            f'<form method="post" action="{link}"><input name="csrf" value="{token}">'
            '<button name="decision" value="yes">Win a prize</button></form>'
        )
        await page.route(
            f"{origin}/**", lambda route: route.fulfill(body=form, content_type="text/html")
        )
        await page.goto(f"{origin}/")
        async with page.expect_response(str(link)) as response:
            await press(page, "Win a prize")
        assert (await response.value).status == 403
        assert await office.state(approval) == "asked"
        await page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_page_fits_the_smallest_phone_in_both_schemes(
    browser: Browser, tmp_path: Path, scheme: Any
) -> None:
    phone = {"width": 320, "height": 640}
    name = "a-name-without-any-space-" * 6
    async with (
        office_with_page(tmp_path) as (office, served),
        visit(browser, viewport=phone, color_scheme=scheme, is_mobile=True) as context,
    ):
        office.set_pin()
        closed, approval = await office.ask(f"closed-{name}"), await office.ask(name, HIGH)
        await office.ask(f"other-{name}")
        both = await office.ask_both("cmp-" + "x" * 60)
        page = await opened(context, served, closed)
        await press(page, "No")
        await expect(page.get_by_role("status")).to_be_visible()
        # Its text may be there before its style is.
        await page.wait_for_load_state("load")
        assert await page.evaluate("document.documentElement.scrollWidth") <= 320
        for one in (both, approval):
            await page.goto(str(await served.link_to(one.approval_id)))
            await expect(page.get_by_role("button", name="Yes")).to_be_visible()
            assert await page.evaluate("document.documentElement.scrollWidth") <= 320
            assert await page.evaluate(STICKS_OUT) == []
        ground = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        lightness = sum(int(part) for part in ground[4:-1].split(","))
        assert (lightness > 380) is (scheme == "light")


STICKS_OUT = """() => [...document.querySelectorAll("body, .card, p, dd, h1, label, button")]
  .filter((part) => part.scrollWidth > part.clientWidth + 1)
  .map((part) => part.outerHTML)"""
