"""Hosts with faults of their own, on the wire: what they send and drop, line by line over stdio."""

import json
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.approver import Approver
from tests.acceptance.home import Home

PROGRAM = Path(sys.executable).with_name("benchgate")
END_SECONDS_MAX = 10
YES = {"action": "accept", "content": {"decision": "yes"}}

Message = dict[str, Any]


class Wire:
    """A host of the older era that writes and reads the messages themselves."""

    def __init__(self, process: subprocess.Popen[str], elicitation: Message) -> None:
        self._process = process
        self._calls = 0
        self.send(
            id="init",
            method="initialize",
            params={
                "protocolVersion": "2025-11-25",
                "capabilities": {"elicitation": elicitation},
                "clientInfo": {"name": "wire", "version": "1"},
            },
        )
        self.receive(lambda message: message.get("id") == "init")
        self.send(method="notifications/initialized")

    def send(self, **message: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self._process.stdin.flush()

    def receive(self, wanted: Callable[[Message], bool]) -> Message:
        """The next message that is *wanted*; every line before it is a message too."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message = json.loads(line)
            assert message["jsonrpc"] == "2.0"
            if wanted(message):
                return message
        raise AssertionError("the server has ended")

    def begin(self, tool: str, **arguments: object) -> str:
        """Call *tool* without waiting for its result; returns the call's id."""
        self._calls += 1
        call_id = f"call-{self._calls}"
        self.send(id=call_id, method="tools/call", params={"name": tool, "arguments": arguments})
        return call_id

    def result(self, call_id: str) -> Message:
        """The structured content that *call_id* came to."""
        answer = self.receive(lambda m: m.get("id") == call_id and "method" not in m)
        return answer["result"]["structuredContent"]

    def call(self, tool: str, **arguments: object) -> Message:
        return self.result(self.begin(tool, **arguments))

    def heard(self, call_id: str) -> Message:
        """The question that *call_id* leads to, or its result where it leads to none."""
        return self.receive(
            lambda m: m.get("method") == "elicitation/create" or m.get("id") == call_id
        )

    def question(self) -> Message:
        return self.receive(lambda m: m.get("method") == "elicitation/create")


@contextmanager
def wire(home: Home, elicitation: Message | None = None) -> Generator[Wire]:
    """A server process with such a host at its other end, which declares *elicitation*."""
    process = subprocess.Popen(
        [str(PROGRAM)],
        env={"BENCHGATE_DATA_DIR": str(home.settings.data_dir), "BENCHGATE_ASK_WAIT_SECONDS": "5"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        try:
            yield Wire(process, elicitation or {})
        finally:
            process.kill()
            process.wait(END_SECONDS_MAX)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"action": "maybe", "content": {"decision": "yes"}},
        {"action": "accept", "content": "yes"},
        {"action": "accept", "content": {"decision": {"value": "yes"}}},
    ],
    ids=str,
)
def test_an_answer_that_the_protocol_does_not_know_is_not_credible(
    home: Home, answer: Message
) -> None:
    with wire(home) as host:
        created = host.call("create_run", template_id=home.template())
        call_id = host.begin("start_run", run_id=created["run_id"])
        host.send(id=host.question()["id"], result=answer)
        assert host.result(call_id)["outcome"] == "not_credible"
    assert home.status(created["run_id"]) == "PREPARED"


def test_a_cancelled_call_withdraws_its_dialog_and_a_late_yes_starts_nothing(home: Home) -> None:
    with wire(home) as host:
        created = host.call("create_run", template_id=home.template())
        call_id = host.begin("start_run", run_id=created["run_id"])
        asked = host.question()
        host.send(method="notifications/cancelled", params={"requestId": call_id})
        withdrawn = host.receive(lambda m: m.get("method") == "notifications/cancelled")
        assert withdrawn["params"]["requestId"] == asked["id"]
        host.send(id=asked["id"], result=YES)
        status = host.call("get_status", run_id=created["run_id"])
        assert status["status"] == "PREPARED"

        call_id = host.begin("start_run", run_id=created["run_id"])
        again = host.question()
        assert again["params"]["message"] == asked["params"]["message"]
        host.send(id=again["id"], result=YES)
        assert host.result(call_id)["outcome"] == "started"
        host.call("get_status", run_id=created["run_id"], wait_seconds=25)


def test_a_server_that_is_killed_while_it_asks_leaves_a_run_that_is_asked_about_again(
    home: Home,
) -> None:
    with wire(home) as host:
        created = host.call("create_run", template_id=home.template())
        host.begin("start_run", run_id=created["run_id"])
        asked = host.question()
    with wire(home) as host:
        host.send(id=asked["id"], result=YES)
        assert host.call("get_status", run_id=created["run_id"])["status"] == "PREPARED"
        # As long as the killed server's dialog may still stand there, none is put beside it.
        call_id = host.begin("start_run", run_id=created["run_id"])
        while "method" not in (heard := host.heard(call_id)):
            assert heard["result"]["structuredContent"]["outcome"] == "already_asked"
            host.call("get_status", run_id=created["run_id"], wait_seconds=1)
            call_id = host.begin("start_run", run_id=created["run_id"])
        host.send(id=heard["id"], result={"action": "decline"})
        assert host.result(call_id)["outcome"] == "declined"
    assert home.status(created["run_id"]) == "PREPARED"


def test_a_host_that_opens_links_is_told_when_the_page_has_its_answer(home: Home) -> None:
    with wire(home, {"url": {}}) as host:
        created = host.call("create_run", template_id=home.template())
        call_id = host.begin("start_run", run_id=created["run_id"])
        asked = host.question()
        assert (asked["params"]["mode"], asked["params"]["message"].splitlines()[0]) == (
            "url",
            "## Ready to start test",
        )
        assert asked["params"]["url"].startswith("http://127.0.0.1:")
        Approver(home).says_yes(created["run_id"])
        host.send(id=asked["id"], result={"action": "accept"})
        done = host.receive(lambda m: m.get("method") == "notifications/elicitation/complete")
        assert done["params"]["elicitationId"] == asked["params"]["elicitationId"]
        assert host.result(call_id)["outcome"] == "started"
        host.call("get_status", run_id=created["run_id"], wait_seconds=25)
