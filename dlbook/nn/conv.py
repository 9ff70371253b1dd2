"""二维卷积层。

书中：sec-bp-conv
"""

import numpy as np
from numpy.typing import DTypeLike

import dlbook.nn.functional as F
from dlbook._options import check_sizes, parameter_dtype
from dlbook.autograd.tensor import Tensor
from dlbook.nn import init
from dlbook.nn.module import Module
from dlbook.nn.parameter import Parameter


class Conv2d(Module):
    """二维卷积（实为互相关）：每个输出通道用一个核扫过图像，各输入通道的结果相加。

    形状：输入 (N, C_in, H, W) 或 (C_in, H, W)，输出 (N, C_out, H′, W′)；
    weight (C_out, C_in/groups, kH, kW)，bias (C_out,) 或 None。
    初始值取自 U(−1/√n, 1/√n)，n = C_in/groups·kH·kW。

    padding 是两侧补零的层数，或 "same"、"valid"；padding_mode 只支持 "zeros"，
    否则抛出 NotImplementedError。通道数不能被 groups 整除抛出 ValueError。

    书中：sec-bp-conv
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | str = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: str | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        dtype = parameter_dtype(device, dtype)
        check_sizes(in_channels=in_channels, out_channels=out_channels)
        if groups <= 0 or in_channels % groups or out_channels % groups:
            raise ValueError(
                f"groups={groups} 应是正整数，并能整除 in_channels={in_channels} "
                f"与 out_channels={out_channels}"
            )
        if padding_mode != "zeros":
            raise NotImplementedError(f"padding_mode 只支持 'zeros'，收到 {padding_mode!r}")
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise ValueError(f"padding 应是数、'same' 或 'valid'，收到 {padding!r}")
        if padding == "same" and _pair(stride) != (1, 1):
            raise ValueError("padding='same' 只能配 stride=1")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride = _pair(kernel_size), _pair(stride)
        self.padding = padding if isinstance(padding, str) else _pair(padding)
        self.dilation, self.groups = _pair(dilation), groups
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = Parameter(np.empty(shape, dtype))
        self.register_parameter("bias", Parameter(np.empty(out_channels, dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """重新取初始值。"""
        init.layer_default_(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.conv2d(
            input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )

    def extra_repr(self) -> str:
        text = (
            f"{self.in_channels}, {self.out_channels}, "
            f"kernel_size={self.kernel_size}, stride={self.stride}"
        )
        if self.padding != (0, 0):
            text += f", padding={self.padding}"
        if self.dilation != (1, 1):
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        return text


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return tuple(value) if isinstance(value, tuple | list) else (value, value)
