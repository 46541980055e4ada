"""What a workload that writes gives reason to warn of: where it writes, and what that takes.

Pure.
"""

from benchgate.backend.drivers.port import NoCopy
from benchgate.backend.drivers.wording import deletes, writes_by_name
from benchgate.backend.engine.advice import Look, Rule
from benchgate.domain.bounds import bound_of
from benchgate.domain.preflight import PreflightWarning, Severity, about
from benchgate.domain.templates import (
    FILE_TABLES,
    LoadMode,
    QueryShare,
    TemplateConfig,
    WriteTarget,
)
from benchgate.domain.text import one_line

TABLE_PLACEHOLDER = "{table}"
# How much writes will take is not known beforehand. For each this much is reckoned with: a row,
# its entries in indexes, and the log of both.
BYTES_PER_WRITE = 1_024
# A load without a rate of its own is taken to be as fast as this, reads included.
OPERATIONS_PER_S = 10_000
DISK_SPARE_BYTES = 1_000_000_000
MS_PER_S = 1_000
BYTES_STEP = 1_000
UNITS = ("kB", "MB", "GB", "TB")
WHOLE_FROM = 100  # numbers above it are shown without a digit after the point


# Why there can be no copy, and what would change that.
OBSTACLES: dict[NoCopy, tuple[str, str]] = {
    NoCopy.FOLDER: (
        "this user may not create files in its folder",
        "Give the user the right to create files in the folder of this one",
    ),
    NoCopy.REPLICA: (
        "the server is a replica, on which nothing can be created",
        "Point the connection at the primary",
    ),
    NoCopy.NO_TABLE: (
        "it is no table, and only tables are copied",
        "Point the template at the table that it shows",
    ),
    NoCopy.HIDDEN_ROWS: (
        "policies hide rows of it from this user, and a copy would be a part of the table",
        "Use a user for whom row-level security does not hold, such as one with BYPASSRLS",
    ),
    NoCopy.PUBLISHED: (
        "a publication replicates every table of the database, and its subscribers would fail at "
        "the copy",
        "Let the publication name its tables, or load another database",
    ),
    NoCopy.NOT_READABLE: (
        "this user may not read it",
        "Give the user the right to SELECT from the table",
    ),
    NoCopy.NO_SCHEMA: (
        "this user may create no schema in the database",
        "Give the user the right to CREATE in the database",
    ),
}


def in_place(config: TemplateConfig) -> list[PreflightWarning]:
    """Whether a load of *config* changes what is nobody's copy; nothing is looked at for it."""
    found = (_real_table(config), _named_tables(config)) if config.write_pct > 0 else ()
    return [warning for warning in found if warning is not None]


def _real_table(config: TemplateConfig) -> PreflightWarning | None:
    if config.write_target is WriteTarget.SCRATCH:
        return None
    return about(
        config,
        severity=Severity.HIGH,
        title="Writes Go To The Real Table",
        message=(
            f"{config.write_pct:g}% of the workload change {one_line(config.target)} itself"
            f"{_beyond_it(config)}, and nothing is taken back afterwards."
        ),
        recommendations=(
            "Set write_target to SCRATCH: the run then works on a copy, which is removed after it",
        ),
        details={"write_target": config.write_target.value, "write_percentage": config.write_pct},
    )


def _beyond_it(config: TemplateConfig) -> str:
    """What else may be changed: SQL of one's own names what it likes."""
    kinds = _own_kinds(config)
    return f", and whatever else the SQL of {kinds} changes" if kinds else ""


def _beside(config: TemplateConfig) -> str:
    """What no copy keeps in: a function does what it was written for."""
    kinds = _own_kinds(config)
    if not kinds:
        return ""
    return (
        f", unless the SQL of {kinds} calls or fires what does: whatever is changed beside the "
        "copy stays so"
    )


def _own_kinds(config: TemplateConfig) -> str:
    kinds = [share.kind for share in config.workload if share.writes and share.sql is not None]
    return " and ".join(dict.fromkeys(kinds))


def _named_tables(config: TemplateConfig) -> PreflightWarning | None:
    """SQL that names its table itself cannot be led to the scratch copy."""
    beside = _beside_the_copy(config)
    if config.write_target is WriteTarget.IN_PLACE or not beside:
        return None
    names = " and ".join(share.name for share in beside)
    return about(
        config,
        severity=Severity.HIGH,
        title="Writes Go Past the Scratch Copy",
        message=(
            f"The SQL of {names} names its table itself: it would change what it names "
            "and not the scratch copy, and is refused at the start."
        ),
        recommendations=(f"Write {TABLE_PLACEHOLDER} in the SQL in place of the table's name",),
        details={
            "operations": [share.kind for share in beside],
            "write_target": config.write_target.value,
        },
    )


def _beside_the_copy(config: TemplateConfig) -> list[QueryShare]:
    # The copy of a file has all its tables, under their own names.
    if config.table_type in FILE_TABLES:
        return []
    return [share for share in config.workload if writes_by_name(share)]


def _scratch_copy(look: Look) -> PreflightWarning | None:
    """A workload that writes is run on a copy, which somebody has to know of."""
    config, survey = look.config, look.survey
    if not _copies(config):
        return None
    table, size = one_line(config.target), survey.table_bytes
    if survey.no_copy is not None:
        return _no_copy(look, survey.no_copy)
    amount = "whose size is not known" if size is None else f"about {shown(size)}"
    return about(
        config,
        severity=Severity.LOW,
        title="Writes Go to a Scratch Copy",
        message=(
            f"Before the load a copy of {table}, {amount}, is made, and removed after the run; "
            f"the table itself is not changed{_beside(config)}.{_meanwhile(config)}"
        ),
        recommendations=("Leave time for the copy before the load begins",),
        details={"table_bytes": size, "write_target": config.write_target.value},
        of_a_moment=True,
    )


def _no_copy(look: Look, reason: NoCopy) -> PreflightWarning:
    config = look.config
    why, remedy = OBSTACLES[reason]
    return about(
        config,
        severity=Severity.HIGH,
        title="No Scratch Copy Possible",
        message=(
            f"{config.write_pct:g}% of the workload write, and there can be no scratch copy of "
            f"{one_line(config.target)} that they would be run on: {why}."
        ),
        recommendations=(remedy, "Take the writes out of the workload"),
        details={"no_copy": reason.value, "write_target": config.write_target.value},
    )


def _deletions(look: Look) -> PreflightWarning | None:
    """Rows that are gone are not deleted again: the longer such a load, the less it does."""
    config = look.config
    deleting = [share for share in config.workload if deletes(share)]
    if not deleting:
        return None
    where = "The scratch copy" if _copies(config) else f"The table {one_line(config.target)}"
    share_pct = sum(share.share_pct for share in deleting)
    return about(
        config,
        severity=Severity.MEDIUM,
        title="Deletes May Run the Table Empty",
        message=(
            f"{where} loses rows to {share_pct:g}% of the workload: the values that statements are "
            "bound to stand for ever fewer rows, and once they are gone, little is measured."
        ),
        recommendations=(
            "Keep the load short beside the number of rows",
            "Insert rows in the same workload, at the rate at which they are deleted",
        ),
        details={"delete_percentage": share_pct, "write_target": config.write_target.value},
    )


def _meanwhile(config: TemplateConfig) -> str:
    if config.table_type not in FILE_TABLES:
        return ""
    return " The whole file is copied, and until that is done other programs may not write to it."


def _disk_space(look: Look) -> PreflightWarning | None:
    """The copy and what is written to it have to fit on the disk, with something to spare."""
    config, free = look.config, look.survey.disk_free_bytes
    if free is None or config.write_pct == 0:
        return None
    copied = (look.survey.table_bytes or 0) if _copies(config) else 0
    written, reckoning = _written(config)
    if copied + written + DISK_SPARE_BYTES <= free:
        return None
    is_certain = copied > free
    return about(
        config,
        severity=Severity.HIGH if is_certain else Severity.MEDIUM,
        title="Not Enough Disk for the Scratch Copy" if is_certain else "Disk May Run Full",
        message=(
            f"{shown(free)} are free where the table lies; its copy takes about {shown(copied)}, "
            f"and writes may add {shown(written)} ({reckoning})."
        ),
        recommendations=(
            "Make room on that disk",
            "Load a smaller table, or take the writes out of the workload",
        ),
        details={
            "disk_free_bytes": free,
            "copy_bytes": copied,
            "written_bytes_estimated": written,
            "bytes_per_write_assumed": BYTES_PER_WRITE,
        },
        of_a_moment=True,
    )


def _copies(config: TemplateConfig) -> bool:
    return config.write_pct > 0 and config.write_target is WriteTarget.SCRATCH


def _written(config: TemplateConfig) -> tuple[int, str]:
    """About how many bytes the writes of a load add at the most, and how that was reckoned."""
    rate, seconds = _rate_per_s(config), _seconds(config)
    writes_per_s = rate * config.write_pct / 100
    return round(writes_per_s * seconds * BYTES_PER_WRITE), (
        f"{seconds:,} s at {writes_per_s:,.0f} writes per second, {BYTES_PER_WRITE:,} bytes each"
    )


def _rate_per_s(config: TemplateConfig) -> float:
    """The operations per second to reckon with."""
    if config.load_mode is LoadMode.QPS and config.target_qps is not None:
        return config.target_qps
    if config.load_mode is LoadMode.FIND_MAX_CONCURRENCY or config.think_time == 0:
        return OPERATIONS_PER_S
    return min(OPERATIONS_PER_S, config.connections * MS_PER_S / config.think_time)


def _seconds(config: TemplateConfig) -> int:
    """The longest that the load can take."""
    bound = bound_of(config)
    seconds = bound.seconds_max if bound else config.warmup + config.duration
    limit = config.guardrails.max_seconds if config.guardrails.enabled else None
    return seconds if limit is None else min(seconds, limit)


def shown(size_bytes: int) -> str:
    """*size_bytes* as a person reads it: 512 bytes, 8.2 kB, 340 MB."""
    if size_bytes < BYTES_STEP:
        return f"{size_bytes} bytes"
    amount, unit = size_bytes / BYTES_STEP, 0
    while amount >= BYTES_STEP and unit < len(UNITS) - 1:
        amount, unit = amount / BYTES_STEP, unit + 1
    return f"{amount:,.{1 if amount < WHOLE_FROM else 0}f} {UNITS[unit]}"


WRITE_RULES: tuple[Rule, ...] = (_scratch_copy, _deletions, _disk_space)
