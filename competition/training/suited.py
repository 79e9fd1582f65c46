"""`preset=auto`: the preset for a device, a number of images and the weights at hand.

On a CPU, and on a Mac: `small`. On an NVIDIA GPU: `gpu`, where the weights of its networks are cached or the hub
answers, in the largest size that the GPU's memory holds; without weights `gpu size=scratch` for many images, and else
`small`, which learns more from few. A run that has begun goes on by the preset that it began with.
"""

from collections.abc import Mapping, Sequence

import torch

from competition.core.config import load_config, read_preset
from competition.core.errors import UserError
from competition.core.paths import run_folder
from competition.core.settings import Config
from competition.data.run_data import read_tables
from competition.inference.job_files import begun_settings
from competition.models.build import timm_parts
from competition.models.device import choose_device
from competition.models.hub import weights_at_hand

CPU, GPU, SCRATCH = "small", "gpu", "scratch"
MEMORY = {"base": 24e9, "tiny": 0.0}  # bytes of a GPU from which on a size of GPU is taken: twice what it fills
MANY = 20_000  # training images from which on larger networks are trained from random weights


def suited_preset(words: Sequence[str]) -> dict[str, str]:
    """Return the preset, and the size where it has some, that suits the line's data and machine, as words.

    Raises UserError for data that cannot be read, and a device that is not there.
    """
    candidates: list[dict[str, str]] = [{"preset": CPU}]
    candidates += [{"preset": GPU, "size": size} for size in read_preset(GPU)["sizes"]]
    loaded = [load_config(words, one) for one in candidates]
    for one, config in zip(candidates, loaded, strict=True):
        if _has_begun(config):
            return one
    if choose_device(loaded[0].device) != "cuda":
        return {"preset": CPU}
    memory = min(torch.cuda.mem_get_info(index)[1] for index in range(torch.cuda.device_count()))
    rows = len(read_tables(loaded[0]).train)
    return choose(rows, memory, dict(zip((one.get("size", "") for one in candidates), loaded, strict=True)))


def choose(rows: int, memory: float, sizes: Mapping[str, Config]) -> dict[str, str]:
    """Return the words of the preset for so many training ``rows`` on GPUs of so many bytes of ``memory``; ``sizes``
    are the run's settings in each of the preset's sizes."""
    size = next(size for size, least in MEMORY.items() if memory >= least)
    backbones = {part.backbone for recipe in sizes[size].members.values() for part in timm_parts(recipe)}
    if all(map(weights_at_hand, sorted(backbones))):
        return {"preset": GPU, "size": size}
    return {"preset": GPU, "size": SCRATCH} if rows >= MANY else {"preset": CPU}


def _has_begun(config: Config) -> bool:
    """Whether the run's folder holds jobs of these members and no other."""
    folder = run_folder(config.name)
    begun = {path.parent.parent.name: path.parent for path in sorted(folder.glob("*/fold*/config.yaml"))}
    try:
        found = {name: (begun_settings(path) or {}).get("backbone") for name, path in begun.items()}
    except UserError:  # which the run itself says
        return False
    return bool(found) and found == {name: config.members[name].backbone for name in found if name in config.members}
