"""儿童的年龄与身高：照世界卫生组织 2007 年的参考值造出来的合成数据。

参考值把同龄、同性别的身高当作正态分布，给出中位数 M 与变异系数 S，标准差是 M·S。

书中：sec-intro-model
"""

import numpy as np

# 满 6 到 18 岁（每岁一列）的中位数（厘米）与变异系数，出自 WHO 2007 年 5–19 岁年龄别身高参考值。
AGES = np.arange(6, 19)
MEDIAN = {
    "男": (115.9509, 121.7338, 127.2651, 132.5652, 137.7795, 143.1126, 149.0807,
           156.0426, 163.1816, 168.9580, 172.8967, 175.1609, 176.1449),
    "女": (115.1244, 120.8105, 126.5558, 132.4944, 138.6363, 144.9929, 151.2327,
           156.3748, 159.7890, 161.6692, 162.5156, 162.8545, 163.0595),
}  # fmt: skip
VARIATION = {
    "男": (0.04249, 0.04342, 0.04438, 0.04535, 0.04626, 0.04703, 0.04753,
           0.04760, 0.04714, 0.04619, 0.04495, 0.04364, 0.04241),
    "女": (0.04447, 0.04525, 0.04581, 0.04612, 0.04614, 0.04584, 0.04523,
           0.04439, 0.04345, 0.04255, 0.04176, 0.04109, 0.04053),
}  # fmt: skip


def median_height(age: np.ndarray | float) -> np.ndarray:
    """6 到 18 岁之间的年龄 → 男女两个参考中位数的平均（厘米）；整岁之间线性插值。

    书中：sec-intro-model
    """
    return np.mean([np.interp(age, AGES, MEDIAN[sex]) for sex in MEDIAN], axis=0)


def children(n: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """合成的 n 个孩子：年龄 (n,)（岁，6 到 18 之间均匀）与身高 (n,)（厘米），男女各半，float64。

    同一个 seed 总得到同样的孩子；n 不是正偶数时抛出 ValueError。

    书中：sec-intro-model
    """
    if n < 1 or n % 2:
        raise ValueError(f"男女各半，n 应是正偶数，收到 {n}")
    rng = np.random.default_rng(seed)
    age = rng.uniform(AGES[0], AGES[-1], n)
    half = np.arange(n) < n // 2
    median, spread = (
        np.where(half, *(np.interp(age, AGES, table[sex]) for sex in ("男", "女")))
        for table in (MEDIAN, VARIATION)
    )
    return age, median * (1 + spread * rng.standard_normal(n))
