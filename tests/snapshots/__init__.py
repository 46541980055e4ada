"""Files that hold what a host or reader sees, so that a change of it is a diff to approve."""

import os
from pathlib import Path

# `UPDATE_SNAPSHOTS=1 make test` writes them anew.
UPDATE_SNAPSHOTS = os.environ.get("UPDATE_SNAPSHOTS") == "1"  # noqa: TID251  # a switch of the tests


def snapshot_folder(name: str) -> Path:
    """The folder of one kind of snapshot."""
    return Path(__file__).parent / name
