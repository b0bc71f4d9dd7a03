"""Commands on training data: `curate`. Those that compare it with benchmarks are in `cleaning`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from longthought.cli.base import app, console
from longthought.errors import UserError

if TYPE_CHECKING:
    from longthought.curation.curate import Summary

_BAR = 40


def _show_rules(wanted: bool) -> None:
    if wanted:
        from longthought.curation.rules import DEFAULT

        print(DEFAULT.read_text(encoding="utf-8"), end="")
        raise typer.Exit


@app.command()
def curate(
    inputs: Annotated[
        list[str], typer.Argument(metavar="IN...", help="JSONL, JSON, Parquet, or name@commit of a hub.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder for the result.")],
    rules: Annotated[
        Path | None, typer.Option("--rules", metavar="FILE.yaml", help="Rules that replace the default ones.")
    ] = None,
    field: Annotated[
        list[str] | None,
        typer.Option("--field", metavar="NAME=FIELD", help="A field's own name, such as problem=question; repeatable."),
    ] = None,
    split: Annotated[str, typer.Option("--split", help="Of a hub's data set.")] = "train",
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Processes; the result is the same for any number.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the result of other inputs or rules.")] = False,
    show_rules: Annotated[
        bool, typer.Option("--show-rules", callback=_show_rules, is_eager=True, help="Print the default rules.")
    ] = False,
) -> None:
    """Keep the rows whose answer can be checked: no pictures, proofs, parts, words as answers, or duplicates.

    Rows have NuminaMath-CoT's fields (source, problem, solution) or are mapped to them with --field; "answer=FIELD"
    takes the answer from a field instead of the box in the solution. OUT gets kept.jsonl (with answer and language),
    dropped.jsonl (each row's rule and reason), broken.jsonl, summary.json, and the funnel as a figure.

    [bold]Examples[/bold]

    longthought curate numina/*.parquet curated

    longthought curate data.jsonl more.json.gz curated --field problem=question --field solution=response

    longthought curate --show-rules > rules.yaml; longthought curate data.jsonl curated --rules rules.yaml
    """
    from longthought.curation.curate import curate_files
    from longthought.curation.rules import Rules

    mapped = {}
    for pair in field or []:
        name, equals, own = pair.partition("=")
        if not equals:
            raise UserError(f"--field {pair}: write NAME=FIELD, such as problem=question")
        if name.strip() in mapped:
            raise UserError(f"--field {pair}: {name.strip()} is mapped already; keep one of them")
        mapped[name.strip()] = own.strip()
    summary, resumed = curate_files(
        inputs, out, Rules.read(rules), fields=mapped, split=split, workers=workers, force=force
    )
    _show(summary, out, resumed)


def _show(summary: Summary, out: Path, resumed: bool) -> None:
    from rich.table import Table

    from longthought.curation.curate import funnel_table

    table = Table(title=f"{summary.read:,} rows read, {summary.kept:,} kept", title_justify="left")
    table.add_column("stage")
    table.add_column("rows dropped", justify="right")
    table.add_column("rows left", justify="right")
    table.add_column("")
    for stage, gone, left in funnel_table(summary).itertuples(index=False):
        table.add_row(stage, f"{gone:,}" if gone else "", f"{left:,}", "█" * round(_BAR * left / max(1, summary.read)))
    terminal = console()
    terminal.print(table)
    lines = [f"kept by language: {summary.languages['en']:,} English, {summary.languages['zh']:,} Chinese"]
    if summary.unknown_level:
        lines.append(f"note: {summary.unknown_level:,} rows that no other rule dropped name neither source nor level")
    if summary.broken:
        lines.append(f"note: {summary.broken:,} broken rows are in {out}/broken.jsonl, each with its line and reason")
    lines.append(f"{out}: {'was there already, from the same inputs and rules' if resumed else 'written'}")
    for line in lines:
        terminal.print(line, markup=False, highlight=False, soft_wrap=True)
