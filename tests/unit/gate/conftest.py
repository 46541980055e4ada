"""What every test of the gate's parts takes for granted."""

import pytest

from benchgate.gate.dialects import recognition


@pytest.fixture(autouse=True)
def signs(monkeypatch: pytest.MonkeyPatch) -> object:
    """The signs by which dialects are recognised, for the tests of that.

    The backends that all others make up speak the specification, and are not asked for it.
    """
    signs = recognition.SIGNS
    monkeypatch.setattr(recognition, "SIGNS", ())
    return signs
