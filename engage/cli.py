"""The command line: thin words over functions that jobs use too. Other rooms add commands by the entry-point group
`engage.commands`, so that nothing here imports them. Exit codes: 0 done, 1 the answer is no, 2 wrong use.
"""

import importlib.metadata
import sys

import click
import psycopg
import sqlalchemy.exc

from engage.commands.access import access
from engage.commands.batches import batch
from engage.commands.cases import case
from engage.commands.config import config
from engage.commands.contacts import contact
from engage.commands.exemptions import exemption
from engage.commands.explain import explain_score
from engage.commands.export import export_marts
from engage.commands.health import source_health
from engage.commands.incidents import incident, messages
from engage.commands.register import register
from engage.commands.report import report
from engage.commands.retention import retention
from engage.commands.rules import rules
from engage.commands.sar import sar
from engage.commands.sources import source
from engage.commands.sponsored import sponsored
from engage.commands.student_view import student_view
from engage.commands.weeks import week
from engage.connectors import AccessError, TransportError
from engage.decisions import DecisionError
from engage.postgres import PostgresError
from engage.restatement import RestatementError
from engage.sources import ConfigurationError
from engage.undelivered import DeliveryError

ENTRY_POINTS = "engage.commands"


class Commands(click.Group):
    """The built-in commands and those of the entry points, each loaded only when it is called."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names, sorted."""
        return sorted({*super().list_commands(context), *(e.name for e in _plugged_in())})

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return a command by name."""
        if command := super().get_command(context, name):
            return command
        for entry in _plugged_in():
            if entry.name == name:
                loaded = entry.load()
                return loaded if isinstance(loaded, click.Command) else None
        return None


def _plugged_in() -> list[importlib.metadata.EntryPoint]:
    return list(importlib.metadata.entry_points(group=ENTRY_POINTS))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="engage")
def cli() -> None:
    """Tell a university which students are quietly disappearing, never mistaking a silent feed for one."""


source.add_command(source_health)
cli.add_command(source)
cli.add_command(explain_score)
cli.add_command(access)
cli.add_command(batch)
cli.add_command(case)
cli.add_command(config)
cli.add_command(contact)
cli.add_command(exemption)
cli.add_command(incident)
cli.add_command(messages)
cli.add_command(register)
cli.add_command(report)
cli.add_command(retention)
cli.add_command(rules)
cli.add_command(sponsored)
cli.add_command(student_view)
cli.add_command(sar)
cli.add_command(week)
cli.add_command(export_marts)


def main() -> None:
    """Run the command line; what a user can mend is said in a line, never as a traceback."""
    try:
        cli(standalone_mode=True)
    except (AccessError, DecisionError, DeliveryError, RestatementError, TransportError) as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    except (ConfigurationError, PostgresError) as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    except (psycopg.Error, sqlalchemy.exc.SQLAlchemyError) as error:
        click.echo(_of_the_warehouse(error), err=True)
        sys.exit(1)
    except OSError as error:
        click.echo(f"{error.filename}: {error.strerror}" if error.filename else str(error), err=True)
        sys.exit(1)


def _of_the_warehouse(error: Exception) -> str:
    """Return a line about a database error. Its text may quote a row, unless the server could not be reached at all."""
    cause = getattr(error, "orig", None) or error
    code = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    if isinstance(error, psycopg.OperationalError | sqlalchemy.exc.OperationalError) and not code:
        return f"the warehouse does not answer: {str(cause).splitlines()[0]}"
    return f"the warehouse refused: {type(cause).__name__} (SQLSTATE {code or 'unknown'})"
