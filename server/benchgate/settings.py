"""The settings of every process, read from the environment once; nobody else reads it.

A value that cannot be used is reported by the name of its variable.
"""

import re
from pathlib import Path
from typing import Annotated

import platformdirs
from pydantic import AnyHttpUrl, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from benchgate.errors import SettingsError

PREFIX = "BENCHGATE_"
# Of the drivers that SQLAlchemy knows, those that can be called from a thread.
DATABASE_URL = re.compile(r"(sqlite(\+pysqlite)?|postgresql(\+(psycopg2?|pg8000))?)://")


class Settings(BaseSettings):
    """What a user can set, as `BENCHGATE_*` variables."""

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
    question_ttl_seconds: Annotated[int, Field(ge=30, le=86_400)] = Field(
        default=1_800, description="How long a question may be answered."
    )
    ask_wait_seconds: Annotated[int, Field(ge=1, le=3_600)] = Field(
        default=55,
        description="How long a tool call waits for a dialog where the client waits for the tool.",
    )

    @field_validator("database_url")
    @classmethod
    def _is_synchronous(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not DATABASE_URL.match(url.get_secret_value()):
            raise ValueError(
                "a sqlite:// or postgresql:// URL is needed, with a synchronous driver if any"
            )
        return url

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return path.expanduser().absolute()


def load() -> Settings:
    """Read the environment.

    Raises:
        SettingsError: a variable holds a value that cannot be used; the message names it.
    """
    try:
        return Settings()
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        name = PREFIX + str(first["loc"][0]).upper()
        raise SettingsError(f"{name} cannot be used: {first['msg']}.") from exc
