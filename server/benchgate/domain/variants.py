"""A template with another load: what may be changed for it, and what the result is called.

Only the load and its mix may be changed; what is loaded and by which statements may not, and
there is no field here that could say so. Knows no backend: it makes the draft, others save it.
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import ConfigDict, Field, ValidationError

from benchgate.domain.templates import (
    CONNECTIONS_MAX,
    DURATION_SECONDS_MAX,
    QPS_MAX,
    LoadMode,
    ScalingMode,
    Template,
    TemplateConfig,
    TemplateDraft,
)
from benchgate.domain.text import ELLIPSIS, one_line
from benchgate.domain.values import Value
from benchgate.errors import InvalidInput

NAME_CHARACTERS_MAX = 255
NAME_CHARACTERS_READ_MAX = 1_000
ID_CHARACTERS_MAX = 64
DESCRIPTION_CHARACTERS_MAX = 1_000
TAGS_MAX = 50
# What is left is enough of the original's name to know it by.
CHANGES_CHARACTERS_MAX = 150

Share = Annotated[float | None, Field(ge=0, le=100)]


class LoadChanges(Value):
    """What is to be other than in the template; what is left out or null stays as it is."""

    model_config = ConfigDict(extra="forbid")

    duration: int | None = Field(default=None, ge=1, le=DURATION_SECONDS_MAX, description="Seconds")
    warmup: int | None = Field(default=None, ge=0, le=DURATION_SECONDS_MAX, description="Seconds")
    think_time: int | None = Field(default=None, ge=0, le=3_600_000, description="Milliseconds")
    concurrent_connections: int | None = Field(default=None, ge=1, le=CONNECTIONS_MAX)
    start_concurrency: int | None = Field(default=None, ge=1, le=1_000)
    concurrency_increment: int | None = Field(default=None, ge=1, le=500)
    step_duration_seconds: int | None = Field(default=None, ge=10, le=3_600)
    target_qps: float | None = Field(default=None, gt=0, le=QPS_MAX)
    starting_threads: float | None = Field(default=None, ge=0, le=CONNECTIONS_MAX)
    qps_stability_pct: float | None = Field(default=None, ge=1, le=50)
    latency_stability_pct: float | None = Field(default=None, ge=5, le=1_000)
    max_error_rate_pct: Share = None
    custom_point_lookup_pct: Share = None
    custom_range_scan_pct: Share = None
    custom_insert_pct: Share = None
    custom_update_pct: Share = None


# Each change as a person would say it, in the order in which a name tells them.
WORDS = {
    "concurrent_connections": "{} connection{s}",
    "start_concurrency": "from {} connection{s}",
    "concurrency_increment": "{} connection{s} more per step",
    "step_duration_seconds": "{} s per step",
    "target_qps": "{} QPS",
    "starting_threads": "{} starting thread{s}",
    "duration": "{} s",
    "warmup": "{} s warm-up",
    "think_time": "{} ms think time",
    "custom_point_lookup_pct": "{}% point lookups",
    "custom_range_scan_pct": "{}% range scans",
    "custom_insert_pct": "{}% inserts",
    "custom_update_pct": "{}% updates",
    "qps_stability_pct": "QPS stable within {}%",
    "latency_stability_pct": "latency stable within {}%",
    "max_error_rate_pct": "at most {}% errors",
}
SHARES = (
    "custom_point_lookup_pct",
    "custom_range_scan_pct",
    "custom_insert_pct",
    "custom_update_pct",
)

TIMED = (LoadMode.CONCURRENCY, LoadMode.QPS)
PACED = (LoadMode.QPS,)
SEARCHING = (LoadMode.FIND_MAX_CONCURRENCY,)
# Where a change makes a difference; what is not named here makes one in every load mode.
COUNTS_IN: dict[str, tuple[LoadMode, ...]] = {
    "concurrent_connections": TIMED,
    "target_qps": PACED,
    "starting_threads": PACED,
    "start_concurrency": SEARCHING,
    "concurrency_increment": SEARCHING,
    "step_duration_seconds": SEARCHING,
    "qps_stability_pct": SEARCHING,
    "latency_stability_pct": SEARCHING,
    "max_error_rate_pct": SEARCHING,
}


def variant(template: Template, changes: LoadChanges) -> TemplateDraft:
    """*template* with *changes*, as a template of its own; *template* stays what it is.

    Raises:
        InvalidInput: nothing would change, a change would have no effect, or a rule is broken.
    """
    config = template.config
    changed = _changed(config, changes)
    if not changed:
        raise InvalidInput(
            "changes: nothing in them differs from the template.",
            hint="Name what is to be other than in the template, or leave changes out.",
        )
    for name, value in changed.items():
        _refuse_without_effect(config, name, value)
    told = [_told(name, changed[name]) for name in WORDS if name in changed]
    original = one_line(template.template_name, NAME_CHARACTERS_READ_MAX)
    varied = _with(config, changed)
    try:
        return TemplateDraft(
            template_name=_name(original, told),
            description=_description(template, original, told),
            config=varied,
            # A backend may keep more of them than a draft takes; the load is the same without.
            tags=template.tags and dict(list(template.tags.items())[:TAGS_MAX]),
        )
    except ValidationError as exc:
        raise InvalidInput(
            f"The template cannot be saved anew: {_rule(exc)}.",
            hint="Correct the template, or leave changes out.",
        ) from exc


def _rule(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    return one_line(first["msg"].removeprefix("Value error, "))


def _changed(config: TemplateConfig, changes: LoadChanges) -> dict[str, float]:
    wanted: Mapping[str, float] = changes.model_dump(exclude_none=True)
    return {name: value for name, value in wanted.items() if getattr(config, name) != value}


def _with(config: TemplateConfig, changed: Mapping[str, float]) -> TemplateConfig:
    # What the template leaves to its backend's defaults stays left to them.
    kept = config.model_dump(by_alias=True, exclude_unset=True)
    try:
        return TemplateConfig.model_validate(kept | dict(changed))
    except ValidationError as exc:
        raise _broken(exc, config, changed) from exc


def _refuse_without_effect(config: TemplateConfig, name: str, value: float) -> None:
    """Refuse a change that the load would not heed: its maker believes in another test."""
    modes = COUNTS_IN.get(name, tuple(LoadMode))
    hint = f"Leave {name} out, or choose a template of another load."
    if config.load_mode not in modes:
        raise InvalidInput(
            f"{name}: {_number(value)} has no effect in load mode {config.load_mode}; "
            f"it counts in {' and '.join(modes)} only.",
            hint=hint,
        )
    if name == "concurrent_connections" and config.scaling.mode is ScalingMode.FIXED:
        raise InvalidInput(
            f"{name}: {_number(value)} has no effect: this template's scaling is FIXED at "
            f"{config.scaling.min_workers} x {config.scaling.min_connections} connections.",
            hint=hint,
        )


def _told(name: str, value: float) -> str:
    return WORDS[name].format(_number(value), s="" if value == 1 else "s")


def _number(value: float) -> str:
    return f"{value:.10g}"


def _name(original: str, told: list[str]) -> str:
    shown = list(told)
    while len(", ".join(shown)) > CHANGES_CHARACTERS_MAX:
        shown.pop()
    more = f" and {len(told) - len(shown)} more" if len(shown) < len(told) else ""
    suffix = f" ({', '.join(shown)}{more})"
    return (_cut(original, NAME_CHARACTERS_MAX - len(suffix)) + suffix).strip()


def _cut(name: str, limit: int) -> str:
    """*name* in at most *limit* characters: both of its ends are kept, as they tell it apart."""
    if len(name) <= limit:
        return name
    half = (limit - len(ELLIPSIS)) // 2
    return name[:half].rstrip() + ELLIPSIS + name[-half:].lstrip()


def _description(template: Template, original: str, told: list[str]) -> str:
    name = _cut(original, NAME_CHARACTERS_MAX)
    template_id = one_line(template.template_id, ID_CHARACTERS_MAX)
    text = f"Derived from the template {name} ({template_id}), with {', '.join(told)}."
    return one_line(text, DESCRIPTION_CHARACTERS_MAX)


def _broken(
    error: ValidationError, config: TemplateConfig, changed: Mapping[str, float]
) -> InvalidInput:
    """The rule that the whole breaks although each change keeps its own: that of the shares."""
    shares = ", ".join(f"{name}: {_number(changed[name])}" for name in SHARES if name in changed)
    field = shares or "changes"
    now = ", ".join(f"{name} {_number(getattr(config, name))}" for name in SHARES)
    own = _number(sum(query.weight_pct for query in config.generic_queries))
    return InvalidInput(
        f"{field} cannot be used: {_rule(error)}.",
        hint=f"The template has {now}, generic_queries {own} in all: name each that must change.",
    )
