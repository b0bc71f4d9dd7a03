"""The command that keeps benchmarks out of training data: `decontaminate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from longthought.cli.base import app, console
from longthought.errors import UserError


@app.command()
def decontaminate(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="TRAIN... OUT", help="JSONL, JSON or Parquet files (or name@commit), then the folder."),
    ],
    against: Annotated[
        list[str],
        typer.Option("--against", metavar="FILE", help="A benchmark: a file or name@commit; may be repeated."),
    ],
    field: Annotated[
        str, typer.Option("--field", metavar="problem=NAME", help="The field that holds a row's problem.")
    ] = "problem=problem",
    remove_templates: Annotated[
        bool, typer.Option("--remove-templates", help="Remove renumbered copies too, instead of only reporting them.")
    ] = False,
    model: Annotated[
        str, typer.Option("--model", metavar="NAME", help="An embedding model: a folder, or name@commit of a hub.")
    ] = "",
    cosine: Annotated[
        float, typer.Option("--cosine", min=0, max=1, help="With --model: from which cosine on a text is a copy.")
    ] = 0.9,
) -> None:
    """Take out of training data what repeats a benchmark's problems, and say what went and why.

    A row is found by the first of these: exact (but for spelling), n-gram, fuzzy (reworded), multilingual (the same
    formulas in another language), embedding (with --model), template (the same words, other numbers: reported only).

    OUT gets clean.jsonl, removed.jsonl, templates.jsonl, broken.jsonl and summary.json, all of them or none.

    [bold]Examples[/bold]

    longthought decontaminate train.jsonl clean --against math500.jsonl --against aime.jsonl

    longthought decontaminate a.parquet b.parquet out --against test.jsonl --field problem=question
    """
    *sources, out = paths
    if not sources:
        raise UserError("name the training files first and the folder for the result last: TRAIN... OUT")
    target, _, name = field.partition("=")
    if target != "problem" or not name:
        raise UserError(f"--field {field}: write problem=NAME, with the name of the field that holds the problem")

    from longthought.curation import cleaning, contamination

    problems: dict[str, list[contamination.Item]] = {}
    for source in against:
        short, items = contamination.read_benchmark(source)
        if short in problems:
            short = source
        problems[short] = items
    embed = contamination.embedder(model) if model else None
    benchmarks = contamination.Benchmarks(problems, limits=contamination.Limits(cosine=cosine), embed=embed)
    summary = cleaning.decontaminate(sources, Path(out), benchmarks, field=name, remove_templates=remove_templates)
    _show(summary, out)


def _show(summary: dict[str, Any], out: str) -> None:
    from rich.table import Table
    from rich.text import Text

    from longthought.curation.contamination import STAGES
    from longthought.statistics import wilson

    table = Table(title="Rows that repeat a benchmark, by the stage that found them")
    for column in ("benchmark", "problems", "of them found", *STAGES):
        table.add_column(column, justify="left" if column == "benchmark" else "right")
    for name, found in summary["benchmarks"].items():
        counts = (found["problems"], found["problems found"], *(found["rows"][stage] for stage in STAGES))
        table.add_row(Text(name), *map(str, counts))
    rows = summary["rows"]
    whole = rows["clean"] + rows["removed"]
    console().print(table)
    print(f"removed {wilson(rows['removed'], whole)} rows; {rows['clean']} stay in {out}/clean.jsonl")
    if rows["templates"]:
        print(f"{rows['templates']} renumbered copies stay among them: see {out}/templates.jsonl")
    if rows["broken"]:
        print(f"{rows['broken']} broken rows are kept aside in {out}/broken.jsonl")
