"""The tables of channels and outcomes: what there is from the code, what it means from here.

A channel or an outcome without words, and words without one, are errors.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from benchgate.domain.answers import StartOutcome
from benchgate.domain.approvals import Channel
from benchgate.gate.approvals.channels import ASK_WAIT_SECONDS, HOSTS_THAT_WAIT

K = TypeVar("K", bound=StrEnum)

CHANNEL_HEAD = ("Channel", "When it is used", "What it guarantees", "What it cannot", "Evidence")
CHANNELS: dict[Channel, tuple[str, str, str, str]] = {
    Channel.ELICITATION: (
        "The host can show a form (MCP elicitation), and no PIN is set.",
        "The host puts the question, not the model; only a *yes* chosen in it counts.",
        "A host that answers by itself, or lets the model fill in the form, is not noticed.",
        "The best, in a host that you trust",
    ),
    Channel.URL: (
        "The host can open a link for its person, and shows no form or a PIN is set.",
        "The host offers the link, and the answer is given on the page; opening it is none.",
        "As the page.",
        "Good; with a PIN the best; its yes is recorded as `page`",
    ),
    Channel.PAGE: (
        "No dialog can be used or had its chance; the tool's answer carries the link.",
        "Neither host nor model is between: only the page's own form, in the browser that it "
        "was given to, answers.",
        "A program with your rights can do what a browser can; a PIN raises the bar.",
        "Good; with a PIN the best",
    ),
    Channel.TERMINAL: (
        "Beside the page, by `benchgate approvals`; and from a machine without a browser.",
        "Neither host nor model is between; a pipe is refused, and *yes* is typed in full.",
        "A program with your rights can open a terminal of its own; a PIN raises the bar.",
        "Good; with a PIN the best",
    ),
    Channel.CHAT: (
        "Only if you name it, where no dialog can be used or had its chance, and without a PIN.",
        "The agent was given the question with a one-time code; only a plain yes counts.",
        "Nothing proves that the words are yours: the agent writes them down.",
        "Weak, and recorded as what it is",
    ),
}

OUTCOME_HEAD = ("Outcome", "What happened", "What comes next")
OUTCOMES: dict[StartOutcome, tuple[str, str]] = {
    StartOutcome.STARTED: ("The run was started, on a yes.", "Watch it with `get_status`."),
    StartOutcome.DECLINED: (
        "The person said no.",
        "Nothing, unless the run changes or the person opens the question again.",
    ),
    StartOutcome.CANCELLED: (
        "The dialog was closed without an answer.",
        "Ask the person what they want; `start_run` may put the question once more.",
    ),
    StartOutcome.MODIFY_REQUESTED: (
        "The person wants something else, and their note says what.",
        "`create_run` with `changes`, then ask about the new run.",
    ),
    StartOutcome.NOT_CREDIBLE: (
        "What came back was none of the answers that were offered, or came too soon.",
        "Tell the person what came back; `start_run` may put the question once more.",
    ),
    StartOutcome.EXPIRED: (
        "The question, or the yes to it, was too old.",
        "`start_run` puts a fresh question.",
    ),
    StartOutcome.CLIENT_ERROR: (
        "The client failed, or came back without an answer.",
        "The question stays open on page and terminal.",
    ),
    StartOutcome.NO_CAPABILITY: (
        "There is no channel to a person, or none but a dialog that had its chance.",
        "Another host, or another `BENCHGATE_APPROVAL_CHANNELS`.",
    ),
    StartOutcome.AWAITING_APPROVAL: (
        "Nobody has answered yet.",
        "Hand the link on, wait with `get_status`, and call `start_run` after the yes.",
    ),
    StartOutcome.ALREADY_ASKED: (
        "Another call shows the dialog at this moment.",
        "Wait with `get_status`.",
    ),
    StartOutcome.WAITING: (
        "The person said yes to a comparison that runs by itself, and another run is in the way.",
        "It starts when that has ended: watch it with `get_comparison`.",
    ),
    StartOutcome.REFUSED: (
        "It cannot start now: it runs or ran already, another run is active, a yes against the "
        "pre-flight came without the name, or what was asked about changed too often.",
        "The reason says what; `get_status` and `preflight` tell more.",
    ),
}

PATIENCE_HEAD = ("Host, as it names itself", "A dialog waits")


def channel_rows() -> list[tuple[str, ...]]:
    """Every channel, best first."""
    return _rows(Channel, CHANNELS)


def outcome_rows() -> list[tuple[str, ...]]:
    """Every outcome of `start_run`."""
    return _rows(StartOutcome, OUTCOMES)


def patience_rows() -> list[tuple[str, str]]:
    """Every host that is known to wait, and all others."""
    hosts = sorted(HOSTS_THAT_WAIT, key=str.casefold)
    known = [(f"`{host}`", "as long as its question may be answered") for host in hosts]
    return [*known, ("every other", f"{ASK_WAIT_SECONDS} s")]


def _rows(kinds: type[K], words: Mapping[K, tuple[str, ...]]) -> list[tuple[str, ...]]:
    assert list(kinds) == list(words), f"each {kinds.__name__} needs its words, in order"
    return [(f"`{kind}`", *words[kind]) for kind in kinds]
