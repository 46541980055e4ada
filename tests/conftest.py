import pytest
from hypothesis import settings

# A test's verdict must not depend on the day or on how busy the machine is.
settings.register_profile("benchgate", derandomize=True, deadline=None)
settings.load_profile("benchgate")


# Of the session, so that fixtures which several tests share may be asynchronous, too.
@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
