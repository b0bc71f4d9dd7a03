"""What every command shares: the application that they register with, and the terminal that they write to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    help="Run the notebooks of the book with parameters of your own, and use its tools on files of your own.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
)


def console() -> Console:
    """The terminal, or 140 columns where the output goes into a file."""
    from rich.console import Console

    found = Console()
    return found if found.is_terminal else Console(width=140)
