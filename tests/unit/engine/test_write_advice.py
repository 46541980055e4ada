"""What writing gives reason to warn of: the real table, the copy of it, and the room for both."""

from typing import Any

import pytest

from benchgate.backend.drivers.port import NoCopy, Survey
from benchgate.backend.engine.advice import Look, advice
from benchgate.backend.engine.surroundings import Surroundings
from benchgate.backend.engine.write_advice import (
    BYTES_PER_WRITE,
    DISK_SPARE_BYTES,
    OBSTACLES,
    OPERATIONS_PER_S,
    WRITE_RULES,
    in_place,
    shown,
)
from benchgate.domain.preflight import PreflightWarning, Severity
from benchgate.domain.templates import TemplateConfig
from tests.unit.examples import config_of
from tests.unit.tree import ROOT

LOW, MEDIUM, HIGH = Severity.LOW, Severity.MEDIUM, Severity.HIGH
IN_PLACE: dict[str, Any] = {"write_target": "IN_PLACE"}
OWN_DELETE = {"operation_type": "WRITE", "weight_pct": 10, "sql": "DELETE FROM {table}"}
OWN = "UPDATE {table} SET a = 1 WHERE id = ?"
BESIDE = "UPDATE public.orders SET a = 1 WHERE id = ?"
GB = 1_000_000_000


def writing(**changes: Any) -> TemplateConfig:
    """A load of which 10% write, for 60 s in all."""
    mix = {"custom_point_lookup_pct": 90, "custom_range_scan_pct": 0, "custom_insert_pct": 10}
    return config_of(**(mix | {"warmup": 10, "duration": 50} | changes))


def told(config: TemplateConfig, **survey: Any) -> list[PreflightWarning]:
    look = Look(config=config, survey=Survey(**survey), surroundings=Surroundings(cores=4))
    return advice(WRITE_RULES, look)


def severities(warnings: list[PreflightWarning]) -> list[tuple[Severity, str]]:
    return [(one.severity, one.title) for one in warnings]


SNOWFLAKE = {"table_type": "HYBRID"}
REAL = (HIGH, "Writes Go To The Real Table")
PAST = (HIGH, "Writes Go Past the Scratch Copy")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (writing(), []),
        (writing(**IN_PLACE), [REAL]),
        (config_of(**IN_PLACE), []),
        (writing(custom_insert_query="INSERT INTO {table} VALUES (?)"), []),
        (writing(custom_insert_query="INSERT INTO orders VALUES (?)"), [PAST]),
        (writing(custom_insert_query="INSERT INTO orders SELECT * FROM {table}"), [PAST]),
        (writing(custom_insert_query="INSERT INTO orders VALUES (?)", **SNOWFLAKE), [PAST]),
        (writing(custom_insert_query="INSERT INTO orders VALUES (?)", **IN_PLACE), [REAL]),
        (writing(custom_point_lookup_query="SELECT 1 FROM orders"), []),
        (config_of(custom_update_query=BESIDE), []),
        (writing(custom_insert_query="INSERT INTO orders VALUES (?)", table_type="SQLITE"), []),
    ],
)
def test_what_changes_nobodys_copy_is_a_high_warning(
    config: TemplateConfig, expected: list[tuple[Severity, str]]
) -> None:
    assert severities(in_place(config)) == expected


def test_the_warning_names_the_table_and_the_share() -> None:
    (warning,) = in_place(writing(**IN_PLACE))
    assert "10% of the workload change bench.public.orders itself" in warning.message
    assert warning.details["target"] == "bench.public.orders"
    assert "SCRATCH" in warning.recommendations[0]


def test_every_statement_that_goes_past_the_copy_is_named() -> None:
    config = config_of(
        table_type="HYBRID",
        custom_point_lookup_pct=50,
        custom_insert_pct=10,
        custom_update_pct=10,
        custom_insert_query="INSERT INTO orders VALUES (?)",
        custom_update_query=BESIDE,
        generic_queries=[{"operation_type": "WRITE", "weight_pct": 10, "sql": OWN}],
    )
    (warning,) = in_place(config)
    assert warning.details["operations"] == ["INSERT", "UPDATE"]
    assert "The SQL of INSERT and UPDATE names its table itself" in warning.message


def test_a_statement_of_ones_own_that_goes_past_the_copy_is_named_by_its_label() -> None:
    own = OWN_DELETE | {"sql": "DELETE FROM orders", "label": "clean up"}
    (warning,) = in_place(config_of(custom_point_lookup_pct=70, generic_queries=[own]))
    assert (warning.severity, warning.title) == PAST
    assert "The SQL of GENERIC_SQL (clean up) names its table itself" in warning.message


def test_what_functions_change_is_not_said_to_stay_in_the_copy() -> None:
    own = {"custom_point_lookup_pct": 70, "generic_queries": [OWN_DELETE]}
    copy, _ = told(config_of(**own))
    assert copy.message.endswith(
        "the table itself is not changed, unless the SQL of GENERIC_SQL calls or fires what does: "
        "whatever is changed beside the copy stays so."
    )
    (copy,) = told(writing())
    assert copy.message.endswith("the table itself is not changed.")


EMPTIED = (MEDIUM, "Deletes May Run the Table Empty")


def test_deletes_may_run_the_copy_or_the_table_empty() -> None:
    own = {"custom_point_lookup_pct": 70, "generic_queries": [OWN_DELETE]}
    copy, warning = told(config_of(**own))
    assert severities([copy, warning]) == [COPY, EMPTIED]
    assert warning.message.startswith("The scratch copy loses rows to 10% of the workload")
    assert warning.details["delete_percentage"] == 10
    (warning,) = told(config_of(**own, **IN_PLACE))
    assert warning.message.startswith("The table bench.public.orders loses rows")
    reading = OWN_DELETE | {"sql": "UPDATE {table} SET a = 'DELETE'"}
    assert severities(told(config_of(custom_point_lookup_pct=70, generic_queries=[reading]))) == [
        COPY
    ]


COPY = (LOW, "Writes Go to a Scratch Copy")
NO_COPY = (HIGH, "No Scratch Copy Possible")


@pytest.mark.parametrize(
    ("config", "no_copy", "expected"),
    [
        (writing(), None, [COPY]),
        (writing(), NoCopy.NO_SCHEMA, [NO_COPY]),
        (writing(**IN_PLACE), NoCopy.NO_SCHEMA, []),
        (config_of(), NoCopy.NO_SCHEMA, []),
        (config_of(), None, []),
    ],
)
def test_a_workload_that_writes_needs_a_copy(
    config: TemplateConfig, *, no_copy: NoCopy | None, expected: list[tuple[Severity, str]]
) -> None:
    assert severities(told(config, no_copy=no_copy)) == expected


@pytest.mark.parametrize(
    ("reason", "why", "remedy"),
    [
        (NoCopy.FOLDER, "may not create files", "the right to create files in the folder"),
        (NoCopy.REPLICA, "is a replica", "Point the connection at the primary"),
        (NoCopy.NO_TABLE, "is no table", "Point the template at the table"),
        (NoCopy.HIDDEN_ROWS, "policies hide rows", "row-level security does not hold"),
        (NoCopy.PUBLISHED, "a publication replicates", "Let the publication name its tables"),
        (NoCopy.NOT_READABLE, "may not read it", "the right to SELECT"),
        (NoCopy.NO_SCHEMA, "may create no schema", "the right to CREATE"),
    ],
)
def test_why_there_can_be_no_copy_is_told_with_the_remedy_for_it(
    reason: NoCopy, why: str, remedy: str
) -> None:
    (warning,) = told(writing(), no_copy=reason)
    assert why in warning.message
    assert remedy in warning.recommendations[0]
    assert warning.details["no_copy"] == reason


def test_every_reason_has_a_remedy() -> None:
    assert set(OBSTACLES) == set(NoCopy)


def test_how_much_is_copied_is_said_as_far_as_it_is_known() -> None:
    (known,) = told(writing(), table_bytes=1_234_567_890)
    assert "a copy of bench.public.orders, about 1.2 GB, is made" in known.message
    assert known.details["table_bytes"] == 1_234_567_890
    (unknown,) = told(writing())
    assert "whose size is not known" in unknown.message
    assert unknown.details["table_bytes"] is None


FULL = (HIGH, "Not Enough Disk for the Scratch Copy")
TIGHT = (MEDIUM, "Disk May Run Full")
# 60 s at 10,000 operations per second, of which 10% write 1,024 bytes each.
ADDED = 60 * 1_000 * 1_024


@pytest.mark.parametrize(
    ("config", "table_bytes", "free", "expected"),
    [
        (writing(), 5 * GB, 6 * GB + ADDED, [COPY]),
        (writing(), 5 * GB, 6 * GB + ADDED - 1, [COPY, TIGHT]),
        (writing(), 5 * GB, 5 * GB, [COPY, TIGHT]),
        (writing(), 5 * GB, 5 * GB - 1, [COPY, FULL]),
        (writing(), 5 * GB, None, [COPY]),
        (writing(), None, GB + ADDED, [COPY]),
        (writing(), None, GB + ADDED - 1, [COPY, TIGHT]),
        (writing(**IN_PLACE), 5 * GB, GB + ADDED, []),
        (writing(**IN_PLACE), 5 * GB, GB + ADDED - 1, [TIGHT]),
        (config_of(), 5 * GB, 0, []),
    ],
)
def test_copy_and_writes_have_to_fit_on_the_disk(
    config: TemplateConfig,
    table_bytes: int | None,
    free: int | None,
    expected: list[tuple[Severity, str]],
) -> None:
    warnings = told(config, table_bytes=table_bytes, disk_free_bytes=free)
    assert severities(warnings) == expected


SEARCH: dict[str, Any] = {"load_mode": "FIND_MAX_CONCURRENCY"}


@pytest.mark.parametrize(
    ("config", "added"),
    [
        (writing(), ADDED),
        (writing(load_mode="QPS", target_qps=500), 60 * 50 * 1_024),
        (writing(think_time=100, concurrent_connections=20), 60 * 20 * 1_024),
        (writing(think_time=1, concurrent_connections=20), ADDED),
        (writing(guardrails={"enabled": True, "max_seconds": 6}), ADDED // 10),
        (writing(guardrails={"enabled": True, "max_seconds": 600}), ADDED),
        (writing(guardrails={"enabled": False, "max_seconds": 6}), ADDED),
        (writing(step_duration_seconds=30, **SEARCH), (10 + 90) * 1_000 * 1_024),
        (writing(think_time=100, step_duration_seconds=10, **SEARCH), ADDED),
    ],
)
def test_what_writes_may_add_is_reckoned_from_the_load(config: TemplateConfig, added: int) -> None:
    _, warning = told(config, disk_free_bytes=0)
    assert warning.details["written_bytes_estimated"] == added


def test_how_the_room_was_reckoned_is_said() -> None:
    _, warning = told(writing(), table_bytes=340_000_000, disk_free_bytes=800_000_000)
    assert warning.message == (
        "800 MB are free where the table lies; its copy takes about 340 MB, and writes may add "
        "61.4 MB (60 s at 1,000 writes per second, 1,024 bytes each)."
    )


def test_the_page_on_templates_tells_what_is_reckoned_with() -> None:
    page = (ROOT / "docs" / "templates.md").read_text(encoding="utf-8")
    assert f"{BYTES_PER_WRITE:,} bytes for each" in page
    assert f"without one, {OPERATIONS_PER_S:,} operations per second" in page
    assert f"estimated writes and {DISK_SPARE_BYTES // GB} GB to spare" in page


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1_000, "1.0 kB"),
        (99_940, "99.9 kB"),
        (100_000, "100 kB"),
        (1_500_000, "1.5 MB"),
        (2 * GB, "2.0 GB"),
        (7_000 * GB, "7.0 TB"),
        (7_000_000 * GB, "7,000 TB"),
    ],
)
def test_a_size_is_shown_as_a_person_reads_it(size: int, words: str) -> None:
    assert shown(size) == words


def test_sql_of_ones_own_is_not_said_to_change_the_named_table_alone() -> None:
    (warning,) = in_place(writing(custom_insert_query="INSERT INTO log VALUES (?)", **IN_PLACE))
    assert (
        "change bench.public.orders itself, and whatever else the SQL of INSERT changes, and"
        in (warning.message)
    )
    (plain,) = in_place(writing(**IN_PLACE))
    assert "change bench.public.orders itself, and nothing is taken back" in plain.message
