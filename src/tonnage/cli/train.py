"""`tonnage train`: a release from the data, judged on days it has not seen."""

import json

import typer

from tonnage.cli import stages
from tonnage.cli.options import DEFAULT, As, Output, ProjectFile
from tonnage.cli.project import Project
from tonnage.telemetry import Spoken

app = typer.Typer()


@app.callback(invoke_without_command=True)
def train(project: ProjectFile = DEFAULT, output: As = Output.TABLE) -> None:
    r"""Train, judge, write and register a release, if anything it depends on has changed.

    The sources of candidates and the ranker learn from what is before
    \[training] judge_from, and are judged on the days after it, beside what a
    shop could do without learning: popularity, recent popularity, and the
    user's own repeats. A release that does not beat all of them on NDCG@10 is
    registered as rejected. Then the sources are fitted again on all data,
    unless \[training] refit = false.
    """
    from rich.console import Console

    from tonnage.training.evaluation import Evaluation

    release = stages.release(Project.open(project), Spoken())
    judged = release.manifest.evaluation
    if output is Output.JSON:
        told = {"release": release.id, "accepted": judged.accepted, "reasons": list(judged.reasons)}
        typer.echo(json.dumps({**told, **judged.results}, indent=2))
        return
    Console().print(Evaluation.from_dict(judged.results).table(), highlight=False)
    typer.echo(f"{release.id}: {'accepted' if judged.accepted else 'REJECTED'}; {'; '.join(judged.reasons)}")
