"""Sightings as rows of the gate's record; knows SQL, and not what a sighting means."""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import TypeVar

import sqlalchemy as sa
from pydantic import ValidationError

from benchgate.database import reading, writing_alone
from benchgate.domain.runs import OwnStop, RunSnapshot, Sighting
from benchgate.gate.store import SIGHTINGS

logger = logging.getLogger(__name__)

KEPT_RUNS_MAX = 1_000

Kept = TypeVar("Kept", RunSnapshot, OwnStop)


def read(engine: sa.Engine, backend: str, run_id: str) -> Sighting:
    """What is kept of a run; an empty sighting where nothing is.

    Raises:
        StoreError: the record cannot be used.
    """
    with reading(engine) as connection:
        return _found(connection, backend, run_id)


def write(
    engine: sa.Engine, backend: str, snapshots: Mapping[str, tuple[RunSnapshot, datetime]]
) -> None:
    """Keep these, by run, each with its time; the oldest runs give way.

    Another process may have seen more: what is settled is not overwritten by what is not.

    Raises:
        StoreError: the record cannot be used.
    """
    with writing_alone(engine) as connection:
        for run_id, (snapshot, at) in snapshots.items():
            kept = _found(connection, backend, run_id).snapshot
            if kept is None or snapshot.is_settled or not kept.is_settled:
                values = {"snapshot": _json(snapshot), "seen_at": at}
                _put(connection, backend, run_id, values=values)
        _forget_old(connection, backend)


def write_stop(
    engine: sa.Engine, backend: str, run_id: str, *, own_stop: OwnStop | None, at: datetime
) -> None:
    """Keep that a run is being stopped by us, or that it is not; the first reason stays.

    Raises:
        StoreError: the record cannot be used.
    """
    values = {"own_stop": _json(own_stop), "seen_at": at}
    with writing_alone(engine) as connection:
        if own_stop is None or _found(connection, backend, run_id).own_stop is None:
            _put(connection, backend, run_id, values=values)


def _found(connection: sa.Connection, backend: str, run_id: str) -> Sighting:
    wanted = sa.select(SIGHTINGS.c.snapshot, SIGHTINGS.c.own_stop).where(_is(backend, run_id))
    row = connection.execute(wanted).one_or_none()
    if row is None:
        return Sighting()
    return Sighting(
        snapshot=_value(RunSnapshot, row.snapshot), own_stop=_value(OwnStop, row.own_stop)
    )


def _put(
    connection: sa.Connection, backend: str, run_id: str, *, values: Mapping[str, object]
) -> None:
    changed = connection.execute(SIGHTINGS.update().where(_is(backend, run_id)).values(**values))
    if not changed.rowcount:
        row = {"backend": backend, "run_id": run_id} | {**values}
        connection.execute(SIGHTINGS.insert().values(**row))


def _forget_old(connection: sa.Connection, backend: str) -> None:
    newest = (
        sa.select(SIGHTINGS.c.run_id)
        .where(SIGHTINGS.c.backend == backend)
        .order_by(SIGHTINGS.c.seen_at.desc())
        .limit(KEPT_RUNS_MAX)
    )
    is_old = sa.and_(SIGHTINGS.c.backend == backend, SIGHTINGS.c.run_id.not_in(newest))
    connection.execute(SIGHTINGS.delete().where(is_old))


def _is(backend: str, run_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(SIGHTINGS.c.backend == backend, SIGHTINGS.c.run_id == run_id)


def _value(shape: type[Kept], text: str | None) -> Kept | None:
    """What was kept; None also for what another version wrote and this one cannot read."""
    try:
        return shape.model_validate_json(text) if text else None
    except ValidationError:
        logger.warning("What is kept of a run cannot be read: it is asked for anew")
        return None


def _json(value: RunSnapshot | OwnStop | None) -> str | None:
    return value.model_dump_json(exclude_none=True) if value is not None else None
