"""`/api/templates`: the saved test configurations."""

from fastapi import APIRouter

from benchgate.backend.clock import Clock, new_id
from benchgate.backend.templates import TemplateTable
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
