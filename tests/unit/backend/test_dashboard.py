"""The way into a run's page: a key that is good once, a cookie that is good for one run."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.unit.backend.scripted import (
    NOON,
    ScriptedLoad,
    draft,
    new_run,
    orders,
    scripted_app,
    seconds,
    served,
    until_status,
)

pytestmark = pytest.mark.anyio


class HandClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


class House:
    """The backend and its owner's client; a browser brings nothing but cookies."""

    def __init__(self, owner: httpx.AsyncClient, browser: httpx.AsyncClient) -> None:
        self.owner = owner
        self.browser = browser
        self.clock = HandClock()

    async def link(self, run_id: str) -> str:
        return (await self.owner.get(f"/api/tests/{run_id}/")).json()["dashboard_url"]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    clock = HandClock()
    app = scripted_app(tmp_path, ScriptedLoad(ticks=seconds(3)), clock=clock)
    async with (
        served(app) as owner,
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url=owner.base_url
        ) as browser,
    ):
        house = House(owner, browser)
        house.clock = clock
        yield house


@pytest.fixture
async def run_id(house: House, tmp_path: Path) -> str:
    return await new_run(house.owner, draft(orders(tmp_path)))


async def test_a_link_is_short_and_traded_for_a_cookie_of_that_run_alone(
    house: House, run_id: str
) -> None:
    link = await house.link(run_id)
    key = parse_qs(urlsplit(link).query)["key"][0]
    assert len(key) <= 32
    traded = await house.browser.get(link)
    assert traded.status_code == 303
    assert traded.headers["Location"] == f"/dashboard/{run_id}"
    cookie = traded.headers["Set-Cookie"]
    assert f"Path=/dashboard/{run_id};" in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert key not in cookie
    page = await house.browser.get(f"/dashboard/{run_id}/")
    assert page.status_code == 200
    assert "page.js" in page.text


async def test_the_cookie_opens_what_the_page_reads(house: House, run_id: str) -> None:
    await house.browser.get(await house.link(run_id))
    data = (await house.browser.get(f"/dashboard/{run_id}/data")).json()
    assert data["name"] == "Point lookups"
    assert data["test"]["status"] == "PREPARED"
    assert (await house.browser.get(f"/dashboard/{run_id}/series")).json()["count"] == 0


async def test_the_cookie_opens_nothing_else(house: House, run_id: str, tmp_path: Path) -> None:
    other = await new_run(house.owner, draft(tmp_path / "orders.db"))
    await house.browser.get(await house.link(run_id))
    stolen = {"benchgate_dashboard": house.browser.cookies["benchgate_dashboard"]}
    house.browser.cookies.update(stolen)
    for path in ("", "/data", "/series"):
        assert (await house.browser.get(f"/dashboard/{other}{path}")).status_code == 401
    for path in ("/api/runs/", f"/api/tests/{run_id}", "/api/shutdown"):
        assert (await house.browser.get(path)).status_code == 401


async def test_a_key_is_good_for_one_trade(house: House, run_id: str) -> None:
    link = await house.link(run_id)
    assert (await house.browser.get(link)).status_code == 303
    house.browser.cookies.clear()
    spent = await house.browser.get(link)
    assert spent.status_code == 401
    assert "Ask the agent for the status" in spent.text
    assert (await house.browser.get(f"/dashboard/{run_id}/data")).status_code == 401


async def test_a_spent_key_is_spent_in_every_spelling(house: House, run_id: str) -> None:
    links = [await house.link(run_id) for _ in range(50)]
    keys = [parse_qs(urlsplit(link).query)["key"][0] for link in links]
    key = next(key for key in keys if "-" in key or "_" in key)
    spelled = key.replace("-", "+").replace("_", "/")
    page = f"/dashboard/{run_id}"
    assert (await house.browser.get(page, params={"key": key})).status_code == 303
    house.browser.cookies.clear()
    for other in (spelled, f"{key}=", f" {key}", f"{key}\n"):
        assert (await house.browser.get(page, params={"key": other})).status_code == 401


async def test_a_spent_key_still_opens_the_browser_that_spent_it(house: House, run_id: str) -> None:
    link = await house.link(run_id)
    await house.browser.get(link)
    again = await house.browser.get(link, follow_redirects=True)
    assert again.status_code == 200


async def test_a_key_dies_after_a_quarter_of_an_hour(house: House, run_id: str) -> None:
    link = await house.link(run_id)
    house.clock.now += timedelta(minutes=15, seconds=1)
    assert (await house.browser.get(link)).status_code == 401
    assert (await house.browser.get(await house.link(run_id))).status_code == 303


async def test_a_pass_dies_too(house: House, run_id: str) -> None:
    await house.browser.get(await house.link(run_id))
    house.clock.now += timedelta(hours=25, seconds=1)
    assert (await house.browser.get(f"/dashboard/{run_id}")).status_code == 401


FORGED = ["", "x", "A" * 32, "A" * 31, "ä" * 32, "!" * 32, "A" * 10_000]


@pytest.mark.parametrize("key", FORGED)
async def test_a_forged_key_opens_nothing(house: House, run_id: str, key: str) -> None:
    answer = await house.browser.get(f"/dashboard/{run_id}", params={"key": key})
    assert answer.status_code == 401
    house.browser.cookies.set("benchgate_dashboard", key.encode("ascii", "replace").decode())
    assert (await house.browser.get(f"/dashboard/{run_id}/data")).status_code == 401


async def test_a_key_of_another_run_or_life_opens_nothing(
    house: House, run_id: str, tmp_path: Path
) -> None:
    other = await new_run(house.owner, draft(tmp_path / "orders.db"))
    foreign = (await house.link(other)).replace(other, run_id)
    assert (await house.browser.get(foreign)).status_code == 401
    link = await house.link(run_id)
    changed = link[:-1] + ("A" if link[-1] != "A" else "B")
    assert (await house.browser.get(changed)).status_code == 401


async def test_texts_of_the_page_hide_nothing(house: House, tmp_path: Path) -> None:
    name = "lo\u202eok\u200bups\n<b>"
    run_id = await new_run(house.owner, draft(tmp_path / "orders.db", name=name))
    data = (await house.owner.get(f"/dashboard/{run_id}/data")).json()
    assert data["name"] == "lookups <b>"


async def test_the_page_of_a_finished_run_has_its_series(house: House, run_id: str) -> None:
    await house.owner.post(f"/api/runs/{run_id}/start")
    await until_status(house.owner, run_id, "RUNNING")
    await house.owner.post(f"/api/runs/{run_id}/stop")
    await until_status(house.owner, run_id, "CANCELLED")
    await house.browser.get(await house.link(run_id))
    series = (await house.browser.get(f"/dashboard/{run_id}/series")).json()
    assert [point["warmup"] for point in series["snapshots"]] == [True, False, False]
