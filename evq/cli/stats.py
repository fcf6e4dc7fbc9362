"""`evq stats`: a queue now, and what it did lately."""

from datetime import timedelta

import click

from evq.cli.options import duration, queue_command
from evq.cli.output import Output
from evq.cli.survey import survey, view
from evq.queue import Queue


@queue_command
@click.option("--since", type=duration, default="1h", show_default=True, help="Figures of so long, at most 48h.")
async def stats(queue: Queue, out: Output, since: float) -> None:
    """Show what is in QUEUE, and what its workers did lately.

    With --json the figures are there for each minute, too.
    """
    seen = await survey(queue, timedelta(seconds=since))
    out.show(seen.to_wire() | {"minutes": seen.metrics.to_wire()["minutes"]}, *view(seen))
