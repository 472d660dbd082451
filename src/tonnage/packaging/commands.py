"""Running the tools that packaging stands on: uv, debootstrap, BentoML, skopeo."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tonnage.errors import ClusterError, RequirementError


def run(
    command: Sequence[str],
    *,
    hint: str,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    timeout_s: float = 900,
) -> str:
    """Run a tool to its end and return its standard output.

    Args:
        command: the program and its arguments; never a shell line.
        hint: how to get the program where there is none.
        environment: variables to add to this process's own.
        directory: where it runs; None is this process's own.
        timeout_s: seconds after which it is stopped.

    Raises:
        RequirementError: there is no such command.
        ClusterError: it failed or took too long; the message ends with what it said.
    """
    tool = Path(command[0]).name
    try:
        ended = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=directory,
            env={**os.environ, **(environment or {})},
            timeout=timeout_s,
            check=False,
        )
    except FileNotFoundError as error:
        raise RequirementError(f"there is no command {command[0]}", hint=hint) from error
    except subprocess.TimeoutExpired as error:
        raise ClusterError(
            f"{tool} took more than {timeout_s:.0f} s", command=" ".join(command[:6])
        ) from error
    if ended.returncode != 0:
        said = "\n".join((ended.stderr.strip() or ended.stdout.strip()).splitlines()[-12:])
        raise ClusterError(
            f"{tool} failed with exit code {ended.returncode}: {said}", command=" ".join(command[:6])
        )
    return ended.stdout
