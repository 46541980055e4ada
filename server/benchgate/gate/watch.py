"""One run, watched: its own stream is heard, and its state read where there is none.

Whoever waits is woken by what is new. Knows neither who looks nor why.
"""

import logging
import math

import anyio

from benchgate.domain.runs import RunSnapshot, is_active
from benchgate.errors import BackendError, BackendUnavailable, BenchgateError
from benchgate.gate.backend import Backend
from benchgate.gate.transport.wire import within

logger = logging.getLogger(__name__)

# A stream tells of a run that does not exist any more, too: so its state is read beside it.
LOOK_SECONDS = 15
LOOK_BESIDE_SECONDS_MAX = 6
# A frame comes every second; a stream that tells nothing for so long is none.
SILENCE_SECONDS_MAX = 5
POLL_SECONDS_MIN, POLL_SECONDS_MAX = 1, 5
STREAM_PAUSE_SECONDS_MIN, STREAM_PAUSE_SECONDS_MAX = 1, 30
# Somebody who asks now and then is answered from the stream that the last question opened.
LINGER_SECONDS = 30
RECENT_SECONDS = POLL_SECONDS_MAX + 3
# What a stream has told is the present for as long as the next frame cannot be late.
HEARD_SECONDS = 2.5
# The figures of a run that was ended early come soon after, or are not waited for.
FIGURES_SECONDS_MAX = 30
UNREACHABLE_SECONDS_MAX = 600
NO_ANSWER = "The backend did not answer in time."


class Watch:
    """One run, watched."""

    def __init__(self, run_id: str, backend: Backend) -> None:
        """Watch *run_id* on *backend*, once it is brought news."""
        self.run_id = run_id
        self.latest: RunSnapshot | None = None
        self.trouble: BenchgateError | None = None
        self.lookers = 0
        self.is_kept = False
        self._backend = backend
        self._news = anyio.Event()
        self._look_wanted = anyio.Event()
        self._looks = 0
        self._is_hearing = self._is_outdated = self._is_closed = False
        self._told_at = -math.inf
        self._left_at = anyio.current_time()
        self._ended_at: float | None = None

    @property
    def recent(self) -> RunSnapshot | None:
        """The latest, if it is no older than the rarest looks are apart."""
        return self._no_older(RECENT_SECONDS)

    async def first(self, *, seconds_max: float) -> RunSnapshot:
        """What is known now: what the stream has just told, else what one look for all tells.

        Raises:
            BenchgateError: it cannot be read, or was not within *seconds_max*.
        """
        looks = self._looks
        with anyio.move_on_after(seconds_max):
            while not (self._is_heard or self._is_closed) and self._looks == looks:
                self._look_wanted.set()
                await self._news.wait()
        # What was told before it was asked for now, and is old, is not the present.
        if self._looks == looks and not (self._is_closed or self.recent):
            raise self.trouble or BackendUnavailable(NO_ANSWER)
        return self._told()

    async def newer(self, than: RunSnapshot, *, seconds_max: float) -> RunSnapshot:
        """What is known as soon as more is known than *than*, or after *seconds_max*.

        Raises:
            BenchgateError: what is known is old by then, because nothing newer could be read.
        """
        with anyio.move_on_after(seconds_max):
            while self.latest is than and not (self._is_hopeless or self._is_closed):
                await self._news.wait()
        return self._told()

    def leave(self) -> None:
        """Somebody who looked does so no longer."""
        self.lookers -= 1
        self._left_at = anyio.current_time()

    def close(self, failure: BenchgateError | None = None) -> None:
        """Nothing more will come: the run has ended, nobody wants to know, or a *failure*."""
        self._is_closed = True
        self.trouble = failure or self.trouble
        self._wake()

    async def bring_news(self) -> None:
        """Read and hear until the run has ended, or nobody wants to know."""
        poll_seconds = stream_pause_seconds = POLL_SECONDS_MIN
        stream_at = -math.inf
        while self._is_wanted:
            before = self.latest
            await self._look()
            if self._is_over or not self._is_wanted:
                return
            if self._is_live and anyio.current_time() >= stream_at:
                longer_seconds = min(2 * stream_pause_seconds, STREAM_PAUSE_SECONDS_MAX)
                has_heard = await self._hear()
                stream_pause_seconds = STREAM_PAUSE_SECONDS_MIN if has_heard else longer_seconds
                stream_at = anyio.current_time() + stream_pause_seconds
            has_moved = _place(before) != _place(self.latest)
            longer_seconds = min(2 * poll_seconds, POLL_SECONDS_MAX)
            poll_seconds = POLL_SECONDS_MIN if has_moved else longer_seconds
            if not self._is_over:
                with anyio.move_on_after(poll_seconds):
                    await self._look_wanted.wait()

    @property
    def _is_wanted(self) -> bool:
        if anyio.current_time() - max(self._told_at, self._left_at) > UNREACHABLE_SECONDS_MAX:
            return False
        lingers = anyio.current_time() - self._left_at <= LINGER_SECONDS
        return self.is_kept or self.lookers > 0 or lingers

    @property
    def _is_live(self) -> bool:
        return self.latest is not None and is_active(self.latest.status)

    @property
    def _is_over(self) -> bool:
        """Whether there is nothing more to come of it."""
        if self._is_hopeless or self.latest is None:
            return self._is_hopeless
        if not self.latest.is_terminal:
            return not is_active(self.latest.status)
        if self._ended_at is None:
            self._ended_at = anyio.current_time()
        is_late = anyio.current_time() - self._ended_at > FIGURES_SECONDS_MAX
        return self.latest.is_settled or is_late

    @property
    def _is_hopeless(self) -> bool:
        """Whether asking again would bring the same refusal."""
        return self.trouble is not None and not isinstance(self.trouble, BackendError)

    @property
    def _is_heard(self) -> bool:
        return self._is_hearing and self._no_older(HEARD_SECONDS) is not None

    def _no_older(self, seconds: float) -> RunSnapshot | None:
        latest, is_new = self.latest, anyio.current_time() - self._told_at <= seconds
        if latest is None or not is_new or self._is_outdated or self.trouble is not None:
            return None
        return latest if is_active(latest.status) or latest.is_settled else None

    async def _look(self, *, seconds_max: float = math.inf) -> None:
        self._look_wanted = anyio.Event()
        try:
            with within(seconds_max):
                snapshot = await self._backend.snapshot(self.run_id)
        except BenchgateError as exc:
            self._looks += 1
            self.trouble = exc
            self._wake()
        else:
            self._looks += 1
            self._tell(snapshot)

    async def _hear(self) -> bool:
        """Follow the run's stream for as long as it tells anything; whether it did."""
        has_heard, look_at = False, anyio.current_time() + LOOK_SECONDS
        try:
            async with self._backend.stream(self.run_id) as stream:
                self._is_hearing = True
                while self.latest is not None and self._is_live and self._is_wanted:
                    last = self.latest
                    snapshot = await stream.next(last, seconds_max=SILENCE_SECONDS_MAX)
                    has_heard |= snapshot is not last
                    self._take_in(snapshot)
                    is_due = self._look_wanted.is_set() or anyio.current_time() >= look_at
                    if is_due or _place(last) != _place(snapshot):
                        # What a stream tells must not wait for a state that nobody tells.
                        await self._look(seconds_max=LOOK_BESIDE_SECONDS_MAX)
                        look_at = anyio.current_time() + LOOK_SECONDS
                    if self._is_hopeless:
                        break
        except BenchgateError as exc:
            logger.debug("The stream of run %s has ended: %s", self.run_id, exc)
        finally:
            self._is_hearing = False
        return has_heard

    def _take_in(self, snapshot: RunSnapshot) -> None:
        """*snapshot* is what the stream told.

        Raises:
            BackendError: it has told nothing for too long, whatever it sends.
        """
        if snapshot is self.latest:
            if anyio.current_time() - self._told_at > SILENCE_SECONDS_MAX:
                raise BackendError("The stream sends nothing that tells anything.")
        elif snapshot.is_terminal:
            # What it tells of an end holds no figures: nobody is told before those were looked for.
            self._is_outdated = True
        else:
            self._tell(snapshot)

    def _told(self) -> RunSnapshot:
        if self.trouble is not None:
            raise self.trouble
        if self.latest is None:
            raise BackendUnavailable(NO_ANSWER)
        return self.latest

    def _tell(self, snapshot: RunSnapshot) -> None:
        self.latest, self.trouble, self._is_outdated = snapshot, None, False
        self._told_at = anyio.current_time()
        self._wake()

    def _wake(self) -> None:
        news, self._news = self._news, anyio.Event()
        news.set()


def _place(snapshot: RunSnapshot | None) -> tuple[str, str | None] | None:
    return (snapshot.status, snapshot.phase) if snapshot is not None else None
