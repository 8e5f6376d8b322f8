"""The documentation site, built strictly and opened in a browser."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from heartzoo import zoo
from heartzoo.zoo import publishing
from heartzoo.zoo.index import newest

ROOT = Path(__file__).parents[1]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
MODELS = newest(zoo.entries(ROOT / "zoo"))
TASKS = sorted({entry.task for entry in MODELS.values()})


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    for command in (["heartzoo.website", "docs"], ["mkdocs", "build", "--strict", "--quiet", "--site-dir", folder]):
        done = subprocess.run(
            [sys.executable, "-m", *map(str, command)], cwd=ROOT, env=quiet, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    publishing.publish_to(folder / "zoo", zoo=ROOT / "zoo")
    return folder


class Links(HTMLParser):
    """The links, files and anchors of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.sources: list[str] = []
        self.anchors: set[str] = set()
        self.hashes: dict[str, str] = {}

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        self.anchors |= {found[name] or "" for name in ("id", "name") if name in found}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"] or "")
            if found.get("data-sha256"):
                self.hashes[found["href"] or ""] = found["data-sha256"] or ""
        if tag in ("script", "img", "iframe") and found.get("src"):
            self.sources.append(found["src"] or "")
        if tag == "link" and found.get("rel") in ("stylesheet", "icon", "preload"):
            self.sources.append(found["href"] or "")


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, Links]:
    found = {}
    for path in site.rglob("*.html"):
        found[path] = Links()
        found[path].feed(path.read_text())
    return found


def test_no_link_is_dead(site, pages):
    dead = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or path.name == "404.html":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            anchored = not parts.fragment or target not in pages or unquote(parts.fragment) in pages[target].anchors
            if not target.is_file() or not anchored:
                dead.append(f"{path.relative_to(site)}: {link}")
    assert not dead


def test_no_page_loads_a_file_of_another_host(pages):
    assert not [source for page in pages.values() for source in page.sources if urlsplit(source).netloc]


def test_every_download_is_the_file_that_the_index_lists(site, pages):
    seen = set()
    for path, page in pages.items():
        for link, stated in page.hashes.items():
            file = (path.parent / link).resolve()
            name, version = file.parent.parent.name, file.parent.name
            listed = MODELS[name].files[file.name]
            assert version == MODELS[name].version
            assert hashlib.sha256(file.read_bytes()).hexdigest() == listed.sha256 == stated
            seen.add((name, file.name))
    assert seen == {(entry.name, file) for entry in MODELS.values() for file in entry.files}


def test_the_site_serves_the_zoo(site):
    assert zoo.entries(site / "zoo") == zoo.entries(ROOT / "zoo")


def test_the_example_beats_are_those_of_newest_versions():
    drawn = {path.stem for path in (ROOT / "docs" / "assets" / "beats").iterdir()}
    shown = {f"{entry.name}-{entry.version}" for entry in MODELS.values()}
    assert drawn and drawn <= shown, "draw them anew: `heartzoo evaluate NAME --plots`"


def test_every_command_and_database_has_its_place(site):
    commands, citations = ((site / name).read_text() for name in ("cli.html", "citations.html"))
    for command in ("train", "export", "evaluate", "download", "select", "zoo verify", "data prepare"):
        assert f'id="heartzoo-{command.replace(" ", "-")}"' in commands
    assert "10.13026/C2F305" in citations and "CC BY-NC-SA 4.0" in citations


# In the browser

browser_test = pytest.mark.skipif(not CHROMIUM, reason="needs Chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def server(site) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site))) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium, server):
    """Opens pages; whatever goes wrong in them, or leaves this machine, fails the test."""
    wrong: list[str] = []
    contexts = []

    def visit(address: str, width: int = 1280, scheme: str = "light"):
        context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()

        def failed(request) -> None:
            if request.failure != "net::ERR_ABORTED":  # the page was left while it loaded
                wrong.append(f"{page.url}: {request.url}: {request.failure}")

        page.on("console", lambda m: wrong.append(f"{page.url}: {m.text}") if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: wrong.append(f"{page.url}: {error}"))
        page.on("requestfailed", failed)
        page.on("request", lambda r: wrong.append(r.url) if not r.url.startswith((server, "data:", "blob:")) else None)
        page.goto(f"{server}/{address}")
        return page

    yield visit
    found = list(wrong)  # closing a page cuts off what it still loads
    for context in contexts:
        context.close()
    assert not found


def shown(page) -> list[str]:
    """Names of the table's visible rows."""
    return page.eval_on_selector_all("table.hz-models tbody tr:not([hidden])", "rows => rows.map(r => r.dataset.name)")


@browser_test
def test_the_table_sorts(visit):
    page = visit("models/index.html")
    names = shown(page)
    unseen = {name: e.headline.value for name, e in MODELS.items() if e.track != "random"}
    by_task = sorted(MODELS.values(), key=lambda e: (e.task, e.track == "random", -e.headline.value))
    assert names == [e.name for e in by_task]
    page.get_by_role("button", name="macro-F1, unseen").click()
    names = shown(page)
    figures = [unseen[name] for name in names[: len(unseen)]]  # what has no such figure comes last
    assert figures == sorted(figures, reverse=True)
    page.get_by_role("button", name="flash, B").click()
    sizes = [MODELS[name].cost.tflite_bytes for name in shown(page)]
    assert sizes == sorted(sizes)
    page.get_by_role("button", name="flash, B").click()
    assert [MODELS[name].cost.tflite_bytes for name in shown(page)] == sorted(sizes, reverse=True)
    page.get_by_role("button", name="model").click()
    assert shown(page) == sorted(MODELS)


@browser_test
def test_the_table_filters(visit):
    page = visit("models/index.html")
    page.get_by_label("Flash up to").fill("32")
    small = {name for name, e in MODELS.items() if e.cost.tflite_bytes <= 32 * 1024}
    assert set(shown(page)) == small and 0 < len(small) < len(MODELS)
    page.get_by_label("Task").select_option("arrhythmia-5")
    page.get_by_label("Track").select_option("extended")
    wanted = {n for n in small if (MODELS[n].task, MODELS[n].track) == ("arrhythmia-5", "extended")}
    assert set(shown(page)) == wanted
    assert page.locator("output[name=count]").inner_text() == f"{len(wanted)} of {len(MODELS)} models"
    page.get_by_label("Name").fill("nothing is called so")
    assert shown(page) == []


DRAWN = "e => [...e.querySelectorAll('.heatmaplayer text')].map(t => t.textContent)"


def matrix(name: str, split: str, precision: str) -> list[list[int]]:
    metrics = json.loads((ROOT / "zoo" / name / MODELS[name].version / "metrics.json").read_text())
    found = [e for e in metrics["evaluations"] if (e["split"], e["precision"]) == (split, precision)]
    return found[0]["confusion_matrix"]


@browser_test
@pytest.mark.parametrize("task", TASKS)
def test_every_confusion_matrix_shows_the_published_numbers(visit, task):
    page = visit(f"models/{task}.html")
    for name, entry in MODELS.items():
        if entry.task != task:
            continue
        page.locator(f"label[for='{name}']").click()
        block = page.locator(f".hz-matrix[data-source='matrices-{name}']")
        block.scroll_into_view_if_needed()
        block.locator(".heatmaplayer").wait_for(state="attached")
        counts = matrix(name, entry.headline.split, entry.headline.precision)
        assert block.evaluate(DRAWN) == [f"{n:,}" for row in counts for n in row], name


@browser_test
def test_a_matrix_shows_percent_other_splits_and_the_float_parent(visit):
    page = visit("cards/arr-5-rr-sm.html")
    block = page.locator(".hz-matrix")
    block.scroll_into_view_if_needed()
    block.locator("select[name=split]").select_option("svdb-test")
    block.locator("select[name=file]").select_option("float")
    counts = matrix("arr-5-rr-sm", "svdb-test", "float32")
    assert block.evaluate(DRAWN) == [f"{n:,}" for row in counts for n in row]
    block.locator("select[name=show]").select_option("percent")
    assert block.evaluate(DRAWN) == [f"{100 * n / max(sum(row), 1):.1f} %" for row in counts for n in row]


@browser_test
def test_an_address_opens_its_tab(visit):
    page = visit("models/beat-3.html#beat-3-res-xs")
    page.wait_for_function("document.getElementById('beat-3-res-xs').checked")
    assert page.locator(".tabbed-block:visible").count() == 1
    assert page.locator(".tabbed-block:visible").get_by_text("heartzoo download beat-3-res-xs@").count() == 1


@browser_test
def test_the_chart_holds_every_model_by_every_cost_and_the_peers_apart(visit):
    page = visit("models/index.html")
    block = page.locator(".hz-costs")
    block.scroll_into_view_if_needed()
    block.locator(".scatterlayer .point").first.wait_for(state="attached")
    for cost, of in (("flash", "tflite_bytes"), ("arena", "arena_bytes"), ("macs", "macs")):
        block.locator("select").select_option(cost)
        traces = block.locator(".plot").evaluate("e => e.data.map(t => [t.name, t.x, t.y])")
        ours = {(x, y) for name, xs, ys in traces[:-1] for x, y in zip(xs, ys, strict=True)}
        assert ours == {(getattr(e.cost, of), e.headline.value) for e in MODELS.values()}
        assert traces[-1][0] == "published by others" and traces[-1][1]


@browser_test
@pytest.mark.parametrize(
    "address", ["index.html", "models/index.html", "models/beat-3.html", "cards/beat-3-rr-sm.html"]
)
def test_a_page_fits_a_phone_and_the_dark(visit, address):
    page = visit(address, width=390, scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    background, text = page.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector('article p')).color]"
    )

    def brightness(colour: str) -> float:
        return sum(float(part) for part in colour.partition("(")[2].rstrip(")").split(",")[:3])

    assert brightness(background) < 200 < brightness(text)


@browser_test
def test_no_page_complains_or_leaves_this_machine(visit, server, site):
    paths = (path.relative_to(site) for path in sorted(site.rglob("*.html")))
    page = visit("index.html")
    for path in paths:
        if path.parts[0] not in ("cards", "zoo"):
            page.goto(f"{server}/{path.as_posix()}", wait_until="networkidle")


@browser_test
def test_only_a_page_with_figures_loads_what_draws_them(visit):
    loads = "performance.getEntriesByType('resource').some(entry => entry.name.endsWith('plotly.min.js'))"
    assert not visit("glossary.html").evaluate(loads)
    page = visit("models/index.html")
    page.locator(".hz-costs").scroll_into_view_if_needed()
    page.locator(".scatterlayer .point").first.wait_for(state="attached")
    assert page.evaluate(loads)
