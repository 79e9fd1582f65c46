"""What a process that trains or predicts sets up first, and how many work side by side."""

import os

import cv2
import psutil
import torch

from competition.core.files import cores
from competition.core.settings import Config
from competition.data.layouts.dataset import Dataset
from competition.models.cost import model_cost

PROCESS_BYTES = 1e9  # of a process that trains, beside its network: 0.9 GB with torch, timm and pandas imported
MEMORY_SHARE = 0.8  # of the memory that is free, which jobs side by side may fill


def prepare_process(config: Config, device: str, jobs: int = 1) -> None:
    """Set this process's threads, where ``jobs`` share the cores, and on request CUDA's deterministic kernels."""
    torch.set_num_threads(config.threads or max(1, cores() // jobs))
    cv2.setNumThreads(0)
    if device == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = not config.deterministic
        if config.deterministic:
            os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
            torch.use_deterministic_algorithms(True)


def feed_workers(config: Config, device: str, jobs: int = 1) -> int:
    """Return how many processes feed a job where ``jobs`` run side by side: as set, or none on a CPU, and on a GPU the
    job's share of the cores, but at most half of them, and 8."""
    if config.workers >= 0:
        return config.workers
    return 0 if device == "cpu" else min(8, max(1, cores() // max(2, jobs)))


def jobs_at_once(config: Config, dataset: Dataset, device: str) -> int:
    """Return how many jobs run side by side: as set, or one on each GPU, and on a CPU as many as cores and memory
    carry."""
    if config.jobs != "auto":
        return int(config.jobs)
    if device != "cpu":
        return torch.cuda.device_count() if device == "cuda" else 1
    side_by_side = max(1, cores() // max(1, config.threads))
    return side_by_side if side_by_side == 1 else min(side_by_side, _memory_for(config, dataset))


def _memory_for(config: Config, dataset: Dataset) -> int:
    """Return how many of the jobs with the largest network the free memory holds, at least one."""
    largest = 0.0
    for recipe in config.members.values():
        if not recipe.frozen:  # whose jobs train a head
            cost = model_cost(recipe, dataset.channels, dataset.floating)
            largest = max(largest, cost.training_bytes(recipe.batch_size))
    free = MEMORY_SHARE * psutil.virtual_memory().available
    return max(1, int(free / (PROCESS_BYTES + largest)))
