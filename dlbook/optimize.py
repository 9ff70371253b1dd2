"""最朴素的梯度下降：给定函数的梯度，从一点出发往下走，一元、多元都行。

训练网络用的优化器在 :mod:`dlbook.optim`；这里只有算法本身，不涉及模型与数据。

书中：sec-gd-algorithm
"""

from collections.abc import Callable

import numpy as np


def gradient_descent(
    start: float | np.ndarray,
    gradient: Callable[[float | np.ndarray], float | np.ndarray],
    learn_rate: float,
    max_iter: int,
    tol: float = 0.01,
) -> tuple[list[float | np.ndarray], float | np.ndarray]:
    """从 start 出发做梯度下降，返回（走过的点的列表，终点）；列表的第一项是 start。

    start 是一个数，或任意形状的 float 数组；gradient 收下一个点，返回同形状的梯度。
    下一步的长度小于 tol、或走满 max_iter 步时停下。
    learn_rate 不是正数，max_iter、tol 为负，梯度与点的形状不同，抛出 ValueError。

    书中：eq-gd-update
    """
    if learn_rate <= 0:
        raise ValueError(f"学习率 learn_rate 应为正数，收到 {learn_rate}")
    if max_iter < 0:
        raise ValueError(f"最大迭代次数 max_iter 应不小于 0，收到 {max_iter}")
    if tol < 0:
        raise ValueError(f"阈值 tol 应不小于 0，收到 {tol}")
    x = start
    steps = [start]
    for _ in range(max_iter):
        slope = gradient(x)
        if np.shape(slope) != np.shape(x):
            raise ValueError(f"梯度应与点同形状 {np.shape(x)}，gradient 给出 {np.shape(slope)}")
        diff = learn_rate * slope
        # 一个数时就是绝对值，多元时是这一步的长度。
        if np.linalg.norm(diff) < tol:
            break
        x = x - diff
        steps.append(x)
    return steps, x
