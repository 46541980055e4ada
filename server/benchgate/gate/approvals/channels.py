"""Which channels lead to the person behind a client, best first, and how long a host waits.

Knows capabilities and settings; asks nobody.
"""

from collections.abc import Callable, Sequence

from mcp.types import ClientCapabilities

from benchgate.domain.approvals import Channel
from benchgate.domain.values import Value

ASK_WAIT_SECONDS = 55
# Hosts that let a tool take as long as its person does, by the name that they give themselves:
# Claude Code waits for days unless told otherwise (MCP_TOOL_TIMEOUT), and VS Code has no limit.
HOSTS_THAT_WAIT = frozenset({"claude-code", "Visual Studio Code", "Visual Studio Code - Insiders"})


class Ways(Value):
    """How a person can be reached now: by a dialog of their client, and by what has none."""

    dialog: Channel | None = None
    page: bool = False
    terminal: bool = False
    chat: bool = False

    @property
    def fallback(self) -> Channel | None:
        """Where a question waits that no dialog may put."""
        ways = {Channel.PAGE: self.page, Channel.TERMINAL: self.terminal, Channel.CHAT: self.chat}
        return next((channel for channel, is_open in ways.items() if is_open), None)

    @property
    def first(self) -> Channel | None:
        """The best of them; None where nobody can be reached."""
        return self.dialog or self.fallback


class Channels:
    """The channels that the operator allows."""

    def __init__(
        self,
        allowed: Sequence[Channel],
        *,
        has_pin: Callable[[], bool],
        question_ttl_seconds: int,
        ask_wait_seconds: int | None,
    ) -> None:
        """Where *has_pin* says so, only channels that can ask for the PIN count."""
        self._allowed = frozenset(allowed)
        self._has_pin = has_pin
        self._question_ttl_seconds = question_ttl_seconds
        self._ask_wait_seconds = ask_wait_seconds

    def ways_to(self, capabilities: ClientCapabilities | None) -> Ways:
        """How the person behind a client with *capabilities* can be reached."""
        has_pin = self._has_pin()
        dialog = None
        if not has_pin and can_show_form(capabilities) and Channel.ELICITATION in self._allowed:
            dialog = Channel.ELICITATION
        elif can_open_link(capabilities) and Channel.URL in self._allowed:
            dialog = Channel.URL
        return Ways(
            dialog=dialog,
            page=Channel.PAGE in self._allowed,
            terminal=Channel.TERMINAL in self._allowed,
            # A secret does not belong into a conversation.
            chat=Channel.CHAT in self._allowed and not has_pin,
        )

    def wait_seconds(self, client_name: str) -> float:
        """How long a call of that client may wait for its dialog."""
        if self._ask_wait_seconds is not None:
            return self._ask_wait_seconds
        waits = client_name in HOSTS_THAT_WAIT
        return self._question_ttl_seconds if waits else ASK_WAIT_SECONDS


def can_show_form(capabilities: ClientCapabilities | None) -> bool:
    """Whether a client with *capabilities* can show a form; naming no mode means forms."""
    elicitation = capabilities.elicitation if capabilities else None
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)


def can_open_link(capabilities: ClientCapabilities | None) -> bool:
    """Whether a client with *capabilities* can open a link for its person."""
    elicitation = capabilities.elicitation if capabilities else None
    return elicitation is not None and elicitation.url is not None
