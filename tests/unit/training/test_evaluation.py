"""The judgement as people read it."""

from io import StringIO

from rich.console import Console

from tonnage.training.evaluation import ESTIMATED, Evaluation, Score
from tonnage.training.metrics import Estimate


def test_the_table_fits_a_terminal_and_cuts_no_name() -> None:
    """A pipe is 80 columns wide; a cut name would leave the reader to guess which model it was."""
    estimate = Estimate(mean=0.4321, low=0.4221, high=0.4421)
    scores = [
        Score(
            model=model,
            group=group,
            users=123_456,
            estimates=dict.fromkeys(ESTIMATED, estimate),
            coverage=1.0,
            novelty=12.3,
        )
        for group in ("all", "discovery")
        for model in ("slate", "recent popularity")
    ]
    console = Console(width=80, record=True, file=StringIO())
    console.print(Evaluation(scores=scores, margins={}).table())
    text = console.export_text()
    assert text.count("discovery") == 1
    assert text.count("recent popularity") == 2
    assert text.count("0.432 ± 0.010") == 4
    assert "…" not in text
