"""What is changed in KServe's own manifests, and that the versions fit."""

import base64
import re
from pathlib import Path
from string import Template
from typing import Any

import yaml

from tonnage.deployment.embedded import addons, images, kserve

SOURCES = Path(__file__).resolve().parents[4] / "devcluster" / "kserve"
AUTHORITY = b"-----BEGIN CERTIFICATE-----"


def _document(kind: str, api: str = "v1", **rest: Any) -> dict[str, Any]:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": kind.lower()}, **rest}


def _rendered() -> list[dict[str, Any]]:
    """As much of the chart as is touched."""
    containers = [{"name": "manager", "readinessProbe": {"periodSeconds": 5}}, {"name": "kube-rbac-proxy"}]
    pod = {"template": {"spec": {"containers": containers}}}
    hooks = [{"name": name, "clientConfig": {"service": {"name": "hooks"}}} for name in ("one", "two")]
    return [
        _document("Issuer", "cert-manager.io/v1"),
        _document("Deployment", "apps/v1", spec=pod),
        _document("ValidatingWebhookConfiguration", webhooks=hooks),
        _document("ClusterStorageContainer"),
    ]


def test_every_webhook_is_proven_with_the_clusters_own_authority() -> None:
    """One without it would be called never, and what it is asked about refused."""
    webhooks = [hook for each in kserve.fitted(_rendered(), AUTHORITY) for hook in each.get("webhooks", ())]
    assert len(webhooks) == 2
    for hook in webhooks:
        assert base64.b64decode(hook["clientConfig"]["caBundle"]) == AUTHORITY
        assert hook["clientConfig"]["service"] == {"name": "hooks"}


def test_what_needs_an_image_or_a_kind_that_is_not_here_is_left_out() -> None:
    fitted = kserve.fitted(_rendered(), AUTHORITY)
    assert not [each for each in fitted if each["kind"] == "Issuer"]
    [deployment] = [each for each in fitted if each["kind"] == "Deployment"]
    assert [each["name"] for each in deployment["spec"]["template"]["spec"]["containers"]] == ["manager"]


def test_what_asks_the_controller_is_applied_after_it() -> None:
    """A webhook that nobody answers yet would refuse the next manifest."""
    late = {each["kind"] for each in _rendered() if kserve.waits_for_controller(each)}
    assert late == {"ValidatingWebhookConfiguration", "ClusterStorageContainer"}


def test_the_images_carry_the_version_of_the_module_and_the_chart_names_them() -> None:
    pinned = re.search(r"github\.com/kserve/kserve v(\S+)", (SOURCES / "go.mod").read_text())
    assert pinned is not None
    recipes = images.read_recipes(SOURCES / "images.toml")
    assert {recipe.version for recipe in recipes.values()} == {pinned.group(1)}
    built = {
        name: images.Image(repository=f"{images.PREFIX}/{name}", tag=recipe.version, archive=Path())
        for name, recipe in recipes.items()
    }
    text = Template((SOURCES / "values.yaml").read_text()).substitute(addons.image_placeholders(built))
    values = yaml.safe_load(text)["kserve"]
    named = {f"{each['image']}:{each['tag']}" for each in (values["controller"], values["router"])}
    assert named == {image.reference for image in built.values()}
