"""归一化层：层内（LayerNorm、RMSNorm）与批内（BatchNorm）。

书中：sec-bp-layernorm
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike

import dlbook.nn.functional as F
from dlbook._options import parameter_dtype
from dlbook.autograd.tensor import Tensor
from dlbook.nn.module import Module
from dlbook.nn.parameter import Parameter


def _ones(present: bool, shape: tuple[int, ...], dtype: np.dtype) -> Parameter | None:
    return Parameter(np.ones(shape, dtype)) if present else None


def _zeros(present: bool, shape: tuple[int, ...], dtype: np.dtype) -> Parameter | None:
    return Parameter(np.zeros(shape, dtype)) if present else None


def _shape(normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    return (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)


class LayerNorm(Module):
    """层归一化：每个样本在最后几维上减均值、除标准差，再乘 weight 加 bias。

    形状：(*, *normalized_shape) → 同形；weight、bias 的形状为 normalized_shape，初值 1 与 0。
    elementwise_affine=False 时两者都没有，bias=False 时没有 bias。

    书中：sec-bp-layernorm
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: str | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        dtype = parameter_dtype(device, dtype)
        self.normalized_shape, self.eps = _shape(normalized_shape), eps
        self.elementwise_affine = elementwise_affine
        affine = (elementwise_affine, self.normalized_shape, dtype)
        self.register_parameter("weight", _ones(*affine))
        shift = (elementwise_affine and bias, self.normalized_shape, dtype)
        self.register_parameter("bias", _zeros(*shift))

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """均方根归一化：每个样本在最后几维上除以均方根，再乘 weight；不减均值，没有偏置。

    形状：(*, *normalized_shape) → 同形；weight 的形状为 normalized_shape，初值 1。
    eps=None 时用输入 dtype 的机器精度。

    书中：sec-bp-rmsnorm
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: str | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        dtype = parameter_dtype(device, dtype)
        self.normalized_shape, self.eps = _shape(normalized_shape), eps
        self.elementwise_affine = elementwise_affine
        self.register_parameter("weight", _ones(elementwise_affine, self.normalized_shape, dtype))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )


class _BatchNorm(Module):
    """BatchNorm1d 与 BatchNorm2d 共同的部分；两者只差输入的维数。"""

    _dims: tuple[int, ...]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: str | None = None,
        dtype: DTypeLike | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        dtype = parameter_dtype(device, dtype)
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        shape = (num_features,)
        self.register_parameter("weight", _ones(affine, shape, dtype))
        self.register_parameter("bias", _zeros(affine and bias, shape, dtype))
        mean = variance = count = None
        if track_running_stats:
            mean, variance = Tensor(np.zeros(shape, dtype)), Tensor(np.ones(shape, dtype))
            count = Tensor(np.zeros((), np.int64))
        self.register_buffer("running_mean", mean)
        self.register_buffer("running_var", variance)
        self.register_buffer("num_batches_tracked", count)

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in self._dims:
            expected = "或".join(f" {d} 维" for d in self._dims)
            raise ValueError(f"{type(self).__name__} 的输入应是{expected}，收到形状 {input.shape}")
        momentum = self.momentum
        if self.training and self.track_running_stats:
            count = self.num_batches_tracked.write()
            count += 1
            if momentum is None:  # 各批同等看待的平均
                momentum = 1.0 / float(count)
        return F.batch_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if momentum is None else momentum,
            self.eps,
        )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """批归一化：每个特征在一批里减均值、除标准差，再乘 weight 加 bias。

    形状：(N, C) 或 (N, C, L) → 同形；weight、bias (C,)，初值 1 与 0。
    训练时用这一批的均值与方差，并更新 running_mean、running_var（方差按 n − 1 除）；
    评估时用 running_mean、running_var。momentum=None 时它们是各批的平均。
    输入的维数不对抛出 ValueError。

    书中：sec-bp-layernorm
    """

    _dims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """图像的批归一化：每个通道在一批图像的全部位置上归一化，其余同 :class:`BatchNorm1d`。

    形状：(N, C, H, W) → 同形；weight、bias (C,)。输入不是四维抛出 ValueError。

    书中：sec-bp-layernorm
    """

    _dims = (4,)
