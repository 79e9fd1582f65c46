"""What the READMEs and presets print holds: links lead somewhere, and command lines run, or are at least accepted."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from competition.data.demo.draw import DemoPlan, draw_demo
from tests.running import ROOT, TINY, done_inside, inside, once
from tests.runs import TINY as MEMBERS
from tests.runs import make_run

PLACES = ("competition", "tests", "folds", "submissions")
READMES = [ROOT / "README.md", *sorted(path for place in PLACES for path in (ROOT / place).rglob("README.md"))]
PRESETS = sorted((ROOT / "competition/presets").glob("*.yaml"))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

DEMO = "data/demo-0-30-12"  # the tiny run's data
OWN = "data/own"  # the same as a reader's own data
MORE = "data/more"  # labelled images that are not among them
# What stands for something of the reader's, and what is tried in its place; the tiny run is called "run".
TRIED = {
    r"\bextra=FOLDER\b": f"extra={MORE}",
    r"\b(FOLDER|FACES)\b": OWN,
    r"\bIMAGE\b": f"{OWN}/test_data_v2",
    r"\b(NAME|RUN)\b": "run",
    r"\bFILE\b": "addresses.txt",
    r"\bSLUG\b": "a-competition",
    r"\bOWNER\b": "someone",
    r"\bCOMMAND\b": "predict",
    r"^name=demo$": "name=run",
    r"^data/demo/": f"{DEMO}/",
}
ON_A_RUN = ("predict", "export", "report", "track", "ensemble", "ledger", "audit", "config", "status")
OPTIONS_ONLY = ("app", "bundle", "collect", "download", "submit")  # these wait for a visitor or need the network
SEARCHES = ("tune",)  # which take some trainings: their settings are read
OF_RUN_SH = ("test", "check")


def code_lines(text: str) -> list[str]:
    """Return the `./run.sh` lines of a page's bash blocks, and of the code within its sentences, without comments."""
    blocks = [line for language, block in FENCE.findall(text) if language == "bash" for line in block.splitlines()]
    inline = [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", FENCE.sub("", text))]
    return [line.partition(" #")[0].strip() for line in (*blocks, *inline) if line.startswith("./run.sh")]


def preset_line(path: Path) -> str:
    """Return the line that a preset opens with, without the remark behind it."""
    return path.read_text().splitlines()[0].removeprefix("# ").partition("   ")[0]


def words_of(line: str) -> list[str]:
    """Return the words after ./run.sh, with what is the reader's filled in."""
    words = shlex.split(line)[1:]
    for pattern, tried in TRIED.items():
        words = [re.sub(pattern, tried, word) for word in words]
    return words


def command_of(line: str) -> str:
    """Return a line's command; "" for the main job."""
    words = words_of(line)
    return words[0] if words and "=" not in words[0] else ""


LINES = dict.fromkeys(
    [line for path in READMES for line in code_lines(path.read_text())] + [preset_line(path) for path in PRESETS]
)
HELP = [line for line in LINES if words_of(line)[-1:] == ["help"]]
MAIN = [line for line in LINES if command_of(line) == ""]


def trained(page: Path) -> list[str]:
    """Return a page's lines that train where nothing but the demo is at hand."""
    return [
        line for line in code_lines(page.read_text()) if line in MAIN and not re.search(r"(preset|engine|data)=", line)
    ]


TRAINING = [page for page in READMES if len(trained(page)) > 1]


def of(*commands: str) -> list[str]:
    """Return the lines of these commands that do not ask for help."""
    return [line for line in LINES if command_of(line) in commands and line not in HELP]


def anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.fixture(scope="module")
def home(ran, tmp_path_factory) -> Path:
    """The tiny run, beside data of the reader's own."""

    def fill(folder: Path) -> str:
        shutil.copytree(ran, folder, dirs_exist_ok=True)
        shutil.copytree(folder / DEMO, folder / OWN, ignore=shutil.ignore_patterns("demo.json"))
        draw_demo(folder / MORE, DemoPlan(1, (10, 5), "same"))
        make_run(folder, {"resnet": MEMBERS["resnet"]}, folds=1, name="single")
        return ""

    return once(tmp_path_factory, "readmes", fill)[0]


def test_the_readme_is_read_in_a_sitting():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize("page", READMES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    targets = re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text()))
    for target in targets:
        path, _, anchor = target.partition("#")
        assert "://" not in path, f"{target}: a link out of the repository cannot be followed here"
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


def test_every_line_is_looked_at():
    commands = {command_of(line) for line in LINES if line not in HELP}
    assert commands <= {"", "bench", *ON_A_RUN, *OPTIONS_ONLY, *SEARCHES, *OF_RUN_SH}
    assert len(MAIN) > 20 and len(TRAINING) > 1  # or lines are not found any more


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_a_preset_opens_with_its_command_its_cost_and_what_it_gave(path):
    line, cost, gave, empty = path.read_text().splitlines()[:4]
    named = f"preset={path.stem}"
    assert line.startswith("# ./run.sh ") and (named in line.split() or path.stem == "demo")
    assert re.match(r"# (Estimates|Measured)\b", cost) and "GB" in cost
    assert re.match(r"# It gave\b", gave) and empty == "#"


@pytest.mark.parametrize("line", MAIN)
def test_the_settings_of_every_line_are_accepted(line, home):
    assert "epochs:" in done_inside(home, "config", *words_of(line))


@pytest.mark.parametrize("line", HELP)
def test_help_is_there(line, home):
    assert "./run.sh" in done_inside(home, *words_of(line))


@pytest.mark.parametrize("line", of(*OPTIONS_ONLY))
def test_every_option_is_one_that_the_command_has(line, home):
    command, *words = words_of(line)
    shown = done_inside(home, command, "help")
    for word in words:
        assert re.search(rf"\b{word.partition('=')[0]}=", shown), f"{word}: {shown}"


@pytest.mark.parametrize("line", of(*SEARCHES))
def test_the_settings_and_options_of_a_search_are_accepted(line, home):
    result = inside(home, *words_of(line), "pretrained=/nowhere.safetensors")  # what ends it once all else is looked at
    assert result.returncode == 2 and "/nowhere.safetensors" in result.stderr


@pytest.mark.parametrize("line", of("bench"))
def test_every_benchmark_is_there(line):
    names = [word for word in words_of(line)[1:] if "=" not in word]
    assert names and all((ROOT / f"tests/benchmarks/bench_{name}.py").exists() for name in names)


@pytest.mark.parametrize("line", of(*OF_RUN_SH))
def test_what_is_for_whoever_changes_the_code_is_there(line):
    command, *words = words_of(line)
    assert re.search(rf"\b{command}\b", (ROOT / "run.sh").read_text())
    assert all(word == "all" or (ROOT / word).exists() for word in words)


def test_lines_work_on_a_finished_run(home):
    pytest.importorskip("onnxruntime", reason="the extra 'onnx' is not installed")
    for line in of(*ON_A_RUN):
        words = words_of(line)
        if "export" in words or "engine=onnx" in words:  # a second a model
            words = ["name=single" if word == "name=run" else word for word in words]
        result = inside(home, *words)
        assert result.returncode == 0, f"{line}: {result.stderr}"


@pytest.mark.slow
@pytest.mark.parametrize("page", TRAINING, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_lines_of_a_page_train_and_end_well_one_after_the_other(page, home, tmp_path):
    shutil.copytree(home / "data", tmp_path / "data")
    tiny = ["epochs=1", *(word for word in TINY if word not in ("epochs=2", "folds=3"))]
    for line in ["./run.sh fold=0..4", *trained(page)]:
        words = [re.sub("^pseudo=run$", f"pseudo={Path(DEMO).name}", word) for word in words_of(line)]
        sure = ["pseudo_positive=0.5", "pseudo_negative=0.5"]  # for so small a run is never sure of anything
        given = {word.partition("=")[0] for word in words}
        result = inside(tmp_path, *(word for word in [*tiny, *sure] if word.partition("=")[0] not in given), *words)
        assert result.returncode == 0, f"{line}: {result.stderr}"
