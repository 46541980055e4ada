"""The block that a person says yes to: whole, dated by nothing, and each part a paragraph."""

import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given

from benchgate.domain.answers import is_typed, name_to_type
from benchgate.domain.bounds import Bound
from benchgate.domain.facts import Difference, StartFacts, differences
from benchgate.domain.whereabouts import named, server
from benchgate.gate.blocks import Blocks
from tests.unit.examples import HIGH, MEDIUM, approval_of, config_of, facts_of
from tests.unit.hostile import MARKDOWN, VISIBLE

BLOCKS = Blocks()
CLOCK = re.compile(r"\d{1,2}:\d{2}|\d{4}-\d{2}-\d{2}")
VERDICT = (
    "**Pre-flight says that this run should not go ahead as it is.** To start it all the same, "
    "type the name of the test besides saying yes."
)
CHANGED = (
    "What this test would do has changed since the last question. Only what stands here counts."
)
BESIDE = "and whatever else their statements above and the functions in them change"
END = "\n\n---\n\nStart this test? [Yes / No / Modify]"

Facts = dict[str, Any]

RATE: Facts = {"load_mode": "QPS", "target_qps": 2_000}
BOUND = Bound(seconds_max=310, steps_max=10)
INSERTS: Facts = {"custom_range_scan_pct": 0, "custom_insert_pct": 20}
OWN_INSERTS = INSERTS | {"custom_insert_query": "INSERT INTO orders VALUES (?)"}
OWN_LOOKUPS = INSERTS | {"custom_point_lookup_query": "SELECT 1"}
OWN_WRITES: Facts = {
    "custom_range_scan_pct": 0,
    "generic_queries": [{"operation_type": "WRITE", "weight_pct": 20, "sql": "CALL tidy_up()"}],
}


def question_of(facts: StartFacts, *changed: Difference) -> str:
    return BLOCKS.render("question", facts=facts, changed=changed)


def paragraphs_of(markdown: str) -> list[str]:
    """The paragraphs that are nobody's part: of no list and no quotation."""
    tokens = MARKDOWN.parse(markdown)
    return [
        text.content
        for token, text in pairwise(tokens)
        if (token.type, token.level) == ("paragraph_open", 0)
    ]


def list_items_of(markdown: str) -> list[str]:
    return [
        token.content for token in MARKDOWN.parse(markdown) if token.level == 3 and token.content
    ]


def test_the_question_shows_everything_that_a_person_says_yes_to() -> None:
    config = config_of(
        table_type="STANDARD",
        warehouse_name="BENCH_WH",
        warehouse_size="Medium",
        connection_id="c-1",
        custom_point_lookup_pct=50,
        custom_insert_pct=30,
        custom_insert_query="INSERT INTO orders VALUES (?)",
        concurrent_connections=50,
        think_time=5,
        warmup=10,
        duration=300,
    )
    shown = question_of(facts_of(config, MEDIUM))
    for line in (
        "## Ready to start test",
        "**Test:** `Orders lookup`",
        "**Target:** `bench.public.orders` (STANDARD)",
        "**Connection:** `db.example:5432 as bench (orders-db)`",
        "**Warehouse:** `BENCH_WH` (`Medium`)",
        "**Mode:** CONCURRENCY",
        "- Connections: 50",
        "- Duration: 5m 00s",
        "- Warmup: 10s before that",
        "- Think time: 5 ms between operations",
        "- Workload: 50% point lookups, 20% range scans, 30% inserts",
        "- Statement for inserts: `INSERT INTO orders VALUES (?)` (29 characters)",
        f"- **Writes:** 30% of the operations change this table, {BESIDE}",
        "**Estimated cost:** ~0.34 credits",
        "- ⚠️ Medium: Few Connections Left: The server has 12 connections left.",
        "Start this test? [Yes / No / Modify]",
    ):
        assert line in shown.splitlines()


def test_the_question_shows_what_a_statement_of_ones_own_is_called_and_bound_to() -> None:
    def own(label: str, parameters: list[object]) -> dict[str, object]:
        sql = "DELETE FROM {table} WHERE id = ?"
        statement: dict[str, object] = {"operation_type": "WRITE", "sql": sql, "weight_pct": 50}
        statement.update(label=label, parameters=parameters)
        return statement

    named = own("old `ones`", [{"key": True}, {"min": 1, "max": 9}])
    shown = question_of(
        facts_of(
            config_of(
                custom_point_lookup_pct=0,
                custom_range_scan_pct=0,
                generic_queries=[named, own("", [*range(10)])],
            )
        )
    )
    statement = "`DELETE FROM {table} WHERE id = ?` (32 characters)"
    numbers = ", ".join(f'`{{"value":{number}}}`' for number in range(8))
    drawn = '`{"key":true}`, `{"min":1,"max":9}`'
    # A name that would end the code which it stands in does not.
    assert f"- Statement for own SQL `old 'ones'`: {statement}, with {drawn}\n" in shown
    assert f"- Statement for own SQL `number 2`: {statement}, with {numbers} and 2 more\n" in shown


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        (
            {"load_mode": "QPS", "target_qps": 2_000},
            ["**Mode:** QPS", "- Target: 2,000 QPS", "- Connections: up to 8"],
        ),
        (
            {"load_mode": "FIND_MAX_CONCURRENCY"},
            ["- Starting threads: 5", "- Increment: +10 every 30s"],
        ),
        (
            {"table_type": "SQLITE", "schema": ""},
            ["**Target:** `bench.orders` (SQLITE)", "**Pre-flight warnings:** none"],
        ),
        (
            {"table_type": "STANDARD"},
            ["**Estimated cost:** unknown (no rate is known for this target)"],
        ),
        ({"warmup": 0}, ["**Estimated cost:** 0 credits (local database)"]),
        (
            {
                "table_type": "STANDARD",
                "warehouse_size": "SMALL",
                "load_mode": "FIND_MAX_CONCURRENCY",
            },
            ["**Estimated cost:** ~0.017 credits per step; the number of steps is open"],
        ),
    ],
    ids=str,
)
def test_the_question_follows_the_configuration(change: Facts, lines: list[str]) -> None:
    shown = question_of(facts_of(config_of(**change))).splitlines()
    assert [line for line in lines if line not in shown] == []


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"starting_threads": 6, **RATE}, "- Connections to begin with: 6"),
        ({"arrivals": "CONSTANT", **RATE}, "- Arrivals: evenly spaced, not at random"),
        ({"decode_rows": True}, "- Rows: made into Python objects, not only received"),
        (
            {"table_type": "STANDARD", "use_cached_result": True},
            "- Cached results: may answer in place of the warehouse",
        ),
        (
            {"worker_loss": "REDISTRIBUTE"},
            "- If a load worker is lost: the others take over its connections, and the run goes on",
        ),
        (
            {"guardrails": {"enabled": True}},
            "- Guardrails: stopped when CPU passes 80%, memory passes 85%",
        ),
        (
            {"guardrails": {"enabled": True, "max_error_rate_percent": 5, "max_seconds": 90}},
            "- Guardrails: stopped when CPU passes 80%, memory passes 85%, errors pass 5%, "
            "or after 1m 30s",
        ),
        (
            {
                "target_point_lookup_p95_latency_ms": 10,
                "target_point_lookup_p99_latency_ms": 25.5,
                "target_range_scan_error_rate_pct": 0.5,
            },
            "- Objectives, which stop nothing: point lookups P95 at most 10ms, point lookups P99 "
            "at most 26ms, range scans errors at most 0.5%",
        ),
    ],
    ids=str,
)
def test_what_changes_a_load_and_is_not_the_default_stands_in_its_question(
    change: Facts, line: str
) -> None:
    config = config_of(**change)
    shown = question_of(facts_of(config)).splitlines()
    assert line in shown
    start = line.partition(":")[0]
    plain = config_of(**RATE) if config.target_qps else config_of()
    assert [one for one in question_of(facts_of(plain)).splitlines() if one.startswith(start)] == []


def test_limits_that_do_not_hold_are_not_in_the_question() -> None:
    idle = {"guardrails": {"enabled": False, "max_seconds": 5}, "arrivals": "CONSTANT"}
    shown = question_of(facts_of(config_of(**idle, starting_threads=6)))
    assert shown == question_of(facts_of())


@pytest.mark.parametrize(
    ("bound", "end"),
    [
        (None, ""),
        (BOUND, "; at the latest after 5m 10s or 10 steps"),
        (
            BOUND.model_copy(update={"concurrency_max": 1_000}),
            "; at the latest after 5m 10s or 10 steps, and never above 1,000 connections",
        ),
    ],
    ids=str,
)
def test_a_search_says_how_far_it_may_go_where_that_is_known(bound: Bound | None, end: str) -> None:
    facts = facts_of(config_of(load_mode="FIND_MAX_CONCURRENCY"))
    shown = question_of(facts.model_copy(update={"bound": bound})).splitlines()
    assert (
        "- Duration: open; ends when QPS falls 5%, P95 latency rises 20%, or errors pass 1%" + end
    ) in shown
    assert "- Workload: 80% point lookups, 20% range scans" in shown


@pytest.mark.parametrize(
    ("change", "copies", "what"),
    [
        (INSERTS, False, "this table"),
        (INSERTS, True, "a scratch copy of this table, which is removed afterwards"),
        (OWN_INSERTS, False, f"this table, {BESIDE}"),
        (
            OWN_INSERTS,
            True,
            f"a scratch copy of this table, which is removed afterwards, {BESIDE}, which stays",
        ),
        (OWN_LOOKUPS, False, "this table"),
        (OWN_WRITES, False, f"this table, {BESIDE}"),
    ],
    ids=str,
)
def test_writes_in_sql_of_ones_own_are_not_said_to_stay_in_the_table(
    change: Facts, copies: bool, what: str
) -> None:
    facts = facts_of(config_of(**change)).model_copy(update={"copies_writes": copies})
    line = f"- **Writes:** 20% of the operations change {what}"
    assert line in question_of(facts).splitlines()


def test_the_question_depends_on_its_facts_alone() -> None:
    again = Blocks().render("question", facts=facts_of(), changed=())
    assert again == question_of(facts_of())


def test_a_server_of_many_hosts_is_shown_whole() -> None:
    told = server(
        "h" * 1_024, port="5432,5433", database="d" * 99, username="u" * 99, role="r" * 99
    )
    connection = named(told, "n" * 99, "s" * 99)
    shown = question_of(facts_of().model_copy(update={"connection": connection}))
    assert f"**Connection:** `{connection}`" in shown.splitlines()


def test_a_statement_is_shown_whole_up_to_two_thousand_characters() -> None:
    statement = "SELECT " + "x" * 1_983 + " DROP TABLE"[-10:]
    config = config_of(custom_point_lookup_query=statement)
    assert f"`{statement}` (2,000 characters)" in question_of(facts_of(config))


@pytest.mark.parametrize("padding", ["x", " ", "/* */", "\u200b", "`"], ids=ascii)
def test_a_longer_statement_shows_both_of_its_ends_and_what_was_left_out(padding: str) -> None:
    statement = f"SELECT 1; {padding * 15_000}"[:19_980] + "; DROP TABLE orders;"
    shown = question_of(facts_of(config_of(custom_point_lookup_query=statement)))
    (line,) = [one for one in shown.splitlines() if "Statement for" in one]
    assert "`SELECT 1; " in line.replace(";`", "; `")
    assert "; DROP TABLE orders;` (" in line
    assert f"({len(statement):,} characters, " in line
    assert "between these two parts are not shown)" in line
    assert len(line) < 2_200


def test_many_long_statements_share_the_room_of_the_question() -> None:
    own: Facts = {"operation_type": "READ", "weight_pct": 2, "sql": "SELECT " + "x" * 15_000 + " z"}
    config = config_of(
        custom_point_lookup_pct=0, custom_range_scan_pct=0, generic_queries=[own] * 50
    )
    shown = question_of(facts_of(config))
    assert shown.count("x z` (15,009 characters, 14,529 between these two parts") == 50
    assert len(shown) < 32_000


def test_a_question_that_is_asked_again_shows_what_has_changed() -> None:
    before, after = facts_of(config_of(duration=60)), facts_of(config_of(duration=90), MEDIUM)
    assert CHANGED not in question_of(after)
    again = question_of(after, *differences(before, after))
    assert CHANGED in again.splitlines()
    told = "- pre-flight warnings: `none` → `Few Connections Left (medium): The server has 12"
    assert "- duration: `60` → `90`" in again.splitlines()
    assert told in again
    assert again.endswith(question_of(after).removeprefix("## Ready to start test\n\n"))


def test_however_much_has_changed_the_question_stays_short() -> None:
    many = [Difference(name=f"fact {n}", before="a", after="b") for n in range(40)]
    shown = question_of(facts_of(), *many).splitlines()
    assert "- fact 9: `a` → `b`" in shown
    assert "- … and 30 more" in shown
    assert "- fact 10: `a` → `b`" not in shown


def test_a_high_warning_is_never_among_those_that_are_left_out() -> None:
    last = HIGH.model_copy(update={"title": "Told Last By The Backend"})
    shown = question_of(facts_of(None, *[MEDIUM] * 11, last))
    assert "- ⚠️ High: Told Last By The Backend: " in shown
    assert "- … and 2 more" in shown


@pytest.mark.parametrize("warnings", [(HIGH,), (MEDIUM, HIGH), (HIGH,) * 12], ids=len)
def test_a_question_against_the_preflights_advice_says_what_to_type(warnings: Any) -> None:
    shown = question_of(facts_of(None, *warnings))
    assert shown.endswith(f"\n\n{VERDICT}{END}")
    assert shown.count("type the name of the test") == 1
    assert "**Test:** `Orders lookup`" in shown.splitlines()


@given(VISIBLE)
@example("`by` hand")
@example("see https://x.example")
@example("-")
def test_whoever_types_the_name_as_it_is_shown_is_heard(name: str) -> None:
    facts = facts_of(None, HIGH).model_copy(update={"template_name": name})
    (line,) = [line for line in question_of(facts).splitlines() if line.startswith("**Test:** ")]
    expected = name_to_type(approval_of(facts, name=name))
    assert expected is not None
    for typed in (line.removeprefix("**Test:** `").removesuffix("`"), expected, f"  {name} "):
        assert is_typed(expected, typed)
    for typed in ("", " ", "\u200b", "yes", expected + "x", None, True):
        assert not is_typed(expected, typed)


@pytest.mark.parametrize("warnings", [(), (MEDIUM,)], ids=len)
def test_a_question_that_nothing_speaks_against_asks_to_type_nothing(warnings: Any) -> None:
    shown = question_of(facts_of(None, *warnings))
    assert shown.endswith(END)
    assert "type" not in shown
    assert "should not go ahead" not in shown


def test_each_part_of_the_question_is_a_paragraph_of_its_own() -> None:
    changed = Difference(name="duration", before="60", after="90")
    shown = question_of(facts_of(config_of(custom_insert_pct=0), MEDIUM, HIGH), changed)
    assert [text.splitlines()[0] for text in paragraphs_of(shown)] == [
        CHANGED,
        "**Test:** `Orders lookup`",
        "**Estimated cost:** 0 credits (local database)",
        "**Pre-flight warnings:**",
        VERDICT,
        "Start this test? [Yes / No / Modify]",
    ]


def test_a_question_without_warnings_says_so_in_a_paragraph() -> None:
    assert "**Pre-flight warnings:** none" in paragraphs_of(question_of(facts_of()))


@pytest.mark.parametrize("number", [1, 2, 10, 11])
def test_the_verdict_is_no_part_of_the_last_warning(number: int) -> None:
    shown = question_of(facts_of(None, *[HIGH] * number))
    assert VERDICT in paragraphs_of(shown)
    warnings = [item for item in list_items_of(shown) if item.startswith("⚠️")]
    told = "⚠️ High: Few Connections Left: The server has 12 connections left."
    assert warnings == [told] * min(number, 10)
    assert [item for item in list_items_of(shown) if "should not go ahead" in item] == []


@pytest.mark.parametrize("warnings", [(), (MEDIUM,), (HIGH,)], ids=str)
def test_a_question_holds_no_link_and_no_clock(warnings: Any) -> None:
    address = "https://evil.example/yes"
    before = facts_of(config_of(table_name=address, warehouse_name=address))
    name = {"template_name": address, "connection": f"www.evil.example {address}"}
    after = facts_of(config_of(duration=90), *warnings).model_copy(update=name)
    shown = question_of(after, *differences(before, after))
    assert "→" in shown
    assert "://" not in shown
    links = [child for token in MARKDOWN.parse(shown) for child in token.children or ()]
    assert {child.type for child in links} <= {
        "text",
        "softbreak",
        "code_inline",
        "strong_open",
        "strong_close",
    }
    assert CLOCK.search(shown) is None
