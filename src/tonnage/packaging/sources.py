"""The checkout that bentos are built from: their wiring, the code they import, their locked requirements."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tonnage
from tonnage.errors import RequirementError
from tonnage.packaging.config import BENTOS, PackagingConfig
from tonnage.packaging.layers import digest_of

SERVED = ("features", "index", "releases", "serving")
"""Subpackages that services import, beside the base modules; the others stay out of the images."""

LOCUST = (
    "following.py",
    "hosts.py",
    "locustfile.py",
    "models.py",
    "people.py",
    "questions.py",
    "recording.py",
    "rows.py",
    "shapes.py",
    "shoppers.py",
    "shopping.py",
)
"""The locustfile and what it imports of `loadtests/`; the others there measure this checkout."""

_NOT_IN_IMAGES = ("__pycache__", ".*")
_NO_CLUSTER = ("embedded", "cluster.py")
"""What runs a Kubernetes on a person's machine."""


@dataclass(frozen=True, slots=True)
class Sources:
    """A checkout of Tonnage."""

    root: Path

    @classmethod
    def find(cls, config: PackagingConfig) -> "Sources":
        """The checkout that the configuration names, or else the one this package runs from.

        Raises:
            RequirementError: it lacks something that bentos are built from.
        """
        root = config.sources or Path(tonnage.__file__).resolve().parents[2]
        sources = cls(root)
        needed = [sources.package / "__init__.py"]
        for bento in BENTOS:
            needed += [sources.bento(bento) / name for name in ("service.py", "bentofile.yaml")]
            needed.append(sources.requirements(bento))
        sources._demand(needed)
        return sources

    @property
    def package(self) -> Path:
        """The package `tonnage`."""
        return self.root / "src" / "tonnage"

    def bento(self, name: str) -> Path:
        """Wiring of one bento."""
        return self.root / "bentos" / name

    def requirements(self, name: str) -> Path:
        """What one bento's environment locks, with hashes."""
        return self.root / "requirements" / f"{name}.txt"

    def lay_out(self, name: str, directory: Path) -> None:
        """Put what one service runs from into a directory: `service.py`, its neighbours, and `tonnage`."""
        ignored = shutil.ignore_patterns(*_NOT_IN_IMAGES)
        shutil.copytree(self.bento(name), directory, dirs_exist_ok=True, ignore=ignored)
        package = directory / "tonnage"
        package.mkdir()
        for module in self.package.iterdir():
            if module.suffix == ".py" or module.name == "py.typed":
                shutil.copy(module, package)
        for subpackage in SERVED:
            shutil.copytree(self.package / subpackage, package / subpackage, ignore=ignored)

    def lay_out_loadtest(self, directory: Path) -> None:
        """Put what a load test runs from into a directory: the locustfile, its neighbours, and `tonnage`.

        Raises:
            RequirementError: the checkout has no load tests.
        """
        modules = [self.root / "loadtests" / name for name in LOCUST]
        self._demand([*modules, self.requirements("loadtest")])
        for module in modules:
            shutil.copy(module, directory)
        ignored = shutil.ignore_patterns(*_NOT_IN_IMAGES, *_NO_CLUSTER)
        shutil.copytree(self.package, directory / "tonnage", ignore=ignored)

    def _demand(self, paths: Sequence[Path]) -> None:
        missing = [path.relative_to(self.root).as_posix() for path in paths if not path.is_file()]
        if missing:
            raise RequirementError(
                f"images are built from a checkout of Tonnage, and this one lacks {', '.join(missing)}",
                hint="Set `sources` in [packaging] to a checkout.",
                sources=self.root,
            )


def code_digest(laid_out: Path) -> str:
    """What stands for a service's code in a key: digest of everything `lay_out` put there."""
    return digest_of(laid_out)
