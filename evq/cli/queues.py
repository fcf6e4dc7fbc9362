"""The commands on a queue as a whole: its limits, workers, schedules, alerts and health."""

from datetime import timedelta
from typing import Any, Final

import click

from evq.alerts import AlertState
from evq.broker import Reply
from evq.cli.fsck import check
from evq.cli.options import FAILED, FOUND, group_option, queue_command, rate, workers
from evq.cli.output import Output, iso, local, table
from evq.cli.survey import alert_table
from evq.queue import Queue
from evq.schedules import Schedule, from_ms

BLIND: Final = timedelta(seconds=60)
"""Alerts that nobody has evaluated for so long say nothing."""


@queue_command
@group_option
async def pause(queue: Queue, out: Output, group: str | None) -> None:
    """Let no job of QUEUE start any more; those that run go on, and new ones may be enqueued."""
    await queue.pause(group)
    out.show({"paused": True, "group": group}, f"{_name(queue, group)} is paused")


@queue_command
@group_option
async def resume(queue: Queue, out: Output, group: str | None) -> None:
    """Let jobs of QUEUE start again."""
    await queue.resume(group)
    out.show({"paused": False, "group": group}, f"{_name(queue, group)} is not paused")


@queue_command
@group_option
@click.option("--concurrency", type=click.IntRange(1), help="So many jobs at a time, on all workers together.")
@click.option("--rate", type=rate, help="So many starts of jobs: 10/s, 600/m or 100/h.")
@click.option("--burst", type=click.IntRange(1), default=1, show_default=True, help="So many of them at once.")
@click.option("--weight", type=float, help="Turns of a group, where others have 1.")
@click.option("--none", "nothing", is_flag=True, help="Lift all limits.")
async def limit(queue: Queue, out: Output, group: str | None, nothing: bool, **limits: Any) -> None:
    """Say anew how many jobs of QUEUE may run, and start: what is not given is not limited."""
    given = {name: value for name, value in limits.items() if value is not None and name != "burst"}
    if nothing == bool(given):
        raise click.UsageError("give --concurrency, --rate or --weight, or else --none to lift all limits")
    if "rate" in given:
        given["burst"] = limits["burst"]
    await queue.limit(group, **given)
    told = ", ".join(f"{name} {value:g}{'/s' if name == 'rate' else ''}" for name, value in given.items())
    out.show({"group": group, **given}, f"{_name(queue, group)}: {told or 'no limits'}")


@queue_command
@click.argument("count", metavar="N|default", type=workers)
async def scale(queue: Queue, out: Output, count: int | str) -> None:
    """Run N workers in all pools of QUEUE together, or as many as each pool was started with.

    Pools run up to their capacities, and take workers away gracefully. The number stays until it is set again.
    """
    wanted = count if isinstance(count, int) else None
    running = await queue.scale(wanted)
    view = f"queue {queue.name}: {running} worker{'' if running == 1 else 's'}"
    if wanted is not None and running < wanted:
        view += f" of {wanted} that are wanted: start another pool for the others (evq worker)"
    out.show({"wanted": wanted, "running": running}, view)


@queue_command
@click.option("--remove", "name", metavar="NAME", help="Forget this one; its jobs stay.")
async def schedules(queue: Queue, out: Output, name: str | None) -> int | None:
    """List the schedules of QUEUE, the one that fires next first, or remove one."""
    if name is not None:
        reply = await queue.unschedule(name)
        sentence = "removed" if reply is Reply.OK else "is not there"
        out.show({"name": name, "outcome": reply.lower()}, f"schedule {name} {sentence}")
        return None if reply is Reply.OK else FAILED
    found = await queue.schedules()
    columns = {
        "name": lambda one: one.name,
        "next": lambda one: local(one.next),
        "cron": lambda one: one.cron,
        "zone": lambda one: one.tz,
        "task": lambda one: one.task,
        "misfire": lambda one: one.misfire,
        "overlap": lambda one: one.overlap,
    }
    out.show(
        [_schedule_wire(one) for one in found],
        table(found, columns) if found else f"queue {queue.name} has no schedules",
    )
    return None


def _schedule_wire(schedule: Schedule) -> dict[str, Any]:
    names = ("name", "task", "cron", "tz", "gap", "fold", "misfire", "overlap")
    return {name: getattr(schedule, name) for name in names} | {"next": iso(schedule.next)}


@queue_command
@click.option("--check", is_flag=True, help="Exit with 3 if one fires, or if no worker evaluates them.")
async def alerts(queue: Queue, out: Output, check: bool) -> int | None:
    """Show the alerts of QUEUE, as its workers evaluated them last."""
    found, now = await queue.alerts(), from_ms(await queue.broker.now())
    out.show(
        [alert.to_wire() for alert in found],
        alert_table(found, now) if found else f"queue {queue.name}: no worker has evaluated its alerts",
    )
    seen = any(now - alert.at < BLIND for alert in found)
    fires = any(alert.state is AlertState.FIRING for alert in found)
    return FOUND if check and (fires or not seen) else None


@queue_command
async def fsck(queue: Queue, out: Output) -> int | None:
    """Check all data of QUEUE against what always holds; exit with 3 if something is wrong.

    It changes nothing, reads everything page by page, and may run beside the workers.
    """
    found = await check(queue.broker)
    columns = {"where": lambda finding: finding.where, "what": lambda finding: finding.what}
    out.show(
        [{"where": finding.where, "what": finding.what} for finding in found],
        table(found, columns) if found else f"queue {queue.name}: nothing is wrong",
    )
    return FOUND if found else None


def _name(queue: Queue, group: str | None) -> str:
    return f"group {group} of queue {queue.name}" if group else f"queue {queue.name}"
