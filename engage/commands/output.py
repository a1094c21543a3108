"""What commands have in common: how a list is printed (a table, or JSON for programs), and who signs a decision."""

import json
import sys
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

Function = TypeVar("Function", bound=Callable[..., Any])


def json_option(function: Function) -> Function:
    """Add `--json` to a command that lists."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")(function)


def signed(function: Function) -> Function:
    """Add `--by` and `--reason` to a command that decides something."""
    for option in (
        click.option("--reason", default="", help="Why. Is kept; never name a student."),
        click.option("--by", help="Who decides; without it ENGAGE_USER, or the operating system's name."),
    ):
        function = option(function)
    return function


def show(rows: Sequence[dict[str, object]], as_json: bool, nothing: str) -> None:
    """Print dictionaries of equal keys; `nothing` is said when there are none."""
    if as_json:
        click.echo(json.dumps(rows, default=_plain, indent=2))
    elif not rows:
        click.echo(nothing)
    else:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in rows[0]:
            numeric = all(isinstance(row[name], int | float | Decimal) or row[name] is None for row in rows)
            table.add_column(Text(name.replace("_", " ")), justify="right" if numeric else "left")
        for row in rows:
            # As Text: a plain string would be read as markup.
            table.add_row(*(Text("" if value is None else _text(value)) for value in row.values()))
        # Piped into a file or a log there is no terminal whose width would matter.
        Console(width=None if sys.stdout.isatty() else 180).print(table)


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    if isinstance(value, float | Decimal):
        return f"{value:.1f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
