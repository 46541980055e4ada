"""Whose certificates the gate believes, on real connections."""

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx
import pytest
from pydantic import SecretStr, TypeAdapter

from benchgate.errors import BackendUnavailable
from benchgate.gate.transport.certificates import Trust
from benchgate.gate.transport.whereabouts import Configured
from benchgate.gate.transport.wire import Address, Wire
from tests.adversary.app import Adversary
from tests.adversary.certificate import Certificate, issued
from tests.adversary.script import WEBSOCKET, Answer, Step, Told
from tests.adversary.server import served

pytestmark = pytest.mark.anyio

TEST_SECONDS_MAX = 20
WAIT_SECONDS_MAX = 10
NUMBERS = TypeAdapter(dict[str, int])
STEPS = (
    Step("/x", Answer(body=b'{"n": 1}')),
    Step("/x", Answer(body=b'{"n": 2}'), "POST"),
    Step("/ws", Told(("a",), is_silent=True), WEBSOCKET),
)


@pytest.fixture(autouse=True)
async def limit() -> AsyncGenerator[None]:
    with anyio.fail_after(TEST_SECONDS_MAX):
        yield


@asynccontextmanager
async def secured(certificate: Certificate) -> AsyncGenerator[tuple[Wire, Adversary]]:
    """A server with *certificate*, and the wire to it over a client like the gate's."""
    adversary = Adversary(*STEPS)
    async with (
        served(adversary, certificate=certificate) as url,
        httpx.AsyncClient(trust_env=False, verify=Trust()) as http,
    ):
        address = Address(url=url, token=SecretStr("secret"), dashboard_url=url)
        yield Wire(Configured(address), http), adversary


async def refusals(certificate: Certificate) -> list[BackendUnavailable]:
    """What a reader, a caller and a listener are told of a server with *certificate*."""
    refused: list[BackendUnavailable] = []
    async with secured(certificate) as (wire, adversary):
        for asked in (wire.get("/x", NUMBERS), wire.post("/x", NUMBERS)):
            with pytest.raises(BackendUnavailable) as caught:
                await asked
            refused.append(caught.value)
        with pytest.raises(BackendUnavailable) as caught:
            async with wire.stream("/ws"):
                pass
        refused.append(caught.value)
    assert adversary.seen == []
    return refused


def believe(certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))


async def test_a_certificate_that_nobody_vouches_for_is_told_with_what_to_do(
    tmp_path: Path,
) -> None:
    for error in await refusals(issued(tmp_path, "alone")):
        assert str(error).startswith("The backend's certificate cannot be trusted: self")
        assert str(error).endswith("signed certificate.")
        assert "SSL_CERT_FILE" in error.hint
        assert not error.may_be_on_its_way


async def test_a_certificate_for_another_host_is_told_as_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer = issued(tmp_path, "issuer")
    believe(issuer, monkeypatch)
    for error in await refusals(issued(tmp_path, "other", by=issuer, host="db.example")):
        assert "cannot be trusted: IP address mismatch" in str(error)


async def test_a_certificate_that_is_over_is_told_as_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer = issued(tmp_path, "issuer")
    believe(issuer, monkeypatch)
    for error in await refusals(issued(tmp_path, "old", by=issuer, days=-1)):
        assert str(error) == (
            "The backend's certificate cannot be trusted: certificate has expired."
        )


async def test_whom_the_machine_believes_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer = issued(tmp_path, "issuer")
    believe(issuer, monkeypatch)
    async with secured(issued(tmp_path, "server", by=issuer)) as (wire, adversary):
        assert await wire.get("/x", NUMBERS) == {"n": 1}
        assert await wire.post("/x", NUMBERS) == {"n": 2}
        async with wire.stream("/ws") as frames:
            assert await frames.next(seconds_max=WAIT_SECONDS_MAX) == "a"
    assert {seen.authorization for seen in adversary.seen} == {"Bearer secret"}


async def test_a_port_that_speaks_no_tls_cannot_be_reached_by_it() -> None:
    async with (
        served(Adversary(*STEPS)) as url,
        httpx.AsyncClient(trust_env=False, verify=Trust()) as http,
    ):
        address = Address(url=url.replace("http", "https"), dashboard_url=url)
        with pytest.raises(BackendUnavailable, match="could not be reached"):
            await Wire(Configured(address), http).get("/x", NUMBERS)


async def test_every_certificate_is_checked_with_its_host_and_by_a_safe_protocol() -> None:
    trust = Trust()
    assert (trust.verify_mode, trust.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert trust.minimum_version >= ssl.TLSVersion.TLSv1_2


async def test_certifis_issuers_are_believed_where_the_machine_knows_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (nobody := tmp_path / "none.pem").touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(nobody))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    trust = Trust()
    assert trust.get_ca_certs() == []
    trust.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="backend.example")
    assert len(trust.get_ca_certs()) > 50
