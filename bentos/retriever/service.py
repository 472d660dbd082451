"""The retriever as a BentoML service: wiring only."""

import bentoml

from tonnage.releases.release import Release
from tonnage.serving.bento import settings
from tonnage.serving.environment import Environment
from tonnage.serving.host import environment_or_exit, take_over
from tonnage.serving.protocol.dataplane import Model
from tonnage.serving.protocol.server import InferenceServer

environment = environment_or_exit()


def load(release: Release, environment: Environment) -> Model:
    """The model, where BentoML hosts it; imported only there."""
    from tonnage.serving.retriever import Retriever

    return Retriever.load(release, environment)


server = InferenceServer("retriever", load, environment)


@bentoml.service(
    name="retriever", **settings(environment, livez="/v2/health/live", readyz="/v2/health/ready")
)
@bentoml.asgi_app(server.app, path="/")
class Retriever:
    """The Open Inference Protocol over one retriever."""

    @bentoml.on_deployment
    @staticmethod
    def check() -> None:
        """Refuse to start with a release that it cannot serve; else become the service."""
        take_over("retriever", environment)

    async def __is_ready__(self) -> bool:
        """Whether BentoML's own `/readyz` says yes."""
        return server.is_ready()
