"""What this machine must bring, and what `cluster up` may add itself."""

import os
import platform
import shutil
from pathlib import Path

from tonnage.deployment.embedded import debian
from tonnage.errors import RequirementError
from tonnage.telemetry import Progress


def check_rights() -> None:
    """Namespaces and cgroups need Linux and root.

    Raises:
        RequirementError: one of them is missing.
    """
    if platform.system() != "Linux":
        raise RequirementError(
            "the embedded cluster needs Linux",
            hint="Use your own cluster with --context.",
            system=platform.system(),
        )
    if os.geteuid() != 0:
        raise RequirementError(
            "the embedded cluster needs root: it makes namespaces, mounts and control groups",
            hint="Run it with sudo -E, or use your own cluster with --context.",
            user=os.geteuid(),
        )


def provide_packages(package_list: Path, progress: Progress) -> None:
    """Install the Debian packages that are missing, and say so.

    Raises:
        RequirementError: packages are missing and this is not a Debian that could install them.
        ClusterError: apt-get failed.
    """
    wanted = debian.listed(package_list)
    if not shutil.which("apt-get") or not shutil.which("dpkg-query"):
        raise RequirementError(
            "the embedded cluster is made from Debian packages, and there is no apt-get here",
            hint=f"Use a Debian 12 machine, or your own cluster with --context. Needed: {', '.join(wanted)}.",
        )
    absent = debian.missing(wanted)
    if absent:
        progress.say(f"installing Debian packages that are missing: {', '.join(absent)}")
        debian.install(absent)
