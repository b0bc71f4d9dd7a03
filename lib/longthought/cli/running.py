"""Commands on the notebooks: `run`, `status`, `profiles`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from longthought.cli.base import app, console
from longthought.errors import UserError

if TYPE_CHECKING:
    from longthought.runs.parameters import Parameter
    from longthought.runs.profiles import Profile, Resolved
    from longthought.runs.records import Project

Root = Annotated[Path | None, typer.Option("--root", help="The clone to work in; found from the current folder.")]


@app.command()
def run(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="scaling, 02_scaling, or all")],
    profile: Annotated[
        str, typer.Option("--profile", help="smoke, mini, full, gpu, paper, or a YAML file of your own.")
    ] = "mini",
    assignments: Annotated[
        list[str] | None, typer.Option("-p", "--parameter", metavar="KEY=VALUE", help="One parameter; may be repeated.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print the parameters, and what they need in memory and time.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Run again even if nothing has changed.")] = False,
    name: Annotated[
        str, typer.Option("--as", metavar="NAME", help="Call the copy NAME, beside the book's own; for one notebook.")
    ] = "",
    timeout: Annotated[int | None, typer.Option("--timeout", min=1, help="Seconds that one cell may take.")] = None,
    root: Root = None,
) -> None:
    """Run notebooks and publish their executed copies under book/runs/.

    A run whose notebook, parameters, files, library and packages are unchanged is not repeated.

    [bold]Examples[/bold]

    longthought run all

    longthought run scaling -p seeds=5 -p caps=16,32,64

    longthought run scaling -p problems=my_problems.jsonl --as my_problems

    longthought run distillation --profile paper --dry-run
    """
    import os

    from longthought.runs import records
    from longthought.runs.estimate import estimate, unpinned
    from longthought.runs.parameters import read_parameters
    from longthought.runs.profiles import check_names, load_profile, parse_assignments, resolve

    project = records.find_project(root)
    schema = {stem: read_parameters(path) for stem, path in project.notebooks().items()}
    chosen = records.select_notebooks(project, names)
    if name:
        records.check_copy_name(project, name, len(chosen))
    values = parse_assignments(assignments or [])
    check_names(values, {stem: schema[stem] for stem in chosen})
    settings = load_profile(profile, schema)
    plans: dict[str, Resolved] = {}
    for stem in chosen:
        plan = resolve(stem, schema[stem], settings, values)
        records.refuse_secrets(plan.values, os.environ)
        base = {key: Path.cwd() for key in values}
        plan.values.update(records.resolve_paths(project, schema[stem], plan.values, base))
        plans[stem] = plan
    # Every notebook is checked before the first one starts: a mistake in the last must not cost the time of the others.
    if dry_run:
        for stem, plan in plans.items():
            _show_plan(project, stem, schema[stem], plan, settings)
        return
    for stem, plan in plans.items():
        estimate(stem, plan.values, settings.machine)
        for line in unpinned(plan.values):
            raise UserError(f"{stem}: {line}")
    for stem, plan in plans.items():
        copy = name or stem
        if not force and _up_to_date(project, stem, plan, copy):
            for leftover in (project.copy(copy, failed=True), project.record(copy, failed=True)):
                leftover.unlink(missing_ok=True)
            print(f"{copy} is up to date")
            continue
        _require_cards(stem, plan, settings)
        code = _run_one(project, stem, plan, settings, timeout, copy)
        if code:
            raise typer.Exit(code)


def _run_one(project: Project, stem: str, plan: Resolved, settings: Profile, timeout: int | None, copy: str) -> int:
    from longthought.runs.display import clock
    from longthought.runs.records import read_record
    from longthought.runs.runner import execute

    print(f"{copy}: running with profile {settings.name}", flush=True)
    code = execute(
        project,
        stem,
        plan.values,
        profile=settings.name,
        timeout=timeout,
        say=lambda text: print(text, file=sys.stderr, flush=True),
        name=copy,
    )
    if code == 0:
        record = read_record(project.record(copy)) or {}
        took = clock(float(record.get("seconds", 0)))
        found = len(record.get("results", {}))
        print(f"{copy}: done in {took}, {found} results in book/runs/{copy}.run.json", flush=True)
    return code


def _up_to_date(project: Project, stem: str, plan: Resolved, copy: str) -> bool:
    from longthought.runs import records

    record = records.read_record(project.record(copy))
    if record is None or not records.intact(project, copy, record):
        return False
    return record.get("key") == records.run_key(records.key_parts(project, project.notebooks()[stem], plan.values))


def _require_cards(stem: str, plan: Resolved, settings: Profile) -> None:
    """UserError when `device` asks for cards that are not here; seen from /dev, since importing torch takes seconds."""
    if plan.values.get("device") != "cuda" or sys.platform != "linux":
        return
    cards = [path for path in Path("/dev").glob("nvidia*") if path.name.removeprefix("nvidia").isdigit()]
    cards += list(Path("/dev/dri").glob("renderD*")) if Path("/dev/kfd").exists() else []
    if not cards:
        raise UserError(f"{stem}: device=cuda, but this machine shows no GPU; use -p device=cpu or --profile mini")
    if settings.machine.gpus > len(cards):
        raise UserError(
            f"{stem}: profile {settings.name} is written for {settings.machine.gpus} GPUs and this machine shows "
            f"{len(cards)}; use --profile gpu"
        )


def _show_plan(project: Project, stem: str, schema: dict[str, Parameter], plan: Resolved, settings: Profile) -> None:
    from rich.table import Table
    from rich.text import Text

    from longthought.runs import records
    from longthought.runs.estimate import estimate, unpinned
    from longthought.runs.parameters import format_value

    terminal = console()
    needs = estimate(stem, plan.values, settings.machine)
    table = Table(title=f"{stem}, profile {settings.name}", title_justify="left")
    for heading in ("parameter", "value", "from", "meaning"):
        table.add_column(heading, overflow="fold")
    for name, value in plan.values.items():
        row = (name, format_value(value), plan.origin[name], schema[name].help)
        table.add_row(*map(Text, row), style=_style(plan.origin[name]))
    terminal.print(table)
    costs = Table(title="What it would need, at most", title_justify="left", show_header=False)
    for label, text in needs.lines:
        costs.add_row(label, Text(text))
    key = records.run_key(records.key_parts(project, project.notebooks()[stem], plan.values))
    reused = _up_to_date(project, stem, plan, stem)
    costs.add_row("run key", f"{key[:16]}  ({'up to date: nothing would run' if reused else 'it would run'})")
    terminal.print(costs)
    for line in unpinned(plan.values):
        terminal.print(line, markup=False, highlight=False)


def _style(origin: str) -> str | None:
    return {"default": "dim", "-p": "bold"}.get(origin)


@app.command()
def status(root: Root = None) -> None:
    """Say of each notebook whether the book's copy is completed, failed, stale or missing.

    Exit status 1 when any is not completed, so that a script can ask.

    [bold]Example[/bold]

    longthought status || longthought run all
    """
    from rich.table import Table
    from rich.text import Text

    from longthought.runs import records
    from longthought.runs.parameters import read_parameters

    project = records.find_project(root)
    table = Table("notebook", "state", "why")
    good = True
    for stem, path in project.notebooks().items():
        state, why = records.state(project, stem, path, read_parameters(path))
        good = good and state == "completed"
        style = {"completed": "green", "failed": "red"}.get(state, "yellow")
        table.add_row(stem, Text(state, style=style), Text(why))
    console().print(table)
    if not good:
        raise typer.Exit(1)


@app.command()
def profiles(
    name: Annotated[str | None, typer.Argument(help="Show this one in full.")] = None, root: Root = None
) -> None:
    """List the profiles, or show what one of them sets.

    [bold]Examples[/bold]

    longthought profiles

    longthought profiles gpu
    """
    from rich.table import Table

    from longthought.runs import records
    from longthought.runs.parameters import read_parameters
    from longthought.runs.profiles import BUILT_IN, load_profile, profile_names

    project = records.find_project(root)
    schema = {stem: read_parameters(path) for stem, path in project.notebooks().items()}
    if name is None:
        table = Table("profile", "what it is for")
        for known in profile_names():
            table.add_row(known, load_profile(known, schema).description)
        console().print(table)
        return
    load_profile(name, schema)
    path = Path(name) if name.endswith((".yaml", ".yml")) else BUILT_IN / f"{name}.yaml"
    print(path.read_text(encoding="utf-8"), end="")
