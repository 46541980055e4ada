"""What users are told of FlakeBench is what the code does."""

from pathlib import Path

import pytest

from benchgate.domain import bounds
from benchgate.domain.runs import OwnStop
from benchgate.domain.templates import TemplateConfig
from benchgate.gate.dialects.flakebench import dialect
from tests.unit.examples import snapshot_of

DOCUMENT = (Path(__file__).parents[4] / "docs" / "flakebench.md").read_text(encoding="utf-8")
BROKEN = bounds.Bound(seconds_max=300, steps_max=10).broken_by(
    snapshot_of("RUNNING", elapsed_seconds=300, current_step=4, best_concurrency=15, best_qps=501.4)
)


@pytest.mark.parametrize(
    "told",
    [
        f"up to {dialect.FIGURES_SECONDS_MAX} s after the end",
        f"{TemplateConfig.model_fields['duration'].default} s for a template without a duration",
        f"up to {bounds.READY_SECONDS_MAX} s more",
        f"never less than {bounds.SEARCH_STEPS_MIN} steps",
        f"and {bounds.RETRIED_STEPS} for levels that are tried again",
        f"counts for {bounds.WORKER_CONNECTIONS_DEFAULT}.",
        f"`{OwnStop().reason}`",
        f"`{BROKEN.reason if BROKEN else ''}`",
    ],
)
def test_the_document_tells_the_limits_that_the_code_has(told: str) -> None:
    assert told in DOCUMENT
