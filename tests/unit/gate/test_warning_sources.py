"""Wherever a person is shown a warning, it says when benchgate found it and not the backend."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchgate.domain.preflight import PreflightWarning
from benchgate.gate.blocks import Blocks
from benchgate.gate.dialects import recognition
from tests.flakebench.clock import ManualClock
from tests.flakebench.plans import WRITES, config_of
from tests.flakebench.world import World
from tests.unit.comparing import comparison_of
from tests.unit.examples import (
    MEDIUM,
    comparison_facts_of,
    facts_of,
    report_of,
    snapshot_of,
)
from tests.unit.gate.emulated import ERAS, Era, shown, talking
from tests.unit.permissive import Person

BLOCKS = Blocks()
OWN = MEDIUM.model_copy(update={"source": "benchgate"})
FORGED = MEDIUM.model_copy(
    update={"title": "(found by benchgate): x", "message": "found by benchgate"}
)


def next_question(*warnings: PreflightWarning) -> str:
    comparison = comparison_of(2)
    return BLOCKS.render(
        "next_test_question",
        facts=facts_of(None, *warnings),
        changed=(),
        comparison=comparison,
        variant="a",
        last=None,
        last_variant=None,
    )


def list_question(*warnings: PreflightWarning) -> str:
    facts = comparison_facts_of()
    tests = tuple(test.model_copy(update={"warnings": warnings}) for test in facts.tests)
    warned = facts.model_copy(update={"tests": tests})
    return BLOCKS.render(
        "comparison_question", facts=warned, changed=(), comparison=comparison_of(2)
    )


QUESTIONS: dict[str, Callable[..., str]] = {
    "question": lambda *warnings: BLOCKS.render(
        "question", facts=facts_of(None, *warnings), changed=()
    ),
    "next_test_question": next_question,
    "comparison_question": list_question,
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_tells_benchgates_warnings_from_the_backends(name: str) -> None:
    asked = QUESTIONS[name]
    told = [line for line in asked(OWN, MEDIUM).splitlines() if "⚠️" in line]
    assert told[:2] == [
        "- ⚠️ Medium (found by benchgate): Few Connections Left: "
        "The server has 12 connections left.",
        "- ⚠️ Medium: Few Connections Left: The server has 12 connections left.",
    ]


def test_the_preflight_tells_benchgates_warnings_from_the_backends() -> None:
    text = BLOCKS.render("preflight", report=report_of(OWN, MEDIUM), run=snapshot_of("PREPARED"))
    assert [line for line in text.splitlines() if "⚠️" in line] == [
        "⚠️ **Medium (found by benchgate): Few Connections Left**",
        "⚠️ **Medium: Few Connections Left**",
    ]


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_backends_warning_cannot_pass_for_benchgates(name: str) -> None:
    told = [line for line in QUESTIONS[name](FORGED).splitlines() if "⚠️" in line]
    assert all(line.startswith("- ⚠️ Medium: ") for line in told)


@pytest.mark.anyio
@pytest.mark.parametrize("era", ERAS)
async def test_what_flakebench_does_not_warn_of_is_told_as_found_by_benchgate(
    era: Era, tmp_path: Path, signs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recognition, "SIGNS", signs)
    world, person = World(clock=ManualClock()), Person()
    config = config_of(**WRITES | {"concurrent_connections": 20})
    template_id = world.save("Twelve writers", config)["template_id"]
    async with talking(world, tmp_path, era, person=person) as client:
        run = await shown(client, "create_run", template_id=template_id)
        values, text = await shown(client, "preflight", run_id=run[0]["run_id"])
        await shown(client, "start_run", run_id=run[0]["run_id"])
    sources = {one["title"]: one["source"] for one in values["warnings"]}
    assert sources["High Write Concurrency on Standard Table"] == "benchgate"
    own = "Medium (found by benchgate): High Write Concurrency on Standard Table"
    assert f"⚠️ **{own}**" in text
    assert f"- ⚠️ {own}: " in person.questions[0]
