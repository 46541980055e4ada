"""`/health`, `/api/info`, `/api/shutdown`: the backend about itself."""

from fastapi import APIRouter
from starlette.requests import Request

from benchgate import __version__
from benchgate.backend.auth import AUTHENTICATED
from benchgate.backend.engine.conductor import Conductor
from benchgate.backend.engine.preflight import LOAD_MODES_DRIVEN, TABLE_TYPES_DRIVEN
from benchgate.backend.lifetime import Lifetime
from benchgate.domain.contract import Health
from benchgate.domain.rendezvous import CONTRACT_VERSION
from benchgate.domain.values import Value
from benchgate.errors import Conflict

SERVICE = "benchgate"
HEALTHY = "healthy"


class Greeting(Value):
    """`GET /health` as strangers see it."""

    status: str = HEALTHY
    service: str = SERVICE


class Info(Value):
    """`GET /api/info`."""

    name: str
    version: str
    contract_version: int
    table_types: tuple[str, ...]
    load_modes: tuple[str, ...]
    endpoints: tuple[str, ...]


class ShutDown(Value):
    """`POST /api/shutdown`: *force* stops an active run instead of refusing."""

    force: bool = False


class Farewell(Value):
    """The answer to `POST /api/shutdown`."""

    status: str = "ending"


def about_routes(conductor: Conductor, *, instance_id: str) -> APIRouter:
    """The routes that tell about this life of the backend."""
    router = APIRouter(tags=["service"])

    @router.get("/health")
    async def get_health(request: Request) -> Health | Greeting:
        """Whether it lives; who it is and what it does only for the holder of the token."""
        if not request.scope["state"][AUTHENTICATED]:
            return Greeting()
        return Health(
            status=HEALTHY,
            service=SERVICE,
            version=__version__,
            contract_version=CONTRACT_VERSION,
            instance_id=instance_id,
            active_run_id=conductor.active_run_id,
            is_exclusive=True,
        )

    @router.get("/api/info")
    async def get_info(request: Request) -> Info:
        """What this backend is and can drive."""
        return Info(
            name=SERVICE,
            version=__version__,
            contract_version=CONTRACT_VERSION,
            table_types=tuple(sorted(TABLE_TYPES_DRIVEN)),
            load_modes=tuple(sorted(LOAD_MODES_DRIVEN)),
            endpoints=tuple(request.app.openapi()["paths"]),
        )

    return router


def end_routes(conductor: Conductor, lifetime: Lifetime) -> APIRouter:
    """The route that ends it."""
    router = APIRouter(tags=["service"])

    @router.post("/api/shutdown", status_code=202)
    async def shut_down(wanted: ShutDown | None = None) -> Farewell:
        """End the backend; 409 while a run is active, unless forced."""
        active = conductor.active_run_id
        if active is not None and not (wanted and wanted.force):
            raise Conflict(
                f"Run {active} is active.",
                hint="Wait for its end or stop it first. Forced, the backend stops it and ends.",
            )
        lifetime.end()
        return Farewell()

    return router
