"""The `evq` command. Its subcommands come from the entry points `evq.commands`, so an application adds its own."""

import sys
from importlib.metadata import EntryPoint, entry_points

import click

from evq.errors import EvqError


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(entry.name for entry in _entries())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        for entry in _entries():
            if entry.name == cmd_name:
                command: click.Command = entry.load()
                return command
        return None


def _entries() -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group="evq.commands"))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="evq")
def cli() -> None:
    """Run job queues on Redis, and the participant import on top of them."""


def main() -> None:
    """Run the command; an error that evq names is one line and exit code 1, wrong usage is 2."""
    failure: BaseException | None = None
    try:
        cli()
    except* EvqError as errors:  # task groups raise groups
        failure = errors
    if failure is not None:
        while isinstance(failure, BaseExceptionGroup):
            failure = failure.exceptions[0]
        from evq.cli.output import plain  # noqa: PLC0415 - not at every start

        click.echo(f"evq: {plain(str(failure))}", err=True)
        sys.exit(1)
