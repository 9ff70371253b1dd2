"""激活函数的模块形式，放进 Sequential 用；公式见 :mod:`dlbook.nn.functional` 的同名函数。

书中：sec-bp-relu
"""

import dlbook.nn.functional as F
from dlbook._options import refuse
from dlbook.autograd.tensor import Tensor
from dlbook.nn.module import Module


class ReLU(Module):
    """max(x, 0)，逐元素，形状不变。inplace=True 不支持，抛出 NotImplementedError。

    书中：sec-bp-relu
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        refuse(inplace=inplace)
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.relu(input)


class GELU(Module):
    """x·Φ(x)，逐元素，形状不变；approximate="tanh" 用 tanh 的近似式。

    书中：sec-bp-gelu
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        return F.gelu(input, approximate=self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class SiLU(Module):
    """x·σ(x)，逐元素，形状不变。inplace=True 不支持，抛出 NotImplementedError。

    书中：sec-bp-gelu
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        refuse(inplace=inplace)
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.silu(input)


class LeakyReLU(Module):
    """x > 0 处是 x，其余是 negative_slope·x，逐元素，形状不变。inplace=True 不支持。

    书中：sec-bp-relu
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        refuse(inplace=inplace)
        self.negative_slope, self.inplace = negative_slope, inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.leaky_relu(input, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


class ELU(Module):
    """x > 0 处是 x，其余是 alpha·(eˣ − 1)，逐元素，形状不变。inplace=True 不支持。

    书中：sec-bp-relu
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        refuse(inplace=inplace)
        self.alpha, self.inplace = alpha, inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.elu(input, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"


class Sigmoid(Module):
    """σ(x) = 1/(1 + e⁻ˣ)，逐元素，形状不变。

    书中：sec-bp-relu
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.sigmoid(input)


class Tanh(Module):
    """tanh(x)，逐元素，形状不变。

    书中：sec-bp-relu
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.tanh(input)


class Softplus(Module):
    """ln(1 + e^(βx))/β，逐元素，形状不变；βx 超过 threshold 时就是 x。

    书中：sec-bp-relu
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta, self.threshold = beta, threshold

    def forward(self, input: Tensor) -> Tensor:
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Softmax(Module):
    """沿第 dim 维的 softmax，形状不变。

    书中：sec-bp-softmax
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """沿第 dim 维的 softmax 的对数，形状不变，比先 softmax 再取对数稳定。

    书中：sec-bp-softmax
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.log_softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"
