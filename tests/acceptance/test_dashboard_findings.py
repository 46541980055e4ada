"""What was found of a run, on its page in a real browser: while it loads, and when it has ended."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from benchgate.backend.engine.load import Tick
from benchgate.domain.findings import Findings, Position, SearchFindings
from benchgate.domain.search import SearchEnd, SearchOutcome
from tests.acceptance.browsers import visit
from tests.acceptance.dashboards import STICKS_OUT, link, opened, served
from tests.unit.backend.found import FELL, OPEN_LOOP, ROSE, SEARCHED
from tests.unit.backend.scripted import (
    ScriptedLoad,
    draft,
    new_run,
    orders,
    outcome,
    scripted_app,
    seconds,
)

pytestmark = pytest.mark.anyio

NONE = "\u2013"
SECTIONS = ("notes", "search", "objectives", "schedule", "kinds", "after")


@asynccontextmanager
async def page_of(browser: Browser, folder: Path, load: ScriptedLoad) -> AsyncGenerator[Page]:
    """The page of a run of *load* that has been started."""
    async with visit(browser) as context, served(scripted_app(folder, load)) as http:
        run_id = await new_run(http, draft(orders(folder), duration=9))
        await http.post(f"/api/runs/{run_id}/start")
        await load.under_way.wait()
        yield await opened(context, await link(http, run_id))


@asynccontextmanager
async def ended_page(
    browser: Browser, folder: Path, findings: Findings | None
) -> AsyncGenerator[Page]:
    """The page of a run that has completed with *findings*."""
    load = ScriptedLoad(ticks=seconds(3), ends=outcome(findings=findings))
    load.finish.set()
    async with page_of(browser, folder, load) as page:
        await expect(page.get_by_role("status")).to_have_text("COMPLETED")
        yield page


async def rows(page: Page, table: str) -> list[list[str]]:
    """The texts of all cells, row by row, heads first."""
    return await page.locator(f"#{table}").evaluate(
        "table => [...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent))"
    )


async def shown_sections(page: Page) -> list[str]:
    return [name for name in SECTIONS if await page.locator(f"#{name}").is_visible()]


async def test_what_limits_the_figures_stands_above_them(browser: Browser, tmp_path: Path) -> None:
    async with ended_page(browser, tmp_path, OPEN_LOOP) as page:
        notes = page.locator("#notes").get_by_role("listitem")
        await expect(notes).to_have_text(list(OPEN_LOOP.notes))
        await expect(notes.first).to_contain_text("treat QPS as a lower bound")
        assert "search" not in await shown_sections(page)
        top = await page.locator("#notes").bounding_box()
        figures = await page.locator("#qps").bounding_box()
        assert top is not None
        assert figures is not None
        assert top["y"] < figures["y"]


async def test_a_schedule_is_told_with_service_and_response_times_side_by_side(
    browser: Browser, tmp_path: Path
) -> None:
    async with ended_page(browser, tmp_path, OPEN_LOOP) as page:
        facts = page.locator("#schedule-facts")
        for told in ("600 QPS", "548 QPS, not met", "18,000", "16,462", "1,204", "1,538", "870 ms"):
            await expect(facts.get_by_text(told, exact=True)).to_be_visible()
        told = await rows(page, "paired")
        assert told[:2] == [
            ["", "point lookups", "updates"],
            ["Time", "service", "response", "service", "response"],
        ]
        assert told[4] == ["p99", "4.71 ms", "922 ms", "4.71 ms", "922 ms"]
        assert told[6] == ["p99.99", "14.2 ms", "1,021 ms", NONE, NONE]
        await expect(page.locator("#schedule")).to_contain_text("what a user would have waited")


async def test_every_kind_of_operation_has_its_figures_and_objectives_their_verdict(
    browser: Browser, tmp_path: Path
) -> None:
    async with ended_page(browser, tmp_path, OPEN_LOOP) as page:
        _, lookups, updates = await rows(page, "kinds-table")
        assert lookups[:3] == ["point lookups", "14,970", "499"]
        assert lookups[3:9] == ["1.9", "611", "922", "1,004", "1,021", "1,025"]
        assert lookups[9:] == ["58.3 ± 1.42 (14,970)", "14,970", "0", "0"]
        assert updates[-3:] == ["0", "1,480", "12"]
        await expect(page.locator("#kinds-meaning")).to_contain_text("response times")
        assert await rows(page, "objectives-table") == [
            ["Operation", "Objective", "Limit", "Measured", "Verdict"],
            ["point lookups", "p95 response time", "at most 50 ms", "611 ms", "missed"],
            ["point lookups", "error rate", "at most 1%", "0%", "holds"],
            ["updates", "p99 service time", "at most 80 ms", "no data", "missed"],
        ]


async def test_the_generators_health_and_the_proof_of_the_sessions_are_told(
    browser: Browser, tmp_path: Path
) -> None:
    async with ended_page(browser, tmp_path, OPEN_LOOP) as page:
        await expect(page.locator("#generator-told")).to_contain_text("Limited by the load")
        facts = page.locator("#generator-facts")
        for told in (
            "2 on 4 cores",
            "97.4% of a core",
            "71% busy",
            "12.4 ms",
            "0.21 ms",
            "87.5% of the time",
        ):
            await expect(facts.get_by_text(told, exact=True)).to_be_visible()
        await expect(page.locator("#sessions")).to_have_text(
            "3 sessions of the run outlived the workers and had to be ended. "
            "No session of the run was left in the database."
        )


async def test_a_search_ends_with_all_its_steps_and_the_reason(
    browser: Browser, tmp_path: Path
) -> None:
    async with ended_page(browser, tmp_path, SEARCHED) as page:
        await expect(page.locator("#search-now")).to_have_text(
            "25 connections at 763 QPS: the most that was stable."
        )
        await expect(page.locator("#search-reason")).to_contain_text("30 were not")
        heads, first, *others = await rows(page, "steps")
        assert heads == ["Step", "Why", "Connections", "QPS", "p95", "p99", "Errors", "Stable"]
        assert first == ["1", "way up", "5", "153 ± 6.2", "31 ms", "44 ms", "0%", "yes"]
        assert [row[-1] for row in others] == [
            *("yes", "yes"),
            *("no", f"{FELL}; {ROSE}"),
            "yes",
            *("no", ROSE),
        ]
        assert await shown_sections(page) == ["search", "kinds", "after"]
        await expect(page.locator("#generator-told")).to_have_text(
            "The load generator was not the limit."
        )


async def test_a_live_search_shows_how_far_it_is_and_what_its_steps_have_shown(
    browser: Browser, tmp_path: Path
) -> None:
    load = ScriptedLoad(ticks=[at_step(2, 1, 5)])
    async with page_of(browser, tmp_path, load) as page:
        now = page.locator("#search-now")
        await expect(now).to_have_text(
            "Step 1 of at most 12: 5 connections. Nothing is known to be stable yet."
        )
        await expect(page.locator("#steps")).to_contain_text("~1,247")
        assert load.observer is not None
        ticks = [at_step(3, 2, 15, best=5), at_step(4, 3, 25, best=5), at_step(5, 4, 10, best=5)]
        for tick in ticks:
            await load.observer.ticked(tick)
            await expect(now).to_contain_text(f"Step {tick.position.current_step} of")
        await expect(now).to_contain_text("Best so far: 5 connections at 500 QPS.")
        told = await rows(page, "steps")
        assert [(row[0], row[2], row[3], row[-1]) for row in told[1:]] == [
            ("1", "5", "~1,247", "yes"),
            ("2", "15", "~1,247", "no"),
            ("3", "25", "~1,247", "no"),
            ("4", "10", "~1,247", "under way"),
        ]


def at_step(second: int, number: int, level: int, best: int | None = None) -> Tick:
    """A second of a search, in the step of that *number*."""
    position = Position(
        current_step=number,
        total_steps=12,
        current_concurrency=level,
        best_concurrency=best,
        best_qps=None if best is None else 100 * best,
    )
    return seconds(second)[-1].model_copy(update={"position": position})


async def test_a_search_without_a_stable_step_says_so(browser: Browser, tmp_path: Path) -> None:
    told = SearchOutcome(
        best_concurrency=None,
        best_qps=None,
        reason="no step was completed",
        end=SearchEnd.TIME_SPENT,
    )
    findings = Findings(search=SearchFindings(outcome=told, steps=()))
    async with ended_page(browser, tmp_path, findings) as page:
        await expect(page.locator("#search-now")).to_have_text("No step was stable.")
        assert await shown_sections(page) == ["search"]


async def test_a_run_of_which_nothing_more_was_found_shows_no_empty_tables(
    browser: Browser, tmp_path: Path
) -> None:
    async with ended_page(browser, tmp_path, None) as page:
        assert await shown_sections(page) == []


async def test_hostile_notes_are_shown_as_text(browser: Browser, tmp_path: Path) -> None:
    note = "<img src=x onerror=\"document.title='owned'\"> \u202eevil\u200b"
    findings = OPEN_LOOP.model_copy(update={"remarks": (note,)})
    async with ended_page(browser, tmp_path, findings) as page:
        shown = "<img src=x onerror=\"document.title='owned'\"> evil"
        await expect(page.locator("#notes").get_by_role("listitem").last).to_have_text(shown)
        assert await page.locator("main img").count() == 0
        assert await page.title() == "COMPLETED · Point lookups · benchgate"


async def test_a_run_that_was_stopped_tells_its_reason_once(
    browser: Browser, tmp_path: Path
) -> None:
    stopped = "The error rate was above 50% for 10 s."
    load = ScriptedLoad(ends=outcome(findings=OPEN_LOOP, stopped=stopped))
    load.finish.set()
    async with page_of(browser, tmp_path, load) as page:
        await expect(page.get_by_role("status")).to_have_text("STOPPED")
        alert = page.get_by_role("alert")
        for told in ("The run is STOPPED", stopped, *OPEN_LOOP.notes):
            await expect(alert).to_contain_text(told)
        assert await shown_sections(page) == ["objectives", "schedule", "kinds", "after"]


@pytest.mark.parametrize("findings", [OPEN_LOOP, SEARCHED], ids=["schedule", "search"])
async def test_tables_scroll_within_their_place_on_any_screen(
    browser: Browser, tmp_path: Path, findings: Findings
) -> None:
    wide = findings.model_copy(update={"remarks": ("w" * 300,)})
    async with ended_page(browser, tmp_path, wide) as page:
        await expect(page.locator("#kinds")).to_be_visible()
        for width in (320, 390, 1280):
            await page.set_viewport_size({"width": width, "height": 800})
            assert await page.evaluate(STICKS_OUT) == []
            assert await page.evaluate("document.documentElement.scrollWidth") <= width
