"""多层感知机：任意多层“线性 + ReLU”，最后一层线性给出各类的分数。

只由 :mod:`dlbook.backprop` 的前向、反向函数拼成。参数是一个列表，每层一对
``(weight, bias)``，weight 的形状是 (out, in)，与 ``torch.nn.Linear`` 相同；
样本按行，x 的形状是 (m, in)。

书中：sec-mlp-code
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from dlbook.backprop import (
    cross_entropy,
    cross_entropy_backward,
    linear,
    linear_backward,
    relu,
    relu_backward,
)

Params = list[tuple[np.ndarray, np.ndarray]]


class History(NamedTuple):
    """一次训练的记录，每个数组的形状都是 (轮数,)，float64。

    loss、accuracy 是一轮之内各批在更新之前的平均；val_loss、val_accuracy 在一轮结束时
    计算，没有给验证集时是 nan。

    书中：sec-mlp-code
    """

    loss: np.ndarray
    accuracy: np.ndarray
    val_loss: np.ndarray
    val_accuracy: np.ndarray


def init(
    sizes: Sequence[int],
    rng: np.random.Generator,
    *,
    bound: float | None = None,
    dtype: DTypeLike = np.float32,
) -> Params:
    """随机的初始参数。sizes 是各层的宽度，如 [784, 10, 10] 有两个线性层。

    权重与偏置都服从 U(−bound, bound)；不给 bound 时每层取 1/√in，与
    ``torch.nn.Linear`` 的默认初始化同分布。
    宽度不足两个、有宽度不是正整数、bound 为负时抛出 ValueError。

    书中：sec-init
    """
    if len(sizes) < 2 or any(size != int(size) or size < 1 for size in sizes):
        raise ValueError(f"sizes 应是至少两个正整数（各层的宽度），收到 {list(sizes)}")
    if bound is not None and bound < 0:
        raise ValueError(f"bound 应不小于 0，收到 {bound}")
    params = []
    for n_in, n_out in pairwise(sizes):
        limit = 1 / np.sqrt(n_in) if bound is None else bound
        weight = rng.uniform(-limit, limit, (n_out, n_in))
        bias = rng.uniform(-limit, limit, n_out)
        params.append((weight.astype(dtype), bias.astype(dtype)))
    return params


def forward(params: Params, x: np.ndarray) -> tuple[np.ndarray, list]:
    """x (m, in) → 各类的分数 logits (m, 类别数)，以及留给反向的 caches。

    x 的 dtype 须与参数相同，否则抛出 TypeError；形状不合抛出 ValueError。

    书中：eq-forward
    """
    n_in = params[0][0].shape[1]
    if np.ndim(x) != 2 or x.shape[1] != n_in:
        columns = np.ndim(x) == 2 and x.shape[0] == n_in
        hint = "；看来样本是按列存放的，请传 x.T" if columns else ""
        expected = f"x 的形状应是 (m, {n_in})，每行一个样本"
        raise ValueError(f"{expected}，收到 {np.shape(x)}{hint}")
    *hidden, last = params
    a, caches = x, []
    for weight, bias in hidden:
        z, linear_cache = linear(a, weight, bias)
        a, relu_cache = relu(z)
        caches.append((linear_cache, relu_cache))
    logits, cache = linear(a, *last)
    return logits, [*caches, cache]


def backward(dlogits: np.ndarray, caches: list) -> Params:
    """损失对 logits 的梯度 dlogits (m, 类别数) → 对全部参数的梯度，排列与参数相同。

    书中：eq-batch-gradients
    """
    *hidden, last = caches
    # 第一层的输入是数据，不必求它的梯度。
    da, dweight, dbias = linear_backward(dlogits, last, need_dinput=bool(hidden))
    grads = [(dweight, dbias)]
    for layer in reversed(range(len(hidden))):
        linear_cache, relu_cache = hidden[layer]
        dz = relu_backward(da, relu_cache)
        da, dweight, dbias = linear_backward(dz, linear_cache, need_dinput=layer > 0)
        grads.append((dweight, dbias))
    return grads[::-1]


def sgd_step(params: Params, grads: Params, lr: float) -> None:
    """就地更新每个参数：p ← p − lr · ∂𝓛/∂p。

    书中：sec-full-batch
    """
    for layer, layer_grads in zip(params, grads, strict=True):
        for p, grad in zip(layer, layer_grads, strict=True):
            p -= lr * grad


def predict(params: Params, x: np.ndarray) -> np.ndarray:
    """x (m, in) → 预测的类别 (m,)：分数最大的那一类。

    书中：sec-network-design
    """
    return forward(params, x)[0].argmax(axis=1)


def evaluate(params: Params, x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """在 x (m, in)、标签 y (m,) 上的平均损失与准确率。形状不合抛出 ValueError。

    书中：sec-loss-vs-accuracy
    """
    logits, _ = forward(params, x)
    loss, _ = cross_entropy(logits, y)
    return float(loss), float(np.mean(logits.argmax(axis=1) == y))


def train(
    params: Params,
    x: np.ndarray,
    y: np.ndarray,
    *,
    lr: float,
    epochs: int,
    batch_size: int | None = None,
    rng: np.random.Generator | None = None,
    decay: bool = False,
    val: tuple[np.ndarray, np.ndarray] | None = None,
) -> History:
    """用随机梯度下降训练 epochs 轮，就地更新 params，返回每一轮的记录。

    x (m, in)、y (m,) 是训练集，val 是同样格式的验证集，只用来记录。
    不给 batch_size 时每轮用全部样本走一步（全批量）；给了就每轮用 rng 打乱，
    一批走一步。decay 为真时，学习率从 lr 起逐步线性降到 0。
    lr、batch_size 不是正数，epochs 为负，给了 batch_size 而没有 rng，
    或形状不合时抛出 ValueError。

    书中：sec-mini-batch
    """
    _check_training(x, y, lr, epochs, batch_size, rng)
    m = len(x)
    size = batch_size or m
    steps = epochs * -(-m // size)
    step, records = 0, []
    for _ in range(epochs):
        order = None if batch_size is None else rng.permutation(m)
        loss_sum = hits = 0.0
        for start in range(0, m, size):
            # 全批量时不打乱，也就不必把整个训练集复制一遍。
            rows = slice(None) if order is None else order[start : start + size]
            x_batch, y_batch = x[rows], y[rows]
            logits, caches = forward(params, x_batch)
            loss, loss_cache = cross_entropy(logits, y_batch)
            loss_sum += float(loss) * len(x_batch)
            hits += np.sum(logits.argmax(axis=1) == y_batch)
            grads = backward(cross_entropy_backward(1.0, loss_cache), caches)
            sgd_step(params, grads, lr * (1 - step / steps) if decay else lr)
            step += 1
        val_record = (np.nan, np.nan) if val is None else evaluate(params, *val)
        records.append((loss_sum / m, hits / m, *val_record))
    return History(*np.array(records, dtype=float).reshape(-1, 4).T)


def _check_training(
    x: np.ndarray,
    y: np.ndarray,
    lr: float,
    epochs: int,
    batch_size: int | None,
    rng: np.random.Generator | None,
) -> None:
    if len(x) != len(y) or len(x) == 0:
        found = f"{np.shape(x)} 与 {np.shape(y)}"
        raise ValueError(f"x 与 y 的样本数应相等且不为零，收到 {found}")
    if not lr > 0:  # 连 nan 也拦下
        raise ValueError(f"学习率 lr 应为正数，收到 {lr}")
    if epochs < 0:
        raise ValueError(f"轮数 epochs 应不小于 0，收到 {epochs}")
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size 应是正整数，收到 {batch_size}")
    if batch_size is not None and rng is None:
        hint = "rng=np.random.default_rng(种子)"
        raise ValueError(f"给了 batch_size 就要打乱样本，请同时给 {hint}")
