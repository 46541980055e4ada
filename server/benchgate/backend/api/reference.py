"""`/api/docs`: the OpenAPI description as a page to read, without script or other servers."""

from importlib import resources

import jinja2
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse

PAGE = "reference.html"


def routes() -> APIRouter:
    """The page, rendered from the app that serves it."""
    router = APIRouter(include_in_schema=False)
    text = (resources.files("benchgate.backend.api") / PAGE).read_text(encoding="utf-8")
    page = jinja2.Environment(autoescape=True).from_string(text)

    @router.get("/api/docs")
    def read_reference(request: Request) -> HTMLResponse:
        described = request.app.openapi()
        schemas = described["components"]["schemas"]
        return HTMLResponse(
            page.render(info=described["info"], paths=described["paths"], schemas=schemas)
        )

    return router
