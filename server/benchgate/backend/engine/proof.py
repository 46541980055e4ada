"""The proof of a stop: whether the database still has sessions of a run whose workers are gone.

What it has is ended, and what is left after that is told.
"""

import anyio

from benchgate.backend.drivers.port import Driver, SessionsEnded
from benchgate.backend.engine.assignments import application_name
from benchgate.backend.engine.load import Load, Outcome
from benchgate.domain.findings import SessionsProof
from benchgate.domain.text import one_line
from benchgate.errors import BenchgateError, DatabaseError

PROOF_LIMIT_S = 3.0
AGAIN_S = 0.2


async def with_proof(outcome: Outcome, load: Load, driver: Driver) -> Outcome:
    """*outcome* with what the database still had of the run's sessions, which are ended."""
    assert outcome.findings is not None
    proof, remarks = None, outcome.findings.remarks
    try:
        with anyio.fail_after(PROOF_LIMIT_S):
            ended = await _asked(load, driver)
    except (BenchgateError, TimeoutError) as exc:
        told = one_line(str(exc)) or f"no answer within {PROOF_LIMIT_S:g} s"
        remarks = (*remarks, f"Whether sessions of the run are left could not be asked: {told}")
    else:
        proof = None if ended is None else SessionsProof(found=ended.found, left=ended.left)
    findings = outcome.findings.model_copy(update={"sessions": proof, "remarks": remarks})
    return outcome.model_copy(update={"findings": findings})


async def _asked(load: Load, driver: Driver) -> SessionsEnded | None:
    name = application_name(load.run_id)
    try:
        return await driver.end_sessions(load.target, name)
    except DatabaseError:
        # A server that was full has room in a moment for what has just left it.
        await anyio.sleep(AGAIN_S)
        return await driver.end_sessions(load.target, name)
