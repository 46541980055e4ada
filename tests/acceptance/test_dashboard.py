"""A run's page in a real browser: opened by its link, drawn by its WebSocket, closed to others."""

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.acceptance.dashboards import STICKS_OUT, link, opened, served
from tests.integration.backend_process import backend
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


async def line(page: Page, name: str) -> str:
    """The path of the line called *name*."""
    drawn = page.locator(f"figure .plot .line.{name}")
    await expect(drawn).to_have_count(1)
    return await drawn.get_attribute("d") or ""


async def test_a_link_opens_once_and_in_one_browser(
    browser: Browser, context: BrowserContext, tmp_path: Path
) -> None:
    async with served(scripted_app(tmp_path)) as http:
        run_id = await new_run(http, draft(orders(tmp_path)))
        url = await link(http, run_id)
        page = await opened(context, url)
        await expect(page.get_by_role("heading", level=1)).to_have_text("Point lookups")
        await expect(page.get_by_role("status")).to_contain_text("PREPARED")
        assert page.url == f"{http.base_url}/dashboard/{run_id}"

        elsewhere = await (await browser.new_context()).new_page()
        refused = await elsewhere.goto(url)
        assert refused is not None
        assert refused.status == 401
        await expect(elsewhere.get_by_role("heading")).to_have_text("A fresh link is needed")

        await page.goto(url)
        await expect(page.get_by_role("status")).to_contain_text("PREPARED")
        await page.reload()
        await expect(page.get_by_role("status")).to_contain_text("PREPARED")


async def test_the_lines_grow_with_the_run_and_end_with_its_result(
    context: BrowserContext, tmp_path: Path
) -> None:
    load = ScriptedLoad(ticks=seconds(3))
    async with served(scripted_app(tmp_path, load)) as http:
        run_id = await new_run(http, draft(orders(tmp_path), duration=9))
        await http.post(f"/api/runs/{run_id}/start")
        await load.under_way.wait()
        page = await opened(context, await link(http, run_id))
        await expect(page.get_by_role("status")).to_have_text("RUNNING measurement")
        await expect(page.locator("#elapsed")).to_have_text("0:03 of 0:10")
        await expect(page.get_by_role("progressbar")).to_have_js_property("value", 30)
        await expect(page.locator("#qps")).to_have_text("1,247")
        await expect(page.locator("#p99")).to_have_text("89ms")
        await expect(page.locator("#connections")).to_have_text("2")
        before = {name: await line(page, name) for name in ("qps", "p50", "p95", "p99")}
        assert {path.count("L") for path in before.values()} == {2}

        assert load.observer is not None
        for tick in seconds(6)[3:]:
            await load.observer.ticked(tick)
        await expect(page.locator("#elapsed")).to_have_text("0:06 of 0:10")
        for name, path in before.items():
            assert (await line(page, name)).count("L") > path.count("L")

        load.finish.set()
        await expect(page.get_by_role("status")).to_have_text("COMPLETED")
        await expect(page.locator("#figures-title")).to_have_text("Result, warm-up excluded")
        await expect(page.locator("#total")).to_have_text("2,494")
        await expect(page.locator("#cost")).to_have_text("0credits")
        await expect(page.locator("#link")).to_have_text("The run has ended")
        assert (await line(page, "qps")).count("L") == 5


HOSTILE = "<img src=x onerror=\"document.title='owned'\"> **bold** \u202eevil\u200b"


async def test_hostile_texts_are_shown_as_text(context: BrowserContext, tmp_path: Path) -> None:
    load = ScriptedLoad(ends=outcome(failure=f"FATAL: {HOSTILE}"))
    load.finish.set()
    async with served(scripted_app(tmp_path, load)) as http:
        run_id = await new_run(http, draft(orders(tmp_path), name=HOSTILE))
        await http.post(f"/api/runs/{run_id}/start")
        page = await opened(context, await link(http, run_id))
        await expect(page.get_by_role("status")).to_have_text("FAILED")
        shown = "<img src=x onerror=\"document.title='owned'\"> **bold** evil"
        await expect(page.locator("#name")).to_have_text(shown)
        await expect(page.get_by_role("alert")).to_contain_text(f"FATAL: {shown}")
        assert await page.locator("main img").count() == 0
        assert await page.title() == f"FAILED · {shown} · benchgate"


async def test_a_run_that_never_started_is_not_said_to_be_about_to(
    context: BrowserContext, tmp_path: Path
) -> None:
    async with served(scripted_app(tmp_path)) as http:
        run_id = await new_run(http, draft(orders(tmp_path)))
        await http.post(f"/api/runs/{run_id}/stop")
        page = await opened(context, await link(http, run_id))
        await expect(page.get_by_role("status")).to_have_text("CANCELLED")
        await expect(page.locator("#figures-title")).to_have_text("No figures")
        await expect(page.locator("#started")).to_have_text("never")
        await expect(page.locator("figure").get_by_text("Nothing was measured")).to_have_count(2)
        # A scale without a value would be made up.
        await expect(page.locator("#qps-chart .plot .grid")).to_have_count(1)


async def test_a_second_is_read_with_the_keyboard_alone(
    context: BrowserContext, tmp_path: Path
) -> None:
    load = ScriptedLoad(ticks=seconds(3))
    async with served(scripted_app(tmp_path, load)) as http:
        run_id = await new_run(http, draft(orders(tmp_path), duration=9))
        await http.post(f"/api/runs/{run_id}/start")
        await load.under_way.wait()
        page = await opened(context, await link(http, run_id))
        await expect(page.locator("#elapsed")).to_have_text("0:03 of 0:10")
        await page.keyboard.press("Tab")
        tip = page.locator("#qps-chart .tip")
        for key, told in (("End", "0:03"), ("ArrowLeft", "0:02"), ("Home", "0:01")):
            await page.keyboard.press(key)
            await expect(tip).to_contain_text(told)
        await page.keyboard.press("Tab")
        await expect(tip).to_be_hidden()


@pytest.mark.parametrize("width", [320, 390, 1280])
async def test_nothing_sticks_out_of_its_place_on_any_screen(
    context: BrowserContext, tmp_path: Path, width: int
) -> None:
    load = ScriptedLoad(ticks=seconds(3), ends=outcome(failure="no " + "w" * 300))
    load.finish.set()
    async with served(scripted_app(tmp_path, load)) as http:
        run_id = await new_run(http, draft(orders(tmp_path), name="W" * 150))
        await http.post(f"/api/runs/{run_id}/start")
        page = await opened(context, await link(http, run_id))
        await page.set_viewport_size({"width": width, "height": 800})
        await expect(page.get_by_role("status")).to_have_text("FAILED")
        assert await page.evaluate(STICKS_OUT) == []


async def test_the_page_comes_back_by_itself_when_the_backend_does(
    context: BrowserContext, tmp_path: Path
) -> None:
    async with served(scripted_app(tmp_path)) as http:
        run_id = await new_run(http, draft(orders(tmp_path)))
        page = await opened(context, await link(http, run_id))
        await expect(page.locator("#link")).to_have_text("Live")
        port = http.base_url.port
    assert port is not None
    await expect(page.locator("#link")).to_contain_text("Connection lost")
    async with served(scripted_app(tmp_path), port):
        await expect(page.locator("#link")).to_have_text("Live", timeout=20_000)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_page_fits_a_phone_in_both_schemes(
    browser: Browser, tmp_path: Path, scheme: Any
) -> None:
    phone = await browser.new_context(
        viewport={"width": 360, "height": 740}, color_scheme=scheme, is_mobile=True
    )
    load = ScriptedLoad(ticks=seconds(3))
    async with served(scripted_app(tmp_path, load)) as http:
        name = "a-name-without-any-space-" * 6
        run_id = await new_run(http, draft(orders(tmp_path), name=name))
        await http.post(f"/api/runs/{run_id}/start")
        page = await opened(phone, await link(http, run_id))
        await expect(page.get_by_role("status")).to_contain_text("RUNNING")
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360
        ground = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        lightness = sum(int(part) for part in ground[4:-1].split(","))
        assert (lightness > 380) is (scheme == "light")


async def test_a_real_run_is_drawn_from_its_first_second_to_its_last(
    context: BrowserContext, tmp_path: Path
) -> None:
    async with backend(tmp_path / "data") as process, process.client() as http:
        run_id = await new_run(http, draft(orders(tmp_path), duration=3))
        page = await opened(context, await link(http, run_id))
        await expect(page.get_by_role("status")).to_contain_text("PREPARED")
        await http.post(f"/api/runs/{run_id}/start")
        await expect(page.get_by_role("status")).to_have_text("RUNNING measurement", timeout=20_000)
        await expect(page.get_by_role("status")).to_have_text("COMPLETED", timeout=20_000)
        measured = (await http.get(f"/api/tests/{run_id}/")).json()["summary"]["total_queries"]
        assert measured > 0
        assert (await line(page, "qps")).count("L") >= 2
        assert (await line(page, "p99")).startswith("M")
