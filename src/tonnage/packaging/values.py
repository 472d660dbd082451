"""The Helm values that pin images by digest: those of a track, and that of a load test."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import yaml

from tonnage.files import whole_file
from tonnage.packaging.sinks import ImageRef

_HEAD = (
    "# Written by `tonnage package`: what one track runs. Give it to `helm install` after your own values.\n"
)
_LOADTEST_HEAD = "# Written by `tonnage package --loadtest`: what charts/loadtest runs.\n"


def write_values(out_dir: Path, release: str, refs: Mapping[str, ImageRef], *, track: str) -> Path:
    """Write the chart's values for one track, and return the file.

    Args:
        out_dir: receives `values.yaml` for the track `stable`, and `values-<track>.yaml` for others.
        release: id of the release that the track runs.
        refs: its images by bento.
        track: name of the track; `stable` gets all traffic, others none until somebody gives them some.
    """
    stable = track == "stable"
    images = {bento: _image(ref) for bento, ref in refs.items()}
    values = {"tracks": {track: {"release": release, "weight": 100 if stable else 0, "images": images}}}
    file = out_dir / ("values.yaml" if stable else f"values-{track}.yaml")
    return _write(file, _HEAD, values)


def write_loadtest_values(out_dir: Path, ref: ImageRef, *, track: str) -> Path:
    """Write the values of charts/loadtest that pin its image, and return the file.

    Args:
        out_dir: receives `values-loadtest.yaml` for the track `stable`, `values-loadtest-<track>.yaml` for
            others.
        ref: the image.
        track: that runs the release in it.
    """
    file = out_dir / ("values-loadtest.yaml" if track == "stable" else f"values-loadtest-{track}.yaml")
    return _write(file, _LOADTEST_HEAD, {"image": _image(ref)})


def _image(ref: ImageRef) -> dict[str, str]:
    return {name: value for name, value in asdict(ref).items() if value}


def _write(file: Path, head: str, values: Mapping[str, object]) -> Path:
    with whole_file(file) as fresh:
        fresh.write_text(head + yaml.safe_dump(dict(values), sort_keys=False), encoding="utf-8")
    return file
