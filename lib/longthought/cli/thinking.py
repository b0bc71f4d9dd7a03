"""Commands that make long thoughts: `think`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longthought.assignments import filled
from longthought.cli.base import app, console
from longthought.errors import UserError
from longthought.problems import load_jsonl

if TYPE_CHECKING:
    from longthought.thoughts.record import Call, Thought

# Options of engines that shape what is answered, or what it costs: they may not change within a folder.
SHAPING = ("base_url", "device", "dtype", "continuation", "extra_body", "price_in", "price_out")


@app.command()
def think(
    method: Annotated[str, typer.Argument(metavar="METHOD", help="reformat, distil, debate or search.")],
    problems: Annotated[
        Path,
        typer.Argument(metavar="PROBLEMS.jsonl", help="Rows with problem and answer; reformat wants solution too."),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder for this way of asking; made if missing.")],
    teacher: Annotated[
        str,
        typer.Option("--teacher", metavar="SPEC", help="Who thinks: the teacher, or the policy of a debate or search."),
    ],
    critic: Annotated[
        str, typer.Option("--critic", metavar="SPEC", help="Who judges the steps of a debate; the teacher if left out.")
    ] = "",
    samples: Annotated[
        int | None, typer.Option("--samples", min=1, help="Thoughts drawn per problem (distil).")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", min=1, help="Output tokens of one answer.")] = None,
    temperature: Annotated[float | None, typer.Option("--temperature", min=0, help="0 is greedy.")] = None,
    select: Annotated[
        str | None, typer.Option("--select", help="Among right ones: shortest, longest, reflective, diverse or random.")
    ] = None,
    keep: Annotated[int | None, typer.Option("--keep", min=1, help="Right thoughts kept per problem (distil).")] = None,
    retries: Annotated[
        int | None, typer.Option("--retries", min=0, help="Further tries where a check fails (reformat).")
    ] = None,
    prompts: Annotated[
        str | None, typer.Option("--prompts", metavar="A,B", help="Prompts by name, in turn; see above.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Of everything that is drawn.")] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("-p", "--parameter", metavar="KEY=VALUE", help="Any other option of the method; may be repeated."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=0, help="Only the first so many problems; 0 takes all.")] = 0,
    chunk: Annotated[int, typer.Option("--chunk", min=1, help="Problems that are asked and stored together.")] = 16,
    base_url: Annotated[
        str, typer.Option("--base-url", metavar="URL", help="The server of an openai: teacher, if not OpenAI's own.")
    ] = "",
    max_cost: Annotated[
        float | None, typer.Option("--max-cost", min=0, metavar="USD", help="Stop before a call that could cost more.")
    ] = None,
    price_in: Annotated[
        float | None, typer.Option("--price-in", min=0, metavar="USD", help="Price of a million prompt tokens.")
    ] = None,
    price_out: Annotated[
        float | None, typer.Option("--price-out", min=0, metavar="USD", help="Price of a million output tokens.")
    ] = None,
    engine: Annotated[
        list[str] | None,
        typer.Option(
            "-e", "--engine", metavar="KEY=VALUE", help="Any other option of the engines; may be repeated; see above."
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", help="cpu (if left out) or cuda, for a teacher in this process.")
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option("--dtype", help="float32 (if left out), bfloat16 or float16, for a teacher in this process."),
    ] = None,
) -> None:
    """Make long thoughts on the problems of a file with a real teacher, and keep those that are right.

    A teacher is smollm2-135m, a folder with a model, name@commit of a model hub, vllm:MODEL in this process, or
    openai:MODEL behind any server with the OpenAI protocol (the key comes from OPENAI_API_KEY, never from here).

    OUT gets thoughts.jsonl (every candidate, with the reason for its fate), calls.jsonl (every call, with its tokens
    and cost), train.jsonl (prompt and completion of the accepted ones) and card.json. Problems are done in chunks, each
    stored at once: after a crash or Ctrl-C the same command goes on where it stood, and a larger --limit adds to it.

    Prompts of distil: reflect, check and ways (one after the other by default), plain for a teacher that reflects
    unasked, or miniature, the bare problem, for the book's own students. Prompts of reformat: finer, short for a small
    teacher, or miniature. Options of engines are, among others, concurrency, retries and timeout (openai),
    tensor_parallel and max_model_len (vllm), batch_size (a teacher in this process).

    [bold]Examples[/bold]

    longthought think distil math.jsonl thoughts/ --teacher smollm2-135m --limit 10 --samples 4 --max-tokens 512

    longthought think reformat math.jsonl out/ --teacher openai:gpt-4o-mini --price-in 0.15 --price-out 0.6 --max-cost 5

    longthought think distil math.jsonl out/ --teacher openai:my-model --base-url http://localhost:8000/v1 --keep 2

    longthought think debate math.jsonl debates/ --teacher vllm:/models/policy --critic vllm:/models/critic -p turns=20
    """
    import os

    from longthought.engines.options import EngineOptions
    from longthought.runs.records import refuse_secrets
    from longthought.thoughts.prompts import language_of

    everything = load_jsonl(problems)
    given = {
        "samples": samples, "max_tokens": max_tokens, "temperature": temperature, "select": select, "keep": keep,
        "retries": retries, "seed": seed, "prompts": prompts,
    }  # fmt: skip
    asked = {
        "base_url": base_url or None, "max_cost": max_cost, "price_in": price_in, "price_out": price_out,
        "device": device, "dtype": dtype,
    }  # fmt: skip
    named = os.environ.get("OPENAI_BASE_URL", "")
    refuse_secrets({"--base-url": base_url or named, "--teacher": teacher, "-e": engine or []}, os.environ)
    how = filled(EngineOptions, "the engines", asked, "-e", engine or [])

    from longthought.thoughts.making import PAID, Job, run_job
    from longthought.thoughts.sets import method_module, options_class, roles

    # Named by the environment, the server is part of what may not change as well.
    how = replace(how, base_url=how.base_url or named, cache=how.cache or out / PAID)
    wanted = roles(method)
    if critic and "critic" not in wanted:
        raise UserError(f"--critic: {method} has no critic, only a debate has one")
    options = filled(options_class(method), method, given, "-p", assignments or [])
    specs = {role: critic if role == "critic" and critic else teacher for role in wanted}
    rows = [replace(p, language=language_of(p.text) or "en") for p in everything]
    check = getattr(method_module(method), "check_problems", None)
    if check:
        check(rows[:limit] if limit else rows)
    job = Job(method, rows, out, options, specs, {name: getattr(how, name) for name in SHAPING}, limit, chunk)

    def open_all() -> dict[str, Any]:
        from longthought.engines.choose import open_engine

        opened = {spec: open_engine(spec, how) for spec in dict.fromkeys(specs.values())}
        return {role: opened[spec] for role, spec in specs.items()}

    try:
        thoughts, calls, done = run_job(job, open_all)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"what is done is kept in {out}, and the same command goes on from there") from None
    _show(method, out, thoughts, calls, done)


def _show(
    method: str, out: Path, thoughts: Sequence[Thought], calls: Mapping[str, Call], done: Mapping[str, int]
) -> None:
    """What was made and what it cost, as a table."""
    from rich.table import Table
    from rich.text import Text

    from longthought.thoughts.record import spent
    from longthought.thoughts.sets import MEASURES, cost_cells, costs, number, rejections

    found, total = costs(thoughts, calls), spent(calls.values())
    table = Table(title=Text(f"{method}: {done['done']} problems, {done['new']} of them now"), title_justify="left")
    table.add_column("what")
    table.add_column("how many, or how much", overflow="fold")
    cells = cost_cells(found)
    for name in ("accepted of candidates", "problems with a thought"):
        table.add_row(name, cells.pop(name))
    for reason, count in rejections(thoughts).items():
        # A stored reason is read from a file, and a file may hold what steers a terminal.
        shown = "".join(c if c.isprintable() else "\ufffd" for c in reason)
        table.add_row(Text(f"rejected: {shown}"), f"{count}/{len(thoughts)} candidates")
    for name, measure in MEASURES.items():
        value = measure(total)
        if value is not None:
            table.add_row(f"{name} in all", number(value))
    for name, cell in cells.items() if found.accepted.k else ():
        table.add_row(name, cell)
    terminal = console()
    terminal.print(table)
    terminal.print(
        f"{out}/train.jsonl holds {found.accepted.k} pairs of prompt and completion; whether a benchmark holds their "
        "problems, longthought decontaminate says.",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip
