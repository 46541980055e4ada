"""Which channels lead to a person, and how long their host waits."""

import pytest
from mcp.types import (
    ClientCapabilities,
    ElicitationCapability,
    FormElicitationCapability,
    UrlElicitationCapability,
)

from benchgate.domain.approvals import Channel
from benchgate.gate.approvals.channels import ASK_WAIT_SECONDS, HOSTS_THAT_WAIT, Channels

QUESTION_TTL_SECONDS = 1_800
FORM = ElicitationCapability(form=FormElicitationCapability())
LINK = ElicitationCapability(url=UrlElicitationCapability())
BOTH = ElicitationCapability(form=FormElicitationCapability(), url=UrlElicitationCapability())
UNNAMED = ElicitationCapability()


def channels_of(
    *allowed: Channel, has_pin: bool = False, ask_wait_seconds: int | None = None
) -> Channels:
    return Channels(
        allowed or tuple(Channel),
        has_pin=lambda: has_pin,
        question_ttl_seconds=QUESTION_TTL_SECONDS,
        ask_wait_seconds=ask_wait_seconds,
    )


@pytest.mark.parametrize(
    ("declared", "has_pin", "dialog"),
    [
        (None, False, None),
        (FORM, False, Channel.ELICITATION),
        (UNNAMED, False, Channel.ELICITATION),
        (LINK, False, Channel.URL),
        (BOTH, False, Channel.ELICITATION),
        (FORM, True, None),
        (UNNAMED, True, None),
        (LINK, True, Channel.URL),
        (BOTH, True, Channel.URL),
    ],
)
def test_a_dialog_is_the_best_that_a_client_declares_and_none_asks_for_a_pin_in_a_form(
    declared: ElicitationCapability | None, has_pin: bool, dialog: Channel | None
) -> None:
    capabilities = ClientCapabilities(elicitation=declared)
    ways = channels_of(has_pin=has_pin).ways_to(capabilities)
    assert ways.dialog is dialog
    assert ways.first is (dialog or Channel.PAGE)
    assert ways.chat is not has_pin
    assert channels_of(has_pin=has_pin).ways_to(None).dialog is None


@pytest.mark.parametrize("only", Channel)
def test_a_channel_that_is_not_named_is_not_used(only: Channel) -> None:
    ways = channels_of(only).ways_to(ClientCapabilities(elicitation=BOTH))
    assert ways.first is only
    used = {ways.dialog, *(c for c in Channel if getattr(ways, c.value, False))} - {None}
    assert used == {only}


def test_without_a_channel_that_fits_nobody_can_be_asked() -> None:
    assert channels_of(Channel.ELICITATION, Channel.URL).ways_to(None).first is None
    assert channels_of(Channel.CHAT, has_pin=True).ways_to(None).first is None


def test_questions_wait_on_the_page_before_the_terminal_and_in_the_chat_last() -> None:
    without_page = channels_of(Channel.CHAT, Channel.TERMINAL).ways_to(None)
    assert channels_of().ways_to(None).fallback is Channel.PAGE
    assert without_page.fallback is Channel.TERMINAL
    assert channels_of(Channel.CHAT).ways_to(None).fallback is Channel.CHAT


@pytest.mark.parametrize("host", [*sorted(HOSTS_THAT_WAIT), "some-host", "Claude-Code", ""])
def test_a_dialog_stays_for_the_questions_life_only_in_hosts_that_are_known_to_wait(
    host: str,
) -> None:
    assert ASK_WAIT_SECONDS == 55
    expected = QUESTION_TTL_SECONDS if host in HOSTS_THAT_WAIT else ASK_WAIT_SECONDS
    assert channels_of().wait_seconds(host) == expected
    assert channels_of(ask_wait_seconds=7).wait_seconds(host) == 7
