"""Commands that make long thoughts: `think`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longthought.cli.base import app, console
from longthought.errors import UserError

if TYPE_CHECKING:
    from longthought.thoughts.record import Call, Thought


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
    device: Annotated[str, typer.Option("--device", help="cpu or cuda, for a teacher in this process.")] = "cpu",
    dtype: Annotated[
        str, typer.Option("--dtype", help="float32 or bfloat16, for a teacher in this process.")
    ] = "float32",
) -> None:
    """Make long thoughts on the problems of a file with a real teacher, and keep those that are right.

    A teacher is smollm2-135m, a folder with a model, name@commit of a model hub, vllm:MODEL in this process, or
    openai:MODEL behind any server with the OpenAI protocol (the key comes from OPENAI_API_KEY, never from here).

    OUT gets thoughts.jsonl (every candidate, with the reason for its fate), calls.jsonl (every call, with its tokens
    and cost), train.jsonl (prompt and completion of the accepted ones) and card.json. Problems are done in chunks, each
    stored at once: after a crash or Ctrl-C the same command goes on where it stood, and a larger --limit adds to it.

    Prompts of distil: reflect, check, ways (one after the other by default), or miniature, the bare problem, for the
    book's own students. Prompts of reformat: finer, or miniature.

    [bold]Examples[/bold]

    longthought think distil math.jsonl thoughts/ --teacher smollm2-135m --limit 10 --samples 4 --max-tokens 512

    longthought think reformat math.jsonl out/ --teacher openai:gpt-4o-mini --price-in 0.15 --price-out 0.6 --max-cost 5

    longthought think distil math.jsonl out/ --teacher openai:my-model --base-url http://localhost:8000/v1 --keep 2

    longthought think debate math.jsonl debates/ --teacher vllm:/models/policy --critic vllm:/models/critic -p turns=20
    """
    from longthought.engines.choose import EngineOptions, open_engine
    from longthought.problems import load_jsonl
    from longthought.thoughts.making import Job, run_job
    from longthought.thoughts.prompts import language_of
    from longthought.thoughts.sets import method_module, options_class, roles

    given = {
        "samples": samples, "max_tokens": max_tokens, "temperature": temperature, "select": select, "keep": keep,
        "retries": retries, "seed": seed, "prompts": prompts,
    }  # fmt: skip
    wanted = roles(method)
    if critic and "critic" not in wanted:
        raise UserError(f"--critic: {method} has no critic, only a debate has one")
    options = _options(method, options_class(method), given, assignments or [])
    specs = {role: critic if role == "critic" and critic else teacher for role in wanted}
    rows = [replace(p, language=language_of(p.text) or "en") for p in load_jsonl(problems)]
    check = getattr(method_module(method), "check_problems", None)
    if check:
        check(rows[:limit] if limit else rows)
    settings = {"base_url": base_url, "price_in": price_in, "price_out": price_out, "device": device, "dtype": dtype}
    job = Job(method, rows, out, options, specs, settings, limit, chunk)
    engine_options = EngineOptions(
        base_url=base_url, max_cost=max_cost, price_in=price_in, price_out=price_out, device=device, dtype=dtype
    )

    def open_all() -> dict[str, Any]:
        opened = {spec: open_engine(spec, engine_options) for spec in dict.fromkeys(specs.values())}
        return {role: opened[spec] for role, spec in specs.items()}

    thoughts, calls, done = run_job(job, open_all)
    _show(method, out, thoughts, calls, done)


def _options(method: str, options: Any, given: Mapping[str, Any], assignments: Sequence[str]) -> Any:
    """The method's options from flags and from KEY=VALUE, by the types of its fields."""
    known = {f.name: str(f.type) for f in fields(options)}
    values = {name: value for name, value in given.items() if value is not None}
    for name in values:
        if name not in known:
            raise UserError(f"--{name.replace('_', '-')} is no option of {method}; it has {', '.join(known)}")
    if "prompts" in values:
        values["prompts"] = tuple(part.strip() for part in values["prompts"].split(",") if part.strip())
    for assignment in assignments:
        name, sign, text = assignment.partition("=")
        if not sign:
            raise UserError(f"-p {assignment}: write -p name=value")
        if name not in known:
            raise UserError(f"-p {assignment}: {method} has no option {name!r}; it has {', '.join(known)}")
        values[name] = _value(f"-p {assignment}", known[name], text)
    return options(**values)


def _value(where: str, kind: str, text: str) -> Any:
    if kind.startswith("tuple"):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    read, wanted = {"int": (int, "a whole number"), "float": (float, "a number")}.get(kind, (str, "a text"))
    try:
        return {"true": True, "false": False}[text.lower()] if kind == "bool" else read(text)
    except (ValueError, KeyError):
        raise UserError(f"{where}: {'true or false' if kind == 'bool' else wanted} is wanted") from None


def _show(
    method: str, out: Path, thoughts: Sequence[Thought], calls: Mapping[str, Call], done: Mapping[str, int]
) -> None:
    """What was made and what it cost, as a table."""
    from rich.table import Table
    from rich.text import Text

    from longthought.thoughts.record import spent
    from longthought.thoughts.sets import MEASURES, cost_cells, costs, number, rejections

    table = Table(title=Text(f"{method}: {done['done']} problems, {done['new']} of them now"), title_justify="left")
    table.add_column("what")
    table.add_column("how many, or how much", overflow="fold")
    total = spent(calls.values())
    cells = cost_cells(costs(thoughts, calls))
    for name in ("accepted of candidates", "problems with a thought"):
        table.add_row(name, cells.pop(name))
    for reason, count in rejections(thoughts).items():
        table.add_row(Text(f"rejected: {reason}"), f"{count}/{len(thoughts)} candidates")
    for name, measure in MEASURES.items():
        value = measure(total)
        if value is not None:
            table.add_row(f"{name} in all", number(value))
    for name, cell in cells.items():
        table.add_row(name, Text(cell))
    terminal = console()
    terminal.print(table)
    accepted = sum(t.accepted for t in thoughts)
    terminal.print(
        f"{out}/train.jsonl holds {accepted} pairs of prompt and completion. Nobody has compared these problems with "
        "your benchmarks yet: longthought decontaminate does.",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip
