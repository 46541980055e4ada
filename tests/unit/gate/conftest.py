"""What every test of the gate's parts takes for granted."""

import pytest

from benchgate.gate.dialects import recognition


@pytest.fixture(autouse=True)
def specification_is_spoken(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """The backends that these tests make up speak the specification, and are not asked for it.

    How a dialect is recognised has tests of its own, marked `recognition`.
    """
    if request.node.get_closest_marker("recognition") is None:
        monkeypatch.setattr(recognition, "SIGNS", ())
