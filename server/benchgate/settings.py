"""The settings of every process, read from the environment once; nobody else reads it.

A value that cannot be used is reported by the name of its variable.
"""

import re
from pathlib import Path
from typing import Annotated

import platformdirs
from pydantic import AnyHttpUrl, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from benchgate.domain.approvals import Channel
from benchgate.domain.production import (
    PATTERN_CHARACTERS_MAX,
    PATTERNS_MAX,
    PRODUCTION_PATTERNS,
)
from benchgate.errors import SettingsError

PREFIX = "BENCHGATE_"
# Of the drivers that SQLAlchemy knows, those that can be called from a thread; and of SQLite only
# files, because what lies in memory is forgotten.
DATABASE_URL = re.compile(
    r"sqlite(\+pysqlite)?:///(?!:memory:|\?|$)|postgresql(\+(psycopg2?|pg8000))?://"
)

Pattern = Annotated[str, Field(max_length=PATTERN_CHARACTERS_MAX)]


class Settings(BaseSettings):
    """What a user can set: `BENCHGATE_*` variables, and the one that is Ray's."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    backend_url: AnyHttpUrl | None = Field(
        default=None,
        description="The benchmark backend to drive; unset: the embedded one, started on demand.",
    )
    backend_token: SecretStr | None = Field(
        default=None, description="Bearer token for the backend at `BENCHGATE_BACKEND_URL`."
    )
    dashboard_url: AnyHttpUrl | None = Field(
        default=None,
        description="Base of dashboard links, where it differs from the backend's URL.",
    )
    data_dir: Path = Field(
        default_factory=lambda: platformdirs.user_data_path("benchgate"),
        description="Where state, logs and the embedded backend's data lie.",
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="SQLAlchemy URL of the server's own record; unset: SQLite in the data folder.",
    )
    approval_channels: Annotated[tuple[Channel, ...], NoDecode] = Field(
        default=(Channel.ELICITATION, Channel.URL, Channel.PAGE, Channel.TERMINAL),
        description="By which channels a person may be asked; `chat` only if it is named here.",
    )
    question_ttl_seconds: Annotated[int, Field(ge=30, le=86_400)] = Field(
        default=1_800, description="How long a question may be answered."
    )
    approval_ttl_seconds: Annotated[int, Field(ge=30, le=86_400)] = Field(
        default=600, description="How long a yes is good that has not started anything yet."
    )
    approval_min_seconds: Annotated[float, Field(ge=0, le=60)] = Field(
        default=0,
        description="An accepted form that comes back sooner is no person's answer; 0: off.",
    )
    ask_wait_seconds: Annotated[int, Field(ge=1, le=86_400)] | None = Field(
        default=None,
        description="How long a tool call waits for a dialog where the client waits for the tool; "
        "unset: 55, and as long as the question lives for hosts that are known to wait.",
    )
    production_patterns: Annotated[
        tuple[Pattern, ...], NoDecode, Field(max_length=PATTERNS_MAX)
    ] = Field(
        default=PRODUCTION_PATTERNS,
        description="Words, and globs over whole names, by which the pre-flight of the "
        "embedded backend tells a production system: in the names of host, service, account "
        "and database. Empty: none.",
    )

    ray_address: str | None = Field(
        default=None,
        validation_alias="RAY_ADDRESS",
        description="Ray's own variable: the cluster from which the embedded backend loads "
        "databases; unset: this machine.",
    )

    @field_validator("ray_address")
    @classmethod
    def _names_a_cluster(cls, address: str | None) -> str | None:
        return (address or "").strip() or None

    @field_validator("approval_channels", "production_patterns", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return [name.strip().lower() for name in value.split(",") if name.strip()]

    @field_validator("approval_channels")
    @classmethod
    def _names_one(cls, channels: tuple[Channel, ...]) -> tuple[Channel, ...]:
        if not channels:
            raise ValueError(f"at least one is needed of {', '.join(Channel)}")
        return channels

    @field_validator("database_url")
    @classmethod
    def _is_synchronous(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not DATABASE_URL.match(url.get_secret_value()):
            raise ValueError(
                "the URL of a SQLite file or of PostgreSQL is needed, and no asynchronous driver"
            )
        return url

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return path.expanduser().absolute()


def variable(field: str) -> str:
    """The environment variable that sets *field*."""
    alias = Settings.model_fields[field].validation_alias
    return alias if isinstance(alias, str) else PREFIX + field.upper()


def load() -> Settings:
    """Read the environment.

    Raises:
        SettingsError: a variable holds a value that cannot be used; the message names it.
    """
    try:
        return Settings()
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        name = variable(str(first["loc"][0]))
        told = first["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{name} cannot be used: {told}.") from exc
