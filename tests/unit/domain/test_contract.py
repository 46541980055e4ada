"""The payloads of the specification: read leniently, and never with a secret in them."""

from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from benchgate.domain.contract import (
    ConnectionDraft,
    RunDetail,
    TemplateReadiness,
    TestStatus,
)
from benchgate.domain.rendezvous import CONTRACT_VERSION, BackendRecord
from tests.unit.examples import CONFIG, HIGH, template_of

DRAFT: dict[str, Any] = {
    "connection_name": "local",
    "connection_type": "POSTGRES",
    "host": "127.0.0.1",
    "password_env": "PGPASSWORD",
}


def test_a_status_that_nobody_knows_can_be_read() -> None:
    status = TestStatus.model_validate(
        {"test_id": "t", "run_id": "r", "status": "ENRICHING", "phase": "?", "a_new_key": 1}
    )
    assert (status.status, status.phase) == ("ENRICHING", "?")


def test_the_specifications_own_example_of_a_status_can_be_read() -> None:
    status = TestStatus.model_validate(
        {
            "test_id": "test-abc123",
            "run_id": "run-789xyz",
            "status": "RUNNING",
            "current_step": 3,
            "total_steps": 10,
            "current_concurrency": 35,
            "metrics": {
                "qps": 1247,
                "p50_latency_ms": 12,
                "p95_latency_ms": 45,
                "error_rate": 0.0,
            },
        }
    )
    assert status.metrics is not None
    assert (status.metrics.qps, status.metrics.p99_latency_ms) == (1247, None)


def test_a_run_carries_its_configuration_as_it_was() -> None:
    detail = RunDetail.model_validate(
        {
            "run_id": "r",
            "test_id": "t",
            "status": "PREPARED",
            "template_id": "a",
            "template_name": "n",
            "config": CONFIG,
            "created_at": "2026-01-01T00:00:00Z",
        }
    )
    assert detail.config.target == "bench.public.orders"


def test_a_templates_readiness_is_read_as_it_was_told() -> None:
    told = TemplateReadiness(
        template=template_of(),
        connection="db.example:5432 as bench (orders-db)",
        active_run_id="r7",
        warnings=(HIGH,),
        can_proceed=False,
    )
    assert TemplateReadiness.model_validate_json(told.model_dump_json(by_alias=True)) == told


def test_nothing_speaks_against_a_template_of_which_nothing_is_said() -> None:
    told = TemplateReadiness.model_validate({"template": template_of(), "a_new_key": 1})
    assert (told.connection, told.active_run_id, told.warnings) == (None, None, ())
    assert told.can_proceed


@pytest.mark.parametrize("secret", ["password", "private_key", "private_key_passphrase"])
def test_a_secret_itself_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(ValidationError, match="secrets are never stored") as caught:
        ConnectionDraft.model_validate(DRAFT | {secret: "hunter2"})
    shown = caught.value.errors(include_input=False, include_url=False, include_context=False)
    assert "hunter2" not in str(shown)


@pytest.mark.parametrize(
    "change",
    [
        {"connection_name": ""},
        {"connection_type": "MYSQL"},
        {"port": 0},
        {"port": 65_536},
        {"password_env": "PG PASSWORD"},
        {"password_env": "1PASSWORD"},
        {"host": "h" * 1_025},
        {"host": "postgres://bench@db.internal"},
    ],
    ids=lambda change: str(change)[:40],
)
def test_a_connection_out_of_bounds_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(change))):
        ConnectionDraft.model_validate(DRAFT | change)


def test_a_connection_that_is_no_object_is_refused() -> None:
    with pytest.raises(ValidationError):
        ConnectionDraft.model_validate(["password"])


def test_a_reference_to_a_secret_is_kept() -> None:
    assert ConnectionDraft.model_validate(DRAFT).password_env == "PGPASSWORD"


def test_a_record_hides_its_token_from_everything_but_its_file() -> None:
    record = BackendRecord(
        contract_version=CONTRACT_VERSION,
        instance_id="i",
        url="http://127.0.0.1:1",
        token=SecretStr("s3cret"),
    )
    assert "s3cret" not in repr(record)
    assert BackendRecord.model_validate_json(record.model_dump_json()) == record
