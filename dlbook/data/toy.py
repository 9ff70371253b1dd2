"""玩具数据集：小到一眼能看清、又能当场造出来的数据。

书中：sec-toy-data
"""

import numpy as np


def toy_line(n: int = 100, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """沿直线 y = 5 + 2x 散布的 n 个点，y 上叠加 [0, 1) 内均匀分布的噪声。

    返回 (x, y)，形状都是 (n, 1)，float64；x 在 [0, 1) 内均匀分布。
    同一个 seed 总得到同样的点；n 不是正整数时抛出 ValueError。

    书中：sec-toy-data
    """
    _check_count(n)
    # 用旧式的 RandomState：它与 np.random.seed(seed) 之后的 np.random.rand 是同一串随机数。
    random = np.random.RandomState(seed)
    x = random.rand(n, 1)
    # 先抽完 x 再抽噪声：次序一换，数据就变了。
    noise = random.rand(n, 1)
    y = 5 + 2 * x + noise
    return x, y


def toy_moons(n: int = 60, noise: float = 0.1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """两弯互相咬合的月牙，一弯一类，没有直线能把它们分开。

    返回 (x, label)：x 形状 (n, 2)，float64；label 形状 (n,)，int64，上弯为 0、下弯为 1，各 n/2 个。
    noise 是坐标上正态噪声的标准差。n 不是正偶数、noise 为负时抛出 ValueError。

    书中：sec-moons
    """
    _check_count(n)
    if n % 2:
        raise ValueError(f"两弯月牙点数相等，n 应为偶数，收到 {n}")
    if noise < 0:
        raise ValueError(f"noise 是标准差，应不小于 0，收到 {noise}")
    angle = np.linspace(0, np.pi, n // 2)
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    # 下弯 = 上弯转半圈，再平移到两弯互相咬合的位置。
    lower = np.array([1.0, 0.5]) - upper
    x = np.concatenate([upper, lower])
    x = x + noise * np.random.RandomState(seed).randn(n, 2)
    label = np.repeat([0, 1], n // 2)
    return x, label


def _check_count(n: int) -> None:
    if not isinstance(n, int | np.integer) or n < 1:
        raise ValueError(f"点数 n 应为正整数，收到 {n!r}")
