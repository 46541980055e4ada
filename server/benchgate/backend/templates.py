"""The saved templates; knows no run but those that its own rows are used by."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic_core import PydanticSerializationError, from_json

from benchgate.backend.store import RUNS, TEMPLATES
from benchgate.database import store_errors
from benchgate.domain.runs import ACTIVE
from benchgate.domain.templates import Template, TemplateConfig, TemplateDraft
from benchgate.domain.text import one_line
from benchgate.errors import Conflict, InvalidInput, NotFound

TEMPLATES_LISTED_MAX = 1_000


class TemplateTable:
    """Templates as rows. Every method is one transaction and blocks: call it from a thread."""

    def __init__(self, engine: sa.Engine) -> None:
        """Keep them in *engine*, whose schema is up to date."""
        self._engine = engine

    def all(self) -> list[Template]:
        """The newest first; of more than a thousand, the newest thousand."""
        newest = TEMPLATES.select().order_by(TEMPLATES.c.updated_at.desc(), TEMPLATES.c.template_id)
        with store_errors(), self._engine.begin() as connection:
            rows = connection.execute(newest.limit(TEMPLATES_LISTED_MAX)).all()
        return [_template(row) for row in rows]

    def get(self, template_id: str) -> Template:
        """The template of that id."""
        with store_errors(), self._engine.begin() as connection:
            return _template(_existing(connection, template_id))

    def add(self, draft: TemplateDraft, *, template_id: str, at: datetime) -> Template:
        """Save *draft* as a new template."""
        values = _columns(draft) | {
            "template_id": template_id,
            "usage_count": 0,
            "created_at": at,
            "updated_at": at,
        }
        with store_errors(), self._engine.begin() as connection:
            connection.execute(TEMPLATES.insert().values(values))
            return _template(_existing(connection, template_id))

    def replace(self, template_id: str, draft: TemplateDraft, *, at: datetime) -> Template:
        """Save *draft* in the place of what is there.

        Raises:
            Conflict: a run of it is active.
        """
        values = _columns(draft) | {"updated_at": at}
        with store_errors(), self._engine.begin() as connection:
            _existing(connection, template_id)
            _refuse_while_active(connection, template_id)
            connection.execute(_at(TEMPLATES.update(), template_id).values(values))
            return _template(_existing(connection, template_id))

    def remove(self, template_id: str) -> None:
        """Delete the template; its runs keep the configuration that they were created with.

        Raises:
            Conflict: a run of it is active.
        """
        with store_errors(), self._engine.begin() as connection:
            _existing(connection, template_id)
            _refuse_while_active(connection, template_id)
            connection.execute(TEMPLATES.delete().where(TEMPLATES.c.template_id == template_id))


def _at(update: sa.Update, template_id: str) -> sa.Update:
    return update.where(TEMPLATES.c.template_id == template_id)


def _existing(connection: sa.Connection, template_id: str) -> sa.Row[Any]:
    found = TEMPLATES.select().where(TEMPLATES.c.template_id == template_id)
    row = connection.execute(found).first()
    if row is None:
        raise NotFound(f"Template not found: {one_line(template_id, 80)}")
    return row


def _refuse_while_active(connection: sa.Connection, template_id: str) -> None:
    active = sa.select(RUNS.c.run_id).where(
        RUNS.c.template_id == template_id, RUNS.c.status.in_(ACTIVE)
    )
    run_id = connection.scalar(active)
    if run_id is not None:
        raise Conflict(
            f"Run {run_id} of this template is active.",
            hint="Wait for the end of the run, or stop it first.",
        )


def _columns(draft: TemplateDraft) -> dict[str, object]:
    """What of a row the draft decides.

    Raises:
        InvalidInput: it holds what could be stored, and never be shown again.
    """
    _json_text(draft)
    return {
        "template_name": draft.template_name,
        "description": draft.description,
        "config": config_text(draft.config),
        "connection_id": draft.config.connection_id,
        "tags": draft.tags,
    }


def config_text(config: TemplateConfig) -> str:
    """*config* as it is stored, unknown keys included.

    Raises:
        InvalidInput: an unknown key holds what JSON text cannot.
    """
    return _json_text(config)


def _json_text(value: TemplateDraft | TemplateConfig) -> str:
    try:
        text = value.model_dump_json()
        # What is written may be nested more deeply than what is read.
        from_json(text)
    except (PydanticSerializationError, ValueError) as exc:
        raise InvalidInput(
            "The template holds a tag or a key that cannot be stored: it is nested too deeply or "
            "is not Unicode text."
        ) from exc
    return text


def _template(row: sa.Row[Any]) -> Template:
    return Template(
        template_id=row.template_id,
        template_name=row.template_name,
        description=row.description,
        config=TemplateConfig.model_validate_json(row.config),
        created_at=row.created_at,
        updated_at=row.updated_at,
        tags=row.tags,
        usage_count=row.usage_count,
        last_used_at=row.last_used_at,
    )
