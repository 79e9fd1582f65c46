"""The page as a visitor meets it: the real server, and a real browser that drops real files."""

import abc
import ast
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from competition.core.errors import UserError
from competition.core.settings import Recipe
from competition.data.images.decode import decode
from competition.inference.classify import verdict_row
from tests.app.hostile import JUDGED, REFUSED, encoded, picture
from tests.running import ROOT, environment
from tests.runs import TINY, make_run

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PATIENCE = 60_000  # milliseconds; an answer takes one or two seconds on an idle core
MEMBERS = {"convnext": TINY["convnext"], "swin": Recipe(**{**vars(TINY["swin"]), "view": "residual", "fit": "crop"})}

pytest.importorskip("gradio", reason="the extra 'app' is not installed")


class Server:
    """The `app` command in a process of its own, with a temporary folder of its own."""

    def __init__(self, home: Path, *words: str):
        self.home, self.temporary = home, home / "tmp"
        self.temporary.mkdir(parents=True, exist_ok=True)
        self.name = make_run(home, MEMBERS)
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-m", "competition", "app", f"name={self.name}", "open=false", "device=cpu", *words],
            env={**environment(home), "TMPDIR": str(self.temporary)},
            cwd=home,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.address = ""

    def hear(self, words: str) -> str:
        """Wait for a line with these words and return what was said until then."""
        said = ""
        while words not in said:
            line = self.process.stdout.readline()
            assert line, said
            said += line
        return said

    def ready(self) -> None:
        """Wait until the page is there."""
        self.address = re.search(r"http://\S+", self.hear("The page is at"))[0]

    def uploads(self) -> list[Path]:
        return [path for path in self.temporary.glob("telltale-*/**/*") if path.is_file()]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("served"), "max_mb=2")
    server.ready()
    yield server
    server.process.kill()
    server.process.communicate()


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on the PATH")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visit:
    """One open page, and what the browser asked for and complained about meanwhile."""

    def __init__(self, browser, server: Server, scheme: str = "light"):
        self.page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme=scheme)
        self.asked, self.complaints, self.late = [], [], False
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", self.note)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(server.address)
        self.zone = self.page.locator("#tt-drop input[type=file]")
        self.zone.wait_for(state="attached", timeout=PATIENCE)
        self.server = server

    def note(self, said) -> None:
        """Note an error on the console, but not the pair that Gradio's own script leaves where an upload has ended
        before it asks for its progress."""
        if said.type == "error":
            late = "/upload_progress?" in said.location["url"]
            if not late and not (self.late and said.text == "Response"):
                self.complaints.append(said.text)
            self.late = late

    def drop(self, *files: tuple[str, bytes]):
        """Drop (name, bytes) files and return their cards."""
        self.page.evaluate("document.querySelectorAll('.tt-card').forEach(card => card.classList.add('before'))")
        self.zone.set_input_files([{"name": n, "mimeType": _kind(n), "buffer": raw} for n, raw in files])
        cards = self.page.locator(".tt-card:not(.before)")
        cards.nth(len(files) - 1).wait_for(timeout=PATIENCE)
        self.page.locator(".tt-status:not(.tt-done)").wait_for(state="detached", timeout=PATIENCE)
        assert cards.count() == len(files)
        return [cards.nth(row) for row in range(len(files))]


def _kind(name: str) -> str:
    return {"jpg": "image/jpeg", "png": "image/png", "gif": "image/gif"}[name.rsplit(".")[-1]]


@pytest.fixture(scope="module")
def opened(browser, server):
    visit = Visit(browser, server)
    yield visit
    visit.page.close()


@pytest.fixture
def visit(opened):
    """The one page that all drop their files on, one after the other."""
    visit, server = opened, opened.server
    yield visit
    assert visit.complaints == []
    assert {urlsplit(url).hostname for url in visit.asked if url.startswith("http")} == {"127.0.0.1"}
    assert server.uploads() == []


@pytest.fixture(scope="module")
def classifier(server):
    from competition.inference.torch_member import open_classifier

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TELLTALE_HOME", str(server.home))
        return open_classifier(server.name, "cpu")


def _both_sides(classifier) -> list[tuple[str, bytes]]:
    """Return an image that the run calls human-made and one that it calls AI-made."""
    from PIL import Image

    from tests.runs import random_pictures

    found, images = {}, random_pictures(*[(64, 64)] * 20)
    for number, (pixels, verdict) in enumerate(zip(images, classifier.classify(images), strict=True)):
        found.setdefault(verdict.positive, (f"{number}.png", encoded(Image.fromarray(pixels), "PNG")))
    return [found[False], found[True]]


def test_the_page_shows_the_verdict_and_the_probability_that_the_run_gives(visit, classifier):
    files = _both_sides(classifier)
    for (name, raw), shown in zip(files, visit.drop(*files), strict=True):
        verdict = classifier.classify([decode(raw, name)])[0]
        assert shown.locator("h2").inner_text() == ("AI-made" if verdict.positive else "human-made")
        assert float(shown.locator(".tt-prob").inner_text()) == pytest.approx(verdict.prob, abs=6e-4)
        assert shown.locator("figure img").count() == 3 and name in shown.inner_text()
        votes = [float(vote.split()[0]) for vote in shown.locator(".tt-scroll td").all_inner_texts()]
        wanted = [p for m, p in verdict.members.items() for p in (p, *verdict.views[m].values())]
        assert votes == pytest.approx(wanted, abs=6e-4)


def test_every_hostile_file_is_answered_and_the_page_lives_on(visit, classifier):
    refused = visit.drop(*[(name, raw) for name, (raw, _) in REFUSED.items()])
    for shown, (_, reason) in zip(refused, REFUSED.values(), strict=True):
        assert "No verdict" in shown.inner_text() and reason in shown.inner_text()
    for shown, (name, raw) in zip(visit.drop(*JUDGED.items()), JUDGED.items(), strict=True):
        prob = classifier.classify([decode(raw, name)])[0].prob
        assert float(shown.locator(".tt-prob").inner_text()) == pytest.approx(prob, abs=6e-4)
    (good,) = visit.drop(("good.png", encoded(picture(), "PNG")))
    assert good.locator(".tt-prob").count() == 1


def test_a_name_is_shown_as_it_is_and_never_run(visit):
    name = "<b>${1+1}{{7}}<img src=x onerror=document.title=1>.png"
    (shown,) = visit.drop((name, encoded(picture(), "PNG")))
    assert shown.locator(".tt-file").inner_text() == name
    assert visit.page.title().startswith("Telltale")


def test_a_file_over_the_limit_is_named_and_the_next_one_is_answered(visit):
    visit.zone.set_input_files([{"name": "huge.png", "mimeType": "image/png", "buffer": bytes(3 * 2**20)}])
    visit.page.get_by_text("huge.png").first.wait_for(timeout=PATIENCE)
    assert "maximum allowed size" in visit.page.locator("body").inner_text()
    (good,) = visit.drop(("good.png", encoded(picture(), "PNG")))
    assert good.locator(".tt-prob").count() == 1


def test_of_too_many_files_the_first_are_answered_and_the_rest_counted(visit):
    from competition.app.limits import MAX_FILES

    raw = b"no image"
    visit.zone.set_input_files(
        [{"name": f"{n}.png", "mimeType": "image/png", "buffer": raw + bytes([n])} for n in range(MAX_FILES + 3)]
    )
    visit.page.get_by_text("3 more were not looked at").wait_for(timeout=PATIENCE)
    assert visit.page.locator(".tt-card").count() == MAX_FILES


def test_a_second_drop_waits_for_the_first_and_then_takes_its_place(visit):
    for name in ("first.png", "second.png"):
        visit.zone.set_input_files([{"name": name, "mimeType": "image/png", "buffer": encoded(picture(), "PNG")}])
        visit.page.locator(".tt-status, .tt-card", has_text=name).first.wait_for(timeout=PATIENCE)
    visit.page.locator(".tt-card", has_text="second.png").wait_for(timeout=PATIENCE)
    assert visit.page.locator(".tt-card").count() == 1


def test_programs_get_the_verdict_by_the_lines_that_the_page_shows(visit, classifier, tmp_path):
    from competition.app.api import example_lines
    from tests.app.visit_pack import run_line

    if not shutil.which("curl"):
        pytest.skip("there is no curl on the PATH")
    ((name, raw), _), lines = _both_sides(classifier), example_lines(password=False)
    (tmp_path / name).write_bytes(raw)
    wanted = verdict_row(classifier, "image", classifier.classify([decode(raw, name)])[0], "")
    visit.page.locator(".tt-programs summary").click()
    assert visit.page.locator(".tt-programs pre").all_inner_texts() == lines
    by_curl, by_client = (run_line(line, visit.server.address.rstrip("/"), str(tmp_path / name)) for line in lines)
    assert json.loads(by_curl) == wanted and ast.literal_eval(by_client) == wanted | {"file": name}
    line = ["curl", "-s", "-F", f"file=@{name}", f"{visit.server.address}judge"]
    form = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True)
    assert "Send the image alone" in json.loads(form.stdout)["error"]
    page = (ROOT / "competition/app/README.md").read_text()
    assert all(line in page for line in (*lines, *example_lines(password=True)))


@pytest.mark.slow
def test_nothing_is_wider_than_the_screen(browser, server):
    visit = Visit(browser, server, scheme="dark")
    (shown,) = visit.drop(("a-name-without-any-place-to-break-it" * 4 + ".png", encoded(picture(64, 640), "PNG")))
    shown.locator("summary").click()
    for width in (1280, 390):
        visit.page.set_viewport_size({"width": width, "height": 900})
        beyond = visit.page.evaluate(
            "[...document.querySelectorAll('.gradio-container *')].filter(one => !one.closest('.tt-scroll table') && "
            "one.getClientRects().length && (one.getBoundingClientRect().right > innerWidth + .5 || "
            "one.getBoundingClientRect().left < -.5)).map(one => one.outerHTML.slice(0, 90))"
        )
        assert beyond == [] and visit.page.evaluate("document.documentElement.scrollWidth") <= width
    visit.page.close()


def test_an_upload_is_taken_off_the_disk_as_it_is_read_and_no_other_file_is_touched(tmp_path):
    from competition.app.page import take, uploaded

    uploads, secret = tmp_path / "uploads", tmp_path / "secret.png"
    one, other = uploads / "a" / "one.png", uploads / "b" / "other.png"
    for path in (secret, one, other):
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(path.name.encode())
    named = uploaded(
        [
            {"path": str(one), "orig_name": "One.png"},
            {"path": str(secret)},
            {"path": f"{uploads}/gone"},
            {"path": f"{uploads}/a/../../secret.png"},
            "nonsense",
        ]
    )
    assert take(named, uploads) == [("One.png", b"one.png"), ("image", None), ("image", None), ("image", None)]
    assert [path for path in uploads.rglob("*") if path.is_file()] == [other] and secret.exists()
    assert uploaded(None) == uploaded({"path": "x"}) == []


def test_memory_holds_what_few_visitors_were_shown(classifier, tmp_path, monkeypatch):
    # Scrapy's import leaves a mark on this class, over which Gradio stumbles; a page is served without Scrapy.
    monkeypatch.delattr(abc.ABC, "__provides__", raising=False)
    from competition.app.limits import MAX_WAITING, Limits
    from competition.app.page import make_site
    from competition.app.service import Service

    site = make_site(Service(classifier, Limits()), tmp_path)
    mounted = [getattr(route, "app", None) for route in site.routes]
    (gradio,) = [app for app in mounted if hasattr(app, "state_holder")]
    for number in range(100):
        assert gradio.state_holder[f"session {number}"].state_data == {}
    assert len(gradio.state_holder.session_data) <= MAX_WAITING + 1


def test_a_taken_port_is_an_error_where_it_was_asked_for_and_passed_over_where_it_was_not():
    from competition.app.serve import address_of, listen

    with listen("127.0.0.1", None) as first, listen("127.0.0.1", None) as second:
        taken = first.getsockname()[1]
        assert second.getsockname()[1] > taken and address_of(first) == f"http://127.0.0.1:{taken}/"
        with pytest.raises(UserError, match=f"port={taken} "):
            listen("127.0.0.1", taken)
    with pytest.raises(UserError, match=r"host=192\.0\.2\.1 is not an address of this machine"):
        listen("192.0.2.1", None)


@pytest.mark.parametrize(
    "words",
    [
        ["max_mb=none"],
        ["port=70000"],
        ["open=maybe"],
        ["host=no.such.host.invalid"],
        ["host=no..host"],
        ["image.png"],
        ["device=tpu"],
        ["nmae=nmae"],
        ["name=none-such"],
    ],
)
def test_a_mistake_on_the_command_line_is_one_sentence(words, tmp_path, monkeypatch):
    from competition.commands.app import main

    monkeypatch.setenv("TELLTALE_HOME", str(tmp_path))
    with pytest.raises(UserError) as error:
        main(["open=false", *words] if "open=maybe" not in words else words)
    assert words[0].split("=")[-1] in str(error.value) and "\n" not in str(error.value)


def test_a_missing_extra_is_named_with_its_remedy(monkeypatch):
    from competition.commands.app import main

    monkeypatch.delitem(sys.modules, "gradio", raising=False)
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(UserError, match=r"needs gradio.*pip install"):
        main([])


def test_only_this_machine_is_served_unless_asked_otherwise():
    from competition.app.serve import listen

    with listen("127.0.0.1", None) as own, listen("0.0.0.0", None) as all_of_them:
        assert own.getsockname()[0] == "127.0.0.1" and all_of_them.getsockname()[0] == "0.0.0.0"
        assert own.family == socket.AF_INET


@pytest.mark.slow
def test_a_page_for_others_says_that_it_is_open_and_a_visitor_has_a_share_of_it(browser, tmp_path, monkeypatch):
    from competition.inference.onnx.export import export

    monkeypatch.setenv("TELLTALE_HOME", str(tmp_path))
    export(make_run(tmp_path, MEMBERS))
    server = Server(tmp_path, "engine=onnx", "host=0.0.0.0", "per_minute=2")
    server.ready()
    assert "TELLTALE_PASSWORD" in server.hear("Anyone on the network")
    visit = Visit(browser, server)
    files = [(f"{number}.png", encoded(picture(), "PNG")) for number in range(3)]
    first, second, third = visit.drop(*files)
    assert first.locator("figcaption b").first.inner_text() == "The image" and second.locator(".tt-prob").count() == 1
    assert "2 images a minute" in third.inner_text() and "try again in" in third.inner_text()
    assert visit.complaints == []
    visit.page.close()
    server.process.terminate()
    server.process.communicate(timeout=20)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_cleanly_even_while_a_page_is_open(browser, tmp_path, number):
    server = Server(tmp_path, "max_mb=2")  # its own: the others' is still in use
    server.ready()
    (folder,) = server.temporary.glob("telltale-*")
    assert folder.stat().st_mode & 0o777 == 0o700
    visit = Visit(browser, server)
    server.process.send_signal(number)
    rest, _ = server.process.communicate(timeout=20)
    visit.page.close()
    assert server.process.returncode == 0 and rest.endswith("Stopped; nothing was kept.\n") and "Traceback" not in rest
    assert list(server.temporary.iterdir()) == []
