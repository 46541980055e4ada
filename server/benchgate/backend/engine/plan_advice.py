"""What a person has to know of a load's own plan before saying yes to it. Pure.

How far a search may go, and from which machines a load comes, stands in no key of the template.
"""

import ipaddress

from benchgate.backend.drivers.port import ConnectionReference
from benchgate.backend.engine.advice import Look, Rule
from benchgate.backend.engine.capacity import search_bound, search_limit
from benchgate.backend.engine.pilot import SETTLING_SECONDS_MIN
from benchgate.domain.preflight import PreflightWarning, Severity, about
from benchgate.domain.search import plan_of
from benchgate.domain.templates import FILE_TABLES, LoadMode, TableType, TemplateConfig
from benchgate.domain.text import one_line

MS_PER_S = 1_000
# So many operations of each connection make a step; with fewer it is judged by a handful.
THOUGHTS_PER_STEP = 10


def thought_away(config: TemplateConfig) -> list[PreflightWarning]:
    """Whether a search thinks for so long that its steps hold nothing to judge them by."""
    judged_s = config.step_duration_seconds - SETTLING_SECONDS_MIN
    think_s = config.think_time / MS_PER_S
    if config.load_mode is not LoadMode.FIND_MAX_CONCURRENCY or think_s < judged_s:
        return []
    return [
        about(
            config,
            severity=Severity.HIGH,
            title="Think Time Is As Long As A Step",
            message=(
                f"Of each step {judged_s} s at most are judged, and each connection waits "
                f"{think_s:g} s between two operations: it has one answer in a step, or none, "
                "and nothing can be told from that."
            ),
            recommendations=(
                f"Set think_time to {judged_s * MS_PER_S // THOUGHTS_PER_STEP} or less",
                "Make step_duration_seconds many times as long as think_time",
            ),
            details={
                "think_time_ms": config.think_time,
                "step_duration_seconds": config.step_duration_seconds,
                "judged_seconds_max": judged_s,
            },
        )
    ]


def _search_bound(look: Look) -> PreflightWarning | None:
    """A search ends by itself, and what nobody bounds nobody can approve."""
    config, bound = look.config, search_bound(look.config)
    if bound is None:
        return None
    plan = plan_of(config, server_max=search_limit(config, look.survey))
    is_less = plan.concurrency_max < (bound.concurrency_max or 0)
    return about(
        config,
        severity=Severity.LOW,
        title="How Far the Search May Go",
        message=(
            f"It takes at most {bound.seconds_max} s and {plan.steps_max} steps, and goes no "
            f"higher than {plan.concurrency_max} connections"
            + (", which the server has left" if is_less else "")
            + "; after the first step that is not stable it goes back and halves the gap."
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


def _own_servers(look: Look) -> PreflightWarning | None:
    """This machine's name for itself is every other machine's name for another one."""
    address, found = look.surroundings.ray_address, look.connection or ConnectionReference()
    host = found.hostaddr or found.host or ""
    if address is None or look.config.table_type is not TableType.POSTGRES or not is_own(host):
        return None
    shown = one_line(host) or "no host at all, and so a socket"
    return about(
        look.config,
        severity=Severity.HIGH,
        title="Each Node Would Load Its Own Server",
        message=(
            f"RAY_ADDRESS is {one_line(address)}, and the connection leads to {shown}: on each "
            "machine of that cluster this is a server of that machine, and not the one that was "
            "looked at here."
        ),
        recommendations=(
            "Give the connection a host by which every machine of the cluster reaches the server",
            "Unset RAY_ADDRESS to load from this machine alone",
        ),
        details={"ray_address": address, "host": host},
    )


def is_own(hosts: str) -> bool:
    """Whether one of *hosts*, as libpq writes them, is whichever machine asks for it."""
    return any(_is_own(host.strip().lower().rstrip(".")) for host in hosts.split(","))


def _is_own(host: str) -> bool:
    # A socket is a path, or an abstract name; the system reads 127.1 as an address too.
    if host.startswith(("/", "@", "127.")) or host in {"", "localhost"}:
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.endswith(".localhost")
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback or (mapped or address).is_unspecified


PLAN_RULES: tuple[Rule, ...] = (_search_bound, _cluster, _own_servers)
