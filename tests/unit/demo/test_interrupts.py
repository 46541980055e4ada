"""Ctrl-C, as an orderly end."""

import signal
from signal import Signals

import anyio
import pytest

from demo.interrupts import Interrupts

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_an_interrupt_ends_the_work(number: Signals) -> None:
    interrupts = Interrupts()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            await tasks.start(interrupts.listen)
            with interrupts.work:
                signal.raise_signal(number)
                await anyio.sleep_forever()
            tasks.cancel_scope.cancel()
    assert interrupts.happened


async def test_an_interrupt_ends_the_part_under_way_first_and_a_second_one_ends_the_work() -> None:
    interrupts = Interrupts()
    ended = False
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            await tasks.start(interrupts.listen)
            with interrupts.work:
                with interrupts.part() as part:
                    signal.raise_signal(signal.SIGINT)
                    await anyio.sleep_forever()
                ended = part.cancelled_caught
                signal.raise_signal(signal.SIGINT)
                await anyio.sleep_forever()
            tasks.cancel_scope.cancel()
    assert ended
