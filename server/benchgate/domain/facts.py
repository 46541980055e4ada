"""Everything a person is shown before a start, its digest, and what differs between two of them.

A start is that of one run, or of the tests that are left of a comparison.
"""

import json
from collections.abc import Mapping
from itertools import takewhile
from typing import Any, Self

from pydantic import ConfigDict

from benchgate.domain.bounds import Bound
from benchgate.domain.contract import RunDetail
from benchgate.domain.cost import Cost, total
from benchgate.domain.likeness import Caution
from benchgate.domain.objectives import Objective, objectives_of
from benchgate.domain.preflight import PreflightReport, PreflightWarning, Severity, Warnings
from benchgate.domain.templates import TemplateConfig
from benchgate.domain.text import ELLIPSIS, NAME_CHARACTERS_MAX, digest_of, one_line
from benchgate.domain.values import Value

CENT = 0.01
NOTHING = "none"
BLANK = "\u2423"
PARTING_CHARACTERS = 20
# Keys of a configuration are a backend's to choose: marked, none of them is the key of a fact.
CONFIG_MARK = "config:"
# The mark of a warning whose figures are those of a moment, and what they stand in.
OF_A_MOMENT = "of_a_moment"
PASSING = frozenset({"message", "recommendations", "details"})
WARNINGS, TESTS = "warnings", "tests"
# Before the key of a fact, after the number of the test in a comparison that it belongs to.
NUMBER_MARK = "\n"
OWN_NAMES = frozenset(
    {
        "test",
        "connection",
        "writes",
        "bound",
        "pre-flight warnings",
        "pre-flight verdict",
        "estimated cost",
    }
)


class TestFacts(Value):
    """What one test would do, and what speaks against it; the same for every run of it."""

    __test__ = False  # pytest: a value, not a test

    # Else a NaN of a backend's own key would be another value, and digest, once it was stored.
    model_config = ConfigDict(ser_json_inf_nan="constants")

    template_name: str
    config: TemplateConfig
    connection: str | None
    copies_writes: bool = False
    bound: Bound | None = None
    estimated_cost: Cost
    warnings: Warnings
    can_proceed: bool

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What its figures will be held against."""
        return objectives_of(self.config)

    @property
    def writes_own_sql(self) -> bool:
        """Whether a statement that somebody wrote changes data: it may name any table."""
        return any(share.writes and share.sql is not None for share in self.config.workload)

    @property
    def lasting(self) -> Self:
        """The facts without what is measured anew at every look, and is of no weight."""
        lasting = tuple(
            one.lasting
            for one in self.warnings
            if not (one.of_a_moment and one.severity is Severity.LOW)
        )
        return self.model_copy(update={"warnings": lasting})


class StartFacts(TestFacts):
    """Everything a person is shown before a run starts, and nothing else."""

    run_id: str

    @property
    def digest(self) -> str:
        """SHA-256 over the facts in a canonical form, as 64 hexadecimal digits."""
        return digest_in(self.model_dump(mode="json"))

    @property
    def name(self) -> str:
        """What a person calls it."""
        return self.template_name


class ListedTest(TestFacts):
    """One test of a comparison: what a person calls it there, and what it would do."""

    variant: str
    template_id: str


class ComparisonFacts(Value):
    """Everything a person is shown before the tests that are left of a comparison start.

    `order` has an index into `tests` for each run that is left, in their order; `done` counts the
    runs that have completed.
    """

    model_config = ConfigDict(ser_json_inf_nan="constants")

    comparison_id: str
    comparison_type: str
    tests: tuple[ListedTest, ...]
    order: tuple[int, ...]
    done: int
    cautions: tuple[Caution, ...]

    @property
    def digest(self) -> str:
        """SHA-256 over the facts in a canonical form, as 64 hexadecimal digits."""
        return digest_in(self.model_dump(mode="json"))

    @property
    def name(self) -> str:
        """What a person calls it."""
        variants = ", ".join(test.variant for test in self.tests)
        return f"{len(self.tests)} tests: {variants}"

    @property
    def expected_seconds(self) -> int | None:
        """Warm-up and measurement of all runs that are left; None where one's end is open."""
        seconds = [self.tests[index].config.expected_seconds for index in self.order]
        known = [one for one in seconds if one is not None]
        return sum(known) if len(known) == len(seconds) else None

    @property
    def seconds_max(self) -> int | None:
        """The most that warm-up and measurement of all runs can take; None where none is known."""
        seconds = [_seconds_max(self.tests[index]) for index in self.order]
        known = [one for one in seconds if one is not None]
        return sum(known) if len(known) == len(seconds) else None

    @property
    def estimated_cost(self) -> Cost:
        """The credits of all runs that are left."""
        return total([self.tests[index].estimated_cost for index in self.order])


Facts = StartFacts | ComparisonFacts


def _seconds_max(test: TestFacts) -> int | None:
    return test.bound.seconds_max if test.bound else test.config.expected_seconds


def digest_in(told: dict[str, Any]) -> str:
    """The digest of facts that are written down as JSON, by whichever version wrote them.

    It is taken of what is written and not of how this version reads it: an earlier one knew fewer
    keys. Left out is what is measured anew at every look, and of no weight.
    """
    # Sorted, because a backend may give the same template's keys in another order next time.
    return digest_of(json.dumps(_lasting(told), sort_keys=True))


def _lasting(told: dict[str, Any]) -> dict[str, Any]:
    """What is told of a start, without what passes of its warnings.

    Only warnings have such a mark. A configuration may have any key, and all of it counts.
    """
    lasting = dict(told)
    if TESTS in told:
        lasting[TESTS] = [_lasting(test) for test in told[TESTS]]
    if WARNINGS in told:
        lasting[WARNINGS] = [_of_weight(one) for one in told[WARNINGS] if not _is_passing(one)]
    return lasting


def _of_weight(warning: dict[str, Any]) -> dict[str, Any]:
    dropped = PASSING if warning.get(OF_A_MOMENT) is True else frozenset[str]()
    return {key: value for key, value in warning.items() if key not in dropped}


def _is_passing(warning: dict[str, Any]) -> bool:
    return warning.get(OF_A_MOMENT) is True and warning.get("severity") == Severity.LOW


def is_same_test(one: TestFacts, other: TestFacts) -> bool:
    """Whether both would do the same, and the same speaks against them."""
    fields = set(TestFacts.model_fields)
    return one.lasting.model_dump(mode="json", include=fields) == other.lasting.model_dump(
        mode="json", include=fields
    )


def start_facts(run: RunDetail, *, preflight: PreflightReport, cost: Cost) -> StartFacts:
    """The facts of *run* as its backend tells them, with what they cost."""
    return StartFacts(
        run_id=run.run_id,
        template_name=run.template_name,
        config=run.config,
        connection=run.connection,
        copies_writes=run.copies_writes,
        bound=run.bound,
        estimated_cost=cost,
        warnings=preflight.warnings,
        can_proceed=preflight.can_proceed,
    )


class Difference(Value):
    """One fact that is no longer what it was; all three are foreign text on one line."""

    name: str
    before: str
    after: str


class Told(Value):
    """A fact as it is compared, and as it is shown."""

    exact: str
    shown: str


def differences(before: Facts, after: Facts) -> tuple[Difference, ...]:
    """What differs between two sets of facts, in words a person knows them by."""
    return _differing(_told(before), _told(after))


def _differing(old: Mapping[str, Told], new: Mapping[str, Told]) -> tuple[Difference, ...]:
    keys = [*new, *(key for key in old if key not in new)]
    pairs = [(key, old.get(key, ABSENT), new.get(key, ABSENT)) for key in keys]
    return tuple(_difference(key, was, now) for key, was, now in pairs if was.exact != now.exact)


def _difference(key: str, was: Told, now: Told) -> Difference:
    before, after = was.shown, now.shown
    if before == after:
        before, after = _apart(was.exact, now.exact)
    return Difference(name=_name(key), before=before, after=after)


def _apart(before: str, after: str) -> tuple[str, str]:
    """Two texts from a little before the place where they part, their blanks made visible.

    For what differs further on than is shown, or in characters that cannot be seen: JSON has
    escapes for them.
    """
    texts = [text.replace(" ", BLANK) for text in (before, after)]
    same = takewhile(lambda pair: pair[0] == pair[1], zip(*texts, strict=False))
    start = max(0, sum(1 for _ in same) - PARTING_CHARACTERS)
    first, second = (one_line(ELLIPSIS + text[start:], NAME_CHARACTERS_MAX) for text in texts)
    return first, second


def differing_test(before: TestFacts, after: TestFacts) -> tuple[Difference, ...]:
    """What differs in what a test would do, whichever run of it is meant."""
    return _differing(_told_of_test(before), _told_of_test(after))


def _told(facts: Facts) -> dict[str, Told]:
    """Each fact under its key."""
    if isinstance(facts, StartFacts):
        return _told_of_test(facts)
    told = {
        "runs left": _fact(len(facts.order)),
        "cautions": _fact([caution.model_dump(mode="json") for caution in facts.cautions]),
    }
    for number, test in enumerate(facts.tests, start=1):
        of_test = {"variant": _fact(test.variant), "template": _fact(test.template_id)}
        for key, fact in (of_test | _told_of_test(test)).items():
            told[f"{number}{NUMBER_MARK}{key}"] = fact
    return told


def _told_of_test(facts: TestFacts) -> dict[str, Told]:
    """Each fact under its key; the cost last, where a reader looks for it."""
    config: Mapping[str, Any] = facts.config.model_dump(mode="json")
    warnings = [warning.model_dump(mode="json") for warning in facts.lasting.warnings]
    verdict = "may go ahead" if facts.can_proceed else "should not go ahead"
    return {
        "test": _fact(facts.template_name),
        "connection": _fact(facts.connection),
        "writes": _fact("a copy" if facts.copies_writes else "the table itself"),
        "bound": _fact(facts.bound and facts.bound.model_dump(mode="json")),
        **{CONFIG_MARK + key: _fact(value) for key, value in config.items()},
        "pre-flight warnings": _fact(warnings, shown=_warnings(facts.warnings)),
        "pre-flight verdict": _fact(verdict),
        "estimated cost": _fact(
            facts.estimated_cost.model_dump(mode="json"), shown=_credits(facts.estimated_cost)
        ),
    }


def _name(key: str) -> str:
    """What a person calls the fact under *key*; a backend's own key cannot pass for another."""
    number, mark, rest = key.partition(NUMBER_MARK)
    if mark and number.isdecimal():
        return f"test {number}, {_name(rest)}"
    name = one_line(key.removeprefix(CONFIG_MARK).replace("_", " "), NAME_CHARACTERS_MAX)
    clashes = key.startswith(CONFIG_MARK) and (not name or name.lower() in OWN_NAMES)
    return f"{name or NOTHING} (configuration)" if clashes else name


def _fact(value: object, *, shown: str | None = None) -> Told:
    exact = json.dumps(value, sort_keys=True)
    if shown is None:
        shown = value if isinstance(value, str) else exact
    empty = value is None or value in ("", [])
    return Told(exact=exact, shown=NOTHING if empty else one_line(shown, NAME_CHARACTERS_MAX))


ABSENT = _fact(None)


def _warnings(warnings: tuple[PreflightWarning, ...]) -> str:
    return "; ".join(f"{one.title} ({one.severity}): {one.message}" for one in warnings)


def _credits(cost: Cost) -> str:
    if cost.credits is None:
        return "unknown"
    digits = f"{cost.credits:,.2f}" if cost.credits >= CENT else f"{cost.credits:.2g}"
    return f"{digits} credits"
