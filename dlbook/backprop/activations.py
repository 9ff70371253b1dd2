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


def sigmoid(input: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """y = 1 / (1 + e⁻ˣ)；分母可以上溢成 inf，商就是 0，正是该有的值。

    书中：sec-bp-relu
    """
    check_floating("input", input)
    with np.errstate(over="ignore"):
        y = np.exp(-input)
    y = 1 / (y + 1)
    return y, y


def sigmoid_backward(dy: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """dx = dy ⊙ y ⊙ (1 − y)。

    书中：sec-bp-relu
    """
    y = cache
    return dy * (y * (1 - y))


def tanh(input: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """y = tanh x。

    书中：sec-bp-relu
    """
    check_floating("input", input)
    y = np.tanh(input)
    return y, y


def tanh_backward(dy: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """dx = dy ⊙ (1 − y²)。

    书中：sec-bp-relu
    """
    y = cache
    return dy * (1 - y * y)


def log_softmax(input: np.ndarray, axis: int = -1) -> tuple[np.ndarray, tuple[np.ndarray, int]]:
    """yₖ = xₖ − log Σⱼ exp(xⱼ)：softmax 的对数，不经过概率，所以再小也不会下溢成 −inf。

    书中：sec-bp-softmax
    """
    check_floating("input", input)
    y = input - input.max(axis=axis, keepdims=True)
    y -= np.log(np.exp(y).sum(axis=axis, keepdims=True))
    return y, (y, axis)


def log_softmax_backward(dy: np.ndarray, cache: tuple[np.ndarray, int]) -> np.ndarray:
    """dx = dy − softmax(x) Σ dy，沿前向的 axis 求和。

    书中：sec-bp-softmax
    """
    y, axis = cache
    return dy - np.exp(y) * dy.sum(axis=axis, keepdims=True)


def leaky_relu(
    input: np.ndarray, negative_slope: float = 0.01
) -> tuple[np.ndarray, tuple[np.ndarray, float]]:
    """x > 0 处 y = x，其余 y = 斜率 · x。

    书中：sec-bp-relu
    """
    check_floating("input", input)
    return np.where(input > 0, input, input * negative_slope), (input, negative_slope)


def leaky_relu_backward(dy: np.ndarray, cache: tuple[np.ndarray, float]) -> np.ndarray:
    """x > 0 处放行，其余乘以斜率。

    书中：sec-bp-relu
    """
    x, slope = cache
    return np.where(x > 0, dy, dy * slope)


def elu(input: np.ndarray, alpha: float = 1.0) -> tuple[np.ndarray, tuple]:
    """x > 0 处 y = x，其余 y = α (eˣ − 1)。

    书中：sec-bp-relu
    """
    check_floating("input", input)
    y = np.where(input > 0, input, np.expm1(np.minimum(input, 0)) * alpha)
    return y, (y, alpha)


def elu_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """x > 0 处放行，其余 dx = dy ⊙ (y + α)。

    书中：sec-bp-relu
    """
    y, alpha = cache
    return np.where(y > 0, dy, dy * (y + alpha))


def softplus(
    input: np.ndarray, beta: float = 1.0, threshold: float = 20.0
) -> tuple[np.ndarray, tuple]:
    """y = ln(1 + e^{βx}) / β，平滑的 ReLU；βx 超过 threshold 时就是 x。

    书中：sec-bp-relu
    """
    check_floating("input", input)
    scaled = input * beta
    # 先截断再取指数：大的数走线性那一支，不必上溢。
    smooth = np.log1p(np.exp(np.minimum(scaled, threshold))) / beta
    return np.where(scaled > threshold, input, smooth), (scaled, threshold)


def softplus_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """dx = dy ⊙ sigmoid(βx)；线性那一支放行。

    书中：sec-bp-relu
    """
    scaled, threshold = cache
    return np.where(scaled > threshold, dy, dy * sigmoid(scaled)[0])


def logsigmoid(input: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """y = ln sigmoid(x) = min(x, 0) − ln(1 + e^{−|x|})，x 很负时也不会变成 −inf。

    书中：sec-bp-softmax
    """
    check_floating("input", input)
    return np.minimum(input, 0) - np.log1p(np.exp(-np.abs(input))), input


def logsigmoid_backward(dy: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """dx = dy ⊙ (1 − sigmoid(x)) = dy ⊙ sigmoid(−x)。

    书中：sec-bp-softmax
    """
    return dy * sigmoid(-cache)[0]


def silu(input: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """y = x ⊙ sigmoid(x)，也叫 Swish。

    书中：sec-bp-gelu
    """
    gate, _ = sigmoid(input)
    return input * gate, (input, gate)


def silu_backward(dy: np.ndarray, cache: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """dx = dy ⊙ s (1 + x (1 − s))，s = sigmoid(x)。

    书中：sec-bp-gelu
    """
    x, s = cache
    return dy * (s * (1 + x * (1 - s)))
