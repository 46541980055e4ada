"""A stand-in for Snowflake as a process that tests start and stop."""

import subprocess
import sys

PASSWORD = "snow"
WAREHOUSE = "FAKESNOW_WAREHOUSE"
STOP_LIMIT_S = 30


class SnowflakeServer:
    """`snowfake` in a process of its own, reached over HTTP on this machine."""

    def __init__(self) -> None:
        # fakesnow itself warns of what the libraries below it will give up.
        command = [sys.executable, "-W", "ignore", "-m", "tests.integration.snowfake"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def stop(self) -> None:
        """End the process as a crash would; once more does nothing."""
        self._process.kill()
        self._process.wait(STOP_LIMIT_S)
        assert self._process.stdout is not None
        self._process.stdout.close()
