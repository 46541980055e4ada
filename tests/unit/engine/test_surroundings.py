"""What is found around the backend."""

import os

from benchgate.backend.engine.surroundings import look_around
from benchgate.domain.production import PRODUCTION_PATTERNS


def test_the_cores_are_those_that_this_process_may_use() -> None:
    assert 1 <= look_around().cores <= (os.cpu_count() or 1)


def test_the_patterns_are_those_that_were_handed_down() -> None:
    assert look_around().production_patterns == PRODUCTION_PATTERNS
    assert look_around(("crown*",)).production_patterns == ("crown*",)
    assert look_around(()).production_patterns == ()
