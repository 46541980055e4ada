"""Where the backend is: at a configured address, or the embedded one of this user."""

import platform
from urllib.parse import urlsplit, urlunsplit

from benchgate.domain.rendezvous import BackendRecord
from benchgate.domain.text import digest_of
from benchgate.gate.transport.embedded import EmbeddedBackend
from benchgate.gate.transport.wire import Address
from benchgate.settings import Settings


class Configured:
    """A backend that someone else runs, at `BENCHGATE_BACKEND_URL`."""

    def __init__(self, address: Address) -> None:
        self._address = address

    @property
    def identity(self) -> str:
        """The digest of its URL: an address may hold what is nobody else's to read."""
        return digest_of(self._address.url)

    async def ensure(self) -> Address:
        """The configured address."""
        return self._address

    async def find(self) -> Address | None:
        """The configured address."""
        return self._address


class Embedded:
    """The embedded backend, started on demand."""

    def __init__(self, embedded: EmbeddedBackend, settings: Settings) -> None:
        self._embedded = embedded
        self._settings = settings

    @property
    def identity(self) -> str:
        """The digest of its place, which lies beside the record unless that is a server's."""
        if self._settings.database_url is None:
            return digest_of("embedded")
        data_dir = self._settings.data_dir.resolve()
        return digest_of(f"embedded:{platform.node()}:{data_dir}")

    async def ensure(self) -> Address:
        """Where the embedded backend is; it is started if need be."""
        return self._address(await self._embedded.ensure())

    async def find(self) -> Address | None:
        """Where it is, if it is alive."""
        record = await self._embedded.find()
        return self._address(record) if record else None

    def _address(self, record: BackendRecord) -> Address:
        dashboard_url = self._settings.dashboard_url
        return Address(
            url=record.url,
            token=record.token,
            dashboard_url=str(dashboard_url or record.url),
            is_embedded=True,
        )


def configured(settings: Settings) -> Configured | None:
    """The configured backend, where one is."""
    if settings.backend_url is None:
        return None
    url = str(settings.backend_url).rstrip("/")
    return Configured(
        Address(
            url=url,
            token=settings.backend_token,
            dashboard_url=str(settings.dashboard_url or without_secrets(url)),
        )
    )


def without_secrets(url: str) -> str:
    """*url* as far as its path: a user, a password and a query are nobody else's to read."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))
