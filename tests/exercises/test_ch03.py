"""第 3 章练习的错误解法：每一个都必须被检查函数拒绝，而且提示要说到点子上。"""

import numpy as np
import pytest
from bookcheck.exercises import kill, mutant

from dlbook.backprop import one_hot, softmax
from dlbook.exercises import check

# 有的错误解法会上溢、对零取对数，那正是要抓的毛病。
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

# ---- ex-3-1 稳定的 log-softmax ----


@mutant("ex-3-1", "没有减去最大值，上溢")
def no_shift(z):
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


@mutant("ex-3-1", "先求概率再取对数，下溢")
def log_of_softmax(z):
    return np.log(softmax(z)[0])


@mutant("ex-3-1", "沿样本的方向归一")
def wrong_axis(z):
    shifted = z - z.max(axis=0, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=0, keepdims=True))


@mutant("ex-3-1", "减去整个矩阵的最大值")
def global_max(z):
    shifted = z - z.max()
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


@mutant("ex-3-1", "对整个矩阵归一")
def global_sum(z):
    return z - z.max() - np.log(np.exp(z - z.max()).sum())


@mutant("ex-3-1", "忘了取对数")
def probabilities(z):
    return softmax(z)[0]


# ---- ex-3-2 不会死的 ReLU ----


@mutant("ex-3-2", "普通的 ReLU")
def plain_relu(dy, x, alpha):
    return np.where(x > 0, dy, 0)


@mutant("ex-3-2", "忘了乘上游梯度")
def no_upstream(dy, x, alpha):
    return np.where(x > 0, 1, alpha)


@mutant("ex-3-2", "给出了前向的输出")
def forward_output(dy, x, alpha):
    return np.where(x > 0, x, alpha * x)


@mutant("ex-3-2", "按上游梯度的正负分")
def gate_on_upstream(dy, x, alpha):
    return np.where(dy > 0, dy, alpha * dy)


@mutant("ex-3-2", "x = 0 归到了正的一侧")
def zero_is_positive(dy, x, alpha):
    return np.where(x >= 0, dy, alpha * dy)


@mutant("ex-3-2", "就地修改了上游梯度")
def in_place(dy, x, alpha):
    dy[x <= 0] *= alpha
    return dy


# ---- ex-3-3 标签平滑 ----


@mutant("ex-3-3", "标签没有平滑")
def hard_labels(z, target, epsilon):
    return (softmax(z)[0] - one_hot(target, z.shape[1])) / len(z)


@mutant("ex-3-3", "忘了对样本取平均")
def no_mean(z, target, epsilon):
    C = z.shape[1]
    return softmax(z)[0] - (1 - epsilon) * one_hot(target, C) - epsilon / C


@mutant("ex-3-3", "符号反了")
def wrong_sign(z, target, epsilon):
    return -no_mean(z, target, epsilon) / len(z)


@mutant("ex-3-3", "epsilon 没有除以类别数")
def not_divided(z, target, epsilon):
    return (softmax(z)[0] - (1 - epsilon) * one_hot(target, z.shape[1]) - epsilon) / len(z)


@mutant("ex-3-3", "除以了元素个数")
def mean_over_elements(z, target, epsilon):
    return no_mean(z, target, epsilon) / z.size


# ---- ex-3-4 前 k 名准确率 ----


@mutant("ex-3-4", "只看第一名")
def first_only(logits, target, k):
    return np.mean(logits.argmax(axis=1) == target)


@mutant("ex-3-4", "取了分数最低的 k 个")
def lowest(logits, target, k):
    return np.mean([t in np.argsort(row)[:k] for row, t in zip(logits, target, strict=True)])


@mutant("ex-3-4", "多算了一名")
def off_by_one(logits, target, k):
    of_target = logits[np.arange(len(target)), target]
    return np.mean((logits > of_target[:, None]).sum(axis=1) <= k)


@mutant("ex-3-4", "返回了张数而不是比例")
def count(logits, target, k):
    of_target = logits[np.arange(len(target)), target]
    return int(np.sum((logits > of_target[:, None]).sum(axis=1) < k))


@pytest.mark.parametrize(
    ("name", "solution", "diagnosis"),
    [
        ("ex-3-1", no_shift, "减去自己的最大值"),
        ("ex-3-1", log_of_softmax, "负无穷"),
        ("ex-3-1", wrong_axis, "沿第 0 轴"),
        ("ex-3-1", global_max, "自己那一行"),
        ("ex-3-2", plain_relu, "普通的 ReLU"),
        ("ex-3-2", gate_on_upstream, "闸门看的是 x"),
        ("ex-3-2", in_place, "就地修改"),
        ("ex-3-3", no_mean, "取平均"),
        ("ex-3-3", wrong_sign, "正负号"),
        ("ex-3-3", not_divided, "除以类别数"),
        ("ex-3-4", first_only, "只看了第一名"),
        ("ex-3-4", lowest, "分数最低"),
        ("ex-3-4", off_by_one, "多算了一名"),
    ],
)
def test_diagnosis_names_the_misconception(name, solution, diagnosis):
    assert diagnosis in kill(name, solution)


def test_other_correct_solutions_pass(capsys):
    def by_logaddexp(z):
        return z - np.logaddexp.reduce(z, axis=1, keepdims=True)

    def by_slope(dy, x, alpha):
        return dy * (alpha + (1 - alpha) * (x > 0))

    def by_loop(z, target, epsilon):
        grad = softmax(z)[0]
        for row, t in zip(grad, target, strict=True):
            row -= epsilon / z.shape[1]
            row[t] -= 1 - epsilon
        return grad / len(z)

    def by_sorting(logits, target, k):
        top = np.argsort(-logits, axis=1)[:, :k]
        return float((top == target[:, None]).any(axis=1).mean())

    check("ex-3-1", by_logaddexp)
    check("ex-3-2", by_slope)
    check("ex-3-3", by_loop)
    check("ex-3-4", by_sorting)
    assert capsys.readouterr().out.count("✓") == 4
