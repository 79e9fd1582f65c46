"""The page prints only numbers of metrics.json, escapes all text, needs nothing else, and fits a phone."""

import json
import re
import shutil
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import pytest

from competition.audit.findings import AuditSummary
from competition.report import style
from competition.report.html import render_page, show
from competition.report.metrics_json import measure
from competition.report.trust import Analysis
from competition.report.write import write_report
from tests.report.runs import REMEDIES, analysis, facts, judged, only, write_histories

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "{{ 7 * 7 }}{% raw %}",
    "&amp;' </style></title>",
)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Page(HTMLParser):
    """What a page holds: its tags with their attributes, its marked numbers and sentences, and the text besides."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.numbers, self.quotes, self.text, self.inside = [], [], [], "", None
        self.feed(html)
        self.text = re.sub(r"\s+", " ", self.text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.text += " "
        self.inside = tag if tag in ("style", "title", "data") else None
        if tag == "span" and "title" in dict(attributes):
            self.inside = "quote"
            self.quotes.append([dict(attributes)["title"], ""])

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, text):
        if self.inside == "data":
            self.numbers.append((self.tags[-1][1]["title"], self.tags[-1][1]["value"], text))
        elif self.inside == "quote":
            self.quotes[-1][1] += text
        elif self.inside is None:
            self.text += text


@pytest.fixture(scope="module", autouse=True)
def coarse():
    """Figures of fewer pixels, which are still wider than a phone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "DPI", 80)
        yield


def write(
    folder, names=("convnext", "swin", "ensemble"), classes=("human", "AI"), ids="train/{}.jpg", test=True, **known
):
    oof = judged(names=names, ids=ids)
    members = names[:-1] or names
    return write_report(
        folder / "report",
        oof,
        judged(120, names, seed=1) if test else None,
        write_histories(folder, members, batches=3),
        facts(oof, classes, 120 * test, **known),
    )


def word(names=("convnext", "swin", "ensemble"), pictures=(), **known):
    """Return a page of the same run in which nothing is drawn, and its metrics."""
    oof = judged(names=names)
    metrics = measure(oof, None, {}, facts(oof, **known))
    return render_page(metrics, dict.fromkeys(pictures, b""), [None] * len(metrics["mistakes"])), metrics


@pytest.fixture(scope="module", params=["with a test set", "one member"])
def written(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    page = write(folder) if request.param == "with a test set" else write(folder, names=("convnext",), test=False)
    return Page(page.read_text()), json.loads((page.parent / "metrics.json").read_text())


def look_up(metrics, pointer):
    for step in pointer.split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        metrics = metrics[int(step)] if isinstance(metrics, list) else metrics[step]
    return metrics


def read_number(text):
    """Return the number that a reader takes from the text, and how far it may be off by rounding."""
    if time := re.fullmatch(r"(?:(\d+) h )?(?:(\d+) min)? ?(?:(\d+) s)?", text):
        hours, minutes, seconds = (int(part or 0) for part in time.groups())
        return 3600 * hours + 60 * minutes + seconds, 60 if hours else 0.5
    text = text.replace("\N{MINUS SIGN}", "-")
    unit = {"%": 0.01, " M": 1e6}.get(text.lstrip("0123456789.,-e"), 1)
    digits = text.removesuffix("%").removesuffix(" M").replace(",", "")
    places = len(digits.partition(".")[2]) if "e" not in digits else 12
    return float(digits) * unit, 0.501 * unit * 10**-places


def test_every_number_on_the_page_is_the_one_at_its_place_in_metrics_json(written):
    page, metrics = written
    assert len(page.numbers) > 40
    for pointer, exact, printed in page.numbers:
        value = look_up(metrics, pointer)
        assert json.loads(exact) == value, pointer
        read, rounding = read_number(printed)
        assert abs(read - value) <= rounding, (pointer, printed, value)


def test_every_sentence_made_elsewhere_is_the_one_at_its_place_in_metrics_json(written):
    page, metrics = written
    assert page.quotes
    for pointer, printed in page.quotes:
        assert printed == look_up(metrics, pointer), pointer


def test_a_number_in_a_sentence_counts_only_where_the_sentence_is_marked():
    marked = Page('<p>found <span title="/honest/shift/remedy">AUC 0.97</span> in <span class="span">0.5</span></p>')
    assert marked.quotes == [["/honest/shift/remedy", "AUC 0.97"]]
    assert "0.97" not in marked.text and "0.5" in marked.text


def strings(value):
    """Yield every text in metrics.json, the names of its entries included."""
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from strings(inner)
    elif isinstance(value, str):
        yield value


def test_no_other_number_is_on_the_page(written):
    page, metrics = written
    text = page.text
    for known in sorted({text for text in strings(metrics) if len(text) > 1}, key=len, reverse=True):
        text = text.replace(known, " ")
    left = re.findall(r"\S*\d\S*", text)
    assert set(re.sub(r"[^\w]", "", word) for word in left) <= {"F1"}, left


SECTIONS = (
    "Will it hold on the leaderboard?",
    "How well it does by source",
    "What the audit found",
    "How the threshold was chosen",
    "How the members were weighed",
    "What each part is worth",
)


def test_what_a_run_knows_of_its_honesty_has_sections_and_what_it_does_not_know_has_none(written):
    page, metrics = written
    known = metrics["honest"]["shift"] is not None
    assert [section in page.text for section in SECTIONS] == [known] * len(SECTIONS)


@pytest.mark.parametrize(
    ("verdict", "look_of", "expectation"),
    [
        ("same world", "calm", "on a leaderboard of 120."),
        ("label shift", "wary", "on a leaderboard of 120 were its classes balanced as in training."),
        ("another world", "alarmed", "but the test images are from another world."),
    ],
)
def test_the_verdict_is_a_banner_in_its_colour_and_word_and_the_headline_goes_with_it(verdict, look_of, expectation):
    html, _ = word(analysis=analysis(verdict=verdict))
    classes = [dict(attributes).get("class") for tag, attributes in Page(html).tags if tag == "div"]
    assert [name for name in classes if name and name.startswith("banner")] == [f"banner {look_of}"]
    text = re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", "", html.split("</style>")[1])))
    assert expectation in text.split("Telltale told")[0]
    assert verdict.capitalize() in text and REMEDIES[verdict] in text
    alarms = len(re.findall(r'<span class="mark alarm">alarm</span>', html))
    assert alarms == 1 + ("same world", "label shift", "another world").index(verdict)  # one is the audit's


def test_a_score_that_the_audit_does_not_call_honest_is_not_printed_without_saying_so():
    page = Page(word(analysis=Analysis(audit=AuditSummary(False, [])))[0])
    assert "does not call this score honest" in page.text.split("Worth knowing")[0]
    assert "Not an honest score" in page.text


@pytest.mark.parametrize("part", ["shift", "threshold", "blend", "without", "views", "robustness", "audit", "sources"])
def test_any_part_alone_makes_a_page_whose_numbers_have_their_places(part):
    html, metrics = word(("swin",), [part] * (part in ("robustness", "sources")), analysis=only(part, ["swin"]))
    found = Page(html)
    assert all(json.loads(exact) == look_up(metrics, pointer) for pointer, exact, _ in found.numbers)
    assert sum(section in found.text for section in SECTIONS) == 1


def test_the_rule_the_method_and_the_views_in_use_are_marked():
    heads = [head for head in re.findall(r'<th scope="row">(.*?)</th>', word()[0], re.S) if "mark" in head]
    words = [" ".join(re.sub(r"<[^>]*>", " ", head).split()) for head in heads]
    assert words == ["midjourney worst", "bootstrap chosen", "equal weights chosen", "all in use"]


def test_the_headline_says_the_score_and_what_to_expect(written):
    page, metrics = written
    pointers = [pointer for pointer, _, _ in page.numbers[:5]]
    final = metrics["final"]
    expected = [f"/cv/{final}/value", "/rows/judged"]
    if metrics["cv"][final]["leaderboard"]:
        expected += [f"/cv/{final}/leaderboard/0", f"/cv/{final}/leaderboard/1", "/rows/leaderboard"]
    assert pointers[: len(expected)] == expected


@pytest.mark.parametrize(
    ("value", "how", "text"),
    [
        (0.94287, "score", "0.943"),
        (-0.0301, "signed", "\N{MINUS SIGN}0.030"),
        (0.0042, "signed", "+0.004"),
        (0.99961, "score", "0.9996"),
        (1.0, "score", "1.000"),
        (0.5167, "percent", "51.7%"),
        (79950, "count", "79,950"),
        (28_288_354, "millions", "28.3 M"),
        (51_234, "millions", "51,234"),
        (298.4, "time", "4 min 58 s"),
        (59.7, "time", "1 min 0 s"),
        (7260, "time", "2 h 1 min"),
        (3e-4, "plain", "0.0003"),
        (0.95, "whole percent", "95%"),
        (None, "score", "\N{EN DASH}"),
    ],
)
def test_numbers_are_shown_as_people_write_them(value, how, text):
    assert show(value, how) == text


def test_hostile_names_are_text_and_nothing_else(tmp_path):
    names = (HOSTILE[0], HOSTILE[2], "ensemble")
    known, hostile = analysis(names[:-1], "another world"), HOSTILE[2] + HOSTILE[0]
    (first, *others), rules = known.audit.findings, known.threshold.rules
    known = replace(
        known,
        shift=replace(known.shift, remedy=hostile),
        audit=AuditSummary(True, [replace(first, what=hostile), *others]),
        threshold=replace(known.threshold, rules={**rules, HOSTILE[1]: rules["argmax"]}),
        robustness=[replace(known.robustness[0], condition=HOSTILE[3])],
        sources=[replace(known.sources[0], source=HOSTILE[3])],
        views=[{**known.views[0], "views": HOSTILE[3]}],
    )
    page = write(tmp_path, names, (HOSTILE[3], HOSTILE[1]), HOSTILE[0] + "{}" + HOSTILE[1], analysis=known)
    html = page.read_text()
    found = Page(html)
    tags = {tag for tag, _ in found.tags}
    assert not tags & {"script", "iframe", "object"} and html.count("</style>") == html.count("</title>") == 1
    assert all(not name.startswith("on") for _, attributes in found.tags for name in attributes)
    assert all(attributes["src"].startswith("data:image/") for tag, attributes in found.tags if tag == "img")
    quoted = "".join(quote for _, quote in found.quotes)
    for text in HOSTILE:
        assert text in found.text and text in quoted + HOSTILE[1]
    assert len(found.numbers) > 40


def test_pictures_are_inside_and_no_other_address_is(written):
    page, metrics = written
    sources = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    thumbnails = [source for source in sources if source.startswith("data:image/jpeg;base64,")]
    figures = [source for source in sources if source.startswith("data:image/png;base64,")]
    assert len(thumbnails) == len(metrics["mistakes"]) > 0
    assert len(figures) == 7 + (4 if metrics["agreement"] else 0) and len(figures) + len(thumbnails) == len(sources)
    links = [attributes.get("href", "data:") for tag, attributes in page.tags if tag in ("a", "link")]
    assert all(link.startswith("data:") for link in links)


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


OVERFLOW = """[...document.querySelectorAll("body *")].filter(element => {
  const box = element.getBoundingClientRect();
  const cut = element.scrollWidth > Math.max(element.clientWidth, box.width) + 1;
  return cut || box.right > innerWidth + 0.5 || box.left < -0.5;
}).map(element => element.tagName + ": " + element.textContent.trim().slice(0, 60))"""
KINDS = {
    "usual": {},
    "long names": {
        "names": (*(f"{index}_convnext_with_a_name_without_any_break_at_all" * 2 for index in range(5)), "ensemble"),
        "classes": ("photographed_by_a_person_" * 3, "made by a generative model " * 3),
        "ids": "a_long_folder/" * 9 + "{}.jpg",
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_in_a_browser_nothing_overflows_and_nothing_is_fetched(tmp_path, browser, kind, monkeypatch):
    if kind == "usual":
        monkeypatch.setattr(style, "DPI", 240)  # wider than a desk's page
    address = write(tmp_path, **KINDS[kind]).as_uri()
    for width in (390, 1280):
        page = browser.new_page(viewport={"width": width, "height": 844})
        asked, complaints = [], []
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        page.on("console", lambda message, complaints=complaints: complaints.append(message.text))
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate(OVERFLOW) == []
        assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
        assert [url for url in asked if not url.startswith("data:")] == [address]
        assert complaints == []
        page.close()
