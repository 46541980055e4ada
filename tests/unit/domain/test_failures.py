"""Free texts of databases and backends are sorted by what can be done about them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.domain.failures import WORDINGS, FailureKind, kind_of

EXAMPLES: list[tuple[str, FailureKind]] = [
    ("Connection pool exhausted", FailureKind.RESOURCES),
    ("FATAL: sorry, too many clients already", FailureKind.RESOURCES),
    ("remaining connection slots are reserved for roles", FailureKind.RESOURCES),
    ("database or disk is full", FailureKind.RESOURCES),
    ("database is locked", FailureKind.LOCK),
    ("deadlock detected", FailureKind.SERIALIZATION),
    ("canceling statement due to lock timeout", FailureKind.LOCK),
    ("could not serialize access due to concurrent update", FailureKind.SERIALIZATION),
    ("TransactionContext Error: serialization failure", FailureKind.SERIALIZATION),
    ("canceling statement due to statement timeout", FailureKind.TIMEOUT),
    ("Operation timed out", FailureKind.TIMEOUT),
    ('password authentication failed for user "bench"', FailureKind.CREDENTIALS),
    ('role "bench" does not exist', FailureKind.CREDENTIALS),
    ("permission denied for table orders", FailureKind.CREDENTIALS),
    ("Incorrect username or password was specified.", FailureKind.CREDENTIALS),
    ("duplicate key value violates unique constraint", FailureKind.CONSTRAINT),
    ("UNIQUE constraint failed: orders.id", FailureKind.CONSTRAINT),
    ('syntax error at or near "SELEC"', FailureKind.SYNTAX),
    ('near "SELEC": syntax error', FailureKind.SYNTAX),
    ("no such table: orders", FailureKind.MISSING),
    ('relation "public.orders" does not exist', FailureKind.MISSING),
    ("unable to open database file", FailureKind.MISSING),
    ("Object 'ORDERS' does not exist or not authorized.", FailureKind.MISSING),
    ("SQL compilation error: invalid identifier 'X'", FailureKind.MISSING),
    ("connect call failed ('127.0.0.1', 5432)", FailureKind.CONNECTION),
    ("terminating connection due to administrator command", FailureKind.CONNECTION),
    ("Network is unreachable", FailureKind.CONNECTION),
    ("the backend ended while the run was active", FailureKind.OTHER),
    ("", FailureKind.OTHER),
]


@pytest.mark.parametrize(("message", "kind"), EXAMPLES)
@pytest.mark.parametrize("cased", [str.lower, str.upper, str])
def test_a_message_is_sorted_in_any_case(message: str, kind: FailureKind, cased: type[str]) -> None:
    assert kind_of(cased(message)) is kind


@pytest.mark.parametrize("kind", FailureKind)
def test_the_name_of_a_kind_is_that_kind(kind: FailureKind) -> None:
    assert kind_of(kind.value) is kind


def test_every_kind_has_an_example() -> None:
    assert {kind for _, kind in EXAMPLES} == {*FailureKind}


@pytest.mark.parametrize("wording", [wording for _, wordings in WORDINGS for wording in wordings])
def test_every_wording_can_be_met(wording: str) -> None:
    assert wording == wording.casefold()
    assert kind_of(wording) is not FailureKind.OTHER


@given(st.text(max_size=100))
def test_any_text_has_a_kind(text: str) -> None:
    assert kind_of(text) in FailureKind


def test_a_text_of_megabytes_is_judged_by_its_beginning() -> None:
    assert kind_of("x" * 3_000_000 + "deadlock") is FailureKind.OTHER
