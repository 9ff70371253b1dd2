"""训练识别手写数字的网络，在 MNIST 上：多层感知机，或第 4 章的卷积网络。

书中：sec-training-loop
"""

import argparse

import numpy as np
import torch
from torch import nn

from dlbook.data import mnist
from dlbook.models import cnn
from dlbook.training import (
    Batches,
    classification_metrics,
    distributed,
    train,
    warmup_cosine,
)
from dlbook.training.cli import (
    add_training_arguments,
    positive,
    share_of_batch,
    start,
    training_options,
)

_VALIDATION = 5000  # 训练集最后这么多张留作验证


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``dlbook train mnist`` 的选项。

    书中：sec-training-loop
    """
    add = parser.add_argument
    add("--model", choices=["mlp", "cnn"], default="mlp", help="网络（缺省 %(default)s）")
    add("--hidden", type=positive, default=128, help="mlp 的隐藏层有多宽（缺省 %(default)s）")
    add("--limit", type=positive, help="只用前这么多张训练图（缺省全用，末尾 5000 张留作验证）")
    add_training_arguments(parser, epochs=3, batch_size=64, lr=2e-3)


def run(args: argparse.Namespace) -> None:
    """训练，每轮在验证集上评估，最后报告测试集上的准确率。

    书中：sec-training-loop
    """
    start(args, job)


def build(model: str, hidden: int) -> nn.Module:
    """(N, 1, 28, 28) 的图 → (N, 10) 的分数。

    书中：sec-training-loop
    """
    if model == "cnn":
        return cnn.build(torch)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, hidden), nn.ReLU(), nn.Linear(hidden, 10))


def job(args: argparse.Namespace, device: torch.device) -> None:
    """一个进程的全部工作。

    书中：sec-training-loop
    """
    batch_size = share_of_batch(args)
    data = mnist()
    x, y = images(data.x_train), torch.from_numpy(data.y_train.astype(np.int64))
    most = len(x) - _VALIDATION
    count = args.limit or most
    if count > most:
        raise ValueError(f"--limit 至多 {most}（另外 {_VALIDATION} 张留作验证），收到 {count}")
    batches = Batches(x[:count], y[:count], batch_size=batch_size, seed=args.seed)
    held_out = evaluation(x[-_VALIDATION:], y[-_VALIDATION:])

    model = build(args.model, args.hidden).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr)
    steps = args.steps or args.epochs * len(batches) // args.accumulate
    if steps == 0:
        raise ValueError(f"{count} 张图一共只有 {len(batches) * args.epochs} 小批，不够走一步")
    train(
        model,
        batches,
        optimizer,
        schedule=warmup_cosine(optimizer, steps, warmup=steps // 10),
        evaluate=lambda m: {f"val_{k}": v for k, v in classification_metrics(m, held_out).items()},
        **training_options(args, metric="val_accuracy", larger_is_better=True),
    )
    test = evaluation(images(data.x_test), torch.from_numpy(data.y_test.astype(np.int64)))
    metrics = classification_metrics(model, test)
    distributed.print_main(f"测试集：准确率 {metrics['accuracy']:.4f}  损失 {metrics['loss']:.4f}")


def images(pixels: np.ndarray) -> torch.Tensor:
    """(m, 28, 28) 的 uint8 像素 → (m, 1, 28, 28) 的 float32，在 0 与 1 之间。

    书中：sec-training-loop
    """
    return torch.from_numpy(pixels[:, None].astype(np.float32) / 255)


def evaluation(x: torch.Tensor, y: torch.Tensor) -> Batches:
    """评估用的批：不打乱，不分给各进程。

    书中：sec-training-loop
    """
    return Batches(x, y, batch_size=1000, shuffle=False, rank=0, world_size=1)
