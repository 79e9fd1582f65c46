"""Ctrl-C and SIGTERM: one end, one sentence, one status."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from competition.training.resume import load_resume
from tests.running import ROOT, environment

# A line of the program, which says that it is under way and is then busy.
BUSY = """
import sys, time
import competition.__main__ as program
def run(words):
    print("busy", flush=True)
    {busy}
program._run = run
sys.exit(program.script())
"""
SLEEPS = """
    print("working", flush=True)
    time.sleep(60)
"""
FORKS = """
    import os
    if (child := os.fork()) == 0:
        time.sleep(60)
    print(child, flush=True)
    time.sleep(60)
"""
DELETES = """
    class Slow:
        def __del__(self):
            print("working", flush=True)
            time.sleep(1)
    Slow()
    time.sleep(60)
"""
HALF_MADE = """
    class Half:
        def __init__(self):
            print("working", flush=True)
            time.sleep(60)
            self.made = True
        def __del__(self):
            self.made
    Half()
"""
CLEANS_UP = """
    try:
        print("working", flush=True)
        time.sleep(60)
    finally:
        print("cleaning", flush=True)
        time.sleep(1)
        print("clean", flush=True)
"""
BREAKS = """
    try:
        print("working", flush=True)
        time.sleep(60)
    finally:
        raise RuntimeError("a worker died")
"""
WRITES = """
    import signal, torch
    from pathlib import Path
    from competition.training.resume import save_resume
    save = torch.save
    def interrupted(*words):
        signal.raise_signal(signal.SIGINT)
        save(*words)
    torch.save = interrupted
    save_resume(Path({path!r}), {{"epoch": 3}})
    print("never", flush=True)
"""


def start(tmp_path: Path, busy: str) -> subprocess.Popen:
    code = BUSY.format(busy=busy)
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment(tmp_path),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout.readline() == "busy\n"
    return process


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize(
    "busy",
    [SLEEPS, BREAKS, DELETES, HALF_MADE],
    ids=[
        "busy",
        "what fails while it tidies up is not told",
        "in a destructor, which Python would forget",
        "in an initializer, whose object then fails in its destructor",
    ],
)
def test_a_signal_ends_the_line_in_one_sentence(tmp_path, number, status, busy):
    process = start(tmp_path, busy)
    assert process.stdout.readline() == "working\n"
    time.sleep(0.2)
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == status
    assert err == "\nInterrupted: what is finished is kept; the same line, run again, does the rest.\n"


def test_signals_while_the_line_tidies_up_change_nothing(tmp_path):
    process = start(tmp_path, CLEANS_UP)
    assert process.stdout.readline() == "working\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "cleaning\n"
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (143, "clean\n")
    assert err.count("\n") == 2


def test_ctrl_c_waits_until_a_resume_point_is_written(tmp_path):
    process = start(tmp_path, WRITES.format(path=str(tmp_path / "resume.pt")))
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert load_resume(tmp_path / "resume.pt") == {"epoch": 3} and not list(tmp_path.glob(".*"))


def test_a_forked_process_leaves_ctrl_c_to_its_parent_and_ends_at_sigterm_in_silence(tmp_path):
    process = start(tmp_path, FORKS)
    child = int(process.stdout.readline())
    stat = Path(f"/proc/{child}/stat")
    try:
        os.kill(child, signal.SIGINT)
        time.sleep(0.3)
        assert stat.read_text().split()[2] == "S"
        os.kill(child, signal.SIGTERM)
        deadline = time.monotonic() + 10
        while stat.read_text().split()[2] != "Z" and time.monotonic() < deadline:
            time.sleep(0.05)
        assert stat.read_text().split()[2] == "Z"
    finally:
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
    assert err.count("Interrupted") == 1


def test_what_torch_says_of_a_killed_worker_where_nobody_can_hear_it_is_not_printed():
    program = (
        "from competition.core.signals import answer_signals\n"
        "answer_signals()\n"
        "class Late:\n"
        "    def __init__(self, words): self.words = words\n"
        "    def __del__(self): raise RuntimeError(self.words)\n"
        "Late('DataLoader worker (pid 7) is killed by signal: Killed.'); Late('another')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0 and "another" in done.stderr and "DataLoader" not in done.stderr
