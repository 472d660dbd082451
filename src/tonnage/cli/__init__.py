"""The command `tonnage`: its verbs are the stages, in the order of the data's way."""

import sys
from importlib import import_module
from pkgutil import iter_modules

import typer

from tonnage.errors import TonnageError

VERBS = (
    "data",
    "features",
    "train",
    "release",
    "package",
    "deploy",
    "canary",
    "load",
    "serve",
    "cluster",
    "up",
    "down",
)
"""Modules of this package, one per verb, in the order that `--help` shows."""


def build() -> typer.Typer:
    """Put the verbs together."""
    app = typer.Typer(
        name="tonnage",
        help="Real-time recommenders on Kubernetes: train a release, package it, deploy it, measure it.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    present = {module.name for module in iter_modules(__path__)}
    for verb in VERBS:
        if verb in present:
            app.add_typer(import_module(f"{__name__}.{verb}").app, name=verb)
    return app


def main() -> None:
    """Run the command; a foreseen failure is one sentence on standard error and its own exit code."""
    try:
        build()()
    except TonnageError as error:
        typer.echo(f"tonnage: {error}", err=True)
        sys.exit(error.exit_code)
