"""全连接层，以及不带参数的两个小模块。

书中：sec-bp-linear
"""

import numpy as np
from numpy.typing import DTypeLike

import dlbook.nn.functional as F
from dlbook._options import check_sizes, parameter_dtype
from dlbook.autograd.tensor import Tensor
from dlbook.nn import init
from dlbook.nn.module import Module
from dlbook.nn.parameter import Parameter


class Identity(Module):
    """原样返回输入；建立时给什么参数都收下不用。

    书中：sec-bp-engine
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return input


class Flatten(Module):
    """把第 start_dim 维到第 end_dim 维并成一维；缺省留下第 0 维（样本）。

    形状：(m, *) → (m, ∏*)。

    书中：sec-bp-engine
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Linear(Module):
    """全连接层 y = xWᵀ + b。

    形状：输入 (*, in_features)，输出 (*, out_features)；
    weight (out_features, in_features)，bias (out_features,) 或 None。
    初始值取自 U(−1/√in_features, 1/√in_features)。

    书中：sec-bp-linear
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: str | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        dtype = parameter_dtype(device, dtype)
        check_sizes(in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(np.empty((out_features, in_features), dtype))
        self.register_parameter("bias", Parameter(np.empty(out_features, dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """重新取初始值。"""
        init.layer_default_(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )
