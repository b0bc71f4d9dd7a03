"""The built book in a real browser: drawn, readable and safe without a network, and never built from a bad run.

One small book is built with the project's own _config.yml from a notebook that publishes what a hostile model might
write. The pages are then opened from disk and from a local server; a request to any other host is a failure.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

pytest.importorskip("jupyter_book")
import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
PAGE = "runs/01_hostile"
HOSTILE = (
    "<script>window.pwned=1</script></div></pre></details> ```{warning}\nx\n``` {run}`a.b` "
    "$x^2$ \\(y^2\\) <img src=x onerror=window.pwned=1>"
)
CODE = (
    f"HOSTILE = {HOSTILE!r}"
    + """
import pandas as pd, plotly.graph_objects as go
from plotly.subplots import make_subplots
from longthought.display import *
from longthought.statistics import compare, wilson
hostile = HOSTILE
publish("accuracy", wilson(45, 60), note=hostile)
publish("gain", compare([True, False, False, False], [True, True, True, False]))
publish("words", hostile)
publish_provenance({"data": hostile})
print(hostile)
frame = pd.DataFrame({"model": ["base", hostile, "=1+1"], "right": [5, 45, 7]})
bars = go.Figure(go.Bar(x=frame["model"], y=frame["right"], error_y={"array": [1, 2, 3]}, name=hostile))
bars.update_layout(xaxis_title=hostile, title=hostile)
show_figure(bars, frame, "bars", hostile)
lines = make_subplots(rows=1, cols=2, subplot_titles=["left", "right"])
lines.add_scatter(x=[1, 10, 100], y=[.1, .5, .9], name="up", row=1, col=1)
text = {"mode": "lines+markers+text", "text": ["a", "b", hostile]}
lines.add_scatter(x=[1, 10, 100], y=[.9, .5, .1], name="down", **text, row=1, col=2)
lines.update_xaxes(type="log")
show_figure(lines, pd.DataFrame({"x": [1]}), "headline", "Two curves")
show_table(frame.assign(**{f"column{i}": "wide words here" for i in range(12)}), "models", hostile)
long = {"problem": hostile, "student": hostile + "\\n" + "long " * 400}
show_samples([long, {"problem": "求 最小 的 x", "student": "等等"}], "answers", hostile)
hostile
"""
)
INDEX = """# A test book

Accuracy {run}`01_hostile.accuracy`, or {run}`01_hostile.accuracy|value`; gain {run}`01_hostile.gain|short`;
words {run}`01_hostile.words`; the report says {reported}`13/30`.

```{run-figure} 01_hostile headline
```

```{run-card} 01_hostile
```
"""
MATHS = "# Maths\n\nInline $x^2 + 1$ and\n\n$$\\int_0^1 x\\,dx$$\n"


def _execute(book: Path) -> None:
    """Run the hostile notebook and leave its copy and record where the book looks for them."""
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    notebook.metadata["language_info"] = {"name": "python"}
    notebook.cells = [
        nbformat.v4.new_markdown_cell("# Hostile\n\nReal maths: $a^2$"),
        nbformat.v4.new_code_cell(CODE, metadata={"tags": ["hide-input"]}),
        nbformat.v4.new_code_cell("removed = 1", metadata={"tags": ["remove-cell"]}),
    ]
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    copy = book / f"{PAGE}.ipynb"
    copy.parent.mkdir()
    nbformat.write(notebook, copy)
    results = {}
    for output in notebook.cells[1].outputs:
        result = output.get("data", {}).get("application/vnd.longthought.result+json")
        if result:
            results[result["name"]] = {**result, "cell": 1}
    _write_record(book, results=results)


def _write_record(book: Path, **changes: Any) -> None:
    path = book / f"{PAGE}.run.json"
    record = {
        "notebook": "01_hostile", "status": "completed", "profile": "smoke", "parameters": {"words": HOSTILE},
        "git": {"revision": "0123456789abcdef", "dirty": True}, "versions": {"python": "3"}, "device": "cpu",
        "seeds": 1, "started": "2026-01-02T03:04:05Z", "seconds": 1.5, "cells": [], "results": {},
        "provenance": {"data": HOSTILE},
        "notebook_sha256": hashlib.sha256((book / f"{PAGE}.ipynb").read_bytes()).hexdigest(),
    }  # fmt: skip
    if path.exists():
        record |= json.loads(path.read_text())
    path.write_text(json.dumps(record | changes))


def _build(book: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "jupyter-book"), "build", "-W", "-n", "--keep-going", str(book)]
    environment = os.environ | {"NO_COLOR": "1", "JUPYTER_PLATFORM_DIRS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=book.parent, timeout=200)


@pytest.fixture(scope="session")
def book_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small book's source, run but not built."""
    root = tmp_path_factory.mktemp("small")
    shutil.copy(ROOT / "_config.yml", root)
    book = root / "book"
    book.mkdir()
    shutil.copy(ROOT / "book" / "references.bib", book)
    (book / "_toc.yml").write_text(f"format: jb-book\nroot: index\nchapters:\n- file: maths\n- file: {PAGE}\n")
    (book / "index.md").write_text(INDEX)
    (book / "maths.md").write_text(MATHS)
    _execute(book)
    return book


@pytest.fixture(scope="session")
def book_html(book_source: Path) -> Path:
    """The small book, built once with warnings as errors."""
    done = _build(book_source)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return book_source.parent / "_build" / "html"


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="session")
def book_server(book_html: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Silent, directory=str(book_html)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="session")
def book_browser() -> Iterator[Any]:
    """Chromium; the test is skipped, with the reason, where there is none."""
    api = pytest.importorskip("playwright.sync_api")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no chromium, chromium-browser or google-chrome on this machine")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visit:
    """A page opened with every other host cut off; `trouble` collects what a reader's console would show."""

    def __init__(self, browser: Any, base: str, page: str, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.trouble: list[str] = []
        self.context.route("**/*", lambda route: self._guard(route, base))
        self.page.on("console", lambda message: message.type == "error" and self.trouble.append(message.text))
        self.page.on("pageerror", lambda error: self.trouble.append(str(error)))
        self.page.on("requestfailed", lambda request: self.trouble.append(f"failed: {request.url}"))
        self.page.on("response", lambda answer: answer.status >= 400 and self.trouble.append(f"bad: {answer.url}"))
        self.page.goto(f"{base}/{page}.html", wait_until="load")

    def _guard(self, route: Any, base: str) -> None:
        url = route.request.url
        if url.startswith((base, "data:", "blob:")):
            route.continue_()
        else:
            self.trouble.append(f"external: {url}")
            route.abort()

    def drawn(self) -> Any:
        """Wait until every figure is drawn and the maths is set."""
        self.page.wait_for_function(
            "document.querySelectorAll('.js-plotly-plot svg.main-svg').length"
            " >= document.querySelectorAll('.lt-plot').length"
        )
        self.page.evaluate("window.MathJax && MathJax.startup && MathJax.startup.promise")
        return self.page

    def close(self) -> None:
        self.context.close()


@pytest.fixture(params=["file", "http"])
def book_base(request: pytest.FixtureRequest, book_html: Path, book_server: str) -> str:
    return f"file://{book_html}" if request.param == "file" else book_server


@pytest.mark.parametrize("page", ["index", "maths", PAGE])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_draw_without_a_network(book_browser: Any, book_base: str, page: str, scheme: str) -> None:
    visit = Visit(book_browser, book_base, page, color_scheme=scheme)
    shown = visit.drawn()
    figures = shown.locator(".lt-figure").count()
    assert figures == {"index": 1, "maths": 0, PAGE: 2}[page]
    assert shown.locator(".js-plotly-plot").count() == figures
    for box in shown.locator(".js-plotly-plot").all():
        size = box.locator("svg.main-svg").first.bounding_box()
        assert size["width"] > 0 and size["height"] > 0
        assert not box.locator("xpath=..").locator(".lt-static").is_visible()
    assert shown.locator("script[src*=plotly]").count() == bool(figures), "plotly is loaded where it is needed only"
    assert shown.evaluate("window.pwned") is None
    assert visit.trouble == []
    visit.close()


def test_figures_follow_the_theme(book_browser: Any, book_html: Path) -> None:
    visit = Visit(book_browser, f"file://{book_html}", PAGE, color_scheme="light")
    page = visit.drawn()
    colour = "getComputedStyle(document.querySelector('.js-plotly-plot .xtick text')).fill"
    light = page.evaluate(colour)
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_function(f"{colour} !== {light!r}")
    assert visit.trouble == []
    visit.close()


def test_without_javascript_the_static_twin_shows(book_browser: Any, book_html: Path) -> None:
    visit = Visit(book_browser, f"file://{book_html}", PAGE, java_script_enabled=False)
    twins = visit.page.locator(".lt-static svg")
    assert twins.count() == 2
    for twin in twins.all():
        size = twin.bounding_box()
        assert size["width"] > 200 and size["height"] > 100
    assert "<script>window.pwned=1</script>" in visit.page.locator(".lt-static").first.text_content()
    visit.close()


def test_model_output_is_text(book_browser: Any, book_base: str) -> None:
    visit = Visit(book_browser, book_base, PAGE)
    page = visit.drawn()
    places = {
        "stdout": ".cell_output .stream",
        "repr": ".cell_output .text_plain",
        "table": "table.lt-table tbody",
        "table caption": "table.lt-table caption",
        "sample": "pre.lt-text >> nth=0",
        "sample heading": ".lt-sample summary >> nth=0",
        "samples caption": ".lt-caption",
        "figure caption": "#lt-figure-bars figcaption",
    }
    for place, selector in places.items():
        text = page.locator(selector).first.text_content()
        for piece in ("<script>window.pwned=1</script></div>", "```{warning}", "$x^2$", "<img src=x onerror="):
            assert piece in text, f"{place} does not show {piece}"
    assert "<script>window.pwned=1</script>" in page.locator(".js-plotly-plot >> nth=0").text_content()
    assert page.locator(".cell_output img, .cell_output .warning, .cell_output mjx-container").count() == 0
    assert page.locator("mjx-container").count() == 1, "the page's own maths, and nothing else, is typeset"
    assert page.evaluate("window.pwned") is None
    assert "removed = 1" not in page.content()
    assert visit.trouble == []
    visit.close()


def test_numbers_in_prose_come_from_the_run(book_browser: Any, book_base: str, book_source: Path) -> None:
    visit = Visit(book_browser, book_base, "index")
    page = visit.drawn()
    results = json.loads((book_source / f"{PAGE}.run.json").read_text())["results"]
    numbers = page.locator("a.lt-num")
    assert numbers.nth(0).text_content() == results["accuracy"]["text"]
    assert numbers.nth(1).text_content() == "75.0%"
    assert numbers.nth(2).text_content().startswith("+50.0 points [")
    assert numbers.nth(2).text_content().endswith("]; not distinguishable")
    assert numbers.nth(3).text_content() == HOSTILE
    for part in ("01_hostile", "cell 1", "profile smoke", "0123456789ab with local changes", "2026-01-02"):
        assert part in numbers.nth(0).get_attribute("title")
    assert "reported" in page.locator(".lt-reported").text_content()
    assert "arXiv 2411.16489" in page.locator(".lt-reported").get_attribute("title")
    assert HOSTILE in page.locator(".lt-card").text_content().replace("\\n", "\n")
    numbers.nth(0).click()
    page.wait_for_url("**/runs/01_hostile.html#lt-result-accuracy")
    assert page.locator("#lt-result-accuracy").count() == 1
    assert visit.trouble == []
    visit.close()


def test_figure_data_can_be_saved(book_browser: Any, book_html: Path) -> None:
    visit = Visit(book_browser, f"file://{book_html}", PAGE)
    link = visit.page.locator("#lt-figure-bars a.lt-csv")
    assert link.get_attribute("download") == "bars.csv"
    csv = unquote(link.get_attribute("href").split(",", 1)[1])
    assert csv.startswith("model,right\nbase,5\n") and csv.endswith("'=1+1,7\n")
    with visit.page.expect_download() as download:
        link.click()
    assert Path(download.value.path()).read_text() == csv
    visit.close()


def test_maths_is_typeset(book_browser: Any, book_base: str) -> None:
    visit = Visit(book_browser, book_base, "maths")
    page = visit.drawn()
    assert page.locator("mjx-container").count() == 2
    assert page.evaluate("document.fonts.ready.then(() => [...document.fonts].every(f => f.status !== 'error'))")
    assert visit.trouble == []
    visit.close()


@pytest.mark.parametrize("page", ["index", "maths", PAGE])
def test_narrow_pages_do_not_scroll_sideways(book_browser: Any, book_html: Path, page: str) -> None:
    visit = Visit(book_browser, f"file://{book_html}", page, viewport={"width": 320, "height": 700})
    shown = visit.drawn()
    assert shown.evaluate("document.documentElement.scrollWidth") <= 320
    visit.close()


def test_samples_open_with_the_keyboard(book_browser: Any, book_html: Path) -> None:
    visit = Visit(book_browser, f"file://{book_html}", PAGE)
    second = visit.page.locator(".lt-sample").nth(1)
    assert second.get_attribute("open") is None
    second.locator("summary").focus()
    visit.page.keyboard.press("Enter")
    assert second.get_attribute("open") is not None
    assert second.locator("pre").get_attribute("lang") == "zh"
    visit.close()


@pytest.fixture
def book_copy(book_source: Path, tmp_path: Path) -> Path:
    """A copy of the source that a test may spoil."""
    shutil.copy(ROOT / "_config.yml", tmp_path)
    return Path(shutil.copytree(book_source, tmp_path / "book"))


def test_an_unknown_result_fails_the_build(book_copy: Path) -> None:
    (book_copy / "maths.md").write_text(
        "# Maths\n\n{run}`01_hostile.nothing` {run}`09_none.x`\n\n```{run-figure} 01_hostile nothing\n```\n"
    )
    done = _build(book_copy)
    assert done.returncode != 0
    assert "{run}`01_hostile.nothing`: no such result (accuracy, gain, words)" in done.stderr
    assert "{run}`09_none.x`: no such result (no run of 09_none in runs/)" in done.stderr
    assert "{run-figure} 01_hostile nothing: no such figure (bars, headline)" in done.stderr


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"status": "failed"}, "is from a run with status 'failed'"),
        ({"notebook_sha256": "0" * 64}, "is not the file that 01_hostile.run.json describes"),
    ],
)
def test_a_bad_run_fails_the_build(book_copy: Path, change: dict[str, str], reason: str) -> None:
    _write_record(book_copy, **change)
    done = _build(book_copy)
    assert done.returncode != 0
    assert f"{PAGE}.ipynb {reason}" in done.stderr and "longthought run 01_hostile" in done.stderr
    assert not (book_copy.parent / "_build" / "html" / "index.html").exists()


def test_a_missing_run_or_record_is_named(book_copy: Path) -> None:
    from longthought.bookext import _trouble

    assert _trouble(book_copy / "runs", "01_hostile") is None
    assert _trouble(book_copy / "runs", "02_none") == "is missing"
    (book_copy / f"{PAGE}.run.json").write_text("{")
    assert "unreadable" in str(_trouble(book_copy / "runs", "01_hostile"))
    (book_copy / f"{PAGE}.run.json").unlink()
    assert "has no 01_hostile.run.json" in str(_trouble(book_copy / "runs", "01_hostile"))
