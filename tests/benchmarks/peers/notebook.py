"""The usual notebook: cv2 and albumentations in a DataLoader that decodes every image in every epoch, five folds of a
ConvNeXt-Atto and of a ResNet-18, AdamW under a cosine, automatic mixed precision on a GPU, a flip as test-time
augmentation, and the mean of both networks' probabilities."""

from functools import partial

import albumentations as A
import cv2
import numpy as np
import pandas as pd
import timm
import torch
from albumentations.pytorch import ToTensorV2
from sklearn.model_selection import StratifiedKFold
from torch import nn
from torch.utils.data import DataLoader

from tests.benchmarks.peers.common import DEVICE, SIZE, WORKERS, Images, best_cut, run

BACKBONES = ("convnext_atto", "resnet18")
FOLDS, EPOCHS, BATCH, RATE = 5, 6, 32, 3e-4

TRAIN = A.Compose(
    [
        A.Resize(SIZE, SIZE),
        A.HorizontalFlip(p=0.5),
        A.RandomBrightnessContrast(p=0.2),
        A.Normalize(),
        ToTensorV2(),
    ]
)
TEST = A.Compose([A.Resize(SIZE, SIZE), A.Normalize(), ToTensorV2()])


def read(path, transform):
    return transform(image=cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB))["image"]


def loader(table, transform, training):
    images = Images(table, partial(read, transform=transform))
    return DataLoader(images, batch_size=BATCH, shuffle=training, num_workers=WORKERS, drop_last=training)


def train_one(backbone: str, table: pd.DataFrame) -> nn.Module:
    model = timm.create_model(backbone, num_classes=1).to(DEVICE)
    feed = loader(table, TRAIN, training=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS * len(feed))
    scaler = torch.amp.GradScaler(enabled=DEVICE == "cuda")
    for _ in range(EPOCHS):
        model.train()
        for image, label in feed:
            with torch.autocast(DEVICE, enabled=DEVICE == "cuda"):
                loss = nn.functional.binary_cross_entropy_with_logits(
                    model(image.to(DEVICE)).squeeze(1), label.to(DEVICE).float()
                )
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            schedule.step()
    return model


@torch.no_grad()
def predict(model: nn.Module, table: pd.DataFrame) -> np.ndarray:
    model.eval()
    parts = []
    for image, _ in loader(table, TEST, training=False):
        image = image.to(DEVICE)
        parts.append((model(image).sigmoid() + model(image.flip(-1)).sigmoid()).squeeze(1).cpu() / 2)
    return torch.cat(parts).numpy()


def notebook(train: pd.DataFrame, test: pd.DataFrame) -> tuple[np.ndarray, float, int]:
    torch.manual_seed(0)
    oof, prob = np.zeros(len(train)), np.zeros(len(test))
    splits = StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(train, train["label"])
    for learnt, held in splits:
        for backbone in BACKBONES:
            model = train_one(backbone, train.iloc[learnt])
            oof[held] += predict(model, train.iloc[held]) / len(BACKBONES)
            prob += predict(model, test) / (FOLDS * len(BACKBONES))
    seen = len(BACKBONES) * EPOCHS * len(train) * (FOLDS - 1)
    return prob, best_cut(train["label"].to_numpy(), oof), seen


if __name__ == "__main__":
    run(notebook)
