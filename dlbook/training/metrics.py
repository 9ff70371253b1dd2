"""训练之外的评估：不记录计算图，切换到评估模式，用完换回来。

书中：sec-training-loop
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from dlbook.training.device import move


@contextmanager
def evaluating(model: nn.Module) -> Iterator[torch.device]:
    """with 里 model 处于评估模式、不记录计算图；给出它所在的设备。

    书中：sec-training-loop
    """
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield next(model.parameters()).device
    finally:
        model.train(was_training)


def classification_metrics(
    model: nn.Module, batches: Iterable[tuple[torch.Tensor, torch.Tensor]]
) -> dict[str, float]:
    """分类模型在 batches（每批是输入与标签）上的平均损失 loss 与准确率 accuracy。

    按样本平均，所以末批小一些也不要紧；一个样本也没有时抛出 ValueError。

    书中：sec-training-loop
    """
    loss, hits, total = 0.0, 0, 0
    with evaluating(model) as device:
        for batch in batches:
            x, y = move(batch, device)
            logits = model(x)
            loss += cross_entropy(logits, y, reduction="sum").item()
            hits += (logits.argmax(dim=1) == y).sum().item()
            total += len(y)
    if total == 0:
        raise ValueError("没有样本，算不出准确率")
    return {"loss": loss / total, "accuracy": hits / total}


def accuracy(model: nn.Module, batches: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> float:
    """分类模型在 batches 上猜对的比例。

    书中：sec-training-loop
    """
    return classification_metrics(model, batches)["accuracy"]
