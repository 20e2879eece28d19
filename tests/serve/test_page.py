"""The page in a real browser: Debian's Chromium, driven by Playwright. It is skipped where one of them is missing."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bertworks.serve.http import Access
from tests.serve.models import Running, serving

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: see make test-browser")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if CHROMIUM is None:
    pytest.skip("Chromium is not installed: apt-get install chromium", allow_module_level=True)

# Playwright's own threads leave sockets to the end of the process.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api.expect.set_options(timeout=60_000)  # another program may have the processors
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(params=["light", "dark", "phone"])
def view(request: pytest.FixtureRequest, browser: Any, server: Running) -> Iterator[Any]:
    """The page in light, in dark and on a phone. It may ask nobody but the server, and no script may fail."""
    size = {"width": 390, "height": 844} if request.param == "phone" else {"width": 1100, "height": 900}
    scheme = "dark" if request.param == "dark" else "light"
    with watched(browser, server, viewport=size, color_scheme=scheme, reduced_motion="reduce") as found:
        yield found


class watched:  # noqa: N801
    """A page whose requests and errors are watched."""

    def __init__(self, browser: Any, server: Running, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.address = server.url
        self.problems: list[str] = []

    def __enter__(self) -> Any:
        view = self.context.new_page()
        view.on("pageerror", lambda error: self.problems.append(str(error)))
        view.on("console", lambda said: said.type == "error" and self.problems.append(said.text))
        view.on("request", lambda asked: asked.url.startswith(self.address) or self.problems.append(asked.url))
        view.goto(self.address)
        return view

    def __exit__(self, *error: object) -> None:
        self.context.close()
        # What the server refuses stands in the console too; that is no failure of the page.
        assert [one for one in self.problems if "the server responded with a status of" not in one] == []


def open_panel(view: Any, title: str) -> Any:
    view.get_by_role("tab", name=title).click()
    return view.get_by_role("tabpanel", name=title)


def test_every_panel_shows_what_the_server_answers(view: Any, server: Running, tmp_path: Path) -> None:
    masks = open_panel(view, "Masked words")
    masks.get_by_role("button", name="Fill").click()
    expected = server.post("/v1/fill_mask", texts=["Paris is the [MASK] of France."], top_k=8).json
    words = expected["results"][0]["masks"][0]
    rows = masks.locator(".bars li")
    sync_api.expect(rows).to_have_count(8)
    assert rows.first.locator(".name").inner_text() == words[0]["token"]

    classes = open_panel(view, "Classes")
    classes.get_by_label("A text", exact=True).fill("The old bridge.")
    classes.get_by_role("button", name="Classify").click()
    found = server.post("/v1/classify", texts=["The old bridge."]).json["results"][0]
    sync_api.expect(classes.locator(".verdict")).to_have_text(found["label"])
    sync_api.expect(classes.locator(".read")).to_contain_text(f"Read {found['tokens']} tokens in 1 sequence, nothing")

    tags = open_panel(view, "Entities")
    text = "\U0001f600 the old harbour of Kemi"
    tags.get_by_label("A text with names").fill(text)
    tags.get_by_role("button", name="Find entities").click()
    entities = server.post("/v1/tag", texts=[text]).json["results"][0]["entities"]
    sync_api.expect(tags.locator(".prose .entity")).to_have_count(len(entities))
    shown = [one.evaluate("e => e.firstChild.textContent") for one in tags.locator(".prose .entity").all()]
    assert shown == [one["text"] for one in entities]

    answers = open_panel(view, "Answers")
    answers.get_by_role("button", name="Answer", exact=True).click()
    options = answers.locator(".answers button")
    sync_api.expect(options.nth(2)).to_be_visible()
    options.nth(2).click()
    assert options.nth(2).get_attribute("aria-pressed") == "true"
    assert options.nth(2).inner_text().startswith(answers.locator("mark").inner_text())

    why = open_panel(view, "Why")
    why.get_by_label("A text of up to").fill(text)
    why.locator(".models select").select_option("classifier")
    why.get_by_role("button", name="Explain").click()
    reasons = server.post("/v1/explain", model="classifier", text=text).json["decisions"][0]
    sync_api.expect(why.locator(".verdict")).to_have_text(reasons["decision"])
    assert [one.inner_text() for one in why.locator(".prose .word").all()] == [one["text"] for one in reasons["words"]]

    similar = open_panel(view, "Similarity")
    similar.get_by_role("button", name="Compare").click()
    sync_api.expect(similar.locator("tbody tr")).to_have_count(5)
    assert [similar.locator(f"tbody tr:nth-child({i}) td >> nth={i - 1}").inner_text() for i in (1, 5)] == ["1.00"] * 2

    attention = open_panel(view, "Attention")
    attention.get_by_role("button", name="Show attention").click()
    sync_api.expect(attention.locator(".heads button")).to_have_count(4)
    attention.get_by_role("button", name="Head 3").click()
    attention.locator(".tokens button").last.click()
    sync_api.expect(attention.locator(".read").first).to_contain_text("looks most at")
    attention.get_by_label("Layer").select_option(index=2)
    sync_api.expect(attention.locator(".results h2")).to_contain_text("Layer 3")

    # Nothing is wider than the page, so that a phone does not scroll sideways.
    assert view.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_csv_becomes_a_table_to_download(view: Any, server: Running, tmp_path: Path) -> None:
    panel = open_panel(view, "Table")
    # A separator, quotes and the end of a line inside quotes.
    odd = 'the old; ""man""\n'
    lines = ["number;review", *(f'{i};"{odd * (i % 3)}went {i}"' for i in range(70)), "70;"]
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    panel.locator("#csv_file").set_input_files(tmp_path / "rows.csv")
    sync_api.expect(panel.locator("#column")).to_have_value("1")
    panel.get_by_role("button", name="Predict all").click()
    sync_api.expect(panel.locator(".summary p")).to_have_text("70 rows; 1 without text were left out.")
    unsure = [float(cell.inner_text()) for cell in panel.locator("tbody td:last-child").all()]
    assert len(unsure) == 70
    assert unsure == sorted(unsure, reverse=True)
    with view.expect_download() as started:
        panel.get_by_role("button", name="Download CSV").click()
    with Path(started.value.path()).open(newline="") as stream:
        head, *rows = csv.reader(stream)
    classes = ["probability of negative", "probability of positive"]
    assert head == ["number", "review", "prediction", *classes, "uncertainty", "tokens_cut"]
    assert len(rows) == 70
    assert 'the old; "man"\nthe old; "man"\nwent 5' in {row[1] for row in rows}


def test_the_keyboard_is_enough(browser: Any, server: Running) -> None:
    with watched(browser, server, viewport={"width": 1100, "height": 900}) as view:
        view.get_by_role("tab", name="Masked words").focus()
        for key, name in (("ArrowRight", "Classes"), ("End", "Table"), ("ArrowRight", "Masked words")):
            view.keyboard.press(key)
            chosen = view.get_by_role("tab", selected=True)
            sync_api.expect(chosen).to_have_text(name)
            assert chosen.evaluate("e => e === document.activeElement")
        view.keyboard.press("Tab")
        assert view.evaluate("document.activeElement.id") == "mask_text"
        view.keyboard.press("Control+Enter")
        sync_api.expect(view.locator("#panel_fill_mask .bars li")).to_have_count(8)
        # Every field has a name that a screen reader says.
        for field in view.locator("input, textarea, select").all():
            assert field.evaluate("e => e.labels.length > 0 || e.hasAttribute('aria-label')")


def test_what_the_server_refuses_is_shown(browser: Any, server: Running) -> None:
    with watched(browser, server) as view:
        panel = open_panel(view, "Masked words")
        panel.get_by_label("A sentence with").fill("<b>nothing</b> to fill")
        panel.get_by_role("button", name="Fill").click()
        sync_api.expect(panel.get_by_role("alert")).to_contain_text("texts[0]: no [MASK] in '<b>nothing")


def test_a_key_is_asked_for(browser: Any, sources: dict[str, str]) -> None:
    with serving({"words": sources["words"]}, Access(api_key="secret")) as running, watched(browser, running) as view:
        view.get_by_label("This server wants a key").fill("wrong")
        view.keyboard.press("Enter")
        sync_api.expect(view.get_by_label("This server wants a key")).to_be_visible()
        view.get_by_label("This server wants a key").fill("secret")
        view.keyboard.press("Enter")
        sync_api.expect(view.get_by_role("tab")).to_have_count(3)


def test_the_routes_have_a_page(browser: Any, server: Running) -> None:
    with watched(browser, server) as view:
        view.get_by_role("link", name="Routes").click()
        sync_api.expect(view.locator("details")).to_have_count(26)
        view.locator("details").nth(2).click()
        sync_api.expect(view.locator("pre").nth(2)).to_contain_text("curl http://127.0.0.1")
