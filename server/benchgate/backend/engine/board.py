"""What the active run is doing at this second, for whoever wants to see it.

It is held in memory alone: what must survive is in the tables.
"""

import anyio

from benchgate.backend.engine.load import Tick
from benchgate.domain.runs import Phase
from benchgate.domain.values import Value


class Live(Value):
    """The last that was heard of the active run."""

    run_id: str
    phase: Phase
    tick: Tick | None = None


class Board:
    """One notice at a time; `change` is the event that the next one sets.

    It is written and awaited on the event loop; `live` may be read from any thread.
    """

    def __init__(self) -> None:
        """Start with nothing to show."""
        self.live: Live | None = None
        self.change = anyio.Event()

    def post(self, live: Live | None) -> None:
        """Show *live* from now on, and wake everyone who waits."""
        self.live = live
        self.announce()

    def announce(self) -> None:
        """Wake everyone who waits: a run's record has changed."""
        self.change.set()
        self.change = anyio.Event()

    def of(self, run_id: str) -> Live | None:
        """What is shown of that run, if it is the active one."""
        live = self.live
        return live if live is not None and live.run_id == run_id else None
