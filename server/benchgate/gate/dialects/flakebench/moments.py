"""When something was so of a run, by this process's own clock; of the newest runs alone."""

from collections import OrderedDict

REMEMBERED_RUNS_MAX = 1_000


class Moments(OrderedDict[str, float]):
    """Moments by run, in seconds of the process."""

    def __setitem__(self, run_id: str, moment: float) -> None:
        """Remember it, and forget the oldest."""
        super().__setitem__(run_id, moment)
        while len(self) > REMEMBERED_RUNS_MAX:
            self.popitem(last=False)
