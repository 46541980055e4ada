from collections.abc import Iterator
from pathlib import Path

import pytest

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
