"""Locust's shape that follows one of ours."""

from typing import Any

from locust import LoadTestShape

from shapes import SHAPES, people


class Following(LoadTestShape):
    """The number of people over time; `--users` is everybody, `--run-time` the length.

    Args:
        name: of the shape.
        options: as parsed, and as the web page changes them later.
    """

    # Abstract in Locust's sense: it must not take every shape that it finds for one that was asked for.
    abstract = True
    use_common_options = True

    def __init__(self, name: str, options: Any) -> None:
        super().__init__()
        self.name, self._options = name, options

    @property
    def length_s(self) -> float:
        """Of the test."""
        return float(self._options.run_time or SHAPES[self.name].length_s)

    def tick(self) -> tuple[int, float] | None:
        """People now, and how many come or go in a second."""
        users = self._options.num_users or 1
        now = people(SHAPES[self.name], self.get_run_time(), users=users, length_s=self.length_s)
        # Whoever is due comes at once: a spike is steep, and `--spawn-rate` is 1 where nobody gave one.
        return None if now is None else (now, float(users))
