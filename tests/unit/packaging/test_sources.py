"""Images hold the code that serves, and say what a checkout lacks."""

from pathlib import Path

import pytest

from tonnage.errors import RequirementError
from tonnage.packaging.config import BENTOS, PackagingConfig
from tonnage.packaging.sources import Sources


@pytest.mark.parametrize("bento", BENTOS)
def test_a_service_gets_its_wiring_and_only_the_subpackages_that_serve(bento: str, tmp_path: Path) -> None:
    Sources.find(PackagingConfig()).lay_out(bento, tmp_path / "context")
    names = {path.name for path in (tmp_path / "context" / "tonnage").iterdir()}
    assert {"errors.py", "features", "index", "releases", "serving"} <= names
    assert names.isdisjoint({"cli", "training", "deployment", "packaging", "datasets", "__pycache__"})
    assert (tmp_path / "context" / "service.py").is_file()


def test_what_a_checkout_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequirementError, match=r"bentos/retriever/service\.py.*\[packaging\]"):
        Sources.find(PackagingConfig(sources=tmp_path))
