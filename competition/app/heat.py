"""Where in an image a detector finds its evidence: integrated Grad-CAM, sharpened at the pixels.

Promises: a map in 0..1 of the input's size for any backbone (ConvNeXt, Swin, ResNet, ViT, plain CNNs, fused and frozen
ones), with no list of names; and the model is left exactly as it was.
"""

import contextlib
from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from competition.models.build import Detector

# The hooks are our own: the grad-cam package requires `opencv-python`, which would install a second `cv2` over the
# headless one that albumentations needs.

STEPS = 8  # of the path from an image without evidence; 4, 8 and 16 give the same maps
FEWEST_CELLS = 7  # to a side: a coarser map says nothing about the place
# Layers whose output is (n, c, h, w) by definition, for backbones that do not list their stages.
PLAIN_LAYERS = (nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d, nn.AvgPool2d)


def heat(model: Detector, pixels: Tensor, label: int = 1) -> NDArray[np.float32]:
    """Return where the evidence for class ``label`` lies: float32 (h, w) in 0..1, all zero if there is none.

    ``pixels`` (1, c, h, w) is what the model takes, on its device. The place is one in what the *view* shows: the
    image itself, or its residual, but for the view ``fourier`` a frequency of its spectrum.

    Grad-CAM (Selvaraju et al. 2017) and HiResCAM (Draelos and Carin 2020) take the gradient at the image itself, and
    behind layer norms and attention that gradient hardly knows the place: with the evidence planted in a tenth of the
    image, the maximum of either found it in 2 to 63 % of images for small ConvNeXts and ViTs (a ResNet: 75 to 100 %).
    So gradients are summed along the path from an image without evidence (integrated Grad-CAM, Sattarzadeh et al.
    2021), in every layer that is fine enough and at the view's output (integrated gradients, Sundararajan et al. 2017),
    and the two are multiplied as in guided Grad-CAM: 85 to 100 % there. Costs ``2 * (STEPS + 1)`` images forward and
    backward.
    """
    if label not in (0, 1):
        raise ValueError(f"label is {label}: there is evidence for class 0 or 1")
    device = pixels.device.type
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device, enabled=False), _evaluating(model):
        pixels = pixels.detach().clone()  # a tensor made in inference mode could not enter the graph
        runs = [_path_sums(model, pixels, origin) for origin in (_flat, _blurred)]
    shape = tuple(pixels.shape[-2:])
    sign = 1 if label else -1
    seen, *backbones = ([sign * sum(maps) for maps in zip(*layers, strict=True)] for layers in zip(*runs, strict=True))
    return _combined(seen[0], [_fine_enough(layers, shape) for layers in backbones], shape)


def _combined(seen: Tensor, backbones: list[list[Tensor]], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Multiply the view's map with the mean of the backbones' layers; where one shows nothing, take the other."""
    grid = tuple(min(side, max(8, side // 8)) for side in shape)  # single pixels are noise, also to the eye
    fine = _positive(_resized(seen[None, None], grid))
    maps = [
        torch.stack([_positive(_resized(one[None, None], grid)) for one in layers]).mean(0)
        for layers in backbones
        if layers
    ]
    coarse = torch.stack([_positive(one) for one in maps]).mean(0) if maps else fine
    both = (coarse * fine).sqrt()
    full = _resized(_positive(both if both.any() else coarse), shape)[0, 0]
    return full.clamp(0, 1).cpu().numpy()


def _resized(one: Tensor, shape: tuple[int, int]) -> Tensor:
    """Average where the map is finer than ``shape``, interpolate where it is coarser."""
    kept = [min(have, want) for have, want in zip(one.shape[-2:], shape, strict=True)]
    return F.interpolate(F.adaptive_avg_pool2d(one, kept), shape, mode="bilinear", align_corners=False)


def _positive(one: Tensor) -> Tensor:
    """Keep what speaks for the class and scale it to a maximum of 1."""
    one = one.clamp(min=0)
    return one / one.max() if one.any() else one


def _flat(view: Tensor) -> Tensor:
    """An image without evidence: each channel's mean everywhere."""
    return view.mean(dim=(2, 3), keepdim=True).expand_as(view)


def _blurred(view: Tensor) -> Tensor:
    """Another: only the coarse layout is left. One origin alone misses what looks just like it."""
    size = [max(2, side // 8) for side in view.shape[-2:]]
    return F.interpolate(F.adaptive_avg_pool2d(view, size), view.shape[-2:], mode="bilinear", align_corners=False)


def _path_sums(model: Detector, pixels: Tensor, origin: Callable[[Tensor], Tensor]) -> list[list[Tensor]]:
    """Return maps (h, w) of what each place adds to the logit along the path: the view's, then each backbone's layers'.

    In every layer that all signals pass the parts sum to the logit of the image less that of the origin, up to the
    error of the steps (Dhamdhere et al. 2018).
    """
    path: list[Tensor] = []

    def walk(module: nn.Module, inputs: tuple, view: Tensor) -> Tensor:
        view = view.detach().float()
        start = origin(view)
        parts = torch.linspace(0, 1, STEPS + 1, device=view.device).view(-1, 1, 1, 1)
        path.append((start + (view - start) * parts).requires_grad_())
        return path[0]

    with _hooked(model.view, walk), _recording(model.backbone) as recorded:
        logits = model(pixels)
    outputs = [path[0], *(output for layers in recorded for _, output in layers)]
    gradients = iter(torch.autograd.grad(logits.sum(), outputs, allow_unused=True))
    seen = _path_sum(path[0], next(gradients)).sum(0)
    shape = tuple(seen.shape)
    maps = [[_as_map(_path_sum(output, next(gradients)), owner, shape) for owner, output in one] for one in recorded]
    return [[seen], *([found for found in one if found is not None] for one in maps)]


def _path_sum(output: Tensor, gradient: Tensor | None) -> Tensor:
    """Return the trapezoidal sum of gradient times change along the path: ``output``'s shape without its rows."""
    if gradient is None:
        return torch.zeros_like(output[0]).detach()
    return ((gradient[1:] + gradient[:-1]) / 2 * (output[1:] - output[:-1]).detach()).sum(0)


def _fine_enough(maps: list[Tensor], shape: tuple[int, int]) -> list[Tensor]:
    """Return the maps that say something about the place in an input of this shape: if none does, the finest.

    Maps without any evidence are left out: the patches in a ViT's last block mean nothing to its class token.
    """
    least = min(FEWEST_CELLS, min(shape) // 4)
    maps = [one for one in maps if (one > 0).any()]
    return [one for one in maps if min(one.shape) >= least] or sorted(maps, key=torch.numel)[-1:]


def _as_map(part: Tensor, owner: nn.Module, shape: tuple[int, int]) -> Tensor | None:
    """Sum over channels what ``owner``, a backbone, made of one image: (c, h, w), (h, w, c) or (prefix + h*w, c).

    ``None`` for anything else.
    """
    if part.ndim == 3:
        return part.sum(2 if getattr(owner, "output_fmt", "NCHW") == "NHWC" else 0)
    prefix = getattr(owner, "num_prefix_tokens", None)  # of a ViT; without it tokens may lie in any order
    if part.ndim != 2 or prefix is None:
        return None
    tokens = part[prefix:].sum(1)
    height = max(1, round((len(tokens) * shape[0] / shape[1]) ** 0.5))
    return tokens.view(height, -1) if len(tokens) % height == 0 else None


def _backbones(module: nn.Module) -> list[nn.Module]:
    """Return the outermost modules that list their stages, as timm's backbones do; the module itself if none does."""

    def search(one: nn.Module) -> list[nn.Module]:
        return [one] if _stages(one) else [found for child in one.children() for found in search(child)]

    return search(module) or [module]


def _stages(module: nn.Module) -> list[nn.Module]:
    info = getattr(module, "feature_info", None) or []
    named = dict(module.named_modules())
    stages = [entry.get("module") for entry in getattr(info, "info", info) if isinstance(entry, dict)]
    return [named[name] for name in stages if name in named]


@contextlib.contextmanager
def _recording(module: nn.Module) -> Iterator[list[list[tuple[nn.Module, Tensor]]]]:
    """Collect, while the module runs, (backbone, output) of the layers of each of its backbones, in order."""
    found: list[list[tuple[nn.Module, Tensor]]] = []
    with contextlib.ExitStack() as stack:
        for inner in module.modules():
            stack.callback(inner.register_forward_pre_hook(_with_gradients).remove)
        for owner in _backbones(module):
            layers = _stages(owner) or [one for one in owner.modules() if isinstance(one, PLAIN_LAYERS)]
            record: list[tuple[nn.Module, Tensor]] = []
            found.append(record)
            for layer in layers:
                stack.enter_context(_hooked(layer, _recorder(owner, record)))
        yield found


def _with_gradients(module: nn.Module, inputs: tuple) -> None:
    """Switch gradients on inside the no_grad under which a frozen trunk may run; its end restores what was before."""
    torch.set_grad_enabled(True)


def _recorder(owner: nn.Module, record: list[tuple[nn.Module, Tensor]]) -> Callable:
    def note(module: nn.Module, inputs: tuple, output: object) -> None:
        if isinstance(output, Tensor) and output.requires_grad and len(output) == STEPS + 1:
            record.append((owner, output))

    return note


@contextlib.contextmanager
def _hooked(module: nn.Module, hook: Callable) -> Iterator[None]:
    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@contextlib.contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Put the model into evaluation mode, and each of its modules back into the mode it was in."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
