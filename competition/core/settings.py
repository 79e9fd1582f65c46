"""Every setting there is, with its type, its default and the values it may take."""

import dataclasses
import math
import pkgutil
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from competition.core.errors import UserError

ENGINES = {  # each with the class that finishes jobs there (see training/engines/protocol.py), imported when used
    "local": "competition.training.engines.local:LocalEngine",
    "kaggle": "competition.kaggle.sessions.engine:KaggleEngine",
}


def _view_names() -> tuple[str, ...]:
    """Return the names of the views, which are those of the files in models/views: none of them is imported."""
    folder = Path(__file__).parents[1] / "models" / "views"
    return tuple(sorted((module.name for module in pkgutil.iter_modules([str(folder)])), reverse=True))


CHOICES = {
    "view": _view_names(),
    "fit": ("resize", "crop"),
    "augment": ("none", "flips", "flips_both", "forensic", "classic"),
    "precision": ("device", "auto", "fp32", "bf16", "fp16"),
    "memory_format": ("device", "auto", "contiguous", "channels_last"),
    "tta": ("none", "flip", "d4", "crops"),
    "layout": ("auto", "kaggle", "folders", "pixels"),
    "bad_images": ("error", "drop"),
    "blend": ("auto", "equal", "caruana", "stacking"),
    "device": ("auto", "cpu", "cuda"),
    "world": ("same", "prior", "generator"),
    "engine": tuple(ENGINES),
    "accelerator": ("NvidiaTeslaT4", "NvidiaTeslaP100", "none"),
}

# key: (least, most), both allowed
BOUNDS = {
    "image_size": (8, 4096),
    "epochs": (1, 10_000),
    "batch_size": (1, 65_536),
    "accumulate": (1, 4096),
    "lr": (1e-9, 10),
    "weight_decay": (0, 10),
    "layer_decay": (0.01, 1),
    "warmup": (0, 0.9),
    "label_smoothing": (0, 0.9),
    "clip_grad": (0, 1e6),
    "ema": (0, 0.99999),
    "drop_path": (0, 0.9),
    "dropout": (0, 0.9),
    "mixup": (0, 100),
    "cutmix": (0, 100),
    "patience": (0, 10_000),
    "store_size": (0, 8192),
    "store_cap": (0, 65_536),
    "folds": (2, 100),
    "seeds": (1, 100),
    "limit": (0, 10**9),
    "public_fraction": (0.001, 1),
    "threads": (0, 1024),
    "jobs": (1, 256),
    "workers": (-1, 256),
    "cache_gb": (0, 1e6),
    "checkpoint_seconds": (0, 1e6),
    "seed": (0, 2**31),
    "fallback": (0, 1),
    "evidence_rows": (0, 10**6),
    "pseudo_positive": (0.5, 1),
    "pseudo_negative": (0.5, 1),
    "sessions": (1, 16),
    "hours": (0.01, 11.5),
}


@dataclass(frozen=True)
class Recipe:
    """How one member sees and learns. Every field may be set for all members or for one."""

    backbone: str = "convnext_tiny.fb_in22k_ft_in1k"  # any timm name, or a file in models/own_backbones
    backbone_args: dict[str, Any] = field(default_factory=dict)  # passed on to timm.create_model
    pretrained: str = "false"  # true (the hub), false, auto (the hub, or false without it), a weights file, or a folder
    frozen: bool = False  # train the head alone, on features that are computed once
    head: list[str] = field(default_factory=list)  # layers before the last: flatten, batchnorm, relu, dropout, a width
    small_stem: bool = False  # a ResNet's stem without stride and pooling, for images of a few dozen pixels
    view: str = "rgb"  # what the backbone sees: a file in models/views
    image_size: int = 224  # pixels, square
    fit: str = "resize"  # resize the whole image, or crop at native resolution (keeps forensic traces)
    store_size: int = 0  # pixels kept by the cache: 0 = image_size when resizing, native when cropping
    store_cap: int = 1024  # native images are shrunk until their longer side fits; 0 = never
    augment: str = "flips"  # none | flips | flips_both (and upside down) | forensic | classic
    mixup: float = 0.0  # Beta parameter; 0 = off
    cutmix: float = 0.0  # Beta parameter; 0 = off; with both on, each batch takes one at random
    epochs: int = 10
    batch_size: int = 32  # rows in one forward pass
    accumulate: int = 1  # forward passes per optimizer step
    lr: float = 5e-4
    weight_decay: float = 0.05  # matrices only; biases, norms and tables are spared
    layer_decay: float = 1.0  # learning rate factor from each layer down to the one below; 1 = none
    warmup: float = 0.1  # share of all steps spent on the linear warm-up
    balance: bool = False  # both classes weigh the same in the loss, however rare one is
    label_smoothing: float = 0.0  # targets are pulled this far towards one half
    clip_grad: float = 1.0  # largest gradient norm; 0 = off
    ema: float = 0.0  # decay of the weights' moving average, which is what is kept; 0 = off
    drop_path: float = 0.0
    dropout: float = 0.0  # before the classifier, or wherever the head says dropout
    patience: int = 0  # early stopping on the validation fold; 0 = off, because it flatters the OOF score
    precision: str = "device"  # device (bf16 or fp16 by capability, fp32 on a CPU) | auto (probe) | fp32 | bf16 | fp16
    memory_format: str = "device"  # device (channels_last on CUDA) | auto (probe) | contiguous | channels_last
    compile: bool = False
    checkpointing: bool = False  # recompute activations: less memory, more time


RECIPE_KEYS = tuple(f.name for f in fields(Recipe))


@dataclass(frozen=True)
class Demo:
    """The embedded data set: drawn into the data folder when ``draw`` is on."""

    draw: bool = False
    seed: int = 0
    train_scenes: int = 500  # two images each: a photograph and its AI twin
    test_scenes: int = 200
    world: str = "same"  # what the test set is from: same | prior (another class balance) | generator (another one)


@dataclass(frozen=True)
class Remote:
    """Training in Kaggle's own sessions, with ``engine=kaggle``."""

    accelerator: str = "NvidiaTeslaT4"  # in Kaggle's words (this is two of them, with a job on each); none = no GPU
    sessions: int = 2  # kernels that the jobs are shared out to; Kaggle runs two GPU sessions of a user at a time
    hours: float = 8.0  # after these a session ends by itself and keeps what is finished; Kaggle cuts it off at 12
    upload: bool = False  # data=FOLDER may go to Kaggle, as a private data set of the user's


@dataclass(frozen=True)
class Config(Recipe):
    """Every setting there is. `members` maps a name to its resolved Recipe."""

    preset: str = ""
    size: str = ""  # which of the preset's sizes, where it has some
    name: str = ""  # results live in folds/<name>; default: the preset's or the data folder's name
    names: str = ""  # finished runs over the same folds to blend, as first,second
    data: str = ""  # folder of the competition's files
    extra: str = ""  # folder of more labelled images, in any layout: trained on in every fold, never judged on
    pseudo: str = ""  # name of a finished run over the same folds that labels the test images it is sure of
    pseudo_positive: float = 0.98  # a test image is learnt as class 1 from this probability of the teacher's on
    pseudo_negative: float = 0.98  # and as class 0 from this probability of class 0 on
    competition: str = ""  # Kaggle's name of the competition, for the upload line
    members: dict[str, Recipe] = field(default_factory=dict)
    demo: Demo = field(default_factory=Demo)

    layout: str = "auto"
    label_column: str | None = None
    id_column: str | None = None
    positive: str | None = None  # which label or class folder is class 1
    group: str = "none"  # none | pairs | column:NAME: rows that must share a fold; auto, auto+pairs, auto+column:NAME:
    # also those that the audit finds to be duplicates or twins
    image_shape: str | None = None  # pixel CSV only, e.g. 20x20x3; default: from the column count
    bad_images: str = "error"  # an unreadable training image stops the run (error), or is left out (drop)
    fallback: int = 1  # the label of a test image that cannot be read: test rows are never left out
    limit: int = 0  # a dry run on about this many training rows

    split: str = "folds"  # folds, or holdout:TRAIN,VALIDATION[,TEST] in shares, as holdout:0.7,0.2,0.1
    folds: int = 5
    fold: str = "all"  # 0..4 | 0,2 | all | full (all folds, and one more model on every row)
    seed: int = 0
    seeds: int = 1  # models per member and fold, differing in their seed

    tta: str = "flip"
    blend: str = "auto"  # auto | equal | caruana | stacking: how the members' weights are chosen
    threshold: str = "auto"  # auto | argmax | bootstrap | calibrated | em | prior:P (of the test set) | a number
    evidence_rows: int = 1000  # rows of each fold, and of the test set, kept for shift and robustness checks; 0 = none
    public_fraction: float = 1.0  # the share of the test set that the public leaderboard scores
    report: bool = True  # write the report at a run's end (./run.sh report writes it at any time)
    overwrite: bool = False  # discard results made with other settings

    engine: str = "local"  # where jobs are trained: here, or in Kaggle's sessions
    kaggle: Remote = field(default_factory=Remote)
    device: str = "auto"
    deterministic: bool = False  # on CUDA: slower, the same bits every time; a CPU with pinned threads always is
    threads: int = 0  # torch threads per job; 0 = the cores shared out among the jobs
    jobs: int = 1  # jobs trained side by side; never changes a number when threads is pinned
    workers: int = -1  # processes that feed each job; -1 = none on a CPU, half the cores (at most 8) on a GPU
    cache: str = ""  # folder of decoded pixels; default: folds/.cache
    cache_gb: float = 50.0  # disk budget of that folder's new entries; beyond it images are decoded every epoch
    checkpoint_seconds: float = 15.0  # least time between two resume points

    @property
    def shares(self) -> tuple[float, ...] | None:
        """The shares of rows trained on, validated on and, with three, judged on; None for K folds."""
        return parse_shares(self.split)

    @property
    def parts(self) -> int:
        """How many parts of the data are held out in turn, each by a job of its own: the folds, or one hold-out."""
        return self.folds if self.shares is None else 1


# What OmegaConf merges the layers of settings in. A member's fields are the recipe's, each optional: None means "as for
# all", and a member that is None is taken out.
Member: Any = dataclasses.make_dataclass(
    "Member", [(key, kind | None, None) for key, kind in get_type_hints(Recipe).items()], frozen=True
)
Layers: Any = dataclasses.make_dataclass(
    "Layers", [("members", dict[str, Member | None], field(default_factory=dict))], bases=(Config,), frozen=True
)


def parse_shares(split: str) -> tuple[float, ...] | None:
    """Return the shares in ``holdout:0.7,0.2,0.1`` (training, validation, test), or None for ``folds``."""
    if split == "folds":
        return None
    kind, _, text = split.partition(":")
    remedy = "write split=folds, or shares that sum to 1, as in split=holdout:0.7,0.2,0.1"
    try:
        shares = tuple(float(share) for share in text.split(","))
    except ValueError:
        shares = ()
    if kind != "holdout" or len(shares) not in (2, 3):
        raise UserError(f"split={split} is no way to split the data: {remedy}.")
    if not all(0 < share < 1 for share in shares) or not math.isclose(sum(shares), 1, abs_tol=1e-6):
        raise UserError(f"split={split} does not share out all the rows: {remedy}.")
    return shares
