"""The stand-in for Kaggle, asked by the real command-line tool: it keeps everything in, and answers as Kaggle does."""

import json
import os
import random
import select
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from sklearn.metrics import f1_score

from tests.kaggle_world import KEY, TOKEN, USER, World
from tests.running import ROOT
from tests.standin.process import ways_out

REACH = """
import socket
for place in ("1.1.1.1", "8.8.8.8", "169.254.169.254", "10.0.0.1", "2606:4700:4700::1111"):
    try:
        socket.create_connection((place, 443), 2)
        raise SystemExit(f"reached {place}")
    except OSError as error:
        print(place, error.strerror)
for name in ("www.kaggle.com", "api.kaggle.com"):
    try:
        raise SystemExit(f"found {socket.getaddrinfo(name, 443)}")
    except socket.gaierror as error:
        print(name, error.strerror)
"""


@pytest.fixture
def world():
    with World() as made:
        yield made


def test_nothing_reaches_the_real_site_whatever_the_credentials(world):
    assert world.run("cat", "/proc/net/route").stdout.count("\n") == 1  # the heading
    reach = world.run(sys.executable, "-c", REACH)
    assert reach.returncode == 0, reach.stdout + reach.stderr
    for place in ({"KAGGLE_API_ENVIRONMENT": None}, {"KAGGLE_API_ENVIRONMENT": "PROD"}):
        for words in ({}, {"KAGGLE_API_TOKEN": TOKEN}, {"KAGGLE_USERNAME": "someone", "KAGGLE_KEY": "0" * 32}):
            tried = world.kaggle("competitions", "list", env={**place, **words})
            assert tried.returncode != 0
            assert "api.kaggle.com" in tried.stderr and "resolve" in tried.stderr
    assert world.requests() == []


def test_a_namespace_with_a_way_out_is_told_from_one_without(tmp_path):
    heading = "Inter-|   Receive\n face |bytes\n"
    (tmp_path / "dev").write_text(f"{heading}    lo:       0       0\n  eth0:123       4\n")
    (tmp_path / "route").write_text("Iface\tDestination\tGateway\neth0\t00000000\t0101A8C0\n")
    assert ways_out(tmp_path) == ["eth0", "eth0"]
    inside = subprocess.run(
        [
            "unshare",
            "-rn",
            sys.executable,
            "-c",
            "from tests.standin.process import ways_out; print(ways_out('/proc/self/net'))",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if inside.returncode == 0:
        assert inside.stdout == "[]\n"


def test_an_interrupted_download_goes_on_where_it_stopped(world):
    content = random.Random(0).randbytes(3_000_000)
    folder = world.add_competition("cats", files={"train.csv": b"id,label\n", "images/a b.jpg": content})
    listed = world.kaggle("competitions", "files", "cats", "--format", "json")
    assert [row["name"] for row in json.loads(listed.stdout)] == ["images/a b.jpg", "train.csv"]
    world.fault("GET /download", "truncate", bytes=1_500_000)
    done = world.kaggle("competitions", "download", "cats", "-p", "data")
    assert done.returncode == 0, done.stderr
    first, second = world.requests("GET /download")
    begin = int(second.range.removeprefix("bytes=").rstrip("-"))
    assert (first.status, second.status) == (200, 206) and 0 < begin <= 1_500_000
    with zipfile.ZipFile(world.home / "data/cats.zip") as archive:
        assert archive.read("images/a b.jpg") == content == (folder / "images/a b.jpg").read_bytes()


def test_a_submission_is_pending_then_scored_on_two_parts_of_the_test_set(world):
    draw = random.Random(1)
    solution = {f"test/{number}.jpg": draw.randrange(2) for number in range(200)}
    given = {name: draw.randrange(2) for name in solution}
    world.add_competition("cats", solution=solution, public_fraction=0.3, pending_lists=2)
    (world.home / "s.csv").write_text("id,label\n" + "".join(f"{name},{label}\n" for name, label in given.items()))
    assert world.kaggle("competitions", "submit", "cats", "-f", "s.csv", "-m", "words, 'quoted'").returncode == 0
    shown = [
        json.loads(world.kaggle("competitions", "submissions", "cats", "--format", "json").stdout)[0] for _ in range(3)
    ]
    assert [row["status"].rpartition(".")[2] for row in shown] == ["PENDING", "PENDING", "COMPLETE"]
    assert shown[0]["publicScore"] == "" and shown[2]["description"] == "words, 'quoted'"
    public, private = float(shown[2]["publicScore"]), float(shown[2]["privateScore"])
    whole = f1_score(list(solution.values()), list(given.values()))
    assert public != private and min(public, private) < whole < max(public, private)
    made = world.submissions("cats")[0]
    assert made.ref == shown[2]["ref"] and made.path.read_bytes() == (world.home / "s.csv").read_bytes()
    world.set_competition("cats", public_fraction=1.0)
    world.kaggle("competitions", "submit", "cats", "-f", "s.csv", "-m", "again")
    assert float(world.submissions("cats")[1].public) == pytest.approx(whole, abs=5e-6)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("id,labels\na,1\nb,0\n", "columns: id, label"),
        ("id,label\na,1\n", "2 rows"),
        ("id,label\na,1\na,0\n", "duplicate"),
        ("id,label\na,1\nc,0\n", "such as c"),
        ("id,label\na,1\nb,.5\n", "label: .5"),
        ("id,label\na,1,2\n", "parsed"),
    ],
)
def test_a_file_that_cannot_be_scored_ends_in_an_error_with_its_reason(text, reason):
    from tests.standin.scoring import judge

    public, private, error = judge(text, {"a": 1, "b": 0}, ("id", "label"), 0.5)
    assert (public, private) == ("", "") and reason in error


def test_what_kaggle_refuses_is_refused_with_its_reason(world):
    world.add_competition("cats", solution={"a": 1, "b": 0}, daily=1)
    world.add_competition("dogs", solution={"a": 1}, entered=False)
    (world.home / "s.csv").write_text("id,label\na,1\nb,0\n")

    def refused(*words: str, **more) -> str:
        done = world.kaggle("competitions", *words, **more)
        assert done.returncode != 0
        return done.stdout + done.stderr

    submit = ("submit", "-f", "s.csv", "-m", "words")
    assert "accept this competition's rules" in refused("download", "dogs", "-p", "data")
    assert "accept this competition's rules" in refused(*submit, "dogs")
    assert "Not found" in refused("files", "birds")
    assert world.kaggle("competitions", *submit, "cats").returncode == 0
    assert "Submission limit reached" in refused(*submit, "cats")
    limits = world.kaggle("competitions", "submission-limits", "cats").stdout
    assert "Submissions today: 1" in limits and "Remaining today: 0" in limits
    world.set_competition("cats", code_only=True, daily=5)
    assert "from Notebooks" in refused(*submit, "cats")
    world.credentials(USER, KEY[::-1])
    assert "Authentication required" in refused("files", "cats")
    by_token = world.kaggle("competitions", "files", "cats", env={"KAGGLE_API_TOKEN": TOKEN})
    assert by_token.returncode == 0
    assert len(world.submissions("cats")) == 1 and world.submissions("dogs") == []


def test_a_reply_that_is_lost_leaves_the_submission_made(world):
    world.add_competition("cats", solution={"a": 1, "b": 0})
    (world.home / "s.csv").write_text("id,label\na,1\nb,0\n")
    for what, made in (("reset", 0), ("status", 0), ("reset_after", 1)):
        world.fault("CreateSubmission", what)
        assert world.kaggle("competitions", "submit", "cats", "-f", "s.csv", "-m", what).returncode != 0
        assert len(world.submissions("cats")) == made
    assert [one.fault for one in world.requests("CreateSubmission")] == ["reset", "status", "reset_after"]
    assert [one.status for one in world.requests("CreateSubmission")] == [0, 503, 0]


def test_a_dataset_is_uploaded_piecewise_and_takes_a_while(world):
    content = random.Random(2).randbytes(500_000)
    folder = world.home / "upload"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(content)
    words = {"id": "alice/my-weights", "title": "My weights", "licenses": [{"name": "CC0-1.0"}]}
    (folder / "dataset-metadata.json").write_text(json.dumps(words))
    world.fault("PUT /upload", "reset", bytes=200_000)
    world.fault("PUT /upload", "status", code=503)
    created = world.kaggle("datasets", "create", "-p", folder)
    assert "is being created" in created.stdout, created.stdout + created.stderr
    spans = [one.range for one in world.requests("PUT /upload") if one.range]
    assert spans[0].startswith("bytes */") and spans[1].startswith("bytes 200000-")
    status = [world.kaggle("datasets", "status", "alice/my-weights").stdout for _ in range(2)]
    assert status == ["blobs_received", "ready"]
    assert (world.dataset("alice/my-weights") / "weights.bin").read_bytes() == content
    (folder / "weights.bin").write_bytes(b"second")
    (folder / "inner").mkdir()
    (folder / "inner/note.txt").write_text("inside")
    world.kaggle("datasets", "version", "-p", folder, "-m", "second", "--dir-mode", "zip")
    world.kaggle("datasets", "download", "alice/my-weights", "-p", "back", "--unzip")
    assert (world.home / "back/weights.bin").read_bytes() == content  # the second is not ready yet
    second = world.dataset("alice/my-weights", 2)
    assert (second / "weights.bin").read_bytes() == b"second"
    assert (second / "inner/note.txt").read_text() == "inside"  # the CLI zips folders, Kaggle unzips them


SESSION = """
import importlib.util, json, os, pathlib, socket, subprocess
def tried(what, *words):
    try:
        return str(what(*words))
    except OSError as error:
        return type(error).__name__ + ": " + str(error.strerror)
told = {
    "input": sorted(map(str, (p for p in pathlib.Path("/kaggle/input").rglob("*") if p.is_file()))),
    "write": [tried(pathlib.Path(p).write_text, "x") for p in ("/kaggle/input/x", "/usr/x", "/tmp/x")],
    "reach": [tried(socket.create_connection, place, 2) for place in (("localhost", 80), ("1.1.1.1", 443))],
    "lacks": [name for name in ("competition", "omegaconf", "kaggle", "pytest", "timm", "numpy", "pip")
              if importlib.util.find_spec(name) is None],
    "pip": subprocess.run(["pip", "install", "--no-deps", "--no-index", "/kaggle/input/%s/mine-1.0-py3-none-any.whl"],
                          capture_output=True).returncode,
    "words": sorted(os.environ), "tmp": os.listdir("/root"),
}
import mine
pathlib.Path("deep").mkdir()
pathlib.Path("deep/told.json").write_text(json.dumps(told))
print("hello", mine.VALUE)
"""


def push(world: World, slug: str, code: str, kind: str = "script", *words: str, **more) -> subprocess.CompletedProcess:
    folder = world.home / slug
    folder.mkdir(exist_ok=True)
    (folder / "code").write_text(code)
    told = {"id": f"alice/{slug}", "title": slug, "code_file": "code", "language": "python", "kernel_type": kind}
    (folder / "kernel-metadata.json").write_text(json.dumps({**told, **more}))
    return world.kaggle("kernels", "push", "-p", folder, *words)


def add_wheel(world: World) -> None:
    """Upload a dataset that holds one wheel, and wait until it is ready."""
    folder = world.home / "wheel"
    folder.mkdir()
    with zipfile.ZipFile(folder / "mine-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("mine.py", "VALUE = 42\n")
        wheel.writestr("mine-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
        wheel.writestr("mine-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("mine-1.0.dist-info/RECORD", "")
    words = {"id": "alice/my-wheel", "title": "My wheel", "licenses": [{"name": "CC0-1.0"}]}
    (folder / "dataset-metadata.json").write_text(json.dumps(words))
    world.set(dataset_pending=0)
    world.kaggle("datasets", "create", "-p", folder)


@pytest.mark.parametrize(
    ("layout", "places"), [("new", ["competitions/cats", "datasets/alice/my-wheel"]), ("old", ["cats", "my-wheel"])]
)
def test_a_kernel_runs_in_kaggles_folders_and_image_without_a_network(world, layout, places):
    world.set(layout=layout, image_without=["timm"], kernel_env={"MINE": "1"})
    world.add_competition("cats", files={"test.csv": b"id\n"}, solution={})
    world.add_competition("dogs", files={"test.csv": b"id\n"}, solution={})
    add_wheel(world)
    pushed = push(
        world,
        "my-kernel",
        SESSION % places[1],
        "script",
        "--accelerator",
        "NvidiaTeslaT4",
        "-t",
        "60",
        competition_sources=["cats"],
        dataset_sources=["alice/my-wheel", "alice/none-such"],
    )
    assert "version 1 successfully" in pushed.stdout and "alice/none-such" in pushed.stdout
    kernel = world.wait_kernel("alice/my-kernel")
    assert kernel.status == "COMPLETE", kernel.log
    assert kernel.request["machineShape"] == "NvidiaTeslaT4" and kernel.request["sessionTimeoutSeconds"] == 60
    world.kaggle("kernels", "output", "alice/my-kernel", "-p", "out")
    told = json.loads((world.home / "out/deep/told.json").read_text())
    wheel = f"/kaggle/input/{places[1]}/mine-1.0-py3-none-any.whl"
    assert told["input"] == [f"/kaggle/input/{places[0]}/test.csv", wheel]
    assert told["write"] == ["OSError: Read-only file system"] * 2 + ["1"]
    assert told["reach"] == ["ConnectionRefusedError: Connection refused", "OSError: Network is unreachable"]
    assert told["lacks"] == ["competition", "omegaconf", "kaggle", "pytest", "timm"] and told["pip"] == 0
    assert "MINE" in told["words"] and not [name for name in told["words"] if name.startswith(("PYTHONPATH", "TELL"))]
    assert "hello 42" in (world.home / "out/my-kernel.log").read_text()


def test_a_kernel_that_fails_returns_no_output_unless_it_is_kept(world):
    code = "import time\nopen('half.txt', 'w').write('half')\nprint('begun', flush=True)\n"
    push(world, "my-crash", code + "raise ValueError('broken')\n")
    push(world, "my-slow", code + "time.sleep(60)\n", "script", "-t", "1")
    push(world, "my-lost", code + "time.sleep(60)\n")
    world.wait_kernel("alice/my-lost", "RUNNING")
    world.stop_kernel("alice/my-lost")
    ended = {name: world.wait_kernel(f"alice/my-{name}") for name in ("crash", "slow", "lost")}
    assert [one.status for one in ended.values()] == ["ERROR", "CANCEL_ACKNOWLEDGED", "ERROR"]
    assert "ValueError: broken" in ended["crash"].log and "run time of 1 s" in ended["slow"].failure
    status = world.kaggle("kernels", "status", "alice/my-slow").stdout
    assert "CANCEL_ACKNOWLEDGED" in status and "run time of 1 s" in status
    for kept, found in ((False, ["my-crash.log"]), (True, ["half.txt", "my-crash.log"])):
        world.set(keep_failed_output=kept)
        world.kaggle("kernels", "output", "alice/my-crash", "-p", f"out-{kept}")
        assert sorted(os.listdir(world.home / f"out-{kept}")) == found
    large = push(world, "my-large", "#" * 1_000_001)
    assert "too large" in large.stdout and large.returncode == 0  # so does the CLI


def test_a_notebook_runs_cell_by_cell_and_its_output_is_submitted(world):
    world.add_competition("cats", solution={"a": 1, "b": 0}, code_only=True)
    cells = [
        "!echo 'id,label' > submission.csv",
        "def write(file):\n    print('a,1', 'b,1', sep='\\n', file=file)",
        "with open('submission.csv', 'a') as file:\n    write(file)",
        "raise SystemError('end')",
    ]
    for count, status in ((4, "ERROR"), (3, "COMPLETE")):
        told = [{"cell_type": "code", "metadata": {}, "outputs": [], "source": text} for text in cells[:count]]
        push(
            world,
            "my-notebook",
            json.dumps({"cells": [{"cell_type": "markdown", "source": "# Title"}, *told]}),
            "notebook",
        )
        assert world.wait_kernel("alice/my-notebook").status == status
    words = ("competitions", "submit", "cats", "-k", "alice/my-notebook", "-f", "submission.csv", "-m", "words")
    assert world.kaggle(*words, "-v", "1").returncode != 0
    assert world.kaggle(*words, "-v", "2").returncode == 0
    (made,) = world.submissions("cats")
    assert made.kernel == "alice/my-notebook/2" and made.status == "COMPLETE"
    assert made.path.read_text() == "id,label\na,1\nb,1\n"


def test_a_method_that_the_stand_in_does_not_know_fails_the_test():
    with pytest.raises(AssertionError, match="GetLeaderboard is not answered"), World() as world:
        assert world.kaggle("competitions", "leaderboard", "cats", "--show").returncode != 0


KILLED = """
import subprocess
import time
from tests.kaggle_world import World
world = World()
command = world.popen("sh", "-c", "echo I am inside; exec sleep 100", stdout=subprocess.PIPE)
command.stdout.readline()
print(world.server, command.pid, world.folder, flush=True)
time.sleep(100)
"""


def test_the_server_and_its_commands_end_with_the_tests_however_they_end():
    tests = subprocess.Popen([sys.executable, "-c", KILLED], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    server, command, folder = tests.stdout.readline().split()
    ends = [os.pidfd_open(int(number)) for number in (server, command)]
    tests.send_signal(signal.SIGKILL)
    tests.wait()
    for end in ends:
        assert select.select([end], [], [], 10)[0]
    assert not Path(folder).exists()
