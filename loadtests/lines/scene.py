"""Where load is made: shops of one retriever each, on the embedded cluster, and the releases they serve."""

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from large import Large, provide
from measures import ROOT
from shops import removed
from simulated import Shape
from tonnage.cli import stages
from tonnage.cli.project import Project
from tonnage.deployment.access import ClusterAccess
from tonnage.deployment.config import own_chart
from tonnage.deployment.embedded import cluster
from tonnage.deployment.embedded.config import EmbeddedConfig
from tonnage.deployment.helm import install, make_namespace
from tonnage.deployment.revisions import merged
from tonnage.load.crowd import Crowd, Pods, load
from tonnage.load.runs import Run
from tonnage.telemetry import Progress

NAME = "load-drill"
WORK = ROOT / "build" / "measure" / "load"
LOCUSTFILE = ROOT / "loadtests" / "locustfile.py"
TONNAGE = [str(Path(sys.executable).with_name("tonnage"))]
DIMENSIONS, USERS = 64, 500
VARIANTS = ("exact-f32", "hnsw-i8")
"""A scan and a graph, whose times grow differently with the catalogue."""

LOOK_S = 2.0
GONE_S = 90.0

RETRIEVER_ONLY: Mapping[str, Any] = {
    "tracks": {"stable": {"replicas": {"retriever": 1, "ranker": 0, "recommender": 0}}},
    "retriever": {"resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}},
    "redis": {"enabled": False},
    "onlineStore": {"url": "redis://nobody:6379/0"},
    "gateway": {"enabled": False},
    "rollout": {"minReadySeconds": 0},
}
"""A shop of which only the retriever runs: load goes straight to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A packaged release.

    Attributes:
        large: the project that it is of.
        values: Helm values that pin its images.
    """

    large: Large
    values: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall:
    """One Helm release: a retriever, and those who ask it.

    Attributes:
        access: the cluster.
        name: of the Helm release and of its namespace.
        progress: is told of each step.
    """

    access: ClusterAccess
    name: str
    progress: Progress

    def serve(self, made: Made, more: Mapping[str, Any] | None = None) -> None:
        """Serve a release and nothing else, with more values; returns when only its pod is left.

        Raises:
            TonnageError: the cluster does not do it.
        """
        file = WORK / f"{self.name}.values.yaml"
        file.write_text(yaml.safe_dump(merged(RETRIEVER_ONLY, more or {})), encoding="utf-8")
        install(
            self.access,
            name=self.name,
            namespace=self.name,
            chart=own_chart(),
            values=[made.values, file],
            timeout_s=300,
            progress=self.progress,
        )
        until = time.monotonic() + GONE_S
        while len(self._pods()) > 1 and time.monotonic() < until:
            time.sleep(1)

    def spoil(self, code: str) -> Mapping[str, Any]:
        """The values with which Python runs this when the retriever starts.

        Args:
            code: of a `sitecustomize.py`.
        """
        # Another fault, another name: pods do not see that a ConfigMap changes.
        name = f"fault-{hashlib.sha256(code.encode()).hexdigest()[:8]}"
        content = {"sitecustomize.py": code}
        config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": content}
        self.access.run_kubectl(
            "--namespace", self.name, "apply", "--filename", "-", stdin=yaml.safe_dump(config_map)
        )
        mounted = {
            "env": {"PYTHONPATH": "/drill"},
            "volumes": [{"name": "drill", "configMap": {"name": name}}],
            "volumeMounts": [{"name": "drill", "mountPath": "/drill", "readOnly": True}],
        }
        return {"retriever": mounted}

    def run(
        self,
        made: Made,
        folder: Path,
        *,
        rate: float,
        seconds: float,
        who: str = "RetrieverBinary",
        locustfile: Path = LOCUSTFILE,
    ) -> Run:
        """Load it, while its pods are looked at.

        Args:
            made: what it serves.
            folder: of the run; an earlier one of that name is gone.
            rate: requests per second.
            seconds: of asking.
            who: Locust's class.
            locustfile: that has it.

        Raises:
            LoadError: there was no run.
        """
        _clear(folder)
        address = self.address
        crowd = Crowd(
            locustfile=locustfile,
            host=f"http://{address}",
            people=(who,),
            options=("--release", str(made.large.release_dir), "--yes-load", address),
        )
        pods = Pods(access=self.access, name=self.name, namespace=self.name, every_s=LOOK_S)
        log = folder.with_suffix(".log")
        return load(crowd.arguments(rate=rate, seconds=seconds), folder, pods=pods, log=log)

    @property
    def address(self) -> str:
        """Of the retriever's Service."""
        service: Any = self.access.get(f"service/{self.name}-stable-retriever", "--namespace", self.name)
        return str(service["spec"]["clusterIP"])

    def _pods(self) -> Sequence[Any]:
        found: Any = self.access.get("pods", "--namespace", self.name)
        return [each for each in found["items"] if each["status"]["phase"] not in {"Succeeded", "Failed"}]


@contextmanager
def stall(config: EmbeddedConfig, progress: Progress, name: str = NAME) -> Iterator[Stall]:
    """A shop's name, and its end when the block ends."""
    WORK.mkdir(parents=True, exist_ok=True)
    access = cluster.access(config)
    try:
        make_namespace(access, name)
        yield Stall(access=access, name=name, progress=progress)
    finally:
        removed(access, name, progress)


def made(items: int, config: EmbeddedConfig, progress: Progress) -> Made:
    """A release of so many items, its images in the cluster; what is there is not made again."""
    large = provide(
        Shape(items=items, dimensions=DIMENSIONS, users=USERS, variants=VARIANTS), progress=progress
    )
    project = Project.open(large.root / "tonnage.toml")
    release = stages.release_named(project, "latest")
    packaged = stages.package(project, release, stages.embedded_sink(config), progress)
    return Made(large=large, values=packaged.values_path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gated:
    """What `tonnage load gate` said.

    Attributes:
        code: its exit code.
        failed: reasons by check, of what failed.
        errors: likewise of what could not be judged.
    """

    code: int
    failed: Mapping[str, str]
    errors: Mapping[str, str]

    @property
    def says(self) -> str:
        """In one line."""
        reasons = [f"{check}: {why}" for check, why in {**self.failed, **self.errors}.items()]
        return f"exit code {self.code}; {'; '.join(reasons) or 'everything passes'}"


def gate(runs: Sequence[Run], slo: Path, *, against: Sequence[Run] = ()) -> Gated:
    """Judge runs with the command, as CI does."""
    kept = [argument for each in against for argument in ("--against", str(each.folder))]
    folders = [str(each.folder) for each in runs]
    command = [*TONNAGE, "load", "gate", *folders, "--slo", str(slo), *kept, "--output", "json"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if not ended.stdout.strip():
        raise RuntimeError(f"tonnage load gate: {ended.stderr.strip()[-300:]}")
    said = json.loads(ended.stdout)
    if "parts" not in said:
        raise RuntimeError(f"tonnage load gate: {'; '.join(said['reasons'])}")
    findings = [each for part in said["parts"] for each in part["findings"]]

    def those(outcome: str) -> dict[str, str]:
        return {each["check"]: each["reason"] for each in findings if each["outcome"] == outcome}

    return Gated(code=ended.returncode, failed=those("fail"), errors=those("error"))


def _clear(folder: Path) -> None:
    """Take an earlier run of the same name away."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for file in folder.glob("*"):
        file.unlink()
