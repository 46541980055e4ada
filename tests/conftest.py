import pytest
from hypothesis import settings

# A test's verdict must not depend on the day or on how busy the machine is.
settings.register_profile("benchgate", derandomize=True, deadline=None)
settings.load_profile("benchgate")

# Each file is one worker's, and a long one that begins last keeps all others waiting for its end.
LONGEST_FIRST = (
    "test_killed_comparisons",
    "test_killed_series",
    "test_demo",
    "test_comparison_troubles",
    "test_hostile_clients",
    "test_workplaces",
    "test_drivers_snowflake",
    "test_peers",
    "test_killed_servers",
    "test_comparisons",
    "test_hosts",
    "test_engine_faults",
    "test_engine",
    "test_backend_process",
    "test_comparison_sharing",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let what takes longest begin first, and leave all else in its order."""
    places = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


# Of the session, so that fixtures which several tests share may be asynchronous, too.
@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
