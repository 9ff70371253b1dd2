"""Dropout：训练时随机丢掉一部分，其余按比例放大。

书中：sec-bp-dropout
"""

import numpy as np


def dropout(
    input: np.ndarray, p: float, rng: np.random.Generator
) -> tuple[np.ndarray, tuple[np.ndarray, float]]:
    """每个元素以概率 p 置 0，留下的除以 1 − p，使期望不变；p = 1 时全是 0。

    书中：sec-bp-dropout
    """
    kept = rng.random(input.shape, np.float32) >= p
    scale = 1 / (1 - p) if p < 1 else 0.0
    return _masked(input, kept, scale), (kept, scale)


def dropout_backward(dy: np.ndarray, cache: tuple[np.ndarray, float]) -> np.ndarray:
    """dx = dy 经过同一个掩码、同一个放大。

    书中：sec-bp-dropout
    """
    return _masked(dy, *cache)


def _masked(x: np.ndarray, kept: np.ndarray, scale: float) -> np.ndarray:
    y = x * kept
    y *= scale
    return y
