"""The saved connections: where a server is and where its password can be looked up.

Holds no secret, and never looks for one.
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from benchgate.backend.store import CONNECTIONS, TEMPLATES
from benchgate.database import store_errors
from benchgate.domain.contract import ConnectionDraft
from benchgate.domain.text import one_line
from benchgate.domain.values import Value
from benchgate.errors import Conflict, NotFound

CONNECTIONS_LISTED_MAX = 1_000


class SavedConnection(Value):
    """A draft that was saved, and when."""

    connection_id: str
    draft: ConnectionDraft
    created_at: datetime
    updated_at: datetime


class ConnectionTable:
    """Connections as rows. Every method is one transaction and blocks: call it from a thread."""

    def __init__(self, engine: sa.Engine) -> None:
        """Keep them in *engine*, whose schema is up to date."""
        self._engine = engine

    def all(self) -> list[SavedConnection]:
        """The newest first; of more than a thousand, the newest thousand."""
        newest = CONNECTIONS.select().order_by(
            CONNECTIONS.c.created_at.desc(), CONNECTIONS.c.connection_id
        )
        with store_errors(), self._engine.begin() as connection:
            rows = connection.execute(newest.limit(CONNECTIONS_LISTED_MAX)).all()
        return [_saved(row) for row in rows]

    def get(self, connection_id: str) -> SavedConnection:
        """The connection of that id."""
        with store_errors(), self._engine.begin() as connection:
            return _saved(_existing(connection, connection_id))

    def default(self, connection_type: str) -> SavedConnection | None:
        """What a template of that type uses when it names no connection, if anything."""
        chosen = CONNECTIONS.select().where(
            CONNECTIONS.c.connection_type == connection_type, CONNECTIONS.c.is_default
        )
        with store_errors(), self._engine.begin() as connection:
            row = connection.execute(chosen).first()
        return None if row is None else _saved(row)

    def add(self, draft: ConnectionDraft, *, connection_id: str, at: datetime) -> SavedConnection:
        """Save *draft*; a new default takes the place of the old one of its type."""
        same_type = CONNECTIONS.c.connection_type == draft.connection_type
        with store_errors(), self._engine.begin() as connection:
            if draft.is_default:
                connection.execute(CONNECTIONS.update().where(same_type).values(is_default=False))
            connection.execute(
                CONNECTIONS.insert().values(
                    connection_id=connection_id,
                    connection_type=draft.connection_type,
                    is_default=draft.is_default,
                    draft=draft.model_dump_json(),
                    created_at=at,
                    updated_at=at,
                )
            )
            return _saved(_existing(connection, connection_id))

    def remove(self, connection_id: str) -> None:
        """Delete the connection.

        Raises:
            Conflict: a template uses it; the message names the template.
        """
        with store_errors(), self._engine.begin() as connection:
            _existing(connection, connection_id)
            _refuse_while_used(connection, connection_id)
            connection.execute(
                CONNECTIONS.delete().where(CONNECTIONS.c.connection_id == connection_id)
            )


def _existing(connection: sa.Connection, connection_id: str) -> sa.Row[Any]:
    found = CONNECTIONS.select().where(CONNECTIONS.c.connection_id == connection_id)
    row = connection.execute(found).first()
    if row is None:
        raise NotFound(f"Connection not found: {one_line(connection_id, 80)}")
    return row


def _refuse_while_used(connection: sa.Connection, connection_id: str) -> None:
    users = sa.select(TEMPLATES.c.template_name, TEMPLATES.c.template_id).where(
        TEMPLATES.c.connection_id == connection_id
    )
    user = connection.execute(users).first()
    if user is not None:
        raise Conflict(
            f"Template {one_line(user.template_name, 80)!r} ({user.template_id}) uses it.",
            hint="Point the template at another connection, or delete the template first.",
        )


def _saved(row: sa.Row[Any]) -> SavedConnection:
    draft = ConnectionDraft.model_validate_json(row.draft)
    return SavedConnection(
        connection_id=row.connection_id,
        # The column is newer than the text: another connection may have become the default.
        draft=draft.model_copy(update={"is_default": row.is_default}),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
