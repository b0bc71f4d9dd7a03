"""Commands on thoughts that people write: `human check`, `human template`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from longthought.cli.base import app, console
from longthought.errors import UserError

human = typer.Typer(help="Thoughts that people write down.", no_args_is_help=True, rich_markup_mode="rich")
app.add_typer(human, name="human")


@human.command()
def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Written thoughts, one a file.")],
) -> None:
    """Read written thoughts and say of each whether it is in order and whether its answer is right.

    Every file is read, whatever is wrong with another. Exit code 2 when one breaks the format, 1 when an answer is not
    right, 0 otherwise.

    [bold]Examples[/bold]

    longthought human template > mine.txt

    longthought human check mine.txt thoughts/*.txt
    """
    from rich.markup import escape
    from rich.table import Table

    from longthought.thoughts.human import human_table, read_human

    thoughts, broken = [], 0
    table = Table(title="Written thoughts")
    columns = ("file", "language", "words", "steps", "wrong turns", "marks of reflection", "seconds", "verdict")
    for column in columns:
        table.add_column(column, overflow="fold")
    for file in files:
        try:
            thought = read_human(file)
        except UserError as error:
            broken += 1
            typer.echo(f"error: {error}", err=True)
            continue
        thoughts.append(thought)
        row = human_table([thought]).iloc[0]
        table.add_row(escape(str(file)), *(escape(str(row[column])) for column in columns[1:]))
    if thoughts:
        console().print(table)
    for thought in thoughts:
        if not thought.accepted:
            typer.echo(f"{thought.problem.id}: {thought.reason}; the gold is {thought.problem.gold}", err=True)
    raise typer.Exit(2 if broken else 0 if all(t.accepted for t in thoughts) else 1)


@human.command()
def template() -> None:
    """Print an empty file to fill in."""
    from longthought.thoughts.human import TEMPLATE

    print(TEMPLATE, end="")
