"""How the Snowflake driver logs in, and what it says where it is not let in."""

import socket
from pathlib import Path

import anyio
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from benchgate.backend.drivers.catalog import driver_for
from benchgate.backend.drivers.port import ConnectionReference, Target
from benchgate.domain.templates import TableType
from benchgate.errors import DatabaseError
from tests.integration.databases import SnowflakeDatabase
from tests.integration.test_drivers import make_orders

pytestmark = pytest.mark.anyio

DRIVER = driver_for(TableType.STANDARD)


def referring(target: Target, **changes: str | None) -> Target:
    """*target* with another way to reach it."""
    assert target.connection is not None
    return target.model_copy(update={"connection": target.connection.model_copy(update=changes)})


def write_key(path: Path, passphrase: str) -> None:
    """A new private key, under a passphrase where there is one."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    hidden = serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else None
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            hidden or serialization.NoEncryption(),
        )
    )


@pytest.mark.parametrize("passphrase", ["", "very secret"])
async def test_a_key_pair_logs_in(
    snowflake_database: SnowflakeDatabase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    passphrase: str,
) -> None:
    make_orders(snowflake_database)
    write_key(tmp_path / "key.p8", passphrase)
    monkeypatch.setenv("BENCHGATE_TEST_PASSPHRASE", passphrase)
    target = referring(
        snowflake_database.target("orders"),
        password_env=None,
        private_key_file=str(tmp_path / "key.p8"),
        private_key_passphrase_env="BENCHGATE_TEST_PASSPHRASE" if passphrase else None,
    )
    assert (await DRIVER.describe(target)).has_rows


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"password_env": "BENCHGATE_TEST_NOTHING"}, "variable BENCHGATE_TEST_NOTHING is not set"),
        ({"password_env": "BENCHGATE_TEST_WRONG"}, "Incorrect username or password"),
        (
            {"private_key_file": "/nowhere/key.p8"},
            "private key file /nowhere/key.p8 cannot be read",
        ),
        ({"private_key_file": __file__}, "The private key cannot be used"),
        ({"password_env": None}, "[Pp]assword is empty"),
    ],
)
async def test_a_refused_login_says_why_and_tells_no_secret(
    snowflake_database: SnowflakeDatabase,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, str | None],
    reason: str,
) -> None:
    monkeypatch.setenv("BENCHGATE_TEST_WRONG", "guessed wrongly")
    with pytest.raises(DatabaseError, match=reason) as caught:
        await DRIVER.describe(referring(snowflake_database.target("orders"), **changes))
    assert "guessed wrongly" not in f"{caught.value!r} {caught.value.__cause__!r}"


async def test_a_warehouse_that_is_not_there_is_named_at_once(
    snowflake_database: SnowflakeDatabase,
) -> None:
    target = snowflake_database.target("orders").model_copy(update={"warehouse_name": "NOWHERE"})
    with pytest.raises(DatabaseError, match="The requested warehouse does not exist"):
        await DRIVER.describe(target)


async def test_a_server_that_says_nothing_is_given_up_within_the_limit(
    snowflake_database: SnowflakeDatabase,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        reference = ConnectionReference(
            host="127.0.0.1",
            port=silent.getsockname()[1],
            account="quiet",
            username="fake",
            password_env=SnowflakeDatabase.password_env,
        )
        target = Target(
            table_type=TableType.STANDARD, database="d", table_name="t", connection=reference
        )
        with anyio.fail_after(12), pytest.raises(DatabaseError, match="not answer"):
            await DRIVER.describe(target)
