"""FlakeBench's payloads: every recorded one can be read, and what matters has its type."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from benchgate.domain.preflight import PreflightReport
from benchgate.gate.dialects.flakebench.payloads import (
    FIGURE_MAX,
    Connected,
    Connection,
    Enrichment,
    ErrorRow,
    Frame,
    Info,
    Message,
    Row,
    Rows,
    RunChanged,
    RunCreated,
    RunUpdate,
    Seconds,
    Test,
    Warehouse,
)
from tests.unit.gate.dialects.flakebench_samples import (
    ROWS,
    STREAMS,
    TESTS,
    frame_of,
    frames_of,
    recorded,
    text_of,
)

FIXED: dict[str, Any] = json.loads(text_of("rest_fixed_terminal"))
FRAME: dict[str, Any] = json.loads(text_of("ws_fixed"))[-1]["data"]
NO_FIGURES: list[object] = ["12", True, -1, {}, [], float("nan"), float("inf"), 10**400, None]
NO_NUMBERS: list[object] = ["12", True, {}, [], float("nan"), 10**400]


@pytest.mark.parametrize("name", TESTS)
def test_a_recorded_test_says_what_it_says(name: str) -> None:
    body = json.loads(text_of(name))
    test = Test.model_validate_json(text_of(name))
    for key in ("test_id", "status", "template_name", "total_operations", "p95_latency_ms"):
        assert getattr(test, key) == body[key]
    assert test.timing.elapsed_display_seconds == body["timing"]["elapsed_display_seconds"]


@pytest.mark.parametrize("name", STREAMS)
def test_a_recorded_stream_is_a_greeting_and_then_frames(name: str) -> None:
    shape = TypeAdapter[Message](Message)
    first, *others = [
        shape.validate_json(json.dumps(message)) for message in json.loads(text_of(name))
    ]
    assert isinstance(first, Connected)
    assert all(isinstance(one, RunUpdate) and one.data.run.workers_expected == 1 for one in others)


@pytest.mark.parametrize("name", ROWS)
def test_a_recorded_row_is_one_of_the_list(name: str) -> None:
    rows = Rows.model_validate({"results": [json.loads(text_of(name))], "total_pages": 1})
    created_at = rows.results[0].created_at
    assert created_at is not None
    assert created_at.tzinfo is not None
    assert rows.results[0].status in {"COMPLETED", "FAILED"}


def test_a_recorded_preflight_is_a_report_of_the_backends() -> None:
    told = PreflightReport.model_validate_json(text_of("preflight_high"))
    assert not told.can_proceed
    assert [warning.source for warning in told.warnings] == ["backend"]


@pytest.mark.parametrize("figure", NO_FIGURES)
def test_a_figure_that_is_none_is_missing(figure: object) -> None:
    test = Test.model_validate(FIXED | {"p95_latency_ms": figure, "duration": figure})
    assert test.p95_latency_ms is None
    assert test.duration is None


@pytest.mark.parametrize("number", NO_NUMBERS)
def test_a_number_that_matters_has_its_type(number: object) -> None:
    with pytest.raises(ValidationError):
        Test.model_validate(FIXED | {"total_operations": number})
    with pytest.raises(ValidationError):
        Test.model_validate(FIXED | {"timing": {"elapsed_display_seconds": number}})


@pytest.mark.parametrize("key", ["test_id", "status"])
@pytest.mark.parametrize("value", [None, 7, "", {}, []])
def test_an_identity_and_a_state_are_texts(key: str, value: object) -> None:
    with pytest.raises(ValidationError):
        Test.model_validate(FIXED | {key: value})
    with pytest.raises(ValidationError):
        Frame.model_validate(FRAME | {key: value})


@pytest.mark.parametrize("timing", [None, 3, "x", []])
def test_a_clock_that_cannot_be_read_is_no_clock(timing: object) -> None:
    with pytest.raises(ValidationError):
        Test.model_validate(FIXED | {"timing": timing})


def test_null_is_nothing_where_something_is_counted() -> None:
    test = Test.model_validate(
        FIXED | {"total_operations": None, "timing": {"elapsed_display_seconds": None}}
    )
    assert (test.total_operations, test.timing.elapsed_display_seconds) == (0, 0)


def test_exact_percentiles_win_over_the_approximation_even_where_there_are_none() -> None:
    body = {key: value for key, value in FIXED.items() if key != "p50_latency_ms"}
    assert Test.model_validate(body | {"p50_latency": 21.0}).p50_latency_ms == 21
    assert recorded("rest_fixed_terminal", p50_latency_ms=None).p50_latency_ms is None


@pytest.mark.parametrize("key", ["find_max_result", "scaling", "bounds_state"])
def test_an_optional_object_that_is_none_is_missing(key: str) -> None:
    assert getattr(Test.model_validate(FIXED | {key: "garbage"}), key) is None


@pytest.mark.parametrize(
    ("told", "moment"),
    [
        ("2026-11-23T13:14:51+00:00", datetime(2026, 11, 23, 13, 14, 51, tzinfo=UTC)),
        ("2026-11-23T13:14:51Z", datetime(2026, 11, 23, 13, 14, 51, tzinfo=UTC)),
        ("2026-11-23T13:14:51", datetime(2026, 11, 23, 13, 14, 51, tzinfo=UTC)),
        ("yesterday", None),
        (1_795_439_691, None),
        (None, None),
    ],
)
def test_a_time_is_one_or_is_missing(told: object, moment: datetime | None) -> None:
    assert Test.model_validate(FIXED | {"start_time": told}).start_time == moment


def test_a_row_without_a_time_is_one_all_the_same() -> None:
    row = Row.model_validate(json.loads(text_of("list_row_fixed")) | {"created_at": "yesterday"})
    assert row.created_at is None


@pytest.mark.parametrize("message", [{}, [], "x", {"event": "OTHER", "data": {}}, {"status": "x"}])
def test_a_message_of_another_kind_cannot_be_read(message: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter[Message](Message).validate_python(message)


@pytest.mark.parametrize("ops", [[], "x", {"total": "1"}, {"total": 1, "current_per_sec": -1}])
def test_a_frame_whose_counts_are_none_cannot_be_read(ops: object) -> None:
    with pytest.raises(ValidationError):
        Frame.model_validate(FRAME | {"ops": ops})


def test_what_a_frame_leaves_null_is_empty() -> None:
    frame = frame_of("ws_fixed", "RUNNING", phase="MEASUREMENT", latency=None, errors=None)
    assert frame.latency.p50 is None
    assert frame.errors.rate is None
    assert frames_of("ws_fixed")[0].ops is None


def test_a_flag_is_only_true_when_it_says_so() -> None:
    known = {"connection_id": "c", "connection_name": "Prod", "connection_type": "POSTGRES"}
    told = Connection.model_validate(known | {"is_default": "yes", "has_password": True})
    assert (told.is_default, told.has_password, told.has_private_key) == (False, True, False)


def test_a_secret_in_a_connection_is_not_read() -> None:
    known = {"connection_id": "c", "connection_name": "Prod", "connection_type": "POSTGRES"}
    told = Connection.model_validate(known | {"password": "hunter2", "private_key": "hunter2"})
    assert "hunter2" not in repr(told) + told.model_dump_json()


def test_the_other_answers_are_read_as_they_are_documented() -> None:
    created = {"run_id": "r", "status": "PREPARED", "dashboard_url": "/dashboard/r"}
    assert RunCreated.model_validate(created).dashboard_url == "/dashboard/r"
    changed: dict[str, Any] = {"run_id": "r", "status": "STARTING", "warnings": []}
    assert RunChanged.model_validate(changed).status == "STARTING"
    assert Info.model_validate({"name": "Unistore Benchmark", "version": 1}).version is None
    assert Warehouse.model_validate({"name": "WH", "type": "INTERACTIVE"}).type == "INTERACTIVE"
    enrichment = {"test_id": "r", "test_status": "COMPLETED", "enrichment_status": None}
    assert Enrichment.model_validate(enrichment).enrichment_status is None
    assert ErrorRow.model_validate({"message": "m", "count": 3}).count == 3


def test_a_series_has_its_seconds() -> None:
    second = {
        "timestamp": "2026-11-23T13:14:51+00:00",
        "elapsed_seconds": 1,
        "ops_per_sec": 500.0,
        "p95_latency": 40.0,
        "active_connections": 10,
        "warmup": True,
        "sf_running": 1,
    }
    told = Seconds.model_validate({"test_id": "r", "snapshots": [second], "count": 1})
    assert told.snapshots[0].warmup
    assert told.snapshots[0].error_rate is None


def test_the_largest_figure_survives_arithmetic() -> None:
    assert recorded("rest_fixed_terminal", error_rate=FIGURE_MAX).error_rate == FIGURE_MAX
    assert recorded("rest_fixed_terminal", error_rate=FIGURE_MAX * 2).error_rate is None
