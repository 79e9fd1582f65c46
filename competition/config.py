"""One typed, frozen Config: defaults < preset < config=FILE < key=value, with a sentence for every mistake.

A setting of the recipe given at the top level holds for every member; `members.NAME.key` holds for that one. Within one
layer the narrower word wins; a later layer wins over an earlier one, so `epochs=3` on the command line sets all.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Optional

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

from competition.errors import UserError, did_you_mean

PRESETS = Path(__file__).parent / "presets"

CHOICES = {
    "view": ("rgb", "residual", "fourier"),
    "fit": ("resize", "crop"),
    "augment": ("none", "flips", "forensic", "classic"),
    "precision": ("device", "auto", "fp32", "bf16", "fp16"),
    "memory_format": ("device", "auto", "contiguous", "channels_last"),
    "tta": ("none", "flip", "d4", "crops"),
    "layout": ("auto", "kaggle", "folders", "pixels"),
    "bad_images": ("error", "drop"),
    "device": ("auto", "cpu", "cuda"),
}


@dataclass(frozen=True)
class Recipe:
    """How one member sees and learns. Every field may be set for all members or for one."""

    backbone: str = "convnext_tiny.fb_in22k_ft_in1k"  # any timm name
    backbone_args: dict[str, Any] = field(default_factory=dict)  # passed on to timm.create_model
    pretrained: str = "false"  # true (the hub), false, a weights file, or a folder of them
    view: str = "rgb"  # rgb | residual | fourier: what the backbone sees
    image_size: int = 224  # pixels, square
    fit: str = "resize"  # resize the whole image, or crop at native resolution (keeps forensic traces)
    store_size: int = 0  # pixels kept by the cache: 0 = image_size when resizing, native when cropping
    store_cap: int = 1024  # native images are shrunk until their longer side fits; 0 = never
    augment: str = "flips"  # none | flips | forensic | classic
    mixup: float = 0.0  # Beta parameter; 0 = off
    cutmix: float = 0.0  # Beta parameter; 0 = off; with both on, each batch takes one at random
    epochs: int = 10
    batch_size: int = 32  # rows in one forward pass
    accumulate: int = 1  # forward passes per optimizer step
    lr: float = 5e-4
    weight_decay: float = 0.05  # matrices only; biases, norms and tables are spared
    layer_decay: float = 1.0  # learning rate factor from each layer down to the one below; 1 = none
    warmup: float = 0.1  # share of all steps spent on the linear warm-up
    label_smoothing: float = 0.0  # targets are pulled this far towards one half
    clip_grad: float = 1.0  # largest gradient norm; 0 = off
    ema: float = 0.0  # decay of the weights' moving average, which is what is kept; 0 = off
    drop_path: float = 0.0
    dropout: float = 0.0  # before the classifier
    patience: int = 0  # early stopping on the validation fold; 0 = off, because it flatters the OOF score
    precision: str = "device"  # device (bf16 or fp16 by capability, fp32 on a CPU) | auto (probe) | fp32 | bf16 | fp16
    memory_format: str = "device"  # device (channels_last on CUDA) | auto (probe) | contiguous | channels_last
    compile: bool = False
    checkpointing: bool = False  # recompute activations: less memory, more time


Member = dataclasses.make_dataclass(  # the same fields, each optional: None means "as for all"
    "Member", [(f.name, Optional[f.type], None) for f in fields(Recipe)], frozen=True
)
RECIPE_KEYS = tuple(f.name for f in fields(Recipe))


@dataclass(frozen=True)
class Demo:
    """The embedded data set: drawn into the data folder when ``draw`` is on."""

    draw: bool = False
    seed: int = 0
    train_scenes: int = 500  # two images each: a photograph and its AI twin
    test_scenes: int = 200


@dataclass(frozen=True)
class Config(Recipe):
    """Every setting there is. `members` maps a name to its resolved Recipe."""

    preset: str = ""
    size: str = ""  # which of the preset's sizes, where it has some
    name: str = ""  # results live in folds/<name>; default: the preset's or the data folder's name
    data: str = ""  # folder of the competition's files
    competition: str = ""  # Kaggle's name of the competition, for the upload line
    members: dict[str, Optional[Member]] = field(default_factory=dict)
    demo: Demo = field(default_factory=Demo)

    layout: str = "auto"
    label_column: Optional[str] = None
    id_column: Optional[str] = None
    positive: Optional[str] = None  # which label or class folder is class 1
    group: str = "none"  # none | pairs | column:NAME: rows that must share a fold
    image_shape: Optional[str] = None  # pixel CSV only, e.g. 20x20x3; default: from the column count
    bad_images: str = "error"  # an unreadable training image stops the run (error), or is left out (drop)
    fallback: int = 1  # the label of a test image that cannot be read: test rows are never left out
    limit: int = 0  # a dry run on about this many training rows

    folds: int = 5
    fold: str = "all"  # 0..4 | 0,2 | all | full (all folds, and one more model on every row)
    seed: int = 0
    seeds: int = 1  # models per member and fold, differing in their seed

    tta: str = "flip"
    threshold: str = "bootstrap"  # bootstrap | argmax | a number
    public_fraction: float = 1.0  # the share of the test set that the public leaderboard scores
    overwrite: bool = False  # discard results made with other settings

    device: str = "auto"
    deterministic: bool = False  # on CUDA: slower, the same bits every time; a CPU with pinned threads always is
    threads: int = 0  # torch threads per job; 0 = the cores shared out among the jobs
    jobs: int = 1  # jobs trained side by side; never changes a number when threads is pinned
    workers: int = -1  # processes that feed each job; -1 = none on a CPU, half the cores (at most 8) on a GPU
    cache: str = ""  # folder of decoded pixels; default: folds/.cache
    cache_gb: float = 50.0  # disk budget of that folder's new entries; beyond it images are decoded every epoch
    checkpoint_seconds: float = 15.0  # least time between two resume points


def preset_names() -> list[str]:
    """Return the names of the presets that come with the package."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def load_config(words: Sequence[str], defaults: Mapping[str, str] | None = None) -> Config:
    """Resolve ``key=value`` words into a Config.

    ``defaults`` holds words that yield to the user's own (the preset chosen when none is named, say). Raises UserError
    for an unknown key, preset, member or file, a value of the wrong type and a value that is not one of the choices.
    """
    given = {**(defaults or {}), **_parse_words(words)}
    raw = OmegaConf.structured(Config)
    if preset := given.get("preset", ""):
        if preset not in preset_names():
            raise UserError(f"There is no preset '{preset}'{did_you_mean(preset, preset_names())}")
        layer = yaml.safe_load((PRESETS / f"{preset}.yaml").read_text(encoding="utf-8"))
        sizes = layer.pop("sizes", {})
        raw = _merge(raw, layer, f"preset {preset}")
        raw = _merge_size(raw, sizes, given.get("size", raw.size), preset)
    elif "size" in given:
        raise UserError(f"size={given['size']} needs a preset that has sizes, as preset=wai2025 has.")
    if path := given.pop("config", ""):
        raw = _merge(raw, _read_yaml(path), path)
    raw = _merge(raw, _nest(given), "the command line")
    return _resolve(OmegaConf.to_object(raw))


def _parse_words(words: Sequence[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise UserError(f"'{word}' is not a setting: write key=value, as in fold=0..4.")
        if key in given:
            raise UserError(f"'{key}' is given twice ({given[key]} and {value}): keep one of them.")
        given[key] = value
    return given


def _read_yaml(path: str) -> dict[str, Any]:
    try:
        layer = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"config={path} cannot be read ({error.strerror}): give the path of a YAML file.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"config={path} is not YAML ({' '.join(str(error).split())}): mend it there.") from error
    if not isinstance(layer, dict):
        raise UserError(f"config={path} holds no settings: write one 'key: value' a line.")
    return layer


def _nest(given: Mapping[str, str]) -> dict[str, Any]:
    """Turn dotted keys into nested dictionaries. Words stay text (OmegaConf converts them to each key's type), except
    lists, mappings and timm's own arguments, whose type only YAML can tell."""
    tree: dict[str, Any] = {}
    for key, value in given.items():
        parts = key.split(".")
        node = tree
        for part in parts[:-1]:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise UserError(f"'{key}' and '{part}' cannot both be given: keep one of them.")
        is_yaml = value[:1] in ("[", "{") or "backbone_args" in parts or value == "null"
        try:
            node[parts[-1]] = yaml.safe_load(value) if is_yaml else value
        except yaml.YAMLError as error:
            raise UserError(f"{key}={value} is not YAML: write it like [2,2] or {{a: 1}}.") from error
    return tree


def _merge_size(raw: Any, sizes: Mapping[str, Any], size: str, preset: str) -> Any:
    if size and size not in sizes:
        known = did_you_mean(size, sizes) if sizes else " (it has none)"
        raise UserError(f"preset={preset} has no size '{size}'{known}")
    return _merge(raw, {**sizes.get(size, {}), "size": size}, f"preset {preset}, size {size}") if size else raw


def _merge(raw: Any, layer: Mapping[str, Any], source: str) -> Any:
    """Lay one layer over the settings so far: its general words undo the members' own of the layers below."""
    members = layer.get("members") or {}
    if not isinstance(members, dict):
        raise UserError(f"members={members} in {source} is not a mapping: write members.NAME.key=value.")
    for name, own in members.items():
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", str(name)):
            raise UserError(f"'{name}' in {source} cannot name a member: use letters, digits, '-' and '_'.")
        if name not in raw.members and "backbone" not in (own or {}):
            hint = did_you_mean(name, raw.members) if raw.members else ""
            raise UserError(f"There is no member '{name}' (in {source}){hint} A new one needs members.{name}.backbone=.")
    general = {key: None for key in RECIPE_KEYS if key in layer}
    undone = {"members": {name: general for name, own in raw.members.items() if own is not None}}
    try:
        return OmegaConf.merge(raw, undone if general else {}, dict(layer))
    except ConfigKeyError as error:
        key = str(error.key)
        known = RECIPE_KEYS if str(error.full_key).startswith("members.") else [f.name for f in fields(Config)]
        raise UserError(f"There is no setting '{error.full_key}' (in {source}){did_you_mean(key, known)}") from error
    except OmegaConfBaseException as error:
        raise UserError(_wrong_type(layer, source)) from error


KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a word", dict[str, Any]: "a mapping"}


def _wrong_type(layer: Mapping[str, Any], source: str) -> str:
    """Name the first value of a layer that does not convert to its setting's type."""
    types = {item.name: item.type for item in fields(Config)}
    spots = [(key, key, value) for key, value in layer.items() if key != "members"]
    for name, own in (layer.get("members") or {}).items():
        if not isinstance(own, dict):
            return f"members.{name}={own} (in {source}) is not a mapping: write members.{name}.key=value."
        spots += [(f"members.{name}.{key}", key, value) for key, value in own.items()]
    for full, key, value in spots:
        try:
            OmegaConf.merge(OmegaConf.structured(Config), {key: value})
        except OmegaConfBaseException:
            return f"{full}={value} (in {source}) is not {KINDS.get(types[key], 'a word')}."
    return f"The settings in {source} do not fit together."


def _resolve(raw: Config) -> Config:
    common = {key: getattr(raw, key) for key in RECIPE_KEYS}
    members = {}
    for name, own in raw.members.items():
        if own is None:  # members.swin=null takes a preset's member out
            continue
        set_here = {key: value for key in RECIPE_KEYS if (value := getattr(own, key)) is not None}
        members[name] = Recipe(**{**common, **set_here})
    if not members:
        members = {"model": Recipe(**common)}
    config = dataclasses.replace(raw, members=members, **_places(raw))
    _check(config, "")
    for name, recipe in members.items():
        _check(recipe, f"members.{name}.")
    parse_folds(config.fold, config.folds)
    if config.name and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", config.name):
        raise UserError(f"name={config.name} cannot be a folder's name: use letters, digits, '.', '-' and '_'.")
    return config


def _places(raw: Config) -> dict[str, str]:
    """Return the data folder and the run's name, where they are not given: each demo seed has its own."""
    demo, data, name = raw.demo, raw.data, raw.name
    variant = "" if demo == Demo(draw=True) else f"-{demo.seed}-{demo.train_scenes}-{demo.test_scenes}"
    if demo.draw and not data:
        data = f"data/demo{variant}"
    name = name or (f"{raw.preset}{variant}" if demo.draw else Path(data).resolve().name or raw.preset)
    return {"data": data, "name": name + (f"-limit{raw.limit}" if raw.limit else "")}


# key: (least, most), both allowed
BOUNDS = {
    "image_size": (8, 4096), "epochs": (1, 10_000), "batch_size": (1, 65_536), "accumulate": (1, 4096),
    "lr": (1e-9, 10), "weight_decay": (0, 10), "layer_decay": (0.01, 1), "warmup": (0, 0.9),
    "label_smoothing": (0, 0.9), "clip_grad": (0, 1e6), "ema": (0, 0.99999), "drop_path": (0, 0.9), "dropout": (0, 0.9),
    "mixup": (0, 100), "cutmix": (0, 100), "patience": (0, 10_000), "store_size": (0, 8192), "store_cap": (0, 65_536),
    "folds": (2, 100), "seeds": (1, 100), "limit": (0, 10**9), "public_fraction": (0.001, 1), "threads": (0, 1024),
    "jobs": (1, 256), "workers": (-1, 256), "cache_gb": (0, 1e6), "checkpoint_seconds": (0, 1e6), "seed": (0, 2**31), "fallback": (0, 1),
}  # fmt: skip


def _check(settings: Recipe, prefix: str) -> None:
    for item in fields(settings):
        key, value = item.name, getattr(settings, item.name)
        if key in CHOICES and value not in CHOICES[key]:
            raise UserError(f"{prefix}{key}={value} is not one of {', '.join(CHOICES[key])}.")
        if key in BOUNDS and not BOUNDS[key][0] <= value <= BOUNDS[key][1]:
            least, most = BOUNDS[key]
            raise UserError(f"{prefix}{key}={value} is out of range: give a value from {least:g} to {most:g}.")


def parse_folds(text: str, folds: int) -> tuple[list[int], bool]:
    """Return which folds ``text`` names, sorted, and whether a model on all rows is asked for too.

    ``0..4``, ``0,2``, ``all`` and ``full`` (all folds, and the model on all rows) may be joined by commas.
    """
    chosen: set[int] = set()
    full = False
    for part in (part.strip() for part in text.split(",")):
        if part in ("all", "full"):
            full |= part == "full"
            chosen.update(range(folds) if part == "all" or text.strip() == "full" else ())
        elif match := re.fullmatch(r"(\d+)(?:\.\.(\d+))?", part):
            first, last = int(match[1]), int(match[2] or match[1])
            if last >= folds or first > last:
                raise UserError(f"fold={text} asks for a fold outside 0..{folds - 1} (folds={folds}).")
            chosen.update(range(first, last + 1))
        else:
            raise UserError(f"fold={text} is not a list of folds: write fold=0..{folds - 1}, fold=0,2 or fold=all.")
    return sorted(chosen), full


def as_dict(settings: Recipe) -> dict[str, Any]:
    """Return the settings as plain dictionaries, lists and numbers."""
    return dataclasses.asdict(settings)


def as_yaml(settings: Recipe) -> str:
    """Return the settings as YAML; fed back through ``config=FILE`` it gives the same Config."""
    return yaml.safe_dump(as_dict(settings), sort_keys=False, width=120)
