"""Puts one form question to the person behind a client, in both eras of the protocol.

Until 2025-11-25 the server calls the client and waits. Since 2026-07-28 it never calls: it
returns the question, and the client repeats the tool call with the answer. What comes back is
handed on exactly as it came; whether it is a yes is for `domain.approvals` to say. The SDK's own
resolver is not used: it validates an answer before anyone can record it, and it waits without
limit.
"""

from collections.abc import Mapping
from enum import StrEnum

import anyio
from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError
from mcp.types import (
    ClientCapabilities,
    ElicitRequest,
    ElicitRequestedSchema,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
)
from pydantic import ValidationError

from benchgate.domain.approvals import (
    DECISION_FIELD,
    DECISIONS,
    NOTE_CHARACTERS_MAX,
    NOTE_FIELD,
    Asked,
    Channel,
)
from benchgate.domain.text import one_line
from benchgate.domain.values import Value

MULTI_ROUND_SINCE = "2026-07-28"
PROGRESS_INTERVAL_SECONDS = 10
QUESTION_KEY = "start"

FORM: ElicitRequestedSchema = {
    "type": "object",
    "properties": {
        DECISION_FIELD: {
            "type": "string",
            "title": "Start this test?",
            "enum": list(DECISIONS),
        },
        NOTE_FIELD: {
            "type": "string",
            "title": "Note, for example what to modify",
            "maxLength": NOTE_CHARACTERS_MAX,
        },
    },
    "required": [DECISION_FIELD],
}


class Silence(StrEnum):
    """Why no reply came."""

    TIME = "time"  # the person has not answered within our limit
    CLIENT = "client"  # the client failed, or returned the call without an answer


class Reply(Value):
    """A dialog's outcome as the client reported it."""

    action: str
    content: Mapping[str, object] | None = None


# What a client sent that the protocol does not know as an answer: accepted, with nothing in it.
UNREADABLE = Reply(action="accept")


def asked_through(ctx: Context) -> Asked:
    """Who is asked, as far as the client says."""
    params = ctx.session.client_params
    info = params.client_info if params else None
    return Asked(
        channel=Channel.ELICITATION,
        client_name=one_line(info.name if info else "", 255),
        client_version=one_line(info.version if info else "", 255),
        protocol_version=ctx.protocol_version or "",
    )


def can_ask(capabilities: ClientCapabilities | None) -> bool:
    """Whether a client with *capabilities* can show a form."""
    elicitation = capabilities.elicitation if capabilities else None
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)


def is_multi_round(ctx: Context) -> bool:
    """Whether questions are returned to this client rather than sent to it."""
    return (ctx.protocol_version or "") >= MULTI_ROUND_SINCE


def question_to_return(question: str, *, state: str) -> InputRequiredResult:
    """The question for a client of the multi-round era; *state* comes back with the answer."""
    form = ElicitRequestFormParams(message=question, requested_schema=FORM)
    return InputRequiredResult(
        input_requests={QUESTION_KEY: ElicitRequest(params=form)}, request_state=state
    )


def returned_reply(ctx: Context) -> Reply | Silence:
    """What a client of the multi-round era answered with this call."""
    response = (ctx.input_responses or {}).get(QUESTION_KEY)
    if not isinstance(response, ElicitResult):
        return Silence.CLIENT
    return Reply(action=response.action, content=response.content)


async def reply_of(
    ctx: Context, question: str, *, began: float, wait_seconds: float
) -> Reply | Silence:
    """Ask a client of the older era, and wait until *wait_seconds* after *began*.

    Progress is sent meanwhile, because some hosts extend their own limit for it. Leaving the
    wait withdraws the dialog.
    """
    reply: Reply | Silence = Silence.TIME
    with anyio.CancelScope(deadline=began + wait_seconds):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_keep_alive, ctx, began, wait_seconds)
            try:
                result = await ctx.session.elicit_form(
                    question, FORM, ctx.request_context.request_id
                )
                reply = Reply(action=result.action, content=result.content)
            except MCPError:
                reply = Silence.CLIENT
            except ValidationError:
                reply = UNREADABLE
            tasks.cancel_scope.cancel()
    return reply


async def _keep_alive(ctx: Context, began: float, wait_seconds: float) -> None:
    while True:
        await anyio.sleep(PROGRESS_INTERVAL_SECONDS)
        waited_seconds = anyio.current_time() - began
        await ctx.report_progress(waited_seconds, wait_seconds, "Waiting for the person's answer")
