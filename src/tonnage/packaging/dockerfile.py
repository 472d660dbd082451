"""The Dockerfile that `bentoml containerize` builds where Docker, Podman or Buildah can.

The same layers as `images` makes, in the same order: base, environment, code, model.
Generated, so that what an image needs to run has one home, `runtime`.
"""

import json

from tonnage.packaging.environment import UNNEEDED_DIRECTORIES, UNNEEDED_FILES, UNNEEDED_PATHS
from tonnage.packaging.runtime import (
    BENTO,
    ENTRYPOINT,
    ENVIRONMENT,
    OPTIMIZATION,
    PORT,
    SITE_PACKAGES,
    UID,
    VARIABLES,
)

_TEMPLATE = """\
{% extends bento_base_template %}
{% block SETUP_BENTO_BASE_IMAGE %}
FROM <base_image> AS base
ENV <variables>

FROM base AS environment
COPY src/requirements.txt /tmp/requirements.txt
RUN command -v uv >/dev/null || pip install --no-cache-dir uv
RUN uv venv --python python3.11 <environment> \\
 && uv pip install --python <environment>/bin/python --no-cache --no-deps --require-hashes \\
    --only-binary :all: --requirements /tmp/requirements.txt \\
 && (cd <site_packages> && rm -rf <paths>) \\
 && find <environment> -depth -type d \\( <directories> \\) -exec rm -rf {} + \\
 && find <environment> -type f \\( <files> \\) -delete \\
 && PYTHONHASHSEED=0 <environment>/bin/python -m compileall -q -o <optimization> \\
    --invalidation-mode unchecked-hash <site_packages>
{% endblock %}
{% block SETUP_BENTO_USER %}
FROM base
COPY --from=environment <environment> <environment>
{% endblock %}
{% block SETUP_BENTO_ENVARS %}{% endblock %}
{% block SETUP_BENTO_COMPONENTS %}
COPY src/*.py <bento>/src/
COPY src/tonnage <bento>/src/tonnage
COPY bento.yaml <bento>/bento.yaml
COPY src/release <bento>/src/release
{% endblock %}
{% block SETUP_BENTO_ENTRYPOINT %}
WORKDIR <bento>
EXPOSE <port>
USER <uid>:<uid>
ENTRYPOINT <entrypoint>
{% endblock %}
"""


def dockerfile_template(base_image: str) -> str:
    """The template for a bento's `docker.dockerfile_template`.

    Args:
        base_image: a Linux image with Python 3.11 and pip or uv.
    """
    values = {
        "base_image": base_image,
        "variables": " ".join(f'{name}="{value}"' for name, value in VARIABLES.items()),
        "environment": ENVIRONMENT,
        "site_packages": SITE_PACKAGES,
        "paths": " ".join(UNNEEDED_PATHS),
        "directories": _any_of(UNNEEDED_DIRECTORIES),
        "files": _any_of(UNNEEDED_FILES),
        "bento": BENTO,
        "optimization": OPTIMIZATION,
        "port": str(PORT),
        "uid": str(UID),
        "entrypoint": json.dumps(ENTRYPOINT),
    }
    text = _TEMPLATE
    for name, value in values.items():
        text = text.replace(f"<{name}>", value)
    return text


def _any_of(names: tuple[str, ...]) -> str:
    return " -o ".join(f"-name '{name}'" for name in names)
