"""激活函数：ReLU 与 softmax。

书中：eq-relu、eq-softmax
"""

import numpy as np

from dlbook.backprop._check import check_floating, check_upstream


def relu(input: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """y = max(x, 0)，逐元素；任意形状的浮点数组。dtype 不合抛出 TypeError。

    书中：eq-relu
    """
    check_floating("input", input)
    y = np.maximum(input, 0)
    return y, y


def relu_backward(dy: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """dx = dy ⊙ 1[x > 0]：x > 0 处原样放行，其余为 0；x = 0 处导数不存在，与 PyTorch 一样取 0。

    书中：eq-relu
    """
    y = cache
    check_upstream(dy, y.shape, y.dtype)
    # y > 0 与 x > 0 是一回事，所以前向只需留下 y。
    return dy * (y > 0)


def softmax(input: np.ndarray, axis: int = -1) -> tuple[np.ndarray, tuple[np.ndarray, int]]:
    """yₖ = exp(xₖ) / Σⱼ exp(xⱼ)，沿 axis 求和；输出沿 axis 之和为 1。

    input 至少一维，浮点；返回同形状的 y 与 cache。axis 越界或沿 axis 没有元素时抛出 ValueError。

    书中：eq-softmax
    """
    check_floating("input", input)
    if not -input.ndim <= axis < input.ndim or input.shape[axis] == 0:
        raise ValueError(
            f"softmax 沿 axis 归一，那一轴至少要有一个元素，收到 axis={axis}、形状 {input.shape}"
        )
    # 分子分母同乘 exp(−max)：值不变，指数不再上溢。
    y = input - input.max(axis=axis, keepdims=True)
    np.exp(y, out=y)
    y /= y.sum(axis=axis, keepdims=True)
    return y, (y, axis)


def softmax_backward(dy: np.ndarray, cache: tuple[np.ndarray, int]) -> np.ndarray:
    """dx = y ⊙ (dy − Σ dy ⊙ y)，沿前向的 axis 求和；不必造出雅可比矩阵。

    书中：eq-softmax
    """
    y, axis = cache
    check_upstream(dy, y.shape, y.dtype)
    dx = dy - (dy * y).sum(axis=axis, keepdims=True)
    dx *= y
    return dx
