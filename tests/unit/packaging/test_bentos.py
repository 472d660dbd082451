"""Where bentos can be built."""

from pathlib import Path

import pytest

from tonnage.errors import RequirementError
from tonnage.packaging.bentos import demand_visible


def test_a_hidden_directory_anywhere_above_is_named_with_what_to_do(tmp_path: Path) -> None:
    """BentoML says `Accessing hidden files is not allowed` of a file nobody knows, after minutes of work."""
    with pytest.raises(RequirementError, match=r"and \.worktrees is one .*shop/build.*Move the project"):
        demand_visible(tmp_path / ".worktrees" / "shop" / "build" / "packaging")


def test_a_link_with_an_innocent_name_does_not_hide_it(tmp_path: Path) -> None:
    (tmp_path / ".real").mkdir()
    (tmp_path / "shop").symlink_to(tmp_path / ".real")
    with pytest.raises(RequirementError, match=r"\.real"):
        demand_visible(tmp_path / "shop" / "build")


def test_any_other_directory_will_do(tmp_path: Path) -> None:
    demand_visible(tmp_path / "shop.example" / "build")
