"""The PIN: what is kept of it, and that nothing passes where it cannot be read."""

import stat
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from benchgate.errors import InvalidInput, StoreError
from benchgate.gate.approvals.pin import PIN_CHARACTERS_MAX, Pin
from benchgate.gate.home import GateHome
from tests.unit.asked import home_in

WORD = SecretStr("corn flower 7")
# Well-formed, and no power of two.
ODD = b'{"n": 5000, "salt": "%b", "hash": "%b"}' % (b"0" * 32, b"0" * 32)


@pytest.fixture
def home(tmp_path: Path) -> GateHome:
    return home_in(tmp_path)


@pytest.fixture
def pin(home: GateHome) -> Pin:
    return Pin(home)


def test_no_pin_is_set_at_first_and_looking_makes_nothing(home: GateHome, pin: Pin) -> None:
    assert not pin.is_set()
    assert not pin.matches(WORD)
    assert not home.settings.data_dir.exists()


def test_only_the_pin_that_was_set_matches(pin: Pin) -> None:
    pin.set(WORD)
    assert pin.is_set()
    tried = ["corn flower 7", "corn flower 8", "Corn flower 7", "corn flower 7 ", ""]
    assert [pin.matches(SecretStr(text)) for text in tried] == [True, False, False, False, False]


def test_a_pin_may_be_of_any_letters(pin: Pin) -> None:
    pin.set(SecretStr("пароль ⚙"))
    assert pin.matches(SecretStr("пароль ⚙"))


def test_the_newest_pin_counts_alone(pin: Pin) -> None:
    pin.set(WORD)
    pin.set(SecretStr("another"))
    assert (pin.matches(WORD), pin.matches(SecretStr("another"))) == (False, True)


def test_a_removed_pin_is_asked_for_no_more(pin: Pin) -> None:
    pin.set(WORD)
    pin.remove()
    pin.remove()
    assert not pin.is_set()


def test_the_file_does_not_hold_the_pin_and_is_its_users_alone(home: GateHome, pin: Pin) -> None:
    pin.set(WORD)
    assert WORD.get_secret_value() not in home.pin_file.read_text(encoding="utf-8")
    if sys.platform != "win32":
        assert stat.S_IMODE(home.pin_file.stat().st_mode) == 0o600


def test_the_same_pin_is_kept_differently_each_time(home: GateHome, pin: Pin) -> None:
    pin.set(WORD)
    first = home.pin_file.read_text(encoding="utf-8")
    pin.set(WORD)
    assert home.pin_file.read_text(encoding="utf-8") != first


@pytest.mark.parametrize("text", ["", "123", "x" * (PIN_CHARACTERS_MAX + 1)])
def test_a_pin_of_no_use_is_refused_and_the_old_one_stays(pin: Pin, text: str) -> None:
    pin.set(WORD)
    with pytest.raises(InvalidInput, match="4 to 64 characters"):
        pin.set(SecretStr(text))
    assert pin.matches(WORD)


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"\xff\xfe", b'{"salt": "00", "hash": ""}', b'{"n": 1073741824}', b"null", ODD],
)
def test_a_file_that_cannot_be_read_lets_nothing_pass(
    home: GateHome, pin: Pin, content: bytes
) -> None:
    pin.set(WORD)
    home.pin_file.write_bytes(content)
    assert pin.is_set()
    assert not pin.matches(WORD)
    assert not pin.matches(SecretStr(""))


def test_a_pin_that_lies_where_a_broken_link_leads_is_still_asked_for(
    home: GateHome, pin: Pin, tmp_path: Path
) -> None:
    home.made()
    home.pin_file.symlink_to(tmp_path / "a disk that is not there" / "pin")
    assert pin.is_set()
    assert not pin.matches(WORD)


def test_a_pin_that_cannot_be_kept_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(StoreError, match="The PIN cannot be kept"):
        Pin(home_in(tmp_path)).set(WORD)
