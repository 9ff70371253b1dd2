"""识别手写数字的卷积神经网络：模型、训练、评估。

同一份文件在两个引擎上运行：每个函数的第一个参数 lib 是 ``dlbook`` 或 ``torch``，
两者的名字与用法相同，换引擎就是换这一个参数。数据一律是 NumPy 数组，进网络时才变成张量。

书中：sec-cnn-model
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

Augment = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class History(NamedTuple):
    """一次训练的记录：loss (步数,) 是每步的训练损失；val_accuracy (轮数,)，没给验证集时为空。

    书中：sec-cnn-training
    """

    loss: np.ndarray
    val_accuracy: np.ndarray


def conv_block(
    lib: ModuleType, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1
) -> list:
    """卷积 → 批归一化 → ReLU。填充使步幅为 1 时大小不变；归一化自带偏置，卷积就不要偏置。

    书中：sec-cnn-model
    """
    nn = lib.nn
    return [
        nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, bias=False
        ),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    ]


def build(
    lib: ModuleType,
    widths: tuple[int, int, int] = (16, 32, 32),
    dropout: float = 0.0,
    repeats: int = 1,
) -> Any:
    """(N, 1, 28, 28) 的图 → (N, 10) 的分数。

    widths 是三段的通道数；后两段各有 repeats 个卷积，第一个改变通道数，其余不变。

    书中：sec-cnn-model
    """
    nn = lib.nn
    a, b, c = widths
    return nn.Sequential(
        *conv_block(lib, 1, a, 5, stride=2),  # (N, a, 14, 14)
        *stage(lib, a, b, repeats),           # (N, b, 14, 14)
        nn.MaxPool2d(2),                      # (N, b, 7, 7)
        *stage(lib, b, c, repeats),           # (N, c, 7, 7)
        nn.MaxPool2d(2),                      # (N, c, 3, 3)，第七行第七列舍去
        nn.Flatten(),                         # (N, 9c)
        nn.Dropout(dropout),
        nn.Linear(9 * c, 10),
    )  # fmt: skip


def stage(lib: ModuleType, in_channels: int, out_channels: int, repeats: int) -> list:
    """连着 repeats 个 3×3 的卷积块，第一个把通道数由 in_channels 变成 out_channels。

    书中：sec-cnn-model
    """
    layers = conv_block(lib, in_channels, out_channels, 3)
    for _ in range(repeats - 1):
        layers += conv_block(lib, out_channels, out_channels, 3)
    return layers


def one_cycle(progress: float, warmup: float = 0.2) -> float:
    """学习率的倍数：前 warmup 那一段由 0 线性升到 1，此后线性降到 0；progress 从 0 走到 1。

    书中：eq-cnn-one-cycle
    """
    return progress / warmup if progress < warmup else (1 - progress) / (1 - warmup)


def train(
    lib: ModuleType,
    model: Any,
    x: np.ndarray,
    y: np.ndarray,
    *,
    epochs: int,
    rng: np.random.Generator,
    lr: float = 0.01,
    batch_size: int = 64,
    augment: Augment | None = None,
    val: tuple[np.ndarray, np.ndarray] | None = None,
) -> History:
    """用 AdamW 训练 epochs 轮，就地更新 model。

    x (m, 28, 28) float32，y (m,) int64；每轮用 rng 打乱，末尾不足一批的样本这一轮不用。
    augment(一批图, rng) 返回增强后的图；val 是同样格式的验证集，只用来记录。
    样本不足一批、图与标签的个数不等时抛出 ValueError。

    书中：sec-cnn-training
    """
    batches = len(x) // batch_size
    if batches == 0 or len(x) != len(y):
        raise ValueError(
            f"图与标签应一样多，且不少于一批 {batch_size} 个，收到 x {x.shape}、y {y.shape}"
        )
    optimizer = lib.optim.AdamW(model.parameters(), lr=lr)
    losses, val_accuracy = [], []
    for epoch in range(epochs):
        order = rng.permutation(len(x))
        model.train()
        for batch in range(batches):
            progress = (epoch * batches + batch) / (epochs * batches)
            optimizer.param_groups[0]["lr"] = lr * one_cycle(progress)
            rows = order[batch * batch_size : (batch + 1) * batch_size]
            images = x[rows] if augment is None else augment(x[rows], rng)
            logits = model(lib.from_numpy(images[:, None]))
            loss = lib.nn.functional.cross_entropy(logits, lib.from_numpy(y[rows]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        if val is not None:
            val_accuracy.append(accuracy(lib, model, *val))
    return History(np.array(losses), np.array(val_accuracy))


def predict(lib: ModuleType, model: Any, x: np.ndarray, batch_size: int = 500) -> np.ndarray:
    """x (m, 28, 28) float32 → 分数 (m, 10)。网络切换到评估状态，不记录计算图。

    书中：sec-cnn-training
    """
    model.eval()
    with lib.no_grad():
        parts = [
            model(lib.from_numpy(x[start : start + batch_size, None])).numpy()
            for start in range(0, len(x), batch_size)
        ]
    return np.concatenate(parts)


def accuracy(lib: ModuleType, model: Any, x: np.ndarray, y: np.ndarray) -> float:
    """分数最大的那一类与标签 y (m,) 相同的比例。

    书中：sec-cnn-training
    """
    return float(np.mean(predict(lib, model, x).argmax(axis=1) == y))
