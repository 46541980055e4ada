"""Which names sound like production, and which only look a little like it."""

import pytest

from benchgate.domain.production import PRODUCTION_PATTERNS, telling

SOUNDING = [
    ("db-prod.example.com", "prod"),
    ("PROD", "prod"),
    ("prod1.example.com", "prod"),
    ("orders_prod", "prod"),
    ("eu2prod3", "prod"),
    ("10.0.0.1/production", "production"),
    ("shop-PRD-02", "prd"),
    ("live.example.com", "live"),
    ("pg-primary-0", "primary"),
    ("/srv/production/shop.db", "production"),
]
HARMLESS = [
    "products",
    "products.example.com",
    "reproduction",
    "productions",
    "deliverables",
    "olive.example.com",
    "produktion",
    "prodé",
    "staging",
    "localhost",
    "primaryschool",
    "",
]


@pytest.mark.parametrize(("name", "pattern"), SOUNDING)
def test_a_word_of_its_own_is_telling(name: str, pattern: str) -> None:
    assert telling([name], PRODUCTION_PATTERNS) == (name, pattern)


@pytest.mark.parametrize("name", HARMLESS)
def test_a_part_of_another_word_is_not_telling(name: str) -> None:
    assert telling([name], PRODUCTION_PATTERNS) is None


@pytest.mark.parametrize(
    ("name", "pattern", "fits"),
    [
        ("db1.corp.example.com", "db?.corp.*", True),
        ("DB1.CORP.EXAMPLE.COM", "db?.corp.*", True),
        ("db1.corp.example.com", "DB?.Corp.*", True),
        ("db12.corp.example.com", "db?.corp.*", False),
        ("olddb1.corp.example.com", "db?.corp.*", False),
        ("db1", "db[12]", True),
        ("db3", "db[12]", False),
        ("products", "prod*", True),
        ("db.corp.example.com", "corp.example", True),
        ("db-corp-example", "corp.example", False),
    ],
)
def test_a_glob_is_over_the_whole_name_and_a_word_is_literal(
    name: str, pattern: str, *, fits: bool
) -> None:
    assert (telling([name], [pattern]) is not None) is fits


def test_the_first_name_that_fits_is_told() -> None:
    names = ["staging", "prod-b", "prod-a"]
    assert telling(names, ["nothing", "prod"]) == ("prod-b", "prod")
    assert telling(names, []) is None
    assert telling([], ["prod"]) is None
