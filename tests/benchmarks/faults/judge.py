"""A finished run of two tiny members, one that sees whole images and one that sees a part, with its export.

Made once for all cases, by the real commands, and removed as the process ends.
"""

import atexit
import functools
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch

from competition.core.config import CONFIG_FILE, load_config
from competition.core.settings import Config
from competition.inference.classify import Classifier
from competition.inference.run_record import Record, read_record
from competition.inference.torch_member import TorchMember, open_classifier
from tests.running import done

NAME = "judge"
MEMBERS = [
    "preset=demo",
    "demo.train_scenes=30",
    "demo.test_scenes=12",
    "members.convnext=null",
    "members.swin=null",
    "members.whole.backbone=small_cnn",
    "members.whole.backbone_args={widths: [4, 8, 8, 8]}",
    "members.whole.fit=resize",
    "members.part.backbone=resnet18",
    "members.part.fit=crop",
    "members.part.backbone_args={layers: [1, 1, 1, 1], channels: [8, 8, 16, 16]}",
    "image_size=32",
    "augment=flips",
    "tta=flip",
    "epochs=1",
    "batch_size=8",
    "folds=2",
    "jobs=1",
    "report=false",
]


@functools.cache
def judge_home() -> Path:
    """Return the home of the finished run."""
    home = Path(tempfile.mkdtemp(prefix="faults-judge-"))
    made_by = os.getpid()
    atexit.register(lambda: os.getpid() == made_by and shutil.rmtree(home, ignore_errors=True))
    done(home, *MEMBERS, f"name={NAME}")
    done(home, "export", f"name={NAME}")
    return home


@functools.cache
def judge() -> tuple[Classifier[TorchMember], Record, Config]:
    """Return the finished run, its models in memory, for this process and those forked from it."""
    home = judge_home()
    torch.set_num_threads(1)  # a forked process has none of its parent's threads, and would wait for them
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TELLTALE_HOME", str(home))
        classifier = open_classifier(NAME, "cpu")
        for member in classifier.members.values():
            _: Any = member.models
        record = read_record(NAME)
        return classifier, record, load_config([f"config={record.folder / CONFIG_FILE}"])
