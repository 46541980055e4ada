"""Puts one question to the person behind a client, in both eras of the protocol.

Until 2025-11-25 the server calls the client and waits. Since 2026-07-28 it never calls: it
returns the question, and the client repeats the tool call with the answer. What comes back is
handed on exactly as it came; whether it is a yes is for `domain.answers` to say. The SDK's own
resolver is not used: it validates an answer before anyone can record it, and it waits without
limit.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum

import anyio
from mcp.server.mcpserver import Context
from mcp.server.request_state import authenticated_principal
from mcp.shared.exceptions import MCPError
from mcp.types import (
    ElicitRequest,
    ElicitRequestedSchema,
    ElicitRequestFormParams,
    ElicitRequestURLParams,
    ElicitResult,
    InputRequiredResult,
)
from pydantic import ValidationError

from benchgate.domain.answers import (
    DECISION_FIELD,
    DECISIONS,
    MODE_FIELD,
    MODES,
    NOTE_CHARACTERS_MAX,
    NOTE_FIELD,
    TYPED_FIELD,
)
from benchgate.domain.approvals import Asked, Channel, ExecutionMode
from benchgate.domain.text import one_line
from benchgate.domain.values import Value
from benchgate.errors import InvalidInput

MULTI_ROUND_SINCE = "2026-07-28"
PROGRESS_INTERVAL_SECONDS = 10
BEAT_INTERVAL_SECONDS = 1
QUESTION_KEY = "start"
CLIENT_CHARACTERS_MAX = 255


class Prompt(Value):
    """A question as a client is to show it: a form, or a link to open."""

    question: str
    typed: str | None = None  # the name that a yes has to come with
    asks_mode: bool = False  # whether a yes may come with how several tests are to run
    url: str | None = None
    elicitation_id: str = ""


class SealedState(Value):
    """What travels with a question to a multi-round client and back, sealed."""

    approval_id: str
    digest: str
    channel: Channel
    reasks: int
    asked_at_epoch: float


class Silence(StrEnum):
    """Why no reply came."""

    TIME = "time"  # the person has not answered within our limit
    CLIENT = "client"  # the client failed, or returned the call without an answer
    ELSEWHERE = "elsewhere"  # the question was answered on another channel


class Reply(Value):
    """A dialog's outcome as the client reported it, and how long it took."""

    action: str
    content: Mapping[str, object] | None = None
    seconds: float = 0


def asked_through(ctx: Context, channel: Channel) -> Asked:
    """Who is asked, as far as the client says."""
    params = ctx.session.client_params
    info = params.client_info if params else None
    return Asked(
        channel=channel,
        client_name=client_name(ctx),
        client_version=one_line(info.version if info else "", CLIENT_CHARACTERS_MAX),
        protocol_version=ctx.protocol_version or "",
        principal=authenticated_principal(ctx.request_context),
    )


def client_name(ctx: Context) -> str:
    """What the client calls itself; nothing proves it."""
    params = ctx.session.client_params
    return one_line(params.client_info.name, CLIENT_CHARACTERS_MAX) if params else ""


def is_multi_round(ctx: Context) -> bool:
    """Whether questions are returned to this client rather than sent to it."""
    return (ctx.protocol_version or "") >= MULTI_ROUND_SINCE


def form(prompt: Prompt) -> ElicitRequestedSchema:
    """The fields of the form that *prompt* is shown as."""
    schema: ElicitRequestedSchema = {
        "type": "object",
        "properties": {
            DECISION_FIELD: {
                "type": "string",
                "title": "Start these tests?" if prompt.asks_mode else "Start this test?",
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
    if prompt.asks_mode:
        schema["properties"][MODE_FIELD] = _mode_field()
    if prompt.typed is not None:
        schema["properties"][TYPED_FIELD] = {
            "type": "string",
            "title": "To start it all the same, type the name of the test",
            "maxLength": NOTE_CHARACTERS_MAX,
        }
    return schema


def _mode_field() -> dict[str, object]:
    """How several tests are to run; it need not be said, and is the pause then."""
    default = next(label for label, mode in MODES.items() if mode is ExecutionMode.PAUSE)
    return {
        "type": "string",
        "title": "How? A) all tests sequentially, B) pause after each test (the default)",
        "enum": list(MODES),
        "default": default,
    }


def question_to_return(prompt: Prompt, state: SealedState) -> InputRequiredResult:
    """The question for a client of the multi-round era; *state* comes back with the answer."""
    params = (
        ElicitRequestURLParams(message=prompt.question, url=prompt.url)
        if prompt.url
        else ElicitRequestFormParams(message=prompt.question, requested_schema=form(prompt))
    )
    return InputRequiredResult(
        input_requests={QUESTION_KEY: ElicitRequest(params=params)},
        request_state=state.model_dump_json(),
    )


def sealed_state(text: str) -> SealedState:
    """The state that came back with a call, opened.

    Raises:
        InvalidInput: it is of another version of this server.
    """
    try:
        return SealedState.model_validate_json(text)
    except ValidationError as exc:
        raise InvalidInput(
            "The question that this answers was put by another version of benchgate.",
            hint="Call start_run again without the state: the question is then put anew.",
        ) from exc


def returned_reply(ctx: Context, state: SealedState) -> Reply | Silence:
    """What a client of the multi-round era answered with this call."""
    response = (ctx.input_responses or {}).get(QUESTION_KEY)
    if not isinstance(response, ElicitResult):
        return Silence.CLIENT
    seconds = time.time() - state.asked_at_epoch
    return Reply(action=response.action, content=response.content, seconds=seconds)


async def reply_of(
    ctx: Context,
    prompt: Prompt,
    *,
    deadline: float,
    goes_on: Callable[[], Awaitable[bool]],
) -> Reply | Silence:
    """Ask a client of the older era, and wait until *deadline*.

    Progress is sent meanwhile, because some hosts extend their own limit for it. Leaving the
    wait withdraws the dialog; so does *goes_on*, asked once a second, when it says no.
    """
    reply: Reply | Silence = Silence.TIME
    with anyio.CancelScope(deadline=deadline):
        async with anyio.create_task_group() as tasks:

            async def attend() -> None:
                nonlocal reply
                is_open = True
                while is_open:
                    await anyio.sleep(BEAT_INTERVAL_SECONDS)
                    is_open = await goes_on()
                # An answer that came while this looked is the person's, and stays so.
                if reply is Silence.TIME:
                    reply = Silence.ELSEWHERE
                tasks.cancel_scope.cancel()

            tasks.start_soon(attend)
            tasks.start_soon(_keep_alive, ctx, deadline)
            reply = await _ask(ctx, prompt)
            tasks.cancel_scope.cancel()
    return reply


async def complete(ctx: Context, prompt: Prompt) -> None:
    """Tell a client of the older era that the page behind its link has its answer."""
    if prompt.url and not is_multi_round(ctx):
        await ctx.session.send_elicit_complete(
            prompt.elicitation_id, ctx.request_context.request_id
        )


async def _ask(ctx: Context, prompt: Prompt) -> Reply | Silence:
    shown = anyio.current_time()
    request_id = ctx.request_context.request_id
    try:
        if prompt.url:
            result = await ctx.session.elicit_url(
                prompt.question, prompt.url, prompt.elicitation_id, request_id
            )
        else:
            result = await ctx.session.elicit_form(prompt.question, form(prompt), request_id)
    except MCPError:
        return Silence.CLIENT
    except ValidationError:
        # What a client sent that the protocol does not know as an answer: accepted, but empty.
        return Reply(action="accept", seconds=anyio.current_time() - shown)
    seconds = anyio.current_time() - shown
    return Reply(action=result.action, content=result.content, seconds=seconds)


async def _keep_alive(ctx: Context, deadline: float) -> None:
    began = anyio.current_time()
    while True:
        await anyio.sleep(PROGRESS_INTERVAL_SECONDS)
        waited_seconds = anyio.current_time() - began
        await ctx.report_progress(
            waited_seconds, deadline - began, "Waiting for the person's answer"
        )
