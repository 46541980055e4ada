"""How long to wait before a lost connection is made again. Pure and seeded."""

import random
from collections.abc import Iterator

FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 2.0


def delays_s(generator: random.Random) -> Iterator[float]:
    """Delays that double up to a limit, each spread over its upper half.

    The spread keeps the connections that a restart cut off together from coming back together.
    """
    delay_s = FIRST_DELAY_S
    while True:
        yield delay_s * generator.uniform(0.5, 1.0)
        delay_s = min(LONGEST_DELAY_S, delay_s * 2)
