"""What in the runs' snapshots is worth telling those who read their resources, and when.

Knows no protocol and no clock: the time comes in with each question, in seconds of one clock.
What is told is only that a resource has changed, so nothing is lost where several changes
become one.
"""

import re

from benchgate.domain.runs import RunSnapshot
from benchgate.domain.values import ID_PATTERN, Value
from benchgate.gate.names import RESULTS_URI, RUN_URI, RUNS_URI, SERIES_URI, SUMMARY_URI

ANNOUNCE_SECONDS = 2
RUNS_REMEMBERED_MAX = 200

END_URIS = (SERIES_URI, SUMMARY_URI, RESULTS_URI)


class Announcement(Value):
    """What has changed: resources by URI, and whether there is a run that was not known."""

    uris: tuple[str, ...] = ()
    has_new_run: bool = False


class Heard(Value):
    """The newest of one run; `due_at` is None while all of it has been told."""

    snapshot: RunSnapshot
    told_at: float
    due_at: float | None = None


def run_of(uri: str) -> str | None:
    """The id of the run whose state or file *uri* is, in the one spelling that is announced."""
    for template in (RUN_URI, *END_URIS):
        head, _, tail = template.partition("{run_id}")
        run_id = uri.removeprefix(head).removesuffix(tail)
        if uri == f"{head}{run_id}{tail}" and re.fullmatch(ID_PATTERN, run_id):
            return run_id
    return None


def is_announced(uri: str) -> bool:
    """Whether changes of *uri* are ever told."""
    return uri == RUNS_URI or run_of(uri) is not None


class News:
    """What was heard of the runs, and what of it has not been told yet."""

    def __init__(self, *, announce_seconds: float = ANNOUNCE_SECONDS) -> None:
        """Tell mere figures of one run every *announce_seconds* at most."""
        self._announce_seconds = announce_seconds
        self._runs: dict[str, Heard] = {}
        self._is_list_due = False
        self._has_new_run = False

    def hear(self, snapshot: RunSnapshot, *, at: float) -> None:
        """Take in the newest of a run."""
        before = self._runs.pop(snapshot.run_id, None)
        self._runs[snapshot.run_id] = Heard(
            snapshot=snapshot,
            told_at=before.told_at if before else at,
            due_at=self._due_at(before, snapshot, at),
        )
        self._has_new_run |= before is None
        self._is_list_due |= before is None or before.snapshot.status != snapshot.status
        while len(self._runs) > RUNS_REMEMBERED_MAX:
            # The run that was heard of least recently: it is the first in the dictionary.
            del self._runs[next(iter(self._runs))]

    def has_ended(self, run_id: str) -> bool:
        """Whether the run is known to have ended."""
        heard = self._runs.get(run_id)
        return heard is not None and heard.snapshot.is_terminal

    def seconds_left(self, *, at: float) -> float | None:
        """How long until something is to be told; None where nothing is."""
        if self._is_list_due or self._has_new_run:
            return 0
        due = [heard.due_at for heard in self._runs.values() if heard.due_at is not None]
        return max(0.0, min(due) - at) if due else None

    def take(self, *, at: float) -> Announcement:
        """What is to be told now; it counts as told."""
        uris = [RUNS_URI] if self._is_list_due else []
        has_new_run = self._has_new_run
        self._is_list_due = self._has_new_run = False
        for run_id, heard in self._runs.items():
            if heard.due_at is not None and heard.due_at <= at:
                self._runs[run_id] = Heard(snapshot=heard.snapshot, told_at=at)
                changed = (RUN_URI, *(END_URIS if heard.snapshot.is_terminal else ()))
                uris += [uri.format(run_id=run_id) for uri in changed]
        return Announcement(uris=tuple(uris), has_new_run=has_new_run)

    def _due_at(self, before: Heard | None, now: RunSnapshot, at: float) -> float | None:
        if before is None or _place(before.snapshot) != _place(now):
            return at
        if before.due_at is None and _figures(before.snapshot) != _figures(now):
            return max(at, before.told_at + self._announce_seconds)
        return before.due_at


def _place(snapshot: RunSnapshot) -> tuple[str, str | None]:
    return snapshot.status, snapshot.phase


def _figures(snapshot: RunSnapshot) -> RunSnapshot:
    """All of it but when and on which way it was read."""
    return snapshot.model_copy(update={"updated_at": None, "source": None})
