"""二维池化层。

书中：sec-bp-pool
"""

import dlbook.nn.functional as F
from dlbook.autograd.tensor import Tensor
from dlbook.nn.module import Module

IntPair = int | tuple[int, int]


class MaxPool2d(Module):
    """最大池化：每个窗口取最大的一个；stride 缺省等于 kernel_size（窗口不重叠）。

    形状：(N, C, H, W) → (N, C, H′, W′)。return_indices、ceil_mode 是否支持见
    :func:`dlbook.nn.functional.max_pool2d`。

    书中：sec-bp-pool
    """

    def __init__(
        self,
        kernel_size: IntPair,
        stride: IntPair | None = None,
        padding: IntPair = 0,
        dilation: IntPair = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size, self.padding, self.dilation = kernel_size, padding, dilation
        self.stride = kernel_size if stride is None else stride
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        return F.max_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            ceil_mode=self.ceil_mode,
            return_indices=self.return_indices,
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class AvgPool2d(Module):
    """平均池化：每个窗口取平均；stride 缺省等于 kernel_size（窗口不重叠）。

    形状：(N, C, H, W) → (N, C, H′, W′)。各选项是否支持见
    :func:`dlbook.nn.functional.avg_pool2d`。

    书中：sec-bp-pool
    """

    def __init__(
        self,
        kernel_size: IntPair,
        stride: IntPair | None = None,
        padding: IntPair = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size, self.padding = kernel_size, padding
        self.stride = kernel_size if stride is None else stride
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
