"""Commands that measure files of answers: `grade`, `curve`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from longthought.cli.base import app, console
from longthought.errors import UserError

if TYPE_CHECKING:
    from longthought.evaluation.curves import Study


@app.command()
def grade(
    file: Annotated[Path, typer.Argument(metavar="FILE.jsonl", help="Rows with id, gold and pred.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the verdicts here; otherwise to standard output.")
    ] = None,
    fallback: Annotated[
        bool, typer.Option("--fallback", help="Without a box, take what follows 'the answer is', '答案是' or '####'.")
    ] = False,
) -> None:
    """Say of each completion whether its answer is the gold one: correct, wrong, no_answer or undecided.

    The answer is the last complete box outside any thinking block. The summary goes to standard error.

    [bold]Examples[/bold]

    longthought grade answers.jsonl --out verdicts.jsonl

    longthought grade answers.jsonl --fallback | head
    """
    from longthought.grading.files import grade_file

    if out is not None and out.exists() and out.samefile(file):
        raise UserError(f"{out}: is the file to grade; name another one with --out")
    print(grade_file(file, out, sys.stdout, fallback=fallback), file=sys.stderr)


@app.command()
def curve(
    files: Annotated[list[Path], typer.Argument(metavar="SAMPLES...", help="Logs of samples; several are pooled.")],
    form: Annotated[str, typer.Option("--format", help="auto, longthought, lm-eval, inspect or lighteval.")] = "auto",
    group: Annotated[
        str,
        typer.Option("--group", metavar="FIELD", help="A curve per value of this field (a.b reaches inside), or file."),
    ] = "",
    gold: Annotated[
        str, typer.Option("--gold", metavar="FIELD", help="The field that holds the gold, if not the format's own.")
    ] = "",
    at: Annotated[
        list[float] | None,
        typer.Option("--at", metavar="TOKENS", help="Compare groups at this budget; may be repeated."),
    ] = None,
    ks: Annotated[str, typer.Option("--ks", metavar="1,2,4", help="Votes of how many answers.")] = "",
    caps: Annotated[str, typer.Option("--caps", metavar="128,256", help="Truncation budgets in tokens.")] = "",
    passes: Annotated[bool, typer.Option("--pass", help="Also pass@k, what a perfect chooser would reach.")] = False,
    tokenizer: Annotated[
        str,
        typer.Option("--tokenizer", help="Count tokens with a folder's, smollm2-135m's or name@commit's, or words."),
    ] = "",
    tokenizer_name: Annotated[
        str, typer.Option("--tokenizer-name", metavar="LABEL", help="What to call the tokenizer in the output.")
    ] = "",
    fallback: Annotated[
        bool, typer.Option("--fallback", help="Without a box, take what follows 'the answer is'.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Write the figure (.html) or its data (.json, .csv).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the bootstrap.")] = 0,
) -> None:
    """Accuracy against tokens from a log of samples: one answer, votes of k, truncation, each with its band.

    Rows hold problem_id, gold, completion (or answer) and tokens, and finish "length" where an answer was cut off; logs
    of lm-evaluation-harness, inspect_ai and lighteval are read as they are.

    [bold]Examples[/bold]

    longthought curve samples.jsonl --plot curve.html

    longthought curve both.jsonl --group model --at 2000

    longthought curve samples_aime.jsonl --tokenizer words --gold doc.answer
    """
    from longthought.evaluation import curves

    if plot:
        curves.check_plot(plot)
        if any(plot.resolve() == file.resolve() for file in files):
            raise UserError(f"--plot {plot} would overwrite the log itself: choose another name")
    found = curves.study(
        files,
        curves.Options(
            form=form, group=group, gold=gold, tokenizer=tokenizer, tokenizer_label=tokenizer_name, fallback=fallback,
            ks=_whole_numbers(ks, "--ks"), caps=_whole_numbers(caps, "--caps"), at=tuple(at or ()), passes=passes,
            seed=seed,
        ),
    )  # fmt: skip
    if plot:
        curves.write_plot(found, plot)
    if as_json:
        print(curves.json_text(found), end="")
        return
    _show_curves(found)


def _show_curves(found: Study) -> None:
    from rich.table import Table
    from rich.text import Text

    from longthought.evaluation import curves

    terminal = console()
    for one in found.curves:
        table = Table(title=Text(one.group.label), title_justify="left")
        table.add_column("budget")
        table.add_column("mean tokens", justify="right")
        table.add_column("accuracy, problems correct", justify="right")
        table.add_column("truncated", justify="right")
        for point in one.points:
            cut = f"{point.truncated}/{point.answers}"
            table.add_row(point.budget, f"{point.tokens:.1f}", curves.rate_text(point), cut)
        for point in one.passes:
            table.add_row(point.budget, f"{point.tokens:.1f}", curves.rate_text(point), "", style="dim")
        terminal.print(table)
        terminal.print(curves.counts_text(one.group) + "\n", markup=False, highlight=False, soft_wrap=True)
    lines = [curves.comparison_text(entry) for entry in found.comparisons]
    lines += curves.heading(found) + [f"note: {note}" for note in found.notes]
    for line in lines:
        terminal.print(line, markup=False, highlight=False, soft_wrap=True)


def _whole_numbers(text: str, option: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")] if text else []
    if not all(part.isdecimal() and len(part) < 10 for part in parts):
        raise UserError(f"{option} {text!r}: whole numbers with commas between are wanted, such as 1,2,4")
    return tuple(map(int, parts))
