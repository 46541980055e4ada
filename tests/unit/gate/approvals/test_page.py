"""The approvals page in process: what it shows, what it records, and what it says after that."""

import re
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from jinja2 import nodes

from benchgate.domain.answers import NOTE_CHARACTERS_MAX
from benchgate.domain.approvals import Approval, Asked, Channel
from benchgate.domain.ledger import Moment
from benchgate.gate.approvals.browser.form import Form
from benchgate.gate.approvals.browser.pages import FILTERS, Pages, environment
from benchgate.gate.approvals.counter import WRONG_PINS_MAX
from benchgate.gate.approvals.desk import utc_now
from benchgate.gate.blocks import folder
from tests.unit.asked import entries_of
from tests.unit.examples import HIGH
from tests.unit.gate.approvals.browsing import PIN, Browser, look_of, office_at, path_of
from tests.unit.hostile import FOREIGN

pytestmark = pytest.mark.anyio

TEMPLATES = {file.name: file.read_text(encoding="utf-8") for file in (folder() / "page").iterdir()}
# What WCAG 2.2 AA asks for.
TEXT_CONTRAST_MIN = 4.5
CONTROL_CONTRAST_MIN = 3
COLOUR = re.compile(r"--([a-z-]+): #([0-9a-f]{6});")
TAG = re.compile(r"<([a-z0-9]+)")
# What Markdown makes of a text that can neither be pressed nor load anything.
QUIET = {
    *("h1", "h2", "h3", "h4", "h5", "h6", "p", "strong", "em", "code", "pre", "br", "hr"),
    *("ul", "ol", "li", "blockquote"),
}
TAGS_AROUND = len(TAG.findall(Pages().question(look_of(""), token_for=str, told="-", form=Form())))


async def page_of(browser: Browser, approval: Approval) -> str:
    """The text of the page with its white space put in order."""
    return " ".join((await browser.open(approval)).split())


async def test_the_page_shows_the_question_that_was_recorded(tmp_path: Path) -> None:
    async with office_at(tmp_path) as (office, browser):
        approval = await office.ask("Orders <lookup>")
        page = await page_of(browser, approval)
    assert "<strong>Test:</strong> <code>Orders &lt;lookup&gt;</code>" in page
    assert "<title>Start Orders &lt;lookup&gt;? · benchgate</title>" in page
    assert "<bdi>a-host</bdi> <bdi>1.2</bdi>" in page
    assert "30 minutes left" in page
    assert "within 10 minutes" in page


@pytest.mark.parametrize(
    ("decision", "state", "said"),
    [
        ("yes", "approved", "Your yes is recorded"),
        ("no", "declined", "The answer is no"),
        ("modify", "modify_requested", "Your wish is recorded"),
    ],
)
async def test_an_answer_is_recorded_with_its_note_and_its_channel(
    tmp_path: Path, decision: str, state: str, said: str
) -> None:
    async with office_at(tmp_path) as (office, browser):
        approval = await office.ask()
        sent = await browser.answer(approval, decision, note="half\r\n<i>the load</i>")
        assert (sent.status_code, sent.headers["location"]) == (303, path_of(approval))
        answered = await office.desk.get(approval.approval_id)
        page = await page_of(browser, approval)
    assert answered.state == state
    assert answered.answered_through is Channel.PAGE
    assert answered.note == "half <i>the load</i>"
    assert said in page
    assert "half &lt;i&gt;the load&lt;/i&gt;" in page


async def test_a_yes_that_is_not_used_can_be_taken_back(tmp_path: Path) -> None:
    async with office_at(tmp_path) as (office, browser):
        approval = await office.ask()
        await browser.answer(approval, "yes")
        assert "No, take the yes back" in await browser.open(approval)
        await browser.answer(approval, "no")
        assert await office.state(approval) == "declined"


async def test_a_get_decides_nothing_whatever_it_carries(tmp_path: Path) -> None:
    async with office_at(tmp_path) as (office, browser):
        approval = await office.ask()
        token = await browser.token(approval)
        query = {"decision": "yes", "csrf": token}
        shown = await browser.http.get(path_of(approval), params=query)
        assert shown.status_code == 200
        assert await office.state(approval) == "asked"


async def test_a_form_that_is_sent_again_is_told_that_it_comes_too_late(tmp_path: Path) -> None:
    async with office_at(tmp_path) as (office, browser):
        approval = await office.ask()
        fields = {"decision": "yes", "csrf": await browser.token(approval)}
        await browser.post(approval, fields)
        first = await office.desk.get(approval.approval_id)
        again = await browser.post(approval, fields)
        assert again.status_code == 409
        assert "does not take it any more" in again.text
        assert "Your yes is recorded" in again.text
        assert await office.desk.get(approval.approval_id) == first


async def test_an_unknown_question_says_what_to_do(tmp_path: Path) -> None:
    async with office_at(tmp_path) as (office, browser):
        for path in ("nowhere", "a/b/c", "", "assets/site.py", "assets/../site.py"):
            missing = await browser.http.get(f"/approvals/{path}")
            assert missing.status_code == 404
            assert "call <code>start_run</code> again" in missing.text
        approval = await office.ask()
        elsewhere = approval.model_copy(update={"approval_id": "nowhere"})
        fields = {"decision": "yes", "csrf": await browser.token(approval)}
        assert (await browser.post(elsewhere, fields)).status_code == 404


async def test_an_expired_question_has_no_buttons_and_takes_no_answer(tmp_path: Path) -> None:
    async with office_at(tmp_path) as (office, browser):
        approval = await office.ask()
        token = await browser.token(approval)
        late = utc_now() + (approval.expires_at(office.lifetimes) - approval.asked_at) * 2
        await office.desk.do(lambda record: record.sweep(at=late))
        page = await browser.open(approval)
        sent = await browser.post(approval, {"decision": "yes", "csrf": token})
        assert sent.status_code == 409
        assert await office.state(approval) == "expired"
    assert "The time is over" in page
    assert "<button" not in page


async def test_a_used_or_superseded_question_says_so(tmp_path: Path) -> None:
    async with office_at(tmp_path) as (office, browser):
        used, superseded = await office.ask("used"), await office.ask("old")
        await browser.answer(used, "yes")
        await office.desk.do(lambda record: record.take(used.approval_id, at=utc_now()))
        await office.desk.do(
            lambda record: record.settle(
                used.approval_id, "STARTING", run_id=used.subject.subject_id, at=utc_now()
            )
        )
        await office.desk.supersede(superseded.approval_id)
        assert "What came of it: <bdi>STARTING</bdi>" in await page_of(browser, used)
        assert "Another question counts now" in await browser.open(superseded)


async def test_other_open_questions_are_linked_and_closed_ones_open_again(tmp_path: Path) -> None:
    async with office_at(tmp_path) as (office, browser):
        first, other, closed = [await office.ask(name) for name in ("first", "other", "closed")]
        await browser.answer(closed, "no")
        page = await browser.open(first)
        assert f'<a href="{path_of(other)}">' in page
        token = re.search(rf'{path_of(closed)}/reopen".*?value="(\w+)"', page, re.DOTALL)
        assert token is not None
        sent = await browser.post(closed, {"csrf": token[1]}, path="/reopen")
        assert sent.status_code == 303
        opened = await office.desk.get(sent.headers["location"].removeprefix("/approvals/"))
        assert (opened.state, opened.question) == ("asked", closed.question)
        assert "you, who opened it again" in await browser.open(opened)
        again = await browser.post(closed, {"csrf": token[1]}, path="/reopen")
        assert again.status_code == 409


async def test_against_the_preflights_advice_the_name_has_to_be_typed(tmp_path: Path) -> None:
    async with office_at(tmp_path) as (office, browser):
        approval = await office.ask("Orders lookup", HIGH)
        assert 'name="typed_name"' in await browser.open(approval)
        refused = await browser.answer(approval, "yes", typed_name="orders", note="keep me")
        assert refused.status_code == 422
        assert "type the name of the test" in refused.text
        assert "keep me</textarea>" in refused.text
        assert await office.state(approval) == "asked"
        await browser.answer(approval, "yes", typed_name="Orders lookup")
        assert await office.state(approval) == "approved"


async def test_a_no_against_the_preflights_advice_needs_no_name(tmp_path: Path) -> None:
    async with office_at(tmp_path) as (office, browser):
        approval = await office.ask("Orders lookup", HIGH)
        await browser.answer(approval, "no", typed_name="")
        assert await office.state(approval) == "declined"


async def test_a_yes_needs_the_pin_where_one_is_set(tmp_path: Path) -> None:
    async with office_at(tmp_path) as (office, browser):
        approval = await office.ask()
        assert 'name="pin"' not in await browser.open(approval)
        office.set_pin()
        assert 'name="pin"' in await browser.open(approval)
        wrong = await browser.answer(approval, "yes", pin="0000-no-pin")
        assert wrong.status_code == 401
        assert "That is not the PIN" in wrong.text
        assert "0000-no-pin" not in wrong.text
        assert await office.state(approval) == "asked"
        await browser.answer(approval, "yes", pin=PIN)
        assert await office.state(approval) == "approved"


async def test_too_many_wrong_pins_lock_the_right_one_out_and_leave_the_no(
    tmp_path: Path,
) -> None:
    async with office_at(tmp_path) as (office, browser):
        office.set_pin()
        approval = await office.ask()
        for _ in range(WRONG_PINS_MAX):
            await browser.answer(approval, "yes", pin="guess")
        locked = await browser.answer(approval, "yes", pin=PIN)
        assert locked.status_code == 401
        assert "Too many wrong PINs" in locked.text
        entries = await office.desk.do(entries_of)
        wrong = [entry for entry in entries if entry.event is Moment.WRONG_PIN]
        assert len(wrong) == WRONG_PINS_MAX
        await browser.answer(approval, "no")
        assert await office.state(approval) == "declined"


async def test_no_decision_is_no_answer(tmp_path: Path) -> None:
    async with office_at(tmp_path) as (office, browser):
        approval = await office.ask()
        for decision in ("", "YES", "approve"):
            assert (await browser.answer(approval, decision)).status_code == 422
        assert await office.state(approval) == "asked"


async def test_a_note_of_full_length_in_any_script_fits_the_form(tmp_path: Path) -> None:
    async with office_at(tmp_path) as (office, browser):
        approval = await office.ask()
        note = "試" * NOTE_CHARACTERS_MAX
        await browser.answer(approval, "modify", note=note)
        assert (await office.desk.get(approval.approval_id)).note == note


async def test_what_a_client_calls_itself_stays_text(tmp_path: Path) -> None:
    name = '"><script src=//evil.example></script>\u202e'
    asked = Asked(channel=Channel.PAGE, client_name=name, client_version="<b>")
    async with office_at(tmp_path) as (office, browser):
        approval = await office.ask(name, asked=asked)
        await office.ask("other " + name)
        page = await browser.open(approval)
    assert "<script" not in page
    assert "\u202e" not in page


@given(FOREIGN)
def test_no_text_within_a_question_becomes_anything_active(text: str) -> None:
    page = Pages().question(
        look_of(f"**Test:** {text}\n\n{text}\n"),
        token_for=str,
        told=f"-{text}",
        form=Form(note=text),
    )
    question = page.partition('aria-label="The question">')[2].partition("</article>")[0]
    assert {*TAG.findall(question)} <= QUIET
    assert len(TAG.findall(page)) - len(TAG.findall(question)) == TAGS_AROUND


def test_every_page_escapes_and_holds_nothing_of_another_place() -> None:
    assert len(TEMPLATES) >= 4
    for name, source in TEMPLATES.items():
        filters = environment().parse(source).find_all(nodes.Filter)
        assert {one.name for one in filters} <= {*FILTERS}, name
        assert re.findall(r"<script|<style|style=|\bon\w+=|https?:", source) == [], name


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground_in_both_schemes(scheme: str) -> None:
    css = (resources.files("benchgate.gate.approvals.browser") / "page.css").read_text("utf-8")
    light, dark = (dict(COLOUR.findall(part)) for part in css.split("@media")[:2])
    colours = light | dark if scheme == "dark" else light
    for text, ground in (
        *(("ink", ground) for ground in ("ground", "card", "band", "bad-ground")),
        *(("soft", ground) for ground in ("ground", "card")),
        *(("accent", "card"), ("on-accent", "accent"), ("bad", "bad-ground")),
    ):
        assert contrast(colours[text], colours[ground]) >= TEXT_CONTRAST_MIN, (text, ground)
    assert contrast(colours["control"], colours["card"]) >= CONTROL_CONTRAST_MIN


def contrast(one: str, other: str) -> float:
    """How much lighter the lighter of two colours is, as WCAG counts it."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = (int(colour[start : start + 2], 16) / 255 for start in (0, 2, 4))
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
