"""校准：网络说有九成把握的预测，是不是真有九成是对的；不是的话，怎样用一个数改过来。

书中：sec-loss-calibration
"""

from typing import NamedTuple

import numpy as np

from dlbook.backprop import softmax


class Reliability(NamedTuple):
    """按把握分组的统计，每个数组的形状都是 (bins,)；空组的 confidence 与 accuracy 是 nan。

    书中：sec-loss-calibration
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    count: np.ndarray


def reliability(prob: np.ndarray, target: np.ndarray, bins: int = 10) -> Reliability:
    """把预测按把握（最大的概率）等宽地分成 bins 组，求每组的平均把握与准确率。

    prob (m, C) 每行是一个概率分布，target (m,) 是类别编号。
    形状不合、bins 不是正整数时抛出 ValueError。

    书中：sec-loss-calibration
    """
    if np.ndim(prob) != 2 or np.shape(target) != (len(prob),) or len(prob) == 0:
        found = f"{np.shape(prob)} 与 {np.shape(target)}"
        raise ValueError(f"prob 应是 (m, C)、target 应是 (m,)，m 不为零，收到 {found}")
    if bins < 1:
        raise ValueError(f"bins 应是正整数，收到 {bins}")
    confidence = prob.max(axis=1)
    correct = prob.argmax(axis=1) == target
    group = np.minimum((confidence * bins).astype(int), bins - 1)  # 把握恰为 1 的归末组
    count = np.bincount(group, minlength=bins)
    with np.errstate(invalid="ignore"):  # 空组：0 / 0 得 nan
        return Reliability(
            np.bincount(group, confidence, bins) / count,
            np.bincount(group, correct, bins) / count,
            count,
        )


def expected_calibration_error(prob: np.ndarray, target: np.ndarray, bins: int = 10) -> float:
    """期望校准误差：各组 |准确率 − 把握| 按人数加权的平均。参数同 :func:`reliability`。

    书中：eq-loss-ece
    """
    groups = reliability(prob, target, bins)
    gap = np.nan_to_num(np.abs(groups.accuracy - groups.confidence))
    return float(gap @ groups.count / groups.count.sum())


def fit_temperature(logits: np.ndarray, target: np.ndarray, *, steps: int = 50) -> float:
    """使 softmax(logits / T) 的交叉熵最小的温度 T > 0。logits (m, C)，target (m,)。

    损失对 β = 1/T 是凸的，用牛顿法：梯度是“按概率平均的分数减去正确类别的分数”，
    二阶导数是分数的方差。每个样本的正确类别都得分最高时，β 越大越好，没有最小值，
    这时抛出 ValueError；形状不合也抛出 ValueError。

    书中：eq-loss-temperature-grad
    """
    if np.ndim(logits) != 2 or np.shape(target) != (len(logits),):
        found = f"{np.shape(logits)} 与 {np.shape(target)}"
        raise ValueError(f"logits 应是 (m, C)、target 应是 (m,)，收到 {found}")
    rows = np.arange(len(target))
    if (logits[rows, target] >= logits.max(axis=1)).all():
        raise ValueError("每个样本的正确类别都得分最高，温度越低损失越小，没有最优的温度")
    beta = 1.0
    for _ in range(steps):
        prob, _ = softmax(beta * logits)
        mean = (prob * logits).sum(axis=1)
        gradient = (mean - logits[rows, target]).mean()
        curvature = ((prob * logits**2).sum(axis=1) - mean**2).mean()
        step = gradient / curvature
        beta = max(beta - step, beta / 2)  # 一步不许走到负数
        if abs(step) < 1e-10:
            break
    return float(1 / beta)
