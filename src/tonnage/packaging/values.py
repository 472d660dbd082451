"""The Helm values that pin a track's images by digest."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import yaml

from tonnage.files import whole_file
from tonnage.packaging.sinks import ImageRef

_HEAD = (
    "# Written by `tonnage package`: what one track runs. Give it to `helm install` after your own values.\n"
)


def write_values(out_dir: Path, release: str, refs: Mapping[str, ImageRef], *, track: str) -> Path:
    """Write the chart's values for one track, and return the file.

    Args:
        out_dir: receives `values.yaml` for the track `stable`, and `values-<track>.yaml` for others.
        release: id of the release that the track runs.
        refs: its images by bento.
        track: name of the track; `stable` gets all traffic, others none until somebody gives them some.
    """
    stable = track == "stable"
    images = {
        bento: {name: value for name, value in asdict(ref).items() if value} for bento, ref in refs.items()
    }
    values = {"tracks": {track: {"release": release, "weight": 100 if stable else 0, "images": images}}}
    file = out_dir / ("values.yaml" if stable else f"values-{track}.yaml")
    with whole_file(file) as fresh:
        fresh.write_text(_HEAD + yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return file
