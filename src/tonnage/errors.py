"""The error tree.

TonnageError
├── InputError          what a person or a file gave is not usable
│   ├── ConfigError     a setting: tonnage.toml, an option, an environment variable
│   ├── DataError       a table: missing columns, wrong types, bad rows
│   ├── LoadError       a load run: its folder, its rows, what it asks
│   └── RequestError    an HTTP request that cannot be answered as it stands
├── NotFoundError       a release, a dataset or a track that is not there
├── IntegrityError      a file whose digest is not the one its manifest records
├── RequirementError    this machine lacks something: a package, a right, a tool
├── DependencyError     a neighbour (registry, online store, retriever, ranker) failed or is late
└── ClusterError        Kubernetes, Helm or an image tool answered with a failure
"""


class TonnageError(Exception):
    """Anything this package raises on purpose.

    Args:
        problem: what is wrong, in one sentence.
        hint: what to do about it.
        context: the values that name the place (`file=...`, `column=...`); shown, and kept in `.context`.
    """

    http_status = 500
    exit_code = 1

    def __init__(self, problem: str, *, hint: str = "", **context: object) -> None:
        named = ", ".join(f"{key}={value!s}" for key, value in context.items())
        super().__init__(" ".join(part for part in (problem, f"({named})" if named else "", hint) if part))
        self.problem = problem
        self.hint = hint
        self.context = context


class InputError(TonnageError):
    """What a person or a file gave is not usable."""

    http_status = 400
    exit_code = 2


class ConfigError(InputError):
    """A setting is unknown, missing or out of range."""


class DataError(InputError):
    """A table does not hold what its contract says."""


class LoadError(InputError):
    """A load run is not there, not whole, or not what it should be."""


class RequestError(InputError):
    """A request is well-formed but asks for something that cannot be."""

    http_status = 422


class NotFoundError(TonnageError):
    """The thing named is not there."""

    http_status = 404
    exit_code = 4


class IntegrityError(TonnageError):
    """A file is not the one its manifest records."""

    exit_code = 5


class RequirementError(TonnageError):
    """This machine lacks something that the step needs."""

    exit_code = 6


class DependencyError(TonnageError):
    """A neighbour failed, or did not answer in time."""

    http_status = 503
    exit_code = 7


class ClusterError(TonnageError):
    """Kubernetes, Helm or an image tool answered with a failure."""

    exit_code = 8
