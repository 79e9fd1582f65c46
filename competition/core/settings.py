"""Every setting of the main job, with its type, its default and the values it may take.

The comments are what `./run.sh run help` says of each.
"""

import dataclasses
import importlib
import pkgutil
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from competition.core.options import DEVICES, auto_or, bounded, folder_name, one_of
from competition.core.splits import parse_shares

ENGINES = {  # each with the class that finishes jobs there (see training/engines/protocol.py), imported when used
    "local": "competition.training.engines.local:LocalEngine",
    "kaggle": "competition.kaggle.sessions.engine:KaggleEngine",
    "ray": "competition.training.engines.cluster.engine:RayEngine",
}


def placed(place: str) -> Any:
    """Return the class at a ``module:Class``; the module is imported here."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


def _view_names() -> list[str]:
    """Return the names of the views, which are those of the files in models/views: none of them is imported."""
    folder = Path(__file__).parents[1] / "models" / "views"
    return sorted((module.name for module in pkgutil.iter_modules([str(folder)])), reverse=True)


@dataclass(frozen=True)
class Recipe:
    """How one member sees and learns. Each setting is for all members, or for one as members.NAME.key=value."""

    backbone: str = "convnext_tiny.fb_in22k_ft_in1k"  # any timm name, or a file in models/own_backbones
    backbone_args: dict[str, Any] = field(default_factory=dict)  # passed on to timm.create_model
    pretrained: str = "false"  # true (the hub), false, auto (the hub, or false without it), a weights file, or a folder
    frozen: bool = False  # train the head alone, on features that are computed once
    variants: int = bounded(0, 0, 64)  # frozen only: augmented variants of each image that the head learns from, too
    adapt: str = one_of("full", "norms", "lora")  # what of the backbone is trained: all of it, its normalisation layers
    # alone, or a low-rank addition to each matrix of its blocks
    lora_rank: int = bounded(8, 1, 256)  # adapt=lora: the rank of each addition
    lora_alpha: float = bounded(16.0, 0.01, 1024)  # adapt=lora: each addition is scaled by lora_alpha / lora_rank
    head: list[str] = field(default_factory=list)  # layers before the last: flatten, batchnorm, relu, dropout, a width
    small_stem: bool = False  # a ResNet's stem without stride and pooling, for images of a few dozen pixels
    stem_stride: int = bounded(0, 0, 64)  # stride of the first convolution or patch embedding; 0 = the backbone's own
    view: str = one_of("rgb", *_view_names())  # what the backbone sees: a file in models/views
    image_size: int = bounded(224, 8, 4096)  # pixels, square
    fit: str = one_of("resize", "crop")  # resize the whole image, or crop at native resolution (keeps forensic traces)
    store_size: int = bounded(0, 0, 8192)  # side that the cache keeps; 0 = image_size to resize, native to crop
    store_cap: int = bounded(1024, 0, 65_536)  # native images are shrunk until their longer side fits; 0 = never
    equalise: str = "none"  # none, or jpeg:QUALITY: every stored image is compressed alike once, train and test
    augment: str = one_of("flips", "none", "flips_both", "forensic", "classic", "jitter", "web")  # flips_both: upside
    # down, too; jitter: flips, small rotations, colours; web: what images go through on the web
    mixup: float = bounded(0.0, 0, 100)  # Beta parameter; 0 = off
    pairs: str = one_of("none", "batch", "mixup")  # groups of two: both rows in one batch, or also mixed
    cutmix: float = bounded(0.0, 0, 100)  # Beta parameter; 0 = off; with both on, each batch takes one at random
    epochs: int = bounded(10, 1, 10_000)  # passes over the training rows
    batch_size: int = bounded(32, 1, 65_536)  # rows in one forward pass
    accumulate: int = bounded(1, 1, 4096)  # forward passes per optimizer step
    lr: float = bounded(5e-4, 1e-9, 10)  # AdamW's learning rate after the warm-up, which a cosine brings down
    head_lr: float = bounded(0.0, 0, 10)  # the last layers' own learning rate; 0 = lr
    weight_decay: float = bounded(0.05, 0, 10)  # matrices only; biases, norms and tables are spared
    layer_decay: float = bounded(1.0, 0.01, 1)  # learning rate factor from each layer down to the one below; 1 = none
    warmup: float = bounded(0.1, 0, 0.9)  # share of all steps spent on the linear warm-up
    balance: bool = False  # both classes weigh the same in the loss, however rare one is
    label_smoothing: float = bounded(0.0, 0, 0.9)  # targets are pulled this far towards one half
    clip_grad: float = bounded(1.0, 0, 1e6)  # largest gradient norm; 0 = off
    ema: float = bounded(0.0, 0, 0.99999)  # decay of the weights' moving average, which is what is kept; 0 = off
    drop_path: float = bounded(0.0, 0, 0.9)  # how often a block is skipped in training (stochastic depth)
    dropout: float = bounded(0.0, 0, 0.9)  # before the classifier, or wherever the head says dropout
    patience: int = bounded(0, 0, 10_000)  # epochs without a better validation fold until training stops
    # early; 0 = off, because it flatters the OOF score
    precision: str = one_of("device", "auto", "fp32", "bf16", "fp16")  # device: bf16 or fp16 by capability, fp32 on a
    # CPU; auto: what a short probe finds to be fastest
    memory_format: str = one_of("device", "auto", "contiguous", "channels_last")  # device: channels_last on CUDA;
    # auto: what a short probe finds to be fastest
    compile: str = one_of("false", "true", "auto")  # run the model through torch.compile; auto: where a probe finds
    # that it saves more time than it takes
    checkpointing: bool = False  # recompute activations: less memory, more time


RECIPE_KEYS = tuple(f.name for f in fields(Recipe))

# Settings that came after the first release. At their defaults they are left out of what names a job, so that the jobs
# of earlier versions are still known.
LATER_KEYS = frozenset(["variants", "adapt", "lora_rank", "lora_alpha", "stem_stride", "equalise", "pairs", "head_lr"])


@dataclass(frozen=True)
class Demo:
    """The embedded data set."""

    draw: bool = False  # draw the data set into the data folder
    seed: int = bounded(0, 0, 2**31)  # of the drawing
    train_scenes: int = 500  # two images each: a photograph and its AI twin
    test_scenes: int = 200  # likewise
    sources: int = bounded(1, 1, 4)  # cameras and generators that the training set is from; several have a column
    # source in train.csv, for source=column:source
    world: str = one_of("same", "prior", "generator", "source")  # what the test set is from: as the training set, with
    # another class balance (prior), by another generator, or from a camera and a generator of its own (source)


@dataclass(frozen=True)
class Remote:
    """Training in Kaggle's own sessions, with engine=kaggle."""

    accelerator: str = one_of("NvidiaTeslaT4", "NvidiaTeslaP100", "none")  # in Kaggle's words (T4: two of them, with a
    # job on each); none = no GPU
    sessions: int = bounded(2, 1, 16)  # kernels that the jobs are shared out to; Kaggle runs two GPU sessions of a user
    # at a time
    hours: float = bounded(8.0, 0.01, 11.5)  # after these a session ends by itself and keeps what is finished; Kaggle
    # cuts it off at 12
    upload: bool = False  # data=FOLDER may go to Kaggle, as a private data set of the user's


@dataclass(frozen=True)
class Cluster:
    """Training on the nodes of a Ray cluster, with engine=ray."""

    address: str = ""  # of the cluster, as host:6379 or auto; default: RAY_ADDRESS, or else a cluster of this machine
    data: str = ""  # the folder of the images on the nodes, where it is another one than here
    gpus: float = bounded(1.0, 0, 64)  # GPUs of a job; a fraction for small nets; where no node has one, CPUs train
    cpus: int = bounded(0, 0, 1024)  # cores of a job; 0 = as many as threads says, or else its share of a node's


@dataclass(frozen=True)
class Config(Recipe):
    """The run: its data, how it is split, trained, blended and judged, and where."""

    preset: str = ""  # settings that come with Telltale
    size: str = ""  # which of the preset's sizes, where it has some
    name: str = folder_name()  # results live in folds/<name>; default: the preset's or the data folder's name
    names: str = ""  # finished runs over the same folds to blend, as first,second
    data: str = ""  # folder of the competition's files
    extra: str = ""  # folder of more labelled images, in any layout: trained on in every fold, never judged on
    pseudo: str = ""  # name of a finished run over the same folds that labels the test images it is sure of
    pseudo_positive: float = bounded(0.98, 0.5, 1)  # a test image is learnt as class 1 from this probability on
    pseudo_negative: float = bounded(0.98, 0.5, 1)  # and as class 0 from this probability of class 0 on
    competition: str = ""  # Kaggle's name of the competition, for the upload line
    members: dict[str, Recipe] = field(default_factory=dict)  # a member each; members.NAME=null: without it
    predictions: dict[str, str] = field(default_factory=dict)  # members of other code: predictions.NAME=FOLDER
    demo: Demo = field(default_factory=Demo)

    layout: str = one_of("auto", "kaggle", "folders", "pixels")  # how the data lie in their folder
    label_column: str | None = None  # the column of train.csv with the labels
    id_column: str | None = None  # the column of train.csv with the file names or ids
    positive: str | None = None  # which label or class folder is class 1
    source: str = "none"  # none | column:NAME | folders (below the class folders): where each image is from, such as a
    # camera, a site or a generator; scores are told by source
    group: str = "none"  # none | pairs | column:NAME: rows that must share a fold; auto, auto+pairs, auto+column:NAME:
    # also those that the audit finds to be duplicates or twins
    image_shape: str | None = None  # pixel CSV only, e.g. 20x20x3; default: from the column count
    bad_images: str = one_of("error", "drop")  # an unreadable training image stops the run, or is left out
    fallback: int = bounded(1, 0, 1)  # the label of a test image that cannot be read: test rows are never left out
    limit: int = bounded(0, 0, 10**9)  # a dry run on about this many training rows; 0 = all

    split: str = "folds"  # folds | by-source (each fold holds out whole sources) | holdout:TRAIN,VALIDATION[,TEST] in
    # shares, as holdout:0.7,0.2,0.1
    folds: int = bounded(5, 2, 100)  # parts that the training rows are split into
    fold: str = "all"  # 0..4 | 0,2 | all | full (all folds, and one more model on every row)
    seed: int = bounded(0, 0, 2**31)  # of the split, the models and their training
    seeds: int = bounded(1, 1, 100)  # models per member and fold, differing in their seed

    tta: str = one_of("flip", "none", "d4", "crops")  # variants of each image that are predicted and averaged
    blend: str = one_of("auto", "equal", "caruana", "stacking")  # how the members' weights are chosen
    threshold: str = "auto"  # auto | argmax | bootstrap | calibrated | em | robust | prior:P (test set's) | a number
    threshold_on: str = one_of("clean", "web")  # what the threshold is tuned on: images as they are, or also as the web
    # leaves them. Of four nets on the demo, web cost .005 to .025 of clean F1 and gained up to .06 under conditions
    evidence_rows: int = bounded(1000, 0, 10**6)  # rows of each fold, and of the test set, kept for shift and
    # robustness checks; 0 = none
    metric: str = "f1"  # what the leaderboard scores: f1 | fbeta:B | accuracy | balanced_accuracy | mcc, of labels, or
    # auc | log_loss | brier, of probabilities; auto: log_loss where the sample submission holds probabilities, else f1
    target: str | None = None  # the submission's column beside the ids; default: as in the sample, or train.csv
    public_fraction: float = bounded(1.0, 0.001, 1)  # the share of the test set that the public leaderboard scores
    report: bool = True  # write the report at a run's end (./run.sh report writes it at any time)
    overwrite: bool = False  # discard results made with other settings

    tune: dict[str, Any] = field(default_factory=dict)  # what ./run.sh tune searches, as
    # tune.lr=[1e-5,1e-3,log], tune.augment=[flips,web], tune.folds=0,1; default: lr and weight_decay on folds 0 and 1
    tuned: str = ""  # the search that these settings are from: best.yaml of ./run.sh tune says it, then the card does
    hours: float = bounded(0.0, 0, 10_000)  # that the whole line may take: the preset is cut down to what fits, and
    # when time runs out all the same, what stands is scored; 0 = as long as it takes
    engine: str = one_of(*ENGINES)  # where jobs are trained: here, in Kaggle's sessions, or on a cluster
    kaggle: Remote = field(default_factory=Remote)
    ray: Cluster = field(default_factory=Cluster)
    track: str = ""  # where epochs are sent as they come about: trackio, wandb, mlflow, tensorboard, or several of them
    device: str = one_of(*DEVICES)  # auto: the GPU, where there is one
    deterministic: bool = False  # on CUDA: slower, the same bits every time; a CPU with pinned threads always is
    threads: int = bounded(0, 0, 256)  # torch threads per job; 0 = the cores shared out among the jobs
    jobs: str = auto_or(1, 256)  # jobs trained side by side; auto: one on each GPU, on a CPU one on every core (or on
    # so many cores as threads says) as far as the memory goes; never changes a number when threads is pinned
    workers: int = bounded(-1, -1, 256)  # processes that feed each job; -1 = none on a CPU, half the cores (at most 8)
    # on a GPU
    cache: str = ""  # folder of decoded pixels; default: folds/.cache
    store: str = one_of("auto", "device", "host")  # where the training images of a job lie: device: all on it, where
    # they are only mirrored; auto: so on a GPU of whose free memory they take up to a quarter
    cache_gb: float = bounded(50.0, 0, 1e6)  # disk budget of that folder's new entries; beyond it images are decoded
    # every epoch
    validate_every: int = bounded(0, 0, 10_000)  # epochs between two looks at the held-out fold, each of a twelfth of
    # an epoch's time with five folds; 0 = some ten looks in all, and with patience after every epoch
    checkpoint_seconds: float = bounded(15.0, 0, 1e6)  # least time between two resume points

    @property
    def shares(self) -> tuple[float, ...] | None:
        """The shares of rows trained on, validated on and, with three, judged on; None for K folds."""
        return parse_shares(self.split)

    @property
    def parts(self) -> int:
        """How many parts of the data are held out in turn, each by a job of its own: the folds, or one hold-out."""
        return self.folds if self.shares is None else 1


GROUPS: dict[str, Any] = {
    "demo": Demo,
    "kaggle": Remote,
    "ray": Cluster,
}  # settings whose names begin with one of these
CHOICES: dict[str, tuple[str, ...]] = {
    item.name: item.metadata["choices"]
    for kind in (Config, *GROUPS.values())
    for item in fields(kind)
    if "choices" in item.metadata
}

# What OmegaConf merges the layers of settings in. A member's fields are the recipe's, each optional: None means "as for
# all", and a member that is None is taken out.
Member: Any = dataclasses.make_dataclass(
    "Member", [(key, kind | None, None) for key, kind in get_type_hints(Recipe).items()], frozen=True
)
Layers: Any = dataclasses.make_dataclass(
    "Layers", [("members", dict[str, Member | None], field(default_factory=dict))], bases=(Config,), frozen=True
)
