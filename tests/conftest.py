"""What holds for every test process and for those it starts."""

import os
import signal

import hypothesis
import pytest

from tests.kaggle_world import kaggle_world  # noqa: F401 - a fixture
from tests.running import TINY, done_inside, once

# A shell starts what runs in the background deaf to Ctrl-C, and so would be all that tests start from there.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # two processes whose threads fight over two cores take far longer

hypothesis.settings.register_profile("telltale", deadline=None)  # a busy machine is no mistake of the code's
hypothesis.settings.load_profile("telltale")

FROZEN = [
    "members.probe.backbone=resnet18",
    "members.probe.frozen=true",
    "members.probe.augment=none",
    "members.probe.backbone_args={layers: [1, 1, 1, 1], channels: [8, 8, 16, 16]}",
]


@pytest.fixture(scope="session")
def ran(tmp_path_factory):
    """A run of three members that do not weigh the same, one of them frozen, which calls half of the test rows 1."""
    words = [*TINY, *FROZEN, "name=run", "threshold=prior:0.5", "blend=stacking"]
    return once(tmp_path_factory, "ran", lambda home: done_inside(home, *words))[0]
