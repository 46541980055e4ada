"""Every error this package raises on purpose.

* BenchgateError
  - InvalidInput          what was asked for cannot be meant (422)
  - NotFound              there is nothing under that id (404)
  - Conflict              the state of things forbids it now (409)
  - Unauthorized          the caller showed no valid credential (401)
  - Forbidden             the request names a server or a page that is not ours (403)
  - SettingsError         the environment holds a setting that cannot be used
  - MissingExtra          an optional dependency is not installed (501)
  - DatabaseError         a database under test answered with an error, or not at all (502)
    + NameTaken           what is to be made has the name of something that is there (502)
  - ClusterError          the machines that shall load a database cannot be used (502)
  - StoreError            our own state cannot be read or written
  - BackendError          the backend answered, but not as agreed (502)
    + BackendUnavailable  the backend could not be reached or did not answer in time (503)
      · BackendOutage     the backend answers, and its own database does not (503)

Three seams translate them: `gate/tools` into tool results, `backend/api` into HTTP problems,
`cli` into a line on stderr and an exit code.
"""

from typing import ClassVar


class BenchgateError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    hint: str = "Look at the server's log for the cause."

    def __init__(self, message: str = "", *, hint: str | None = None) -> None:
        """Fall back on the class's docstring and hint where the raiser has nothing better."""
        super().__init__(message or (self.__doc__ or "").strip())
        if hint is not None:
            self.hint = hint

    @property
    def advice(self) -> str:
        """What happened, and after it what the reader can do."""
        message = str(self)
        return f"{message}{'' if message.endswith(('.', '!', '?')) else '.'} {self.hint}"


class InvalidInput(BenchgateError):
    """A value cannot be used."""

    code = "invalid_input"
    status = 422
    hint = "Correct the value that is named and call again."


class NotFound(BenchgateError):
    """There is nothing under that id."""

    code = "not_found"
    status = 404
    hint = "List what exists, and use an id from that list."


class Conflict(BenchgateError):
    """The present state does not allow that."""

    code = "conflict"
    status = 409
    hint = "Read the state again before deciding what to do."


class Unauthorized(BenchgateError):
    """The request carries no valid credential."""

    code = "unauthorized"
    status = 401
    hint = "Send the token of the backend's state file, or ask for a fresh dashboard link."


class Forbidden(BenchgateError):
    """The request names a server that this backend is not."""

    code = "forbidden"
    status = 403
    hint = "Use the address in the backend's state file as it stands there."


class SettingsError(BenchgateError):
    """A setting cannot be used."""

    code = "settings"
    hint = "Correct or unset the environment variable that is named."


class MissingExtra(BenchgateError):
    """An optional part of benchgate is not installed."""

    code = "missing_extra"
    status = 501
    hint = "Install the extra that is named, then start the backend again."


class DatabaseError(BenchgateError):
    """The database under test answered with an error."""

    code = "database"
    status = 502
    hint = "Check the target, the connection and its credentials."


class NameTaken(DatabaseError):
    """Something bears the name already."""

    code = "name_taken"
    hint = "It is not certain whose it is: look at it, and remove it by hand if it may go."


class ClusterError(BenchgateError):
    """The Ray cluster that shall load the database cannot be used."""

    code = "cluster"
    status = 502
    hint = (
        "Check RAY_ADDRESS, and that this machine is part of that cluster (`ray start`); unset it "
        "to load from this machine alone."
    )


class StoreError(BenchgateError):
    """The record that benchgate keeps cannot be used."""

    code = "store"
    hint = (
        "Check that the data folder is writable and not full, and that the database of "
        "BENCHGATE_DATABASE_URL can be reached, if that is set."
    )


class BackendError(BenchgateError):
    """The backend gave an answer that cannot be used."""

    code = "backend"
    status = 502
    hint = "Read the backend's message; if it is not a benchmark backend, correct the URL."
    # Whether what was asked may still reach the backend and be done, after nobody waits for it.
    may_be_on_its_way: bool = False
    # The reason that the backend gave besides its message, where it gave one.
    debug: str | None = None


class BackendUnavailable(BackendError):
    """The backend could not be reached."""

    code = "backend_unavailable"
    status = 503
    hint = "Check that the backend runs, then call again; nothing was started."


class BackendOutage(BackendUnavailable):
    """The backend's own database cannot be reached."""

    code = "backend_outage"
    hint = "Check the backend's connection to its database; nothing is known to be lost."
