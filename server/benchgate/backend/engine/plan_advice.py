"""What a person has to know of a load's own plan before saying yes to it. Pure.

How far a search may go, and from which machines a load comes, stands in no key of the template.
"""

from benchgate.backend.engine.advice import Look, Rule
from benchgate.backend.engine.capacity import search_limit
from benchgate.domain.bounds import bound_of
from benchgate.domain.preflight import PreflightWarning, Severity, about
from benchgate.domain.search import plan_of
from benchgate.domain.templates import FILE_TABLES


def _search_bound(look: Look) -> PreflightWarning | None:
    """A search ends by itself, and what nobody bounds nobody can approve."""
    config, bound = look.config, bound_of(look.config)
    if bound is None:
        return None
    plan = plan_of(config, server_max=search_limit(config, look.survey))
    return about(
        config,
        severity=Severity.LOW,
        title="How Far the Search May Go",
        message=(
            f"It takes at most {bound.seconds_max} s and {plan.steps_max} steps, and goes no "
            f"higher than {plan.concurrency_max} connections; after the first step that is not "
            "stable it goes back and halves the gap."
        ),
        recommendations=(
            "Set duration to bound its time",
            "Set max_workers and max_connections of scaling to bound its connections",
        ),
        details={
            "seconds_max": bound.seconds_max,
            "steps_max": plan.steps_max,
            "concurrency_max": plan.concurrency_max,
        },
        # What the server has left is in it.
        of_a_moment=True,
    )


def _cluster(look: Look) -> PreflightWarning | None:
    """Ray's variable may be set for something else, and its machines are more than this one."""
    address = look.surroundings.ray_address
    if address is None or look.config.table_type in FILE_TABLES:
        return None
    return about(
        look.config,
        severity=Severity.MEDIUM,
        title="Load Comes From a Ray Cluster",
        message=(
            f"RAY_ADDRESS is {address}: the load comes from all free cores of that cluster, and "
            "what is said of this machine's cores does not hold for it."
        ),
        recommendations=("Unset RAY_ADDRESS to load from this machine alone",),
        details={"ray_address": address},
    )


PLAN_RULES: tuple[Rule, ...] = (_search_bound, _cluster)
