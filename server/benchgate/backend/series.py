"""The one-second series of each run, row by row as it is measured."""

import sqlalchemy as sa

from benchgate.backend.store import RUNS, SERIES
from benchgate.database import store_errors
from benchgate.domain.contract import SeriesPoint

SERIES_POINTS_MAX = 3_600
SECONDS_KEPT_MAX = 2_000_000  # of all runs, which is some 300 MB


class SeriesTable:
    """Seconds as rows. Every method is one transaction and blocks: call it from a thread."""

    def __init__(self, engine: sa.Engine) -> None:
        """Keep them in *engine*, whose schema is up to date."""
        self._engine = engine

    def add(self, run_id: str, number: int, point: SeriesPoint) -> None:
        """Record the run's *number*th second; one row a second is what a crash can cost."""
        values = point.model_dump() | {"run_id": run_id, "number": number}
        with store_errors(), self._engine.begin() as connection:
            connection.execute(SERIES.insert().values(values))

    def of(self, run_id: str) -> tuple[SeriesPoint, ...]:
        """The run's series in order, thinned to at most `SERIES_POINTS_MAX` points.

        A longer one keeps every k-th second as it was measured, counted back from the last:
        nothing is averaged, so a kept point is a second that really happened.
        """
        mine = SERIES.c.run_id == run_id
        extent = sa.select(sa.func.count(), sa.func.max(SERIES.c.number)).where(mine)
        with store_errors(), self._engine.begin() as connection:
            count, last = connection.execute(extent).one()
            step = max(1, -(-count // SERIES_POINTS_MAX))
            kept = SERIES.select().where(mine, (last - SERIES.c.number) % step == 0)
            rows = connection.execute(kept.order_by(SERIES.c.number)).mappings().all()
        return tuple(SeriesPoint.model_validate(dict(row)) for row in rows)

    def forget_oldest(self, *, kept_max: int = SECONDS_KEPT_MAX) -> None:
        """Drop the series of the oldest runs beyond *kept_max* seconds; what they came to stays."""
        kept = sa.func.sum(sa.func.count()).over(order_by=RUNS.c.number.desc())
        counted = (
            sa.select(SERIES.c.run_id, kept.label("kept"))
            .join(RUNS, RUNS.c.run_id == SERIES.c.run_id)
            .group_by(RUNS.c.number)
            .subquery()
        )
        old = sa.select(counted.c.run_id).where(counted.c.kept > kept_max)
        with store_errors(), self._engine.begin() as connection:
            connection.execute(SERIES.delete().where(SERIES.c.run_id.in_(old)))
