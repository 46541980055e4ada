"""What is told of a configured backend's place, and how many connections lead there."""

import pytest

from benchgate.gate.live import WATCHES_MAX
from benchgate.gate.server import CONNECTIONS
from benchgate.gate.transport.whereabouts import configured
from benchgate.settings import Settings


@pytest.mark.anyio
async def test_a_password_in_the_backends_address_stands_in_no_dashboard_link() -> None:
    settings = Settings.model_validate(
        {"backend_url": "http://user:hunter2@bench.example:8000/base?key=hunter2"}
    )
    whereabouts = configured(settings)
    assert whereabouts is not None
    address = await whereabouts.ensure()
    assert "hunter2" in address.url
    assert address.dashboard_url == "http://bench.example:8000/base"


def test_streams_of_all_watched_runs_leave_connections_for_requests() -> None:
    assert CONNECTIONS.max_connections is not None
    assert CONNECTIONS.max_connections > WATCHES_MAX
