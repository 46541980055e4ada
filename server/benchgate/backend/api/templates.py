"""`/api/templates`: the saved test configurations."""

import anyio.to_thread
from fastapi import APIRouter

from benchgate.backend.clock import Clock, new_id
from benchgate.backend.engine.capacity import search_bound
from benchgate.backend.engine.conductor import Conductor
from benchgate.backend.engine.preflight import Preflight, foreseen
from benchgate.backend.engine.targets import Targets
from benchgate.backend.templates import TemplateTable
from benchgate.domain.contract import TemplateReadiness
from benchgate.domain.preflight import may_proceed
from benchgate.domain.templates import Template, TemplateDraft


def routes(templates: TemplateTable, clock: Clock) -> APIRouter:
    """The routes over *templates*."""
    router = APIRouter(prefix="/api/templates", tags=["templates"])

    @router.get("")
    def list_templates() -> list[Template]:
        """All templates, the newest first (at most 1,000)."""
        return templates.all()

    @router.post("", status_code=201)
    def create_template(draft: TemplateDraft) -> Template:
        """Save a new template."""
        return templates.add(draft, template_id=new_id("tpl"), at=clock())

    @router.get("/{template_id}")
    def get_template(template_id: str) -> Template:
        """One template."""
        return templates.get(template_id)

    @router.put("/{template_id}")
    def replace_template(template_id: str, draft: TemplateDraft) -> Template:
        """Save another configuration in its place; 409 while a run of it is active."""
        return templates.replace(template_id, draft, at=clock())

    @router.delete("/{template_id}", status_code=204)
    def delete_template(template_id: str) -> None:
        """Delete it; its runs stay. 409 while a run of it is active."""
        templates.remove(template_id)

    return router


def readiness_routes(
    templates: TemplateTable,
    conductor: Conductor,
    preflight: Preflight,
    *,
    targets: Targets,
) -> APIRouter:
    """The route that tells how a template stands before there is a run of it."""
    router = APIRouter(prefix="/api/templates", tags=["templates"])

    @router.get("/{template_id}/readiness")
    async def get_readiness(template_id: str) -> TemplateReadiness:
        """What to know before a run is made; no database is looked at while another is loaded."""
        template = await anyio.to_thread.run_sync(templates.get, template_id)
        config = template.config
        connection = await anyio.to_thread.run_sync(targets.described, config)
        active_run_id = conductor.active_run_id
        is_idle = active_run_id is None
        warnings = await preflight.warnings(config) if is_idle else foreseen(config)
        return TemplateReadiness(
            template=template,
            connection=connection,
            copies_writes=config.copies_writes,
            bound=search_bound(config),
            active_run_id=active_run_id,
            warnings=tuple(warnings),
            can_proceed=may_proceed(warnings),
        )

    return router
