from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext

from tests.acceptance.browsers import chromium, visit
from tests.acceptance.home import Home, fill, running_backend


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home whose backend runs for the whole session; tests share it, runs do not."""
    home = Home(tmp_path_factory.mktemp("home"))
    fill(home.database)
    with running_backend(home):
        yield home


@pytest.fixture
def own_home(tmp_path: Path) -> Home:
    """A home of the test's own, where nothing runs yet."""
    home = Home(tmp_path)
    fill(home.database)
    return home


@pytest.fixture(scope="module")
async def shared_browser() -> AsyncIterator[Browser]:
    """A browser that the tests of a file share, one after the other."""
    async with chromium() as browser:
        yield browser


@pytest.fixture
async def browser(shared_browser: Browser) -> AsyncIterator[Browser]:
    """A browser that nobody has used: no visit of another test is left in it."""
    assert shared_browser.contexts == []
    yield shared_browser
    for context in shared_browser.contexts:
        await context.close()


@pytest.fixture
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A person's visit; its pages may neither break nor ask any other server."""
    async with visit(browser) as context:
        yield context
