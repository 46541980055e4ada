"""Where the two halves of one user find each other: file names and the record, without I/O.

The backend writes the record while it holds the lock; a gate believes it only when an
authenticated `/health` answers with the same instance id.
"""

from pydantic import SecretStr, field_serializer

from benchgate.domain.values import Value

CONTRACT_VERSION = 3

RECORD_FILE = "backend.json"
LOCK_FILE = "backend.lock"
LOG_FILE = "backend.log"
DATABASE_FILE = "backend.sqlite3"

EXIT_ALREADY_RUNNING = 3


class BackendRecord(Value):
    """How to reach the embedded backend; lies in a file that its user alone can read."""

    contract_version: int
    instance_id: str
    url: str
    token: SecretStr

    @field_serializer("token", when_used="json")
    def _in_the_clear(self, token: SecretStr) -> str:
        return token.get_secret_value()
