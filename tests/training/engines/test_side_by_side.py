"""Which jobs run side by side, in what order and on which GPUs; that they end in the same bytes is tests/commands'."""

import dataclasses
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch

from competition.core.config import load_config
from competition.core.errors import UserError
from competition.data.run_data import read_tables
from competition.training import process
from competition.training.engines import side_by_side
from competition.training.engines.progress import longest_first
from competition.training.engines.side_by_side import run_side_by_side, shares
from competition.training.open_data import open_data
from competition.training.plan import all_jobs, make_plans
from competition.training.process import feed_workers, jobs_at_once
from tests.running import TINY, environment

IMAGES = SimpleNamespace(channels=3, floating=False)
TITAN = SimpleNamespace(available=10**13)


def settings(*words):
    return load_config(["preset=demo", *words])


@pytest.mark.parametrize(
    ("words", "cores", "jobs"),
    [([], 1, 1), ([], 8, 8), (["threads=2"], 8, 4), (["threads=3"], 8, 2), (["threads=16"], 8, 1), (["jobs=3"], 8, 3)],
)
def test_on_a_cpu_as_many_jobs_as_its_cores_carry(monkeypatch, words, cores, jobs):
    monkeypatch.setattr(process, "cores", lambda: cores)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: TITAN)
    assert jobs_at_once(settings(*words), IMAGES, "cpu") == jobs


def test_no_more_jobs_than_the_memory_holds(monkeypatch):
    monkeypatch.setattr(process, "cores", lambda: 64)
    config = load_config(["data=x", "backbone=resnet50", "image_size=224", "batch_size=32"])  # 4.2 GB of activations
    for gigabytes, jobs in ((1, 1), (24, 3), (100, 14)):
        monkeypatch.setattr(psutil, "virtual_memory", lambda free=gigabytes * 1e9: SimpleNamespace(available=free))
        assert jobs_at_once(config, IMAGES, "cpu") == jobs


def test_one_job_on_each_gpu_and_their_feeding_shares_the_cores(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(process, "cores", lambda: 16)
    config = settings()
    assert jobs_at_once(config, IMAGES, "cuda") == 4 and jobs_at_once(config, IMAGES, "mps") == 1
    assert [feed_workers(config, "cuda", jobs) for jobs in (1, 2, 4, 32)] == [8, 8, 4, 1]
    assert feed_workers(config, "cpu", 4) == 0 and feed_workers(settings("workers=3"), "cuda", 4) == 3


PARENT = """
import multiprocessing, pickle, sys, time
from competition.training.engines.child import begin
assert "torch" not in sys.modules, "a parent that dies now would wait for it"

class Slow:
    def __reduce__(self):
        return time.sleep, (60,)  # as torch takes its time to be imported

context = multiprocessing.get_context("spawn")
child = context.Process(target=begin, args=(pickle.dumps((print, (Slow(),))), context.Queue(), context.Queue()))
if __name__ == "__main__":
    child.start()
    print(child.pid, flush=True)
    time.sleep(60)
"""


def test_a_process_ends_with_its_parent_though_it_has_hardly_begun(tmp_path):
    (tmp_path / "parent.py").write_text(PARENT)
    words = [sys.executable, str(tmp_path / "parent.py")]
    parent = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment(tmp_path))
    child = psutil.Process(int(parent.stdout.readline()))
    time.sleep(1)
    parent.kill()
    parent.communicate()
    _, alive = psutil.wait_procs([child], timeout=10)
    assert not alive


@pytest.mark.parametrize("word", ["0", "-1", "257", "two", "1.5", ""])
def test_jobs_are_auto_or_a_whole_number(word):
    with pytest.raises(UserError, match=f"jobs={word} is neither auto nor a whole number from 1 to 256"):
        settings(f"jobs={word}")


def test_the_last_round_shares_the_whole_machine():
    assert shares(5, 2) == [(0, 2), (1, 2), (2, 2), (3, 2), (4, 1)]
    assert shares(4, 2) == [(0, 2), (1, 2), (2, 2), (3, 2)] and shares(2, 2) == [(0, 2), (1, 2)]


def test_the_longest_jobs_begin_first(tmp_path, monkeypatch):
    monkeypatch.setenv("TELLTALE_HOME", str(tmp_path))
    config = load_config([*TINY, "members.swin.epochs=9"])
    data = open_data(config, read_tables(config))
    plans = longest_first(config, data, make_plans(config, data, all_jobs(config), "cpu"))
    assert [plan.job.member for plan in plans] == ["swin"] * 3 + ["convnext"] * 3
    longer = dataclasses.replace(config, members={**config.members, "swin": config.members["convnext"]})
    assert [plan.job.fold for plan in longest_first(longer, data, plans)] == [0, 1, 2, 0, 1, 2]


def _worker(_config, plans, _device, number, todo, messages):
    """Stands for a worker process on a GPU: the one of number 0 is full, or, where the first plan is ``all``, each is.
    The first plan is otherwise a file, which is there once the other worker may begin."""
    if number == 0 or plans[0] == "all":
        messages.put(("full", f"79.0 of 80.0 GB of GPU {number} (H100)"))
        messages.close()
        messages.join_thread()
        Path(plans[0]).touch()
        return
    while not Path(plans[0]).exists():
        time.sleep(0.01)
    while (share := todo.get()) is not None:
        messages.put(("done", (share[0], {"on": number})))


def test_a_gpu_that_others_fill_is_left_out_and_said_once(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(side_by_side, "_work", _worker)
    monkeypatch.chdir(tmp_path)
    done = []
    run_side_by_side(settings(), list("abc"), "cuda", 2, lambda *_: None, lambda plan, one: done.append((plan, one)))
    assert done == [(plan, {"on": 1}) for plan in "abc"]
    assert capsys.readouterr().out.count("A GPU is left out, for other processes fill it: 79.0 of 80.0 GB") == 1
    with pytest.raises(UserError, match=r"Other processes fill all 2 GPUs, the last one with 79\.0 of 80\.0 GB"):
        run_side_by_side(settings(), ["all"], "cuda", 2, lambda *_: None, lambda *_: None)
