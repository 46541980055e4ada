"""What a look at a Snowflake warehouse gives reason to warn of: asleep, too narrow, another size.

Pure.
"""

from benchgate.backend.engine.advice import Look, Rule
from benchgate.backend.engine.capacity import needed_at_once
from benchgate.domain.cost import plain_size
from benchgate.domain.preflight import PreflightWarning, Severity, about
from benchgate.domain.text import one_line

ASLEEP = frozenset({"SUSPENDED", "SUSPENDING"})


def _asleep(look: Look) -> PreflightWarning | None:
    """Statements on a suspended warehouse wait until it has resumed, or fail."""
    config, warehouse = look.config, look.survey.warehouse
    if warehouse is None or warehouse.state.upper() not in ASLEEP:
        return None
    name, wakes = one_line(warehouse.name), warehouse.resumes_by_itself
    meanwhile = "Leave enough of the warm-up for it" if config.warmup else "Set warmup to cover it"
    return about(
        config,
        severity=Severity.LOW if wakes else Severity.HIGH,
        title="Warehouse Has to Resume" if wakes else "Warehouse Is Suspended",
        message=(
            f"The warehouse {name} is suspended, and the first operations wait until it has "
            "resumed."
            if wakes
            else f"The warehouse {name} is suspended and does not resume by itself: every "
            "operation would fail."
        ),
        recommendations=(
            (meanwhile,)
            if wakes
            else ("Run ALTER WAREHOUSE … RESUME before the start, or set its AUTO_RESUME",)
        ),
        details={"warehouse": name, "state": one_line(warehouse.state), "auto_resume": wakes},
        of_a_moment=True,
    )


def _narrow(look: Look) -> PreflightWarning | None:
    """What a warehouse does not take at once waits in its queue."""
    config, warehouse = look.config, look.survey.warehouse
    if warehouse is None or warehouse.statements_at_once is None:
        return None
    each, clusters = warehouse.statements_at_once, warehouse.clusters_max
    wanted, places = needed_at_once(config), each * clusters
    if wanted <= places:
        return None
    return about(
        config,
        severity=Severity.MEDIUM,
        title="Statements May Queue in the Warehouse",
        message=(
            f"The load begins with {wanted} connections, and the warehouse "
            f"{one_line(warehouse.name)} takes {places} statements at once (MAX_CONCURRENCY_LEVEL "
            f"{each}, clusters {clusters} at most): more of them queue there, and their latency is "
            "waiting."
        ),
        recommendations=(
            f"Use {places} connections or fewer",
            "Raise MAX_CONCURRENCY_LEVEL or MAX_CLUSTER_COUNT of the warehouse",
        ),
        details={
            "connections_at_start": wanted,
            "statements_at_once": each,
            "clusters_max": clusters,
        },
    )


def _other_size(look: Look) -> PreflightWarning | None:
    """The cost is estimated by the size that the template names, and credits go by the real one."""
    config, warehouse = look.config, look.survey.warehouse
    if warehouse is None or not warehouse.size or not config.warehouse_size:
        return None
    real, named = one_line(warehouse.size), one_line(config.warehouse_size)
    if plain_size(real) == plain_size(named):
        return None
    return about(
        config,
        severity=Severity.MEDIUM,
        title="Warehouse Has Another Size",
        message=(
            f"The warehouse {one_line(warehouse.name)} is {real}, and the template says {named}: "
            f"what is loaded is {real}, and the estimated cost is that of {named}."
        ),
        recommendations=(
            f"Set warehouse_size of the template to {real}",
            "Use a warehouse of the size that is meant",
        ),
        details={"size": real, "warehouse_size": named},
    )


WAREHOUSE_RULES: tuple[Rule, ...] = (_asleep, _narrow, _other_size)
