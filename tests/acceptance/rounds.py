"""A client of the multi-round era that drives each round by hand."""

from typing import Any

from mcp import Client
from mcp.types import CallToolResult, ElicitResult, InputRequiredResult


class MultiRound:
    """A client of the multi-round era that drives each round by hand."""

    def __init__(self, client: Client, run_id: str) -> None:
        self._client = client
        self._run_id = run_id

    async def ask(self) -> InputRequiredResult:
        result = await self._round(None, None)
        assert isinstance(result, InputRequiredResult)
        return result

    async def answer(self, asked: InputRequiredResult, reply: ElicitResult) -> dict[str, Any]:
        assert asked.input_requests is not None
        result = await self._round(dict.fromkeys(asked.input_requests, reply), asked.request_state)
        assert isinstance(result, CallToolResult)
        assert result.structured_content is not None
        return result.structured_content

    async def _round(
        self, responses: Any, state: str | None, run_id: str = ""
    ) -> CallToolResult | InputRequiredResult:
        return await self._client.session.call_tool(
            "start_run",
            {"run_id": run_id or self._run_id},
            input_responses=responses,
            request_state=state,
            allow_input_required=True,
        )

    async def answer_for(
        self, run_id: str, asked: InputRequiredResult, reply: ElicitResult
    ) -> CallToolResult | InputRequiredResult:
        assert asked.input_requests is not None
        responses = dict.fromkeys(asked.input_requests, reply)
        return await self._round(responses, asked.request_state, run_id)
