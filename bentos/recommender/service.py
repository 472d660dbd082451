"""The recommender as a BentoML service: wiring only."""

import bentoml

from tonnage.serving.application import RecommenderServer
from tonnage.serving.bento import settings
from tonnage.serving.host import environment_or_exit, take_over

environment = environment_or_exit()
server = RecommenderServer(environment)


@bentoml.service(name="recommender", **settings(environment, livez="/livez", readyz="/readyz"))
@bentoml.asgi_app(server.app, path="/")
class Recommender:
    """The public endpoint."""

    @bentoml.on_deployment
    @staticmethod
    def check() -> None:
        """Refuse to start with a release that it cannot serve; else become the service."""
        take_over("recommender", environment)

    async def __is_ready__(self) -> bool:
        """Whether BentoML's own `/readyz` says yes."""
        return await server.is_ready()
