"""Clocks that go wrong: every time that is told, shifted."""

import re
from datetime import datetime, timedelta
from typing import cast

from tests.adversary.script import Altered, Json

ISO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?")


def skewed(hours: float) -> Altered:
    """Answers and frames whose times are *hours* late, or early if that is negative."""

    def change(body: Json) -> Json:
        if isinstance(body, dict):
            fields = cast("dict[str, Json]", body)
            return {key: change(value) for key, value in fields.items()}
        if isinstance(body, list):
            return [change(item) for item in cast("list[Json]", body)]
        if isinstance(body, str) and ISO_TIME.fullmatch(body):
            return (datetime.fromisoformat(body) + timedelta(hours=hours)).isoformat()
        return body

    return Altered(change)
