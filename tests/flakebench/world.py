"""Everything the emulated backend remembers, and what a test can do to it."""

from collections import Counter
from dataclasses import dataclass, field
from uuid import uuid4

from tests.flakebench.clock import Clock, ManualClock, moment
from tests.flakebench.plans import Refused, check_created, own_templates, plan_of
from tests.flakebench.runs import GUARDRAIL, WORKER_LOST, Pace, Run
from tests.flakebench.samples import Json


class NotThere(Exception):
    """What was asked for does not exist, or the database that knows of it cannot be reached."""


class Failed(Exception):
    """An operation failed, for a reason that is told beside."""


@dataclass
class Counts:
    """What has reached the backend. Keys are `METHOD /path`, or run ids."""

    requests: Counter[str] = field(default_factory=Counter[str])
    starts: Counter[str] = field(default_factory=Counter[str])
    streams: Counter[str] = field(default_factory=Counter[str])
    client_frames: Counter[str] = field(default_factory=Counter[str])
    open_streams: Counter[str] = field(default_factory=Counter[str])


@dataclass
class World:
    """The emulated backend's state.

    Attributes:
        outage: the database cannot be reached: everything is not found or empty.
        outage_s: how long a request then takes, but for `/health`.
        connector_raises: the pool lets the connector's error through, as it seldom does.
        metrics_query_fails: streams end with the close code 1000.
        stop_reads_failed: REST tells of a run that a user stopped as FAILED.
        pools_missing: HYBRID and INTERACTIVE tables have no prepared value pools.
        spawn_fails: a start fails after the run was marked as STARTING.
        zero_terminal: every completed run's first payload is without figures, not only FIND_MAX's.
        error_share: which part of all operations fails, 0-1.

    The last two hold for runs created from then on.
    """

    clock: Clock = field(default_factory=ManualClock)
    pace: Pace = field(default_factory=Pace)
    outage: bool = False
    outage_s: float = 0.0
    connector_raises: bool = False
    metrics_query_fails: bool = False
    stop_reads_failed: bool = False
    pools_missing: bool = False
    zero_terminal: bool = False
    spawn_fails: bool = False
    error_share: float = 0.0
    counts: Counts = field(default_factory=Counts)
    templates: dict[str, Json] = field(default_factory=dict[str, Json])
    runs: dict[str, Run] = field(default_factory=dict[str, Run])
    cached: dict[str, tuple[float, Json]] = field(default_factory=dict[str, tuple[float, Json]])

    def __post_init__(self) -> None:
        for template_id, (name, config) in own_templates().items():
            self.save(name, config, template_id=template_id)

    def save(self, name: str, config: Json, *, template_id: str | None = None) -> Json:
        """A new template, as it is stored."""
        now = moment(self.clock.now()).isoformat()
        template: Json = {
            "template_id": template_id or str(uuid4()),
            "template_name": name,
            "description": None,
            "config": config,
            "created_at": now,
            "updated_at": now,
            "created_by": None,
            "tags": None,
            "usage_count": 0,
            "last_used_at": None,
        }
        self.templates[template["template_id"]] = template
        return template

    def find(self, run_id: str) -> Run | None:
        """The run as of now; None also where the database cannot be reached."""
        return None if self.outage else self.current(run_id)

    def current(self, run_id: str) -> Run | None:
        """The run as of now, whether the database can be reached or not."""
        run = self.runs.get(run_id)
        if run is not None:
            run.advance(self.clock.now())
        return run

    def create(self, template_id: str) -> Run:
        """A new PREPARED run.

        Raises:
            NotThere: there is no such template.
            Refused: the template's configuration cannot run.
        """
        template = None if self.outage else self.templates.get(template_id)
        if template is None:
            raise NotThere("Template not found")
        check_created(template["config"])
        run = Run(
            run_id=str(uuid4()),
            template_id=template_id,
            name=template["template_name"],
            config=template["config"],
            plan=plan_of(template["config"]),
            pace=self.pace,
            created_at_s=self.clock.now(),
            error_share=self.error_share,
            zero_terminal=self.zero_terminal,
        )
        self.runs[run.run_id] = run
        return run

    def start(self, run_id: str) -> Run:
        """Start a run.

        Raises:
            NotThere: there is no such run.
            Refused: it cannot be started, for the reason told.
        Failed: it was marked as started, and then was not.
        """
        run = self._existing(run_id)
        template = self.templates.get(run.template_id)
        if template is None:
            raise Refused(f"Template {run.template_id} not found in TEST_TEMPLATES")
        is_first = run.status == "PREPARED"
        run.start(self.clock.now(), pools_missing=self.pools_missing)
        if self.spawn_fails:
            raise Failed("start run", "could not spawn a worker")
        self.counts.starts[run_id] += 1
        if is_first:
            template["usage_count"] += 1
            template["last_used_at"] = moment(self.clock.now()).isoformat()
        return run

    async def stop(self, run_id: str) -> Run:
        """Stop a run and wait until its workers are gone.

        Raises:
            NotThere: there is no such run.
        """
        run = self._existing(run_id)
        run.stop_reads_failed = self.stop_reads_failed
        was_live = run.started_at_s is not None and not run.is_terminal
        run.stop(self.clock.now())
        if was_live:
            await self.clock.sleep(run.pace.stop_s)
            run.advance(self.clock.now())
        return run

    def fail(self, run_id: str, reason: str = WORKER_LOST) -> None:
        """Let a run die, of a lost worker unless another *reason* is given."""
        run = self.current(run_id)
        assert run is not None
        run.fail(self.clock.now(), reason)

    def guardrail(self, run_id: str) -> None:
        """Let a run come upon its CPU guardrail."""
        self.fail(run_id, GUARDRAIL)

    def _existing(self, run_id: str) -> Run:
        run = self.find(run_id)
        if run is None:
            raise NotThere("Run not found")
        return run
