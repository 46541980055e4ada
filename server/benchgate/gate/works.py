"""The inner parts of the gate, wired: everything between the tools and the backend.

A part of the composition root, which alone uses it; nothing is opened or asked yet.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from uuid import uuid4

from benchgate.gate.approvals.channels import Channels
from benchgate.gate.approvals.chat import Chat
from benchgate.gate.approvals.desk import Desk
from benchgate.gate.approvals.dialogs import Dialogs
from benchgate.gate.approvals.inquiry import Inquiry
from benchgate.gate.approvals.keys import StateKeys
from benchgate.gate.approvals.offers import Offers
from benchgate.gate.approvals.page import ApprovalsPage
from benchgate.gate.approvals.pin import Pin
from benchgate.gate.backend import Backend
from benchgate.gate.blocks import Blocks
from benchgate.gate.comparisons.autopilot import Autopilot, Pace
from benchgate.gate.comparisons.book import Book
from benchgate.gate.comparisons.driver import Driver
from benchgate.gate.comparisons.listing import Listing
from benchgate.gate.comparisons.matters import Whole
from benchgate.gate.comparisons.service import Comparisons
from benchgate.gate.facts import FactsReader
from benchgate.gate.home import GateHome
from benchgate.gate.lane import Lane
from benchgate.gate.launch import Launch
from benchgate.gate.live import Live
from benchgate.gate.monitor import FIRST_LOOK_SECONDS_MAX
from benchgate.gate.resources.announcements import Announcements
from benchgate.gate.sightings import Sightings
from benchgate.gate.starts import Starts
from benchgate.gate.warden import Warden


class Works:
    """The parts that the tools are made of."""

    def __init__(
        self,
        home: GateHome,
        backend: Backend,
        *,
        desk: Desk,
        sightings: Sightings,
        page: ApprovalsPage,
        pin: Pin,
        pace: Pace | None = None,
    ) -> None:
        """Everything over *backend*, with the record of *desk*; what it reads is in *sightings*."""
        self.settings = home.settings
        self.backend = backend
        self.desk = desk
        self.blocks = Blocks()
        self.keys = StateKeys(home)
        # This process life's own: another one never has it, whatever its process id.
        lane = Lane(desk, backend=backend.identity, owner=uuid4().hex)
        facts = FactsReader(backend, lane)
        self.live = Live(backend)
        self.announcements = Announcements(self._watched, is_known_alive=backend.is_known_alive)
        sightings.listen(self.announcements.heard)
        self.warden = Warden(backend, lane, live=self.live, sightings=sightings, pace=pace)
        launch = Launch(backend, desk, lane=lane, live=self.live)
        inquiry = self._inquiry(page, pin)
        self.starts = Starts(inquiry, facts=facts, launch=launch, blocks=self.blocks)
        book = Book(desk, lane)
        driver = Driver(backend, book, desk=desk, facts=facts, launch=launch, live=self.live)
        self.autopilot = Autopilot(book, driver, pace=pace)
        listing = Listing(backend, facts)
        whole = partial(
            Whole,
            backend=backend,
            book=book,
            desk=desk,
            driver=driver,
            autopilot=self.autopilot,
            listing=listing,
            blocks=self.blocks,
        )
        self.comparisons = Comparisons(
            whole=whole,
            live=self.live,
            book=book,
            desk=desk,
            driver=driver,
            autopilot=self.autopilot,
            listing=listing,
            inquiry=inquiry,
            starts=self.starts,
            blocks=self.blocks,
        )

    @asynccontextmanager
    async def _watched(self, run_id: str) -> AsyncGenerator[None]:
        """A run that somebody subscribed to; one that does not exist is not watched."""
        async with self.live.watching(run_id) as watch:
            await watch.first(seconds_max=FIRST_LOOK_SECONDS_MAX)
            yield

    def _inquiry(self, page: ApprovalsPage, pin: Pin) -> Inquiry:
        settings = self.settings
        return Inquiry(
            desk=self.desk,
            channels=Channels(
                settings.approval_channels,
                has_pin=pin.is_set,
                question_ttl_seconds=settings.question_ttl_seconds,
                ask_wait_seconds=settings.ask_wait_seconds,
            ),
            dialogs=Dialogs(self.desk, self.keys, page.link_to),
            offers=Offers(self.desk, page.link_to),
            chat=Chat(self.desk),
            approval_min_seconds=settings.approval_min_seconds,
        )
