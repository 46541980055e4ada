"""The approvals page about several tests: what a person chooses there, and what is recorded."""

import re
from pathlib import Path

import pytest

from benchgate.domain.answers import MODES
from benchgate.domain.approvals import Approval, ExecutionMode
from benchgate.gate.approvals.browser.form import Form
from benchgate.gate.approvals.browser.pages import Pages
from benchgate.gate.approvals.desk import utc_now
from tests.unit.examples import approval_of, comparison_facts_of
from tests.unit.gate.approvals.browsing import PIN, Browser, look_of, office_at

pytestmark = pytest.mark.anyio

A = "A) Run all tests sequentially (the next test starts automatically after each completes)"
B = "B) Pause after each test (you are asked before the next one starts)"
RADIO = re.compile(r'<input type="radio" name="mode" value="([^"]+)"( checked)?> <span>([^<]+)<')


async def page_of(browser: Browser, approval: Approval) -> str:
    """The text of the page with its white space put in order."""
    return " ".join((await browser.open(approval)).split())


async def test_several_tests_are_asked_about_with_a_and_b_and_b_is_chosen(tmp_path: Path) -> None:
    async with office_at(tmp_path) as (office, browser):
        page = await page_of(browser, await office.ask_both())
    assert "<h1>May these tests start?</h1>" in page
    assert "<title>Start 2 tests: X-Small, Small? · benchgate</title>" in page
    assert "<dt>Comparison</dt><dd><code>cmp-1</code></dd>" in page
    sequential, pause = MODES
    assert RADIO.findall(page) == [(sequential, "", A), (pause, " checked", B)]
    assert "A yes lets exactly these tests start, in this order" in page


async def test_one_test_is_asked_about_without_a_choice(tmp_path: Path) -> None:
    async with office_at(tmp_path) as (office, browser):
        page = await page_of(browser, await office.ask())
    assert "<h1>May this test start?</h1>" in page
    assert "<dt>Run</dt>" in page
    assert "radio" not in page


@pytest.mark.parametrize(
    ("fields", "mode", "said"),
    [
        ({"mode": "A) sequential"}, ExecutionMode.SEQUENTIAL, "A) Run all tests sequentially"),
        ({"mode": "B) pause"}, ExecutionMode.PAUSE, "B) Pause after each test"),
        ({"mode": ""}, ExecutionMode.PAUSE, "B) Pause after each test"),
        ({}, ExecutionMode.PAUSE, "B) Pause after each test"),
    ],
)
async def test_a_yes_is_recorded_and_told_with_the_mode(
    tmp_path: Path, fields: dict[str, str], mode: ExecutionMode, said: str
) -> None:
    async with office_at(tmp_path) as (office, browser):
        approval = await office.ask_both()
        assert (await browser.answer(approval, "yes", **fields)).status_code == 303
        answered = await office.desk.get(approval.approval_id)
        page = await page_of(browser, approval)
        await office.desk.do(lambda record: record.take(approval.approval_id, at=utc_now()))
        used = await page_of(browser, approval)
    assert (answered.state, answered.mode) == ("approved", mode)
    assert f"You chose <strong>{said}</strong>" in page
    assert "the next <code>start_comparison</code> goes on with the tests" in page
    assert f"You chose <strong>{said}</strong>" in used
    assert "start_run" not in page + used


@pytest.mark.parametrize("mode", ["A", "sequential", "both", "<b>"])
async def test_what_is_no_mode_leaves_the_question_open(tmp_path: Path, mode: str) -> None:
    async with office_at(tmp_path) as (office, browser):
        approval = await office.ask_both()
        refused = await browser.answer(approval, "yes", mode=mode)
        assert refused.status_code == 422
        assert "Choose A or B" in refused.text
        assert [bool(checked) for _, checked, _ in RADIO.findall(refused.text)] == [False, True]
        assert await office.state(approval) == "asked"


async def test_a_choice_stays_while_another_field_is_asked_for_again(tmp_path: Path) -> None:
    async with office_at(tmp_path) as (office, browser):
        office.set_pin()
        approval = await office.ask_both()
        wrong = await browser.answer(approval, "yes", mode="A) sequential", pin="0000")
        assert wrong.status_code == 401
        assert [bool(checked) for _, checked, _ in RADIO.findall(wrong.text)] == [True, False]
        await browser.answer(approval, "yes", mode="A) sequential", pin=PIN)
        assert (await office.desk.get(approval.approval_id)).mode is ExecutionMode.SEQUENTIAL


@pytest.mark.parametrize(
    ("decision", "state"), [("no", "declined"), ("modify", "modify_requested")]
)
async def test_whatever_is_no_yes_is_recorded_without_the_choice(
    tmp_path: Path, decision: str, state: str
) -> None:
    async with office_at(tmp_path) as (office, browser):
        approval = await office.ask_both()
        await browser.answer(approval, decision, mode="A) sequential")
        answered = await office.desk.get(approval.approval_id)
        page = await page_of(browser, approval)
    assert (answered.state, answered.mode) == (state, None)
    assert "You chose" not in page


async def test_a_choice_that_came_twice_is_none(tmp_path: Path) -> None:
    async with office_at(tmp_path) as (office, browser):
        approval = await office.ask_both()
        token = await browser.token(approval)
        body = f"decision=yes&mode=A%29+sequential&mode=B%29+pause&csrf={token}"
        headers = {"Origin": str(browser.http.base_url).rstrip("/")}
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        path = f"/approvals/{approval.approval_id}"
        sent = await browser.http.post(path, content=body, headers=headers)
        assert sent.status_code == 422
        assert await office.state(approval) == "asked"


@pytest.mark.parametrize("state", ["modify_requested", "expired"])
def test_what_came_of_a_question_is_told_in_the_words_of_its_tests(state: str) -> None:
    approval = approval_of(comparison_facts_of(), state=state)
    look = look_of("?").model_copy(update={"approval": approval})
    page = Pages().question(look, token_for=str, told="", form=Form())
    assert "start_run" not in page
    assert "run</p>" not in page
