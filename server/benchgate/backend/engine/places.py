"""Where a load is carried out: on the Ray cluster that the environment names, else here."""

import anyio

from benchgate.backend.engine import crew
from benchgate.backend.engine.cluster.place import connected
from benchgate.backend.engine.load import Load, Observer, Outcome
from benchgate.domain.templates import FILE_TABLES


async def drive(
    load: Load, *, stop: anyio.Event, observer: Observer, ray_address: str | None
) -> Outcome:
    """Carry *load* out from the machines of the cluster at *ray_address*, or from this one.

    A table in a file is loaded from this machine in any case: no other one has the file.

    Raises:
        MissingExtra: Ray is wanted and not installed.
        ClusterError: the cluster cannot be used.
    """
    if ray_address is None or load.target.table_type in FILE_TABLES:
        return await crew.drive(load, stop=stop, observer=observer)
    async with connected(ray_address) as cluster:
        return await crew.drive(load, stop=stop, observer=observer, workplace=cluster)
