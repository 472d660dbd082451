"""The Dockerfile for Docker, Podman and Buildah keeps the promises of the images."""

import json

from tonnage.packaging.dockerfile import dockerfile_template
from tonnage.packaging.runtime import BENTO, ENTRYPOINT


def test_the_model_is_the_last_layer_and_the_process_is_not_root() -> None:
    lines = dockerfile_template("python:3.11-slim").splitlines()
    copies = [line for line in lines if line.startswith("COPY")]
    assert copies[-1] == f"COPY src/release {BENTO}/src/release"
    assert "USER 1034:1034" in lines
    assert f"ENTRYPOINT {json.dumps(ENTRYPOINT)}" in lines


def test_only_what_the_lock_names_by_hash_is_installed() -> None:
    text = dockerfile_template("python:3.11-slim")
    assert "--require-hashes" in text
