"""位置编码：正弦的（加在嵌入上）与旋转的（乘在查询与键上）。

书中：sec-lm-position
"""

from types import ModuleType
from typing import Any

import numpy as np


def frequencies(width: int, base: float = 10000.0) -> np.ndarray:
    """ω_i = base^(−2i / width)，i = 0 … width/2 − 1：从每步一弧度到慢得几乎不动，(width/2,)。

    width 不是正偶数时抛出 ValueError。

    书中：eq-lm-frequencies
    """
    if width <= 0 or width % 2:
        raise ValueError(f"分量两两配对，宽度应是正偶数，收到 {width}")
    return base ** (-np.arange(0, width, 2) / width)


def sinusoidal(positions: np.ndarray, width: int, base: float = 10000.0) -> np.ndarray:
    """位置 (T,) → 编码 (T, width)：第 2i、2i + 1 个分量是 sin ω_i t 与 cos ω_i t。

    书中：eq-lm-sinusoid
    """
    angles = positions[:, None] * frequencies(width, base)
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(len(positions), width)


def rotate(lib: ModuleType, x: Any, positions: np.ndarray, base: float = 10000.0) -> Any:
    """旋转位置编码：x (…, T, d) 的分量两两配对，第 t 行的第 i 对转过角度 ω_i t。

    lib 是 ``dlbook`` 或 ``torch``，x 是它的张量，d 是正偶数；结果的形状与类型同 x。

    书中：eq-lm-rope
    """
    angles = positions[:, None] * frequencies(x.shape[-1], base)
    cos, sin = (lib.from_numpy(f(angles)).to(x.dtype) for f in (np.cos, np.sin))
    first, second = x[..., 0::2], x[..., 1::2]
    turned = lib.stack([first * cos - second * sin, first * sin + second * cos], -1)
    return turned.reshape(x.shape)
