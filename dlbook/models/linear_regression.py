"""一元线性回归：预测、梯度、梯度下降、最小二乘解。损失函数是 :func:`dlbook.backprop.mse_loss`。

书中：sec-lr-implementation
"""

from typing import NamedTuple

import numpy as np

from dlbook.backprop import mse_loss


class History(NamedTuple):
    """一次训练的记录；k 步训练有 k + 1 项，第 k 项是更新 k 次之后的值。

    W、b、loss 的形状都是 (k + 1,)，float64。

    书中：sec-lr-implementation
    """

    W: np.ndarray
    b: np.ndarray
    loss: np.ndarray


def predict(x: np.ndarray, W: float, b: float) -> np.ndarray:
    """直线 ŷ = W x + b；返回与 x 同形状的数组。

    书中：sec-lr-theory
    """
    return W * x + b


def gradient(x: np.ndarray, y: np.ndarray, W: float, b: float) -> tuple[float, float]:
    """均方误差对 W、b 的偏导数。x、y 形状相同，(N, 1) 或 (N,)；形状不同时抛出 ValueError。

    书中：eq-grad-both
    """
    _check_same_shape(x, y)
    error = predict(x, W, b) - y
    return 2 * float(np.mean(error * x)), 2 * float(np.mean(error))


def fit(
    x: np.ndarray,
    y: np.ndarray,
    *,
    lr: float = 0.1,
    steps: int = 100,
    W: float = 0.0,
    b: float = 0.0,
) -> History:
    """从给定的 W、b 出发，用全部数据做 steps 步梯度下降，lr 是学习率。

    x、y 形状相同，(N, 1) 或 (N,)。lr 不是正数、steps 为负、形状不同时抛出 ValueError。

    书中：eq-update
    """
    _check_same_shape(x, y)
    if not lr > 0:  # 连 nan 也拦下
        raise ValueError(f"学习率 lr 应为正数，收到 {lr}")
    if steps < 0:
        raise ValueError(f"步数 steps 应不小于 0，收到 {steps}")
    path = [(W, b)]
    for _ in range(steps):
        dW, db = gradient(x, y, W, b)
        # 两个偏导都算好了，再同时更新。
        W, b = W - lr * dW, b - lr * db
        path.append((W, b))
    loss = [mse_loss(predict(x, W, b), y)[0] for W, b in path]
    return History(*np.array(path, dtype=float).T, np.array(loss, dtype=float))


def hessian(x: np.ndarray) -> np.ndarray:
    """均方误差的黑塞矩阵，形状 (2, 2)，行与列依次对应 W、b。它与 y、W、b 都无关。

    书中：eq-hessian
    """
    rows = np.stack([np.ravel(x), np.ones(np.size(x))], axis=1)
    return 2 / len(rows) * rows.T @ rows


def least_squares(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """使均方误差最小的 (W, b)，由公式一步算出。

    x、y 形状相同，(N, 1) 或 (N,)；形状不同、或 x 全部相等（斜率无从确定）时抛出 ValueError。

    书中：eq-least-squares
    """
    _check_same_shape(x, y)
    if np.ptp(x) == 0:
        raise ValueError(f"x 的 {np.size(x)} 个值全都相等，斜率无从确定")
    dx = x - np.mean(x)
    W = float(np.sum(dx * (y - np.mean(y))) / np.sum(dx**2))
    return W, float(np.mean(y) - W * np.mean(x))


def _check_same_shape(x: np.ndarray, y: np.ndarray) -> None:
    if np.shape(x) != np.shape(y) or np.size(x) == 0:
        raise ValueError(f"x 与 y 应是形状相同的非空数组，收到 {np.shape(x)} 与 {np.shape(y)}")
