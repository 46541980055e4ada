"""Where the demo's PostgreSQL lies: what is removed, and what is never."""

from pathlib import Path

import pytest

from demo.home import TEMPORARY_PREFIX, remove_home


def test_a_home_that_is_a_folder_is_removed(tmp_path: Path) -> None:
    home = tmp_path / "postgres"
    (home / "data").mkdir(parents=True)
    remove_home(home)
    assert not home.exists()


def test_a_home_behind_a_link_is_removed_with_the_link(tmp_path: Path) -> None:
    place, home = tmp_path / f"{TEMPORARY_PREFIX}x", tmp_path / "postgres"
    place.mkdir()
    home.symlink_to(place)
    remove_home(home)
    assert not home.is_symlink()
    assert not place.exists()


def test_what_is_not_of_our_making_is_never_removed_through_a_link(tmp_path: Path) -> None:
    precious, home = tmp_path / "precious", tmp_path / "postgres"
    precious.mkdir()
    home.symlink_to(precious)
    remove_home(home)
    assert not home.is_symlink()
    assert precious.is_dir()


@pytest.mark.parametrize("leftover", ["nothing", "a link to nowhere"])
def test_removing_what_is_not_there_is_no_error(tmp_path: Path, leftover: str) -> None:
    home = tmp_path / "postgres"
    if leftover == "a link to nowhere":
        home.symlink_to(tmp_path / "gone")
    remove_home(home)
    assert not home.is_symlink()
