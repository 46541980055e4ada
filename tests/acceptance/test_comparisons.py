"""Comparisons as whole conversations: sequential, with pauses, and what starts nothing."""

from typing import Any

import pytest
from mcp.types import ElicitResult

from benchgate.domain.approvals import Channel
from tests.acceptance.comparing import (
    PAUSE,
    SEQUENTIAL,
    YES_A,
    YES_B,
    Bench,
    lodge,
    quick_client_of,
    says,
)
from tests.acceptance.home import Home
from tests.acceptance.person import (
    DECLINED,
    DISMISSED,
    ERAS,
    NO,
    YES,
    Era,
    Person,
    call,
    text_of,
)

pytestmark = pytest.mark.anyio
both_eras = pytest.mark.parametrize("era", ERAS)


@pytest.fixture
def bench(home: Home, own_home: Home) -> Bench:
    return Bench(lodge(own_home, home))


def accepted(**content: object) -> ElicitResult:
    return ElicitResult.model_construct(action="accept", content=content)


NOT_A_YES = [
    (NO, "declined"),
    (DECLINED, "declined"),
    (DISMISSED, "cancelled"),
    (accepted(decision="modify", note="half the load"), "modify_requested"),
    (ElicitResult.model_construct(action="accept", content=None), "not_credible"),
    (accepted(), "not_credible"),
    (accepted(mode=SEQUENTIAL), "not_credible"),
    (accepted(decision="yes", mode="sequential"), "not_credible"),
    (accepted(decision="yes", mode="C) at once"), "not_credible"),
    (accepted(decision="yes", mode=[SEQUENTIAL]), "not_credible"),
    (accepted(decision=SEQUENTIAL), "not_credible"),
    (accepted(decision="yes", typed_name="test orders_1"), "not_credible"),
]


@both_eras
async def test_a_sequential_comparison_needs_one_yes_and_then_only_somebody_who_looks(
    bench: Bench, era: Era
) -> None:
    person = Person(YES_A)
    async with quick_client_of(bench.home.settings, era, person) as client:
        await bench.plan(client)
        started = await bench.start(client)
        told = await bench.until_state(client, "completed")
        handed = await bench.results(client)
    assert (started["outcome"], started["mode"]) == ("started", "sequential")
    assert len(person.questions) == 1
    assert bench.statuses() == [(0, "COMPLETED"), (1, "COMPLETED"), (2, "COMPLETED")]
    loads = bench.check_one_at_a_time()
    ids = [load["run_id"] for load in loads]
    assert handed["run_ids"] == ids == [run["run_id"] for run in bench.runs()]
    assert ids == [line["run_id"] for line in told["lines"]]
    assert ids[0] == started["run_id"]
    assert handed["comparison_type"] == "table sizes"
    assert handed["variants"] == ["Small", "Medium", "Large"]
    assert [evidence["mode"] for evidence in handed["approvals"]] == ["sequential"] * 3
    first, *others = [_figures(test) for test in handed["tests"]]
    assert "delta" not in first["average_qps"]
    for other in others:
        delta = other["average_qps"]["value"] - first["average_qps"]["value"]
        assert other["average_qps"]["delta"] == pytest.approx(delta)
        expected = 100 * delta / first["average_qps"]["value"]
        assert other["average_qps"]["delta_pct"] == pytest.approx(expected, abs=0.01)


def _figures(test: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {figure["metric"]: figure for figure in test["figures"]}


@both_eras
async def test_without_a_choice_it_pauses_and_a_no_to_the_second_test_keeps_the_rest_from_running(
    bench: Bench, era: Era
) -> None:
    person = Person(YES, NO)
    async with quick_client_of(bench.home.settings, era, person) as client:
        await bench.plan(client)
        started = await bench.start(client)
        paused = await bench.until_state(client, "paused")
        declined = await bench.start(client)
        again = await bench.start(client)
        told = await bench.look(client)
        handed = await bench.results(client)
    assert (started["outcome"], started["mode"]) == ("started", "pause")
    assert [line["status"] for line in paused["lines"]] == ["COMPLETED", "PENDING", "PENDING"]
    assert declined["outcome"] == again["outcome"] == "declined"
    assert (told["state"], told["approval"]) == ("paused", "declined")
    assert bench.statuses() == [(0, "COMPLETED"), (1, "PREPARED")]
    assert handed["status"] == "PAUSED"
    assert handed["run_ids"] == [started["run_id"]]
    assert [test["status"] for test in handed["tests"]] == ["COMPLETED", "PENDING", "PENDING"]
    whole, second = person.questions
    assert "You have 3 tests to run:\n1. `Small` - `orders_1` on" in whole
    assert "Ready to start the next test (Medium)? [Yes / No / Modify]" in second
    assert "## Test Completed: Small" in second


@both_eras
async def test_in_pause_mode_each_test_has_a_question_of_its_own(bench: Bench, era: Era) -> None:
    person = Person(YES_B, YES, YES)
    states: list[str] = []
    async with quick_client_of(bench.home.settings, era, person) as client:
        await bench.plan(client)
        for state in ("paused", "paused", "completed"):
            assert (await bench.start(client))["outcome"] == "started"
            states.append((await bench.until_state(client, state))["state"])
        over = await bench.start(client)
        handed = await bench.results(client)
    assert len(person.questions) == 3
    assert len(bench.check_one_at_a_time()) == 3
    assert (over["outcome"], over["state"]) == ("refused", "completed")
    # Only the first one ran on the yes that came with a choice.
    assert [evidence.get("mode") for evidence in handed["approvals"]] == ["pause", None, None]


@both_eras
@pytest.mark.parametrize(("answer", "outcome"), NOT_A_YES, ids=lambda v: str(v)[:60])
async def test_whatever_is_not_an_explicit_yes_to_the_whole_starts_nothing(
    bench: Bench, era: Era, answer: ElicitResult, outcome: str
) -> None:
    async with quick_client_of(bench.home.settings, era, Person(answer)) as client:
        await bench.plan(client)
        told = await bench.start(client)
        state = await bench.look(client)
    assert told["outcome"] == outcome
    assert (told["state"], state["state"]) == ("awaiting_choice", "awaiting_choice")
    assert bench.runs() == []


@both_eras
async def test_the_note_of_a_person_who_wants_the_tests_changed_comes_back(
    bench: Bench, era: Era
) -> None:
    person = Person(accepted(decision="modify", note="only 4\nconnections"))
    async with quick_client_of(bench.home.settings, era, person) as client:
        comparison_id = await bench.plan(client)
        result = await client.call_tool("start_comparison", {"comparison_id": comparison_id})
    assert result.structured_content is not None
    assert result.structured_content["note"] == "only 4 connections"
    assert "only 4 connections" in text_of(result)


@both_eras
async def test_where_nobody_can_be_asked_nothing_starts(bench: Bench, era: Era) -> None:
    channels = {"approval_channels": (Channel.ELICITATION,)}
    settings = bench.home.settings.model_copy(update=channels)
    async with quick_client_of(settings, era) as client:
        await bench.plan(client)
        told = await bench.start(client)
    assert told["outcome"] == "no_capability"
    assert bench.runs() == []


@both_eras
async def test_a_yes_from_a_terminal_is_found_by_the_next_call(bench: Bench, era: Era) -> None:
    async with quick_client_of(bench.home.settings, era) as client:
        comparison_id = await bench.plan(client)
        waiting = await bench.start(client)
        asked = await bench.look(client)
        says(bench.home, comparison_id, mode=SEQUENTIAL)
        answered = await bench.look(client)
        assert bench.runs() == []
        started = await bench.start(client)
        await call(client, "stop_run", run_id=started["run_id"])
        await bench.until_state(client, "stopped")
    assert waiting["outcome"] == "awaiting_approval"
    assert waiting["approval_url"].startswith("http://127.0.0.1:")
    assert (asked["approval"], answered["approval"]) == ("asked", "approved")
    assert (started["outcome"], started["mode"]) == ("started", "sequential")


async def test_repeated_tests_run_interleaved_and_their_figures_are_means(bench: Bench) -> None:
    bench.template_ids = bench.template_ids[:2]
    async with quick_client_of(bench.home.settings, "auto", Person(YES_A)) as client:
        await bench.plan(client, variants=["Small", "Medium"], repeats=2)
        await bench.start(client)
        told = await bench.until_state(client, "completed")
        handed = await bench.results(client)
    assert bench.statuses() == [(number, "COMPLETED") for number in (0, 1, 0, 1)]
    bench.check_one_at_a_time()
    variants = [line["variant"] for line in told["lines"]]
    assert variants == ["Small (1/2)", "Medium (1/2)", "Small (2/2)", "Medium (2/2)"]
    for test in handed["tests"]:
        figure = _figures(test)["average_qps"]
        assert (figure["runs"], len(test["run_ids"])) == (2, 2)
        assert figure["std_error"] >= 0
    assert (handed["cautions"], handed["estimated_cost"]) == ([], 0)


async def test_a_test_that_was_changed_between_its_repetitions_has_no_mean_of_both(
    bench: Bench,
) -> None:
    bench.template_ids = bench.template_ids[:2]
    person = Person(YES_B, YES, YES, YES)
    async with quick_client_of(bench.home.settings, "auto", person) as client:
        about = {"comparison_id": await bench.plan(client, variants=["S", "M"], repeats=2)}
        for state in ("paused", "paused", "paused", "completed"):
            assert (await bench.start(client))["outcome"] == "started"
            told = await bench.until_state(client, state)
            bench.change(0, think_time=50)
        result = await client.call_tool("get_results", about)
    handed, text = result.structured_content, text_of(result)
    assert handed is not None
    before, _, after, _ = [line["run_id"] for line in told["lines"]]
    changed, same = handed["tests"]
    assert changed["run_ids"] == [after]
    assert changed["left_out"] == [result["run_id"] for result in handed["results"]] == [before]
    assert _figures(changed)["average_qps"]["runs"] == 1
    assert (len(same["run_ids"]), same["left_out"]) == (2, [])
    assert handed["cautions"] == ["load"]
    assert "**Not in the figures of S:** 1 of its completed runs" in text
    assert "connections, 50 ms between operations`, `" in text


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"repeats": 21}, "63 runs are too many: at most 60"),
        ({"repeats": 0}, "repeats"),
        ({"template_ids": ["tpl-nowhere-1", "tpl-nowhere-2"], "variants": None}, "tpl-nowhere-1"),
        ({"template_ids": ["tpl-nowhere-1"], "variants": None}, "template_ids"),
        ({"variants": ["Small", "Medium"]}, "one name for each of template_ids"),
        ({"variants": ["Small", "Medium", "Small"]}, "a name of its own"),
    ],
    ids=lambda value: str(value)[:50],
)
async def test_what_cannot_be_meant_is_no_comparison(
    bench: Bench, changes: dict[str, object], told: str
) -> None:
    wanted = {"template_ids": bench.template_ids, "variants": ["S", "M", "L"]} | changes
    async with quick_client_of(bench.home.settings, "auto", Person(YES_A)) as client:
        result = await client.call_tool("create_comparison", wanted)
    assert result.is_error
    assert told in text_of(result)


async def test_results_are_of_runs_or_of_a_comparison(bench: Bench) -> None:
    async with quick_client_of(bench.home.settings, "auto", Person(NO)) as client:
        comparison_id = await bench.plan(client)
        neither = await client.call_tool("get_results", {})
        both = await client.call_tool(
            "get_results", {"run_ids": ["run-1"], "comparison_id": comparison_id}
        )
        unknown = await client.call_tool("get_results", {"comparison_id": "cmp-0123456789ab"})
        handed = await bench.results(client)
    assert neither.is_error
    assert both.is_error
    assert "Either run_ids or comparison_id" in text_of(both)
    assert unknown.is_error
    assert "Comparison not found" in text_of(unknown)
    assert (handed["status"], handed["run_ids"]) == ("PLANNED", [])
    assert "estimated_cost" not in handed


async def test_differences_besides_the_table_are_told_before_and_in_the_question(
    bench: Bench,
) -> None:
    bench.change(2, duration=2, concurrent_connections=4)
    person = Person(NO)
    async with quick_client_of(bench.home.settings, "auto", person) as client:
        created = await call(
            client, "create_comparison", template_ids=bench.template_ids, comparison_type="tables"
        )
        bench.comparison_id = created["comparison_id"]
        await bench.start(client)
    assert created["cautions"] == ["duration", "load"]
    assert "4 connections" in person.questions[0]
    assert PAUSE[3:] in person.questions[0].lower()
