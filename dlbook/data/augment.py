"""数据增强：把训练图随机挪一挪、转一转，得到写法略有不同的新图，标签不变。

只用 NumPy，图的形状是 (n, H, W)，移出的部分丢弃，移进的部分补零；不修改传入的图。

书中：sec-cnn-augment
"""

import numpy as np


def random_shift(images: np.ndarray, rng: np.random.Generator, pixels: int = 2) -> np.ndarray:
    """每张图沿两个方向各随机平移 −pixels 到 pixels 格（整数格）。

    images (n, H, W)，返回同样形状与 dtype 的新数组；pixels 为负时抛出 ValueError。

    书中：sec-cnn-augment
    """
    if pixels < 0:
        raise ValueError(f"pixels 应不小于 0，收到 {pixels}")
    n, height, width = images.shape
    padded = np.pad(images, ((0, 0), (pixels, pixels), (pixels, pixels)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(1, 2))
    row, column = rng.integers(0, 2 * pixels + 1, size=(2, n))
    return windows[np.arange(n), row, column]


def random_affine(
    images: np.ndarray,
    rng: np.random.Generator,
    *,
    degrees: float = 10.0,
    scale: float = 0.1,
    shear: float = 0.1,
    pixels: float = 2.0,
) -> np.ndarray:
    """每张图绕中心随机转、缩放、错切、平移；取样落在格点之间时，用四邻的双线性插值。

    角度在 ±degrees 度内，放大的倍数在 1 ± scale 内，错切在 ±shear 内，平移在 ±pixels 格内，
    都是均匀分布。images (n, H, W)，浮点；返回同样形状与 dtype 的新数组。整数图抛出 TypeError。

    书中：sec-cnn-best
    """
    if images.dtype.kind != "f":
        raise TypeError(f"插值得到小数，images 应是浮点数组，收到 {images.dtype}")
    n, height, width = images.shape
    angle = np.deg2rad(rng.uniform(-degrees, degrees, n))
    zoom = rng.uniform(1 - scale, 1 + scale, n)
    slant = rng.uniform(-shear, shear, n)
    shift = rng.uniform(-pixels, pixels, (2, n))
    # 对新图的每一格，求它取自原图的何处：绕中心转、缩放、错切，再平移。
    center = np.array([(height - 1) / 2, (width - 1) / 2])
    row, column = np.indices((height, width)).reshape(2, -1) - center[:, None]
    cos, sin = (np.cos(angle) / zoom)[:, None], (np.sin(angle) / zoom)[:, None]
    source_row = cos * row + sin * column + center[0] + shift[0][:, None]
    source_column = -sin * row + (cos + slant[:, None]) * column + center[1] + shift[1][:, None]
    return _bilinear(images, source_row, source_column).reshape(images.shape)


def _bilinear(images: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """在 (n, k) 个位置上取值，四邻加权；图外当作 0。"""
    n, height, width = images.shape
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1))).reshape(n, -1)
    # 补了一圈零，坐标加一；出了图的都夹到那一圈零上。
    row, column = np.clip(row + 1, 0, height + 1), np.clip(column + 1, 0, width + 1)
    top = np.minimum(row.astype(np.intp), height)
    left = np.minimum(column.astype(np.intp), width)
    down, right = (row - top).astype(images.dtype), (column - left).astype(images.dtype)
    corner = top * (width + 2) + left

    def pixel(offset: int) -> np.ndarray:
        return np.take_along_axis(padded, corner + offset, axis=1)

    upper = pixel(0) * (1 - right) + pixel(1) * right
    lower = pixel(width + 2) * (1 - right) + pixel(width + 3) * right
    return upper * (1 - down) + lower * down
