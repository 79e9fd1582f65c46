"""fastai's first lesson: a vision learner on a ResNet-18, one split, a one-cycle schedule, and its test-time
augmentation."""

import numpy as np
import pandas as pd
import torch
from fastai.vision.all import (
    ImageDataLoaders,
    Resize,
    accuracy,
    aug_transforms,
    resnet18,
    vision_learner,
)

from tests.benchmarks.peers.common import SIZE, best_cut, run

EPOCHS = 10


def fastai_recipe(train: pd.DataFrame, test: pd.DataFrame) -> tuple[np.ndarray, float, int]:
    torch.manual_seed(0)
    loaders = ImageDataLoaders.from_df(
        train,
        path="/",
        fn_col="path",
        label_col="label",
        valid_pct=0.2,
        seed=0,
        item_tfms=Resize(SIZE),
        batch_tfms=aug_transforms(),
    )
    learner = vision_learner(loaders, resnet18, pretrained=False, metrics=accuracy)
    learner.unfreeze()
    with learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(EPOCHS, 1e-3)
        valid, label = learner.get_preds()
        prob = learner.tta(dl=loaders.test_dl(test["path"].tolist()))[0]
    cut = best_cut(label.numpy(), valid[:, 1].numpy())
    return prob[:, 1].numpy(), cut, EPOCHS * len(loaders.train_ds)


if __name__ == "__main__":
    run(fastai_recipe)
