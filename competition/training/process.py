"""What a process that trains or predicts sets up first, and how many work beside it."""

import os

import cv2
import torch

from competition.core.files import cores
from competition.core.settings import Config


def prepare_process(config: Config, device: str, jobs: int) -> None:
    """Set this process's threads, where ``jobs`` share the cores, and on request CUDA's deterministic kernels."""
    torch.set_num_threads(config.threads or max(1, cores() // jobs))
    cv2.setNumThreads(0)
    if device == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = not config.deterministic
        if config.deterministic:
            os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
            torch.use_deterministic_algorithms(True)


def feed_workers(config: Config, device: str) -> int:
    """Return how many processes feed a job: as set, or none on a CPU and half the cores (at most 8) on a GPU."""
    if config.workers >= 0:
        return config.workers
    return min(8, max(1, cores() // 2)) if device == "cuda" else 0


def jobs_at_once(config: Config, device: str) -> int:
    """Return how many jobs keep a machine busy that trains nothing else: one for each GPU, else as set."""
    return torch.cuda.device_count() if device == "cuda" else config.jobs
