"""The campaign of hostile images finds what is wrong, and finds nothing in the program as it is."""

import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from tests.benchmarks.faults.campaign import DISAGREE, GROWTH, HUNG, TOO_MUCH, TRACEBACK, chance
from tests.benchmarks.faults.drawn_images import HUGE_PART, Drawn, draw_files
from tests.benchmarks.faults.endurance import MEMORY, Held, grown
from tests.benchmarks.faults.forked import forked


def kinds(findings):
    return [finding.kind for finding in findings]


def test_a_case_draws_the_same_files_each_time_and_another_one_others():
    first, again, other = (draw_files(chance(0, "images", number), 6) for number in (1, 1, 2))
    assert first == again and {drawn.raw for drawn in first}.isdisjoint({drawn.raw for drawn in other})
    assert HUGE_PART < 0.01  # each takes seconds


def test_what_happens_to_a_forked_process_is_told(tmp_path):
    screen = tmp_path / "screen.txt"
    assert forked(lambda: {"a": 1}, screen).value == {"a": 1}
    assert kinds(forked(lambda: 1 / 0, screen).findings) == [TRACEBACK]
    assert kinds(forked(lambda: time.sleep(60), screen, patience=0.2).findings) == [HUNG]
    swollen = forked(lambda: int(np.ones(300_000_000, np.uint8)[-1]), screen, memory=100_000_000)
    assert swollen.value == 1 and kinds(swollen.findings) == [TOO_MUCH]
    noisy = forked(lambda: print("image.py:1: UserWarning: something is odd", file=sys.stderr), screen)
    assert kinds(noisy.findings) == [TRACEBACK]


def test_answers_that_differ_are_found():
    from tests.benchmarks.faults.images import compared

    files = [Drawn("a", ".png", b""), Drawn("b", ".png", b"")]
    agreed = {
        "decoder": [("x", "y", "z"), "it is damaged"],
        "cache": [("x", "y"), "it is damaged"],
        "predict": [0.5, "it is damaged"],
        "engine=onnx": [0.5001, "it is damaged"],
        "page": ["the page's own limit", "it is damaged"],
    }
    assert compared(files, agreed) == []
    for way, answers in {
        "cache": [("x", "other"), "it is damaged"],
        "decoder anew": [("x", "y", "other"), "it is damaged"],
        "engine=onnx": [0.6, "it is damaged"],
        "page": [0.5, 0.5],
        "predict": [0.5, "it is truncated"],
    }.items():
        assert DISAGREE in kinds(compared(files, agreed | {way: answers})), way


def test_what_only_grows_is_found_and_what_comes_and_goes_is_not():
    calm = [Held(10**9 + (number % 3) * 2**20, 20, 8, number % 2) for number in range(30)]
    assert grown(calm, "it") == []
    first = calm[0]
    for leaks in (
        [replace(first, memory=first.memory + number * MEMORY // 8) for number in range(30)],
        [replace(first, handles=20 + number) for number in range(30)],
        [replace(first, threads=8 + number // 9) for number in range(30)],
        [replace(first, files=number) for number in range(30)],
    ):
        assert kinds(grown(leaks, "it")) == [GROWTH]
    assert grown([replace(first, handles=20 + 50 * (number > 3)) for number in range(30)], "it") == []  # settles


@pytest.mark.slow
def test_a_hundred_hostile_images_are_read_alike_in_every_way(tmp_path):
    from tests.benchmarks.faults.campaign import conduct
    from tests.benchmarks.faults.images import images

    tally = conduct("images", images, range(1, 51), 0, tmp_path)
    assert tally.done == {"clean": 50}, tally.found
