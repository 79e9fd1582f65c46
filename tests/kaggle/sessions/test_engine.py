import getpass
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from competition.core.config import load_config
from competition.core.config_forms import as_yaml
from competition.core.errors import UserError
from competition.data.images.decode import DECODER
from competition.data.run_data import read_tables
from competition.kaggle.kernels import SOURCE_BYTES
from competition.kaggle.sessions.engine import share_out
from competition.kaggle.sessions.package import write_kernel
from competition.kaggle.sessions.request import Outbox, Request, made_of, write_request
from competition.kaggle.sessions.send import Sender, Session
from competition.models.device import Placement
from competition.training.open_data import open_data
from competition.training.plan import Job, Plan, make_plans
from competition.training.resume import load_resume
from tests.kaggle_world import World
from tests.running import TINY, done_inside, everything, inside, outcome

SLUG = "real-or-drawn"
WORDS = [word for word in TINY if "demo." not in word and "members.swin" not in word] + [
    "demo.draw=false",
    "members.swin=null",
    "folds=5",
    "name=far",
    f"competition={SLUG}",
    f"data=data/{SLUG}",
]
WORDS.remove("folds=3")
WORDS[WORDS.index("epochs=2")] = "epochs=6"  # jobs long enough to be killed between
ENGINE = ["engine=kaggle", "kaggle.sessions=1", "kaggle.accelerator=none"]
REF, NEXT = "alice/telltale-far-train-1", "alice/telltale-far-train-2"


def wait_for(world: World, process, ref: str, jobs: int) -> None:
    """Wait until the running kernel has finished this many jobs."""
    until = time.monotonic() + 300
    while time.monotonic() < until and process.poll() is None:
        try:
            kernel = world.kernel(ref)  # one version: the next may be pushed at any moment
            done = len(json.loads((kernel.output / "status.json").read_text())["jobs"])
        except (KeyError, FileNotFoundError):
            done = 0
        if done >= jobs and kernel.status == "RUNNING":
            return
        time.sleep(0.02)
    raise AssertionError(f"no kernel with {jobs} jobs: {process.communicate()}")


def kill_training(world: World, process, ref: str) -> None:
    """Kill a kernel's training, as the system does where memory runs out, once a resume point of fold 2 is there."""
    point = "telltale-*/home/folds/far/convnext/fold2/resume.pt"
    until = time.monotonic() + 300
    while time.monotonic() < until and process.poll() is None:
        training = training_process(world.kernel(ref).pid)
        if training and any(Path(f"/proc/{training}/root/tmp").glob(point)):
            os.kill(training, signal.SIGKILL)
            return
        time.sleep(0.02)
    raise AssertionError(f"nothing of fold 2 is begun: {process.communicate()}")


def training_process(pid: int) -> int:
    """Return the process below ``pid`` that trains a session's jobs; 0 where there is none."""
    try:
        children = " ".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")).split()
        told = {int(one): Path(f"/proc/{one}/cmdline").read_bytes() for one in children}
    except (FileNotFoundError, ProcessLookupError):  # ended meanwhile
        return 0
    own = [child for child, line in told.items() if b"\0competition\0session\0" in line]
    return next(iter([*own, *filter(None, map(training_process, told))]), 0)


@pytest.mark.slow
def test_a_run_whose_sessions_die_ends_in_the_bytes_of_a_local_one(kaggle_world: World, tmp_path: Path):
    world, here, there = kaggle_world, tmp_path / "here", tmp_path / "there"
    data = world.add_demo(SLUG, scenes=(30, 12))
    for home in (here, there):
        shutil.copytree(data, home / "data" / SLUG)
    done_inside(here, *WORDS)
    world.set(kernel_env={"OMP_NUM_THREADS": "1"})
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": {"TELLTALE_HOME": str(there)}, "cwd": there}
    line = [sys.executable, "-m", "competition", *WORDS, *ENGINE]

    killed = world.popen(*line, **pipes)  # its first session's training is killed, then, in its second, the line itself
    wait_for(world, killed, REF, 2)
    kill_training(world, killed, REF)
    wait_for(world, killed, NEXT, 1)
    killed.kill()
    out, _ = killed.communicate()
    assert "finished 2 of 5 jobs (training ended with exit status -9" in out
    assert "; convnext/fold2 is kept at epoch" in out
    assert f"{NEXT} version 1 takes convnext fold 2, convnext fold 3, convnext fold 4" in out
    assert load_resume(world.kernel(REF).output / "convnext/fold2/resume.pt")["epoch"] >= 1
    assert world.kernel(NEXT).request["kernelDataSources"] == [REF]
    assert "convnext/fold2 goes on from where another session left it" in world.kernel(NEXT).log

    world.stop_kernel(NEXT)  # the session is lost with all it had, as Kaggle may lose one that fails
    lost = world.telltale(there, *WORDS, *ENGINE)
    assert lost.returncode == 2 and "finished none of 3 jobs" in lost.stderr and "left nothing" in lost.stderr
    assert f"going on with {NEXT}, version 1" in lost.stdout and lost.stderr.count("\n") == 1

    world.set(keep_failed_output=True)
    resumed = world.popen(*line, **pipes)
    wait_for(world, resumed, NEXT, 2)
    assert world.kernel(NEXT).request["kernelDataSources"] == [REF]  # which still holds what was begun of fold 2
    world.fault("ListKernelSessionOutput", "status", times=100, code=503)
    world.stop_kernel(NEXT)
    out, err = resumed.communicate(timeout=120)
    assert resumed.returncode == 3 and "repeat the same line later" in err, out + err
    world.clear_faults()

    resumed = world.telltale(there, *WORDS, *ENGINE)  # nothing is lost by an output that could not be fetched
    out = resumed.stdout
    assert resumed.returncode == 0, out + resumed.stderr
    assert f"going on with {NEXT}, version 2" in out and "finished 2 of 3 jobs (error, running)" in out
    assert outcome(there) == outcome(here)
    [last] = [ref for ref in (REF, NEXT) if f"{ref} version {world.kernel(ref).version} takes convnext fold 4\n" in out]
    request = world.kernel(last).request
    assert request["isPrivate"] and not request.get("enableGpu") and request["competitionDataSources"] == [SLUG]
    assert not list(world.kernel(last).output.rglob("resume.pt"))
    assert not list(world.kernel(last).output.rglob("*.npy"))

    before, pushed = everything(there), len(world.requests("SaveKernel"))
    again = world.telltale(there, *WORDS, *ENGINE)
    assert again.returncode == 0 and everything(there) == before and len(world.requests("SaveKernel")) == pushed


@pytest.mark.slow
def test_data_of_ones_own_goes_to_kaggle_on_request_and_is_found_there(kaggle_world: World, tmp_path: Path):
    data = kaggle_world.add_demo(SLUG, scenes=(10, 4))
    given = {word.partition("=")[0]: word for word in [*WORDS, *ENGINE]}
    del given["competition"]
    words = [*({**given, "folds": "folds=2", "epochs": "epochs=1", "data": f"data={data}"}).values()]
    trained = kaggle_world.telltale(tmp_path, *words, "kaggle.upload=true")
    assert trained.returncode == 0 and "finished 2 of 2 jobs" in trained.stdout, trained.stdout + trained.stderr
    assert kaggle_world.kernel(REF).request["datasetDataSources"] == ["alice/telltale-far-data"]
    assert kaggle_world.requests("CreateDataset")[0].request["isPrivate"]
    held = kaggle_world.dataset("alice/telltale-far-data")
    assert (held / "train.csv").read_bytes() == (data / "train.csv").read_bytes()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["competition="], "say kaggle.upload=true"),
        (["extra=more"], "more is on this machine alone, and engine=kaggle sends none of it"),
        (["pseudo=teacher"], "pseudo=teacher is on this machine alone"),
        (["pretrained=weights.safetensors"], "members.convnext.pretrained=weights.safetensors is on this machine"),
    ],
)
def test_what_lies_on_this_machine_alone_is_refused_before_anything_is_written(tmp_path: Path, words, says):
    given = {word.partition("=")[0]: word for word in [*WORDS, *ENGINE, *words]}
    refused = inside(tmp_path, *given.values())
    assert refused.returncode == 2 and says in refused.stderr and refused.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_competition_whose_rules_are_not_accepted_is_refused_before_the_data_are_read(kaggle_world, tmp_path: Path):
    kaggle_world.add_competition(SLUG, files={"train.csv": b"id,label\n"}, entered=False)
    refused = kaggle_world.telltale(tmp_path, *WORDS, *ENGINE)
    assert refused.returncode == 2 and "accept its rules" in refused.stderr and refused.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir()) and not kaggle_world.requests("SaveKernel")


def plans(folder: Path, seconds: dict[str, float], folds: int, precision: str = "fp32") -> list[Plan]:
    found = []
    for fold in range(folds):
        for member, took in seconds.items():
            place = folder / member
            if took:
                (place / "before").mkdir(parents=True, exist_ok=True)
                (place / "before/done.json").write_text(json.dumps({"seconds": took}))
            found.append(
                Plan(Job(member, fold), place / f"fold{fold}", Placement("cpu", precision, "contiguous", 8), {}, {})
            )
    return found


@pytest.mark.parametrize("hours", [0.5, 1, 8])
def test_no_session_gets_more_than_it_has_hours_for_and_no_job_is_dealt_twice(tmp_path: Path, hours: float):
    config = load_config(["preset=demo", f"kaggle.hours={hours}", "kaggle.accelerator=NvidiaTeslaP100"])
    left = plans(tmp_path, {"a": 1500.0, "b": 400.0}, 5)
    shares = share_out(left, config, 2)
    dealt = [str(plan.job) for share in shares for plan in share]
    assert len(shares) == 2 and len(set(dealt)) == len(dealt)
    for share in shares:
        assert len(share) == 1 or sum({"a": 1500, "b": 400}[plan.job.member] for plan in share) <= 0.9 * 3600 * hours
    assert (len(dealt) == 10) == (hours >= 8)


def test_jobs_of_unknown_length_are_shared_out_evenly_and_those_of_unsettled_precision_not_at_all(tmp_path: Path):
    config = load_config(["preset=demo"])
    assert [len(share) for share in share_out(plans(tmp_path, {"a": 0, "b": 0}, 5), config, 2)] == [5, 5]
    assert [len(share) for share in share_out(plans(tmp_path, {"a": 0, "b": 0}, 5, "auto"), config, 2)] == [10]


def test_what_sessions_began_is_known_until_it_is_finished_and_told_when_it_gets_further(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("TELLTALE_HOME", str(tmp_path))
    (tmp_path / "folds/far").mkdir(parents=True)
    (tmp_path / "folds/far/folds.csv").write_text("id,fold\n")
    sender = Sender(load_config(["preset=demo", "name=far"]), None, None)
    sent = Session(REF, 1, "0123", {"swin/fold0": "x", "swin/fold1": "y"})
    told = [
        (([], {"swin/fold0": {"epochs": 3, "trained": False}}), True),
        (([], {"swin/fold0": {"epochs": 3, "trained": False}}), False),
        (([], {"swin/fold0": {"epochs": 4, "trained": False}}), True),
        (([], {"swin/fold0": {"epochs": 4, "trained": True}}), True),
        (([], {}), False),
        ((["swin/fold0"], {"swin/fold1": {"epochs": 1, "trained": False}}), True),
    ]
    for words, further in told:
        assert sender.note_ended(sent, *words) is further
    assert json.loads((tmp_path / "folds/far/kaggle.json").read_text())["begun"] == {
        "swin/fold1": {"ref": REF, "version": 1, "request": "0123", "job": "y", "epochs": 1, "trained": False}
    }


def test_a_session_begins_no_job_that_has_no_time_or_no_room(tmp_path: Path, monkeypatch):
    run = tmp_path / "run"
    job = run / "swin/fold0"
    job.mkdir(parents=True)
    (job / "oof.csv").write_text("id\n")
    (job / "done.json").write_text('{"seconds": 95.0}')
    (job.parent / "placement.json").write_text('{"precision": "fp16"}')
    (tmp_path / "out").mkdir()
    outbox = Outbox(tmp_path / "out", run, "0123", time.time() + 100)
    assert not outbox.full("swin")
    outbox.put(Plan(Job("swin", 0), job, Placement("cpu", "fp16", "contiguous", 8), {}, {}))
    assert outbox.full("swin") == "deadline" and not outbox.full("convnext")
    outbox.largest = 20_000_000_000
    assert outbox.full("convnext") == "output full"
    status = json.loads((tmp_path / "out/status.json").read_text())
    assert status["request"] == "0123" and list(status["jobs"]) == ["swin/fold0"]
    assert list(status["jobs"]["swin/fold0"]["files"]) == ["done.json", "oof.csv"]
    assert status["jobs"]["swin/fold0"]["beside"] == {"placement.json": {"precision": "fp16"}}
    assert (tmp_path / "out/swin/fold0/oof.csv").read_text() == "id\n"


def test_a_kernel_of_80_000_rows_fits_into_the_source_that_kaggle_takes(tmp_path: Path):
    random = np.random.default_rng(0)
    expected = [{"training_data": random.bytes(8).hex(), "mean": [0.485, 0.456, 0.406]}] * 10
    folds = random.integers(0, 5, 80_000).tolist()
    jobs = [("swin", fold, 0) for fold in range(10)]
    request = Request("0123", "x", jobs, expected, folds, "competition", "slug", ["train.csv"], 8.0, "none", {}, {})
    write_kernel(tmp_path, "alice/telltale-x", request, "name: x\n", {}, {})
    code = tmp_path / "train.py"
    assert code.stat().st_size < 0.8 * SOURCE_BYTES
    assert getpass.getuser() not in code.read_text()[:2000]


def test_folds_arrive_as_they_were_made_whatever_the_order_of_the_rows():
    train = pd.DataFrame({"id": ["b", "a", "c"], "label": [0, 1, 0], "group": ["b", "a", "c"]})
    request = Request("0", "x", [], [], [4, 2, 3], "drawn", "", [], 8.0, "none", {}, {})
    assert request.folds_from(train)["fold"].tolist() == [2, 4, 3]
    with pytest.raises(UserError, match="2 training rows here, and 3"):
        request.folds_from(train[:2])


def test_a_session_with_jobs_side_by_side_leaves_each_that_is_finished(tmp_path: Path, monkeypatch):
    given = {word.partition("=")[0]: word for word in [*TINY, "members.swin=null", "name=far", "jobs=2"]}
    config = load_config([word for word in given.values() if not word.startswith("members.swin.")])
    (tmp_path / "config.yaml").write_text(as_yaml(config))
    (tmp_path / "out").mkdir()
    monkeypatch.setenv("TELLTALE_HOME", str(tmp_path / "elsewhere"))
    data = open_data(config, read_tables(config))
    jobs = [Job("convnext", fold) for fold in range(3)]
    expected = [made_of(plan) for plan in make_plans(config, data, jobs, "cpu")]
    folds = data.train.set_index("id")["fold"].sort_index().tolist()
    asked = [(job.member, job.fold, job.index) for job in jobs]
    request = Request("0", "far", asked, expected, folds, "drawn", "", [], 8, "none", {}, {})
    write_request(tmp_path / "request.json", request)
    done_inside(tmp_path, "session", f"{tmp_path}/request.json", f"{time.time() + 900:.0f}", f"{tmp_path}/out")
    status = json.loads((tmp_path / "out/status.json").read_text())
    assert status["why"] == "done" and sorted(status["jobs"]) == [f"convnext/fold{fold}" for fold in range(3)]
    for fold in range(3):
        assert (tmp_path / f"out/convnext/fold{fold}/oof.csv").is_file()


@pytest.mark.parametrize(
    ("accelerator", "expected", "says"),
    [
        ("NvidiaTeslaT4", {}, "no GPU in this session, which was asked for NvidiaTeslaT4"),
        ("none", {"decoder": "opencv-0"}, f"decoder: {DECODER} there and opencv-0 here"),
        ("none", {"training_data": "0"}, "the training images or their table"),
    ],
)
def test_a_session_without_its_gpu_or_of_other_data_or_versions_ends_before_any_training(
    tmp_path: Path, accelerator: str, expected: dict, says: str
):
    config = load_config([*(word for word in TINY if "members.swin" not in word), "members.swin=null", "name=far"])
    (tmp_path / "config.yaml").write_text(as_yaml(config))
    request = Request(
        "0", "far", [("convnext", 0, 0)], [expected], [0, 1, 2] * 20, "drawn", "", [], 8, accelerator, {}, {}
    )
    write_request(tmp_path / "request.json", request)
    (tmp_path / "out").mkdir()
    done_inside(tmp_path, "session", f"{tmp_path}/request.json", f"{time.time() + 900:.0f}", f"{tmp_path}/out")
    assert says in json.loads((tmp_path / "out/status.json").read_text())["why"]
    assert not list(tmp_path.rglob("model.safetensors"))
