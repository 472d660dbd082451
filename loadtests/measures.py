"""How a measuring script says what it found: one line for people, one JSON object for machines."""

import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from tonnage.errors import TonnageError

ROOT = Path(__file__).parents[1]

FAILURES = (TonnageError, OSError, RuntimeError, ValueError, KeyError, subprocess.SubprocessError)
"""What can go wrong with one part without being a mistake of ours in every other one too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One promise beside what was measured.

    Attributes:
        name: what is promised, in words.
        target: the bound, in words, with its unit.
        measured: the figure, with its unit; or why there is none.
        holds: whether the promise holds; what could not be measured does not hold.
    """

    name: str
    target: str
    measured: str
    holds: bool


def at_most(name: str, limit: float, figure: float, unit: str = "") -> Measure:
    """A promise that a figure stays at or below a limit."""
    return Measure(
        name=name,
        target=f"<= {limit:g} {unit}".strip(),
        measured=f"{figure:.4g} {unit}".strip(),
        holds=figure <= limit,
    )


def at_least(name: str, limit: float, figure: float, unit: str = "") -> Measure:
    """A promise that a figure reaches a limit."""
    return Measure(
        name=name,
        target=f">= {limit:g} {unit}".strip(),
        measured=f"{figure:.4g} {unit}".strip(),
        holds=figure >= limit,
    )


def unmeasured(name: str, error: BaseException) -> Measure:
    """What could not be measured: a miss, with the reason."""
    return Measure(name=name, target="can be measured", measured=told(error), holds=False)


def told(error: BaseException) -> str:
    """Why something failed, with the last line of what a command said."""
    said = str(getattr(error, "stderr", None) or "").strip().splitlines()[-1:]
    return ": ".join([type(error).__name__, *str(error).splitlines()[:2], *said])


def machine() -> str:
    """The size of this machine, in one line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = f"Linux {platform.release().split('-')[0]}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, {system}"


def report(what: str, measures: list[Measure]) -> None:
    """Print every promise, write `build/measure/<what>.jsonl`, and exit non-zero when one is missed."""
    print(f"\n{what}: {machine()}")
    for each in measures:
        print(
            f"  {'holds ' if each.holds else 'misses'}  {each.name}: {each.measured} (target {each.target})"
        )
    file = ROOT / "build" / "measure" / f"{what}.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(asdict(each) | {"machine": machine()}) + "\n" for each in measures))
    print(f"written: {file.relative_to(ROOT)}")
    sys.exit(0 if measures and all(each.holds for each in measures) else 1)
