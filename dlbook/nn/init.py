"""参数的初始分布，名字与 ``torch.nn.init`` 相同；都就地修改 tensor 并返回它，不进计算图。

分布与 torch 相同，随机数的次序不同；随机数由 ``manual_seed`` 或 generator 决定。

书中：sec-bp-training
"""

import math
import warnings
from statistics import NormalDist

import numpy as np

from dlbook.autograd.tensor import Tensor, no_grad
from dlbook.random import Generator, source


def constant_(tensor: Tensor, val: float) -> Tensor:
    """全部填成 val。

    书中：sec-bp-training
    """
    with no_grad():
        return tensor.fill_(val)


def zeros_(tensor: Tensor) -> Tensor:
    """全部填成 0。

    书中：sec-bp-training
    """
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """全部填成 1。

    书中：sec-bp-training
    """
    return constant_(tensor, 1.0)


def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """区间 [a, b) 上的均匀分布。

    书中：sec-bp-training
    """
    with no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """均值 mean、标准差 std 的正态分布。

    书中：sec-bp-training
    """
    with no_grad():
        return tensor.normal_(mean, std, generator=generator)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """正态分布，落在 [a, b] 之外的重新取。

    [a, b] 里的概率不到百分之一时，重取太多次，抛出 ValueError。

    书中：sec-bp-training
    """
    normal = NormalDist(mean, std)
    if not normal.cdf(b) - normal.cdf(a) >= 0.01:
        raise ValueError(f"正态分布 N({mean:g}, {std:g}²) 很少落在 [{a:g}, {b:g}] 里")
    rng = source(generator)
    values = rng.normal(mean, std, tensor.shape)
    while (outside := (values < a) | (values > b)).any():
        values[outside] = rng.normal(mean, std, np.count_nonzero(outside))
    with no_grad():
        tensor.write()[...] = values
    return tensor


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """激活函数的增益：乘上它，信号经过“线性层 + 激活”之后大小大致不变。

    param 是 leaky_relu 的负半轴斜率（缺省 0.01）。不认识的激活抛出 ValueError。

    书中：sec-bp-training
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, int | float):
            raise ValueError(f"leaky_relu 的斜率应是数，收到 {slope!r}")
        return math.sqrt(2.0 / (1 + slope**2))
    gains = {"tanh": 5.0 / 3, "relu": math.sqrt(2.0), "selu": 3.0 / 4}
    gains |= dict.fromkeys(("linear", "conv1d", "conv2d", "conv3d", "sigmoid"), 1)
    gains |= dict.fromkeys((f"conv_transpose{n}d" for n in (1, 2, 3)), 1)
    if nonlinearity not in gains:
        raise ValueError(f"不认识的激活 {nonlinearity!r}；有 leaky_relu、{'、'.join(gains)}")
    return gains[nonlinearity]


def fans(tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out)：每个输出连着多少个输入，每个输入连着多少个输出。

    tensor 形如 (输出, 输入, *核)，所以是第 1、0 维各乘上核的大小；不足两维抛出 ValueError。

    书中：sec-bp-training
    """
    if tensor.ndim < 2:
        raise ValueError(f"算 fan_in、fan_out 要至少两维的张量，收到形状 {tensor.shape}")
    kernel = math.prod(tensor.shape[2:])
    return tensor.shape[1] * kernel, tensor.shape[0] * kernel


def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Xavier 初始化，均匀分布：方差为 gain²·2/(fan_in + fan_out)。

    书中：sec-bp-training
    """
    bound = math.sqrt(3.0) * gain * math.sqrt(2.0 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Xavier 初始化，正态分布：方差为 gain²·2/(fan_in + fan_out)。

    书中：sec-bp-training
    """
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(fans(tensor))), generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """何恺明初始化，均匀分布：方差为 gain²/fan；a 是 leaky_relu 的负半轴斜率。

    书中：sec-bp-training
    """
    if _is_empty(tensor):
        return tensor
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """何恺明初始化，正态分布：方差为 gain²/fan；a 是 leaky_relu 的负半轴斜率。

    书中：sec-bp-training
    """
    if _is_empty(tensor):
        return tensor
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def layer_default_(weight: Tensor, bias: Tensor | None) -> None:
    """线性层与卷积的缺省初始化：权重、偏置都取自 U(−1/√fan_in, 1/√fan_in)。

    对权重来说就是 ``kaiming_uniform_(weight, a=√5)``。

    书中：sec-bp-training
    """
    kaiming_uniform_(weight, a=math.sqrt(5))
    fan_in, _ = fans(weight)
    if bias is not None:
        bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
        uniform_(bias, -bound, bound)


def _is_empty(tensor: Tensor) -> bool:
    if 0 in tensor.shape:
        warnings.warn(f"形状 {tensor.shape} 的张量没有元素，无从初始化", stacklevel=3)
        return True
    return False


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode 应是 'fan_in' 或 'fan_out'，收到 {mode!r}")
    fan_in, fan_out = fans(tensor)
    fan = fan_in if mode == "fan_in" else fan_out
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)
