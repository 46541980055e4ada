"""Who does what: the parts of a load, one for each worker. Pure."""

from math import ceil

from benchgate.backend.drivers.port import Assignment
from benchgate.backend.engine.accounts import parted
from benchgate.backend.engine.load import Load
from benchgate.domain.arrivals import Arrivals
from benchgate.domain.templates import QueryKind, TableType, WorkerLoss

# More of them than this only wait for each other, and in the end for the machine.
WORKERS_TO_USUAL_MAX = 8
PERCENT = 100
# One worker keeps to a moderate schedule better than two: they would disturb each other, and each
# would wait for connections that the other has free. So many operations per second take a third of
# a core at most, on the databases whose client costs so little.
RATES_OF_A_WORKER_PER_S = {
    QueryKind.POINT_LOOKUP: 5_000,
    QueryKind.INSERT: 5_000,
    QueryKind.UPDATE: 5_000,
    QueryKind.RANGE_SCAN: 1_000,
    QueryKind.GENERIC_SQL: 500,
}
CHEAP_CLIENTS = frozenset({TableType.POSTGRES})
CONNECTIONS_OF_A_WORKER = 250
NAME_CHARACTERS_MAX = 63  # PostgreSQL cuts off what is longer


def application_name(run_id: str) -> str:
    """The name that every session of the run *run_id* carries in the database."""
    return f"benchgate {run_id}"[:NAME_CHARACTERS_MAX]


def workers_for(load: Load, usual: int, *, at_most: int | None = None) -> int:
    """How many workers share *load*: as many as *usual*, within its limits; none without work.

    A search begins with few connections and ends with many: its workers are counted by the end.
    """
    wanted = max(load.workers_min, min(_worth_it(load, usual), load.workers_max or usual))
    wanted = min(wanted, usual * WORKERS_TO_USUAL_MAX)
    return max(1, min(wanted, load.connections, at_most or load.connections))


def _worth_it(load: Load, usual: int) -> int:
    """How many of the *usual* workers a schedule takes; a closed loop takes all of them."""
    is_cheap = load.target.table_type in CHEAP_CLIENTS and not load.decode_rows
    if load.schedule is None or not is_cheap:
        return usual
    busy = sum(
        load.schedule.rate_per_s * share.share_pct / PERCENT / RATES_OF_A_WORKER_PER_S[share.kind]
        for share in load.workload
    )
    return min(usual, ceil(max(busy, load.connections / CONNECTIONS_OF_A_WORKER)))


def assignments(load: Load, workers: int) -> list[Assignment]:
    """The shares of *workers*: together the load, no two of them the same connections."""
    at_most = parted(load.connections, workers)
    first = [sum(at_most[:number]) for number in range(workers)]
    if load.worker_loss is WorkerLoss.REDISTRIBUTE:
        # Whoever is left may have to take over all of them.
        at_most = [load.connections] * workers
        first = [load.connections * number for number in range(workers)]
    at_start = parted(load.connections_at_start, workers)
    return [
        Assignment(
            target=load.target,
            workload=load.workload,
            connections=at_most[number],
            connections_at_start=at_start[number],
            think_time_ms=load.think_time_ms,
            arrivals=_arrivals(load, number, workers),
            decode_rows=load.decode_rows,
            use_cached_result=load.use_cached_result,
            seed=load.seed,
            application_name=application_name(load.run_id),
            first_connection=first[number],
            worker=number,
            workers=workers,
            connections_in_all=sum(at_most),
        )
        for number in range(workers)
    ]


def _arrivals(load: Load, number: int, workers: int) -> Arrivals | None:
    if load.schedule is None:
        return None
    return Arrivals(
        rate_per_s=load.schedule.rate_per_s,
        spacing=load.schedule.spacing,
        seed=load.seed,
        part=number,
        parts=workers,
    )
