"""The book's own Sphinx extension: shows what runs published, and refuses to show anything else.

Jupyter Book reads executed notebooks; this module draws the figures in them (MyST-NB would drop them), lets prose
name a result instead of typing it ({run}), marks what the report claims ({reported}), and brings a figure or the
record of a run to another page. Before a page is read it checks that each executed notebook is the finished one that
its run record describes, so a half-done run cannot pass for a result, and that no prose types a result by hand.
Everything works without a network.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, ClassVar

import plotly
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import SphinxError
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

from longthought.display import FIGURE, PLOTLY, PROVENANCE, RESULT, UNTYPESET, csv_link
from longthought.lint import typed_results
from longthought.statistics import LEVEL, NOT_DISTINGUISHABLE, format_difference, percent

FOLDED = {"parameters": "Parameters", "versions": "Versions", "platform": "Machine", "provenance": "Provenance"}
SOURCE = "Huang et al. 2024, arXiv 2411.16489"
_STATIC = Path(__file__).parent / "static"
_PLOTLY_JS = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
_log = logging.getLogger(__name__)


class RunRefused(SphinxError):
    """A run that the book must not show."""

    category = "Run refused"


class FigureNode(nodes.General, nodes.Element):
    """A published figure; `payload` is what `show_figure` published."""


class BarePlotlyNode(nodes.General, nodes.Element):
    """A plotly figure that came without its data and its static twin."""


class NumberNode(nodes.Inline, nodes.TextElement):
    """A result of a run; `target` is the page that computed it, `anchor` the place on it, `title` the tooltip."""


class LongthoughtMime:
    """The MyST-NB plugin (entry point myst_nb.mime_renderers) for what `longthought.display` publishes."""

    mime_priority_overrides: ClassVar[Sequence[tuple[str, str, int]]] = [
        ("*", FIGURE, 1),
        ("*", RESULT, 1),
        ("*", PROVENANCE, 1),
        ("*", PLOTLY, 2),
    ]

    @staticmethod
    def handle_mime(renderer: Any, data: Any, inline: bool) -> list[nodes.Node] | None:
        """Nodes for our mime types, an empty list for what is not to be seen, None for the types of others."""
        if data.mime_type == FIGURE:
            return [FigureNode(payload=_plain(data.content))]
        if data.mime_type == PLOTLY:
            return [BarePlotlyNode()]
        if data.mime_type == RESULT:
            # Invisible, but a number in prose links to the place that computed it.
            anchor = escape(_anchor(data.content["name"]))
            return [nodes.raw("", f'<span class="lt-anchor" id="{anchor}"></span>', format="html")]
        return [] if data.mime_type == PROVENANCE else None


def _plain(content: Any) -> dict[str, Any]:
    return json.loads(json.dumps(content))


def _anchor(name: str) -> str:
    return f"lt-result-{name}"


# --- runs ---


def _runs(app: Sphinx) -> Path:
    return Path(app.srcdir) / "runs"


def read_record(runs: Path, notebook: str) -> dict[str, Any]:
    """The record of the newest finished run of `notebook`. Raises LookupError when there is none."""
    path = runs / f"{notebook}.run.json"
    if not path.is_file():
        raise LookupError(f"no run of {notebook} in {runs.name}/")
    return json.loads(path.read_text(encoding="utf-8"))


def refuse_bad_runs(app: Sphinx) -> None:
    """Stop the build unless every executed notebook in the table of contents is what its record says was completed."""
    site_map = getattr(app.config, "external_site_map", None)
    named = {str(page).removesuffix(".ipynb") for page in site_map or ()}
    for pattern in site_map.globs() if site_map else ["runs/*"]:
        named |= {
            str(found.relative_to(app.srcdir).with_suffix("")) for found in Path(app.srcdir).glob(f"{pattern}.ipynb")
        }
    for page in sorted(page for page in named if page.startswith("runs/")):
        trouble = _trouble(_runs(app), page.removeprefix("runs/"))
        if trouble:
            notebook = page.removeprefix("runs/").removesuffix(".failed")
            raise RunRefused(f"{page}.ipynb {trouble}; mend it with: longthought run {notebook}")


def _trouble(runs: Path, notebook: str) -> str | None:
    copy = runs / f"{notebook}.ipynb"
    if not copy.is_file():
        return "is missing"
    try:
        record = read_record(runs, notebook)
    except LookupError:
        return f"has no {notebook}.run.json beside it"
    except ValueError:
        return f"has an unreadable {notebook}.run.json beside it"
    if record.get("status") != "completed":
        return f"is from a run with status {record.get('status')!r}"
    if record.get("notebook_sha256") != hashlib.sha256(copy.read_bytes()).hexdigest():
        return f"is not the file that {notebook}.run.json describes (their sha256 differ)"
    return None


class TypedResult(SphinxError):
    """A result that prose types by hand."""

    category = "Typed result"


def refuse_typed_results(app: Sphinx, env: Any, docnames: Sequence[str]) -> None:
    """Stop the build when the prose of a page types a result instead of naming it."""
    for name in sorted(env.found_docs):
        path = Path(env.doc2path(name))
        found = typed_results(path)
        if found:
            raise TypedResult(f"{path.relative_to(app.srcdir)}, {found[0]}")


def _git(record: Mapping[str, Any]) -> str:
    git = record.get("git") or {}
    return str(git.get("revision", "unknown"))[:12] + (" with local changes" if git.get("dirty") else "")


def _date(record: Mapping[str, Any]) -> str:
    return str(record.get("started", ""))[:10]


def _short(result: Mapping[str, Any], interval: bool) -> str:
    """A comparison without its test, or the bare figure; rates keep their count, other results than ours everything."""
    data = result.get("data")
    if not isinstance(data, dict) or "low" not in data or not {"difference", "k"} & set(data):
        return str(result["text"])
    if "k" in data:
        return str(result["text"]) if interval else percent(data["k"] / data["n"])
    text = format_difference(data["difference"], data["low"], data["high"])
    if not interval:
        return text.partition(" [")[0]
    return text if data["p"] < LEVEL else f"{text}; {NOT_DISTINGUISHABLE}"


class RunRole(SphinxRole):
    """{run}`notebook.name`; with |short after the name a comparison without its test, with |value the bare figure."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """The number as the run printed it, or a warning, which fails the build under -W."""
        notebook, _, rest = self.text.partition(".")
        name, _, part = rest.partition("|")
        runs = _runs(self.env.app)
        try:
            record = read_record(runs, notebook)
            result = record["results"][name]
        except LookupError as error:
            known = ", ".join(sorted(record["results"])) if isinstance(error, KeyError) else str(error)
            _log.warning(
                "{run}`%s`: no such result (%s)", self.text, known, location=self.get_location(),
                type="longthought", subtype="run",
            )  # fmt: skip
            return [nodes.inline("", f"[no result {self.text}]", classes=["lt-missing"])], []
        self.env.note_dependency(str(runs / f"{notebook}.run.json"))
        text = _short(result, part == "short") if part else str(result["text"])
        title = (
            f"Computed by {notebook}, cell {result.get('cell', '?')}, profile {record.get('profile')}, "
            f"revision {_git(record)}, {_date(record)}"
        )
        full = f"{result['text']}. " if part else ""
        note = f" ({result['note']})" if result.get("note") else ""
        node = NumberNode(
            "", text, classes=["lt-num"], title=full + title + note, target=f"runs/{notebook}", anchor=_anchor(name)
        )
        return [node], []


class ReportedRole(SphinxRole):
    """{reported}`13/30`: a number of the report, which this project did not measure."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """The number with a badge."""
        opening = f'<span class="lt-reported {UNTYPESET}" title="Reported by {escape(SOURCE)}; not measured here">'
        html = f"{opening}{escape(self.text)}<sup>reported</sup></span>"
        return [nodes.raw("", html, format="html")], []


class RunFigure(SphinxDirective):
    """```{run-figure} notebook name```: a figure of a run, on another page than its own."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        """The figure, or a warning when the run published none of that name."""
        notebook, name = self.arguments
        path = _runs(self.env.app) / f"{notebook}.ipynb"
        found = {}
        if path.is_file():
            self.env.note_dependency(str(path))
            cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
            bundles = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
            found = {bundle[FIGURE]["name"]: bundle[FIGURE] for bundle in bundles if FIGURE in bundle}
        if name not in found:
            _log.warning(
                "{run-figure} %s %s: no such figure (%s)", notebook, name, ", ".join(found) or "none published",
                location=self.get_location(), type="longthought", subtype="run",
            )  # fmt: skip
            return []
        return [FigureNode(payload=found[name], origin=f"runs/{notebook}")]


class RunCard(SphinxDirective):
    """```{run-card} notebook```: how, when and from what a run was made."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """A small table, or a warning when there is no run."""
        notebook = self.arguments[0]
        runs = _runs(self.env.app)
        try:
            record = read_record(runs, notebook)
        except LookupError as error:
            _log.warning(
                "{run-card} %s: %s", notebook, error, location=self.get_location(), type="longthought", subtype="run"
            )
            return []
        self.env.note_dependency(str(runs / f"{notebook}.run.json"))
        return [nodes.raw("", card_html(record), format="html")]


def card_html(record: Mapping[str, Any]) -> str:
    """The record of a run as a table, with the long lists folded away."""
    rows = {
        "Notebook": record.get("notebook"),
        "Status": record.get("status"),
        "Profile": record.get("profile"),
        "Date": record.get("started"),
        "Duration": f"{float(record.get('seconds') or 0):.0f} s",
        "Device": record.get("device"),
        "Git revision": _git(record),
        "Seeds": record.get("seeds"),
    }
    body = "".join(_row(name, value) for name, value in rows.items() if value not in (None, ""))
    folded = "".join(
        f"<details><summary>{title}</summary>{_table(record[key], title)}</details>"
        for key, title in FOLDED.items()
        if isinstance(record.get(key), dict) and record[key]
    )
    return (
        f'<div class="lt-card {UNTYPESET}"><div class="lt-scroll" role="region" tabindex="0" '
        f'aria-label="Record of the run"><table class="lt-table"><tbody>{body}</tbody></table></div>{folded}</div>'
    )


def _table(values: Mapping[str, Any], title: str) -> str:
    body = "".join(_row(name, value) for name, value in values.items())
    return (
        f'<div class="lt-scroll" role="region" tabindex="0" aria-label="{title}">'
        f'<table class="lt-table"><tbody>{body}</tbody></table></div>'
    )


def _row(name: str, value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f'<tr><th scope="row">{escape(name)}</th><td>{escape(text)}</td></tr>'


# --- HTML ---


def figure_html(payload: Mapping[str, Any], link: str = "") -> str:
    """A figure that needs neither a server nor, for its static twin, JavaScript."""
    caption, name = escape(payload["caption"]), payload["name"]
    # Inside a script element only "<" could end the data early; in JSON it may be written by its code.
    source = json.dumps(payload["figure"], ensure_ascii=False).replace("<", "\\u003c")
    return (
        f'<figure class="lt-figure {UNTYPESET}" id="lt-figure-{escape(name)}">'
        f'<div class="lt-plot" role="img" tabindex="0" aria-label="{caption}">'
        f'<div class="lt-static">{payload["svg"]}</div><script type="application/json">{source}</script></div>'
        f"<figcaption>{caption} {link}{csv_link(payload['csv'], name)}</figcaption></figure>\n"
    )


def _visit_figure(translator: Any, node: FigureNode) -> None:
    link = ""
    if node.get("origin"):
        here = translator.builder.current_docname
        link = f'<a href="{translator.builder.get_relative_uri(here, node["origin"])}">From this chapter</a> · '
    translator.body.append(figure_html(node["payload"], link))
    raise nodes.SkipNode


def _visit_bare_plotly(translator: Any, node: BarePlotlyNode) -> None:
    _log.warning(
        "a plotly figure was shown without its data: use longthought.display.show_figure",
        location=node, type="longthought", subtype="figure",
    )  # fmt: skip
    raise nodes.SkipNode


def _visit_number(translator: Any, node: NumberNode) -> None:
    uri = translator.builder.get_relative_uri(translator.builder.current_docname, node["target"])
    translator.body.append(f'<a class="lt-num" href="{escape(uri)}#{node["anchor"]}" title="{escape(node["title"])}">')


def _depart_number(translator: Any, node: NumberNode) -> None:
    translator.body.append("</a>")


def _skip(translator: Any, node: nodes.Node) -> None:
    raise nodes.SkipNode


def _pass(translator: Any, node: nodes.Node) -> None:
    """Other formats show the text of a number as it is."""


def add_scripts(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Load plotly on pages with figures, and only there: it is large."""
    if doctree is not None and next(iter(doctree.findall(FigureNode)), None) is not None:
        app.add_js_file("longthought/plotly.min.js", loading_method="defer")
        app.add_js_file("longthought/longthought.js", loading_method="defer")


def copy_static(app: Sphinx) -> None:
    """Put our few files where pages look for them (Jupyter Book would load a whole _static folder on every page)."""
    if app.builder.format == "html":
        target = Path(app.outdir) / "_static" / "longthought"
        target.mkdir(parents=True, exist_ok=True)
        for source in (*sorted(_STATIC.glob("longthought.*")), _PLOTLY_JS):
            shutil.copyfile(source, target / source.name)


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx's entry point."""
    others = {"latex": (_skip, None), "text": (_skip, None), "man": (_skip, None), "texinfo": (_skip, None)}
    app.add_node(FigureNode, html=(_visit_figure, None), **others)
    app.add_node(BarePlotlyNode, html=(_visit_bare_plotly, None), **others)
    app.add_node(NumberNode, html=(_visit_number, _depart_number), **dict.fromkeys(others, (_pass, _pass)))
    app.add_role("run", RunRole())
    app.add_role("reported", ReportedRole())
    app.add_directive("run-figure", RunFigure)
    app.add_directive("run-card", RunCard)
    app.connect("builder-inited", refuse_bad_runs)
    app.connect("builder-inited", copy_static)
    app.connect("env-before-read-docs", refuse_typed_results)
    app.connect("html-page-context", add_scripts)
    app.add_css_file("longthought/longthought.css")
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
