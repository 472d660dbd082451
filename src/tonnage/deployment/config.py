"""The `[deployment]` table of `tonnage.toml`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from pydantic import Field

from tonnage.errors import RequirementError
from tonnage.settings import Section

NAME = r"^[a-z]([a-z0-9-]{0,51}[a-z0-9])?$"


class DeploymentConfig(Section):
    """Where the chart is installed, and how."""

    name: str = Field("shop", pattern=NAME)
    """The Helm release; every object's name begins with it."""

    namespace: str = Field("shop", pattern=NAME)
    """Made, with Pod Security `restricted`, when it is not there."""

    context: str | None = None
    """Context of a kubeconfig; without it and without `kubeconfig`, the embedded cluster."""

    kubeconfig: Path | None = None
    """File to find the context in; without it, what kubectl would use."""

    gateway_url: str | None = None
    """Where the Gateway of that context answers, for the commands that are printed."""

    values: tuple[Path, ...] = ()
    """More Helm values, each over those before; paths are relative to this file."""

    chart: Path | None = None
    """Another chart directory than Tonnage's own."""

    timeout_s: float = Field(600, gt=0)
    """Seconds within which every pod must be ready."""

    def overridden(self, *, root: Path, values: Sequence[Path] = (), **given: object) -> Self:
        """These settings with what a command line says over them; None says nothing.

        Args:
            root: directory of the file with the table, which its own paths are relative to.
            values: more Helm values, over those of the table.
            given: other fields.

        Raises:
            ConfigError: a value that cannot be, named.
        """
        chosen = {field: value for field, value in given.items() if value is not None}
        chosen["values"] = (*(root / file for file in self.values), *values)
        for field in ("kubeconfig", "chart"):
            own = getattr(self, field)
            if field not in chosen and own is not None:
                chosen[field] = root / own
        return type(self).read({**self.model_dump(), **chosen}, where="deployment")


def own_chart() -> Path:
    """The directory of Tonnage's chart: in the wheel beside this package, in a checkout at its root.

    Raises:
        RequirementError: it is in neither place.
    """
    package = Path(__file__).resolve().parents[1]
    places = (package / "charts" / "recommender", package.parents[1] / "charts" / "recommender")
    for place in places:
        if (place / "Chart.yaml").exists():
            return place
    raise RequirementError(
        "the chart is not there", hint="Name it with --chart.", looked_in=", ".join(map(str, places))
    )
