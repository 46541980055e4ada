"""The pictures of the documents, taken of the real thing: `python -m docs.screenshots`.

A real backend and a real gate in a home that is thrown away, and two starts that nobody has
answered yet, by a client that can ask nobody.
"""

import tempfile
from pathlib import Path

import anyio
from mcp import Client
from mcp.types import Implementation
from playwright.async_api import expect

from benchgate.gate.server import open_gate
from tests.acceptance.browsers import chromium, visit
from tests.acceptance.home import Home, fill, running_backend
from tests.acceptance.person import call

PICTURE = Path(__file__).with_name("approvals-page.png")
WIDTH_PX, HEIGHT_PX = 840, 900
CLIENT = Implementation(name="a-coding-agent", version="2.1")
QUESTIONS = {
    "Orders, point lookups": {"concurrent_connections": 8, "duration": 60, "warmup": 5},
    "Orders, twice the connections": {"concurrent_connections": 16, "duration": 60},
}


async def asked(home: Home, client: Client) -> list[str]:
    """The links to questions that wait for an answer."""
    links: list[str] = []
    for name, changes in QUESTIONS.items():
        template_id = home.template(name, **changes)
        created = await call(client, "create_run", template_id=template_id)
        waiting = await call(client, "start_run", run_id=created["run_id"])
        links.append(waiting["approval_url"])
    return links


async def take(home: Home) -> None:
    """Take the picture of the first question's page."""
    size = {"width": WIDTH_PX, "height": HEIGHT_PX}
    async with (
        open_gate(home.settings) as server,
        Client(server, client_info=CLIENT) as client,
        chromium() as browser,
        visit(browser, viewport=size) as context,
    ):
        links = await asked(home, client)
        page = await context.new_page()
        await page.goto(links[0])
        await expect(page.get_by_role("button", name="Yes")).to_be_visible()
        await page.screenshot(path=PICTURE, full_page=True)


def main() -> None:
    """Take every picture."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        fill(home.database)
        with running_backend(home):
            anyio.run(take, home)


if __name__ == "__main__":
    main()
