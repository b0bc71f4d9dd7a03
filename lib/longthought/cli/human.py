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
    from rich.table import Table
    from rich.text import Text

    from longthought.thoughts.human import TEMPLATE, as_thought, human_table, parse, read_human

    untouched = as_thought(parse(TEMPLATE, "template"), "template").text
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
            typer.echo(_shown(f"error: {error}"), err=True)
            continue
        if thought.text == untouched:
            broken += 1
            typer.echo(
                _shown(f"error: {file}: is the template as it was printed; write your own thought in it"), err=True
            )
            continue
        thoughts.append(thought)
        row = human_table([thought]).iloc[0]
        table.add_row(*(Text(_shown(str(cell))) for cell in (file, *(row[column] for column in columns[1:]))))
    if thoughts:
        console().print(table)
    for thought in thoughts:
        if not thought.accepted:
            line = f"{thought.problem.id}: {thought.reason}; the gold is {thought.problem.gold}"
            typer.echo(_shown(line), err=True)
    raise typer.Exit(2 if broken else 0 if all(t.accepted for t in thoughts) else 1)


def _shown(text: str) -> str:
    """The text in one line and without what steers a terminal: a file may hold anything."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text.replace("\n", " "))


@human.command()
def template() -> None:
    """Print an empty file to fill in."""
    from longthought.thoughts.human import TEMPLATE

    print(TEMPLATE, end="")
