"""Another process that carries out a load, so that it can be killed.

Its arguments are the address of a Ray cluster, or nothing for this machine, and the load.
"""

import sys

import anyio

from benchgate.backend.engine.crew import drive
from benchgate.backend.engine.load import Load
from tests.integration.workplaces import Ear, opened


async def main(address: str, load: Load) -> None:
    async with opened(address) as place:
        await drive(load, stop=anyio.Event(), observer=Ear(), workplace=place)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], Load.model_validate_json(sys.argv[2]))
