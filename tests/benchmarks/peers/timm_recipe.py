"""The recipe of timm's training script: one split, a ResNet-18 under RandAugment and random erasing,
AdamW with a warm-up and a cosine, label smoothing, and a moving average of the weights."""

from functools import partial

import numpy as np
import pandas as pd
import timm
import torch
from PIL import Image
from sklearn.model_selection import train_test_split
from timm.data import create_transform, resolve_data_config
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from timm.utils import ModelEmaV3
from torch import nn
from torch.utils.data import DataLoader

from tests.benchmarks.peers.common import DEVICE, SIZE, WORKERS, Images, best_cut, run

EPOCHS, WARMUP, BATCH, RATE = 15, 2, 64, 1e-3


def read(path, transform):
    return transform(Image.open(path).convert("RGB"))


@torch.no_grad()
def predict(model: nn.Module, table: pd.DataFrame, transform) -> np.ndarray:
    model.eval()
    feed = DataLoader(Images(table, partial(read, transform=transform)), batch_size=BATCH, num_workers=WORKERS)
    return torch.cat([model(image.to(DEVICE)).softmax(1)[:, 1].cpu() for image, _ in feed]).numpy()


def timm_recipe(train: pd.DataFrame, test: pd.DataFrame) -> tuple[np.ndarray, float, int]:
    torch.manual_seed(0)
    learnt, held = train_test_split(train, test_size=0.2, stratify=train["label"], random_state=0)
    model = timm.create_model("resnet18", num_classes=2, drop_path_rate=0.05).to(DEVICE)
    config = resolve_data_config({}, model=model)
    augmented = create_transform(
        SIZE, is_training=True, auto_augment="rand-m9-mstd0.5-inc1", re_prob=0.25, re_mode="pixel"
    )
    plain = create_transform(SIZE, crop_pct=config["crop_pct"])
    feed = DataLoader(
        Images(learnt, partial(read, transform=augmented)),
        batch_size=BATCH,
        shuffle=True,
        num_workers=WORKERS,
        drop_last=True,
    )
    optimizer = create_optimizer_v2(model, opt="adamw", lr=RATE, weight_decay=0.05)
    schedule = CosineLRScheduler(optimizer, t_initial=EPOCHS, warmup_t=WARMUP, warmup_lr_init=1e-5, lr_min=1e-6)
    ema, loss_of = ModelEmaV3(model, decay=0.99), nn.CrossEntropyLoss(label_smoothing=0.1)
    for epoch in range(EPOCHS):
        schedule.step(epoch)
        model.train()
        for image, label in feed:
            with torch.autocast(DEVICE, torch.bfloat16, enabled=DEVICE == "cuda"):
                loss = loss_of(model(image.to(DEVICE)), label.to(DEVICE))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            ema.update(model)
    cut = best_cut(held["label"].to_numpy(), predict(ema.module, held, plain))
    return predict(ema.module, test, plain), cut, EPOCHS * len(learnt)


if __name__ == "__main__":
    run(timm_recipe)
