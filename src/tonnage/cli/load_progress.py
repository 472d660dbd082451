"""What a person sees while a load line is measured: what is tried, why, and how long it will take."""

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tonnage.load.line import MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from tonnage.load.walking import Progress


@contextmanager
def shown(console: "Console | None" = None) -> "Iterator[Callable[[Progress], None]]":
    """A bar on standard error; give what it yields to `walk`.

    Args:
        console: to show it on.
    """
    from rich import progress
    from rich.console import Console

    bar = progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(bar_width=20),
        progress.TextColumn("{task.fields[left]}"),
        console=console or Console(stderr=True),
    )
    with bar:
        task = bar.add_task("preparing", total=None, left="")

        def watch(seen: "Progress") -> None:
            done = len(seen.tries)
            total = done + seen.outlook.likely
            if not bar.console.is_terminal:
                # A log has no line to draw over.
                bar.console.print(f"{described(seen)}; {left(seen)}", highlight=False, markup=False)
            bar.update(
                task, description=described(seen), completed=done, total=total, left=left(seen), refresh=True
            )

        yield watch


def described(seen: "Progress") -> str:
    """Where it is, and what is tried."""
    place = seen.place
    where = f"{seen.number} of {seen.places}: {place.precision} at {place.memory_limit_bytes // MIB}Mi"
    return where if seen.step is None else f"{where}, {seen.step.rate:g}/s {seen.step.why}"


def left(seen: "Progress") -> str:
    """How many tries this place likely takes and may take, and how long everything does."""
    tries = (
        f"{seen.outlook.likely} to {seen.outlook.most} tries left here"
        if seen.outlook.likely
        else "done here"
    )
    return f"{tries}, about {round(seen.seconds / 60)} min in all"
