"""A person who answers without any client, and reads what the ledger tells of a run."""

import sqlite3
from datetime import UTC, datetime, timedelta

from benchgate.domain.answers import name_to_type
from benchgate.domain.approvals import Approval, ApprovalState, Channel
from benchgate.domain.ledger import first_break
from benchgate.gate.approvals.counter import Counter, Response
from benchgate.gate.approvals.desk import open_record
from benchgate.gate.approvals.pin import Pin
from benchgate.gate.approvals.trail import Trail
from benchgate.gate.home import RECORD_FILE, GateHome
from tests.acceptance.home import Home


class Approver:
    """Somebody at a terminal of their own, over the record of *home*. Every method blocks."""

    def __init__(self, home: Home) -> None:
        self._home = GateHome(home.settings)
        self._file = home.settings.data_dir / RECORD_FILE

    def says_yes(self, run_id: str) -> Approval:
        """Approve the question about a run, opened again first if it is closed."""
        record = open_record(self._home)
        counter = Counter(record, Pin(self._home), Channel.TERMINAL)
        now = datetime.now(UTC)
        try:
            newest = record.newest(run_id, at=now)
            assert newest is not None, "nobody has been asked"
            if newest.state is not ApprovalState.ASKED:
                newest = counter.reopen(newest.approval_id, at=now)
            response = Response(decision="yes", typed=name_to_type(newest) or "")
            return counter.respond(newest.approval_id, response, at=now)
        finally:
            record.close()

    def events(self, run_id: str) -> list[str]:
        """What the ledger tells of a run, in order."""
        record = open_record(self._home)
        try:
            entries = [link.entry for link in Trail(record.engine).links()]
        finally:
            record.close()
        return [e.event.value for e in entries if e.subject and e.subject.subject_id == run_id]

    def state(self, run_id: str) -> str:
        """How the newest question about a run stands."""
        record = open_record(self._home)
        try:
            newest = record.newest(run_id, at=datetime.now(UTC))
        finally:
            record.close()
        assert newest is not None
        return newest.state.value

    def check_the_chain(self) -> None:
        """The ledger is whole."""
        record = open_record(self._home)
        try:
            assert first_break(Trail(record.engine).links()) is None
        finally:
            record.close()

    def let_time_pass(self, run_id: str, *, seconds: int) -> None:
        """Make the questions about a run older, behind the server's back."""
        connection = sqlite3.connect(self._file)
        moments = connection.execute(
            "SELECT approval_id, asked_at FROM approvals WHERE subject_id = ?", (run_id,)
        ).fetchall()
        with connection:
            for approval_id, asked_at in moments:
                earlier = datetime.fromisoformat(asked_at) - timedelta(seconds=seconds)
                connection.execute(
                    "UPDATE approvals SET asked_at = ? WHERE approval_id = ?",
                    (earlier.isoformat(" "), approval_id),
                )
        connection.close()
