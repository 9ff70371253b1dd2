"""第 4 章练习的错误解法：每一个都必须被检查函数拒绝，而且提示要说到点子上。"""

import numpy as np
import pytest
from bookcheck.exercises import kill, mutant

from dlbook.exercises import check

# ---- ex-4-1 空洞卷积的感受野 ----


def field(layers, *, start=1, width=lambda k, d: d * (k - 1), jump=lambda s, d: s):
    size, step = start, 1
    for kernel, stride, dilation in layers:
        size += width(kernel, dilation) * step
        step *= jump(stride, dilation)
    return size


@mutant("ex-4-1", "从 0 开始数")
def from_zero(layers):
    return field(layers, start=0)


@mutant("ex-4-1", "没有用上空洞")
def no_dilation(layers):
    return field(layers, width=lambda k, d: k - 1)


@mutant("ex-4-1", "空洞乘了核的大小")
def dilated_kernel(layers):
    return field(layers, start=0, width=lambda k, d: d * k)


@mutant("ex-4-1", "没有用上步幅")
def no_stride(layers):
    return field(layers, jump=lambda s, d: 1)


@mutant("ex-4-1", "把本层的步幅也乘了进去")
def own_stride(layers):
    size, step = 1, 1
    for kernel, stride, dilation in layers:
        step *= stride
        size += dilation * (kernel - 1) * step
    return size


@mutant("ex-4-1", "空洞也当作步幅")
def dilation_as_stride(layers):
    return field(layers, jump=lambda s, d: s * d)


# ---- ex-4-2 平均池化的反向 ----


def enlarge(dy, k):
    return np.repeat(np.repeat(dy, k, axis=2), k, axis=3)


@mutant("ex-4-2", "忘了平分")
def no_division(dy, k):
    return enlarge(dy, k)


@mutant("ex-4-2", "只除以 k")
def divided_by_k(dy, k):
    return enlarge(dy, k) / k


@mutant("ex-4-2", "平铺整张图")
def tiled(dy, k):
    return np.tile(dy, (1, 1, k, k)) / k**2


@mutant("ex-4-2", "只给左上角一格")
def first_only(dy, k):
    out = np.zeros((*dy.shape[:2], dy.shape[2] * k, dy.shape[3] * k))
    out[:, :, ::k, ::k] = dy
    return out


@mutant("ex-4-2", "就地除了 dy")
def in_place(dy, k):
    dy /= k**2
    return enlarge(dy, k)


# ---- ex-4-3 逐通道卷积 ----


def depthwise(x, weight):
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[1:], axis=(2, 3))
    return np.einsum("ncijuv,cuv->ncij", windows, weight)


@mutant("ex-4-3", "混合了通道")
def mixed(x, weight):
    return np.repeat(depthwise(x, weight).sum(axis=1, keepdims=True), x.shape[1], axis=1)


@mutant("ex-4-3", "翻转了核")
def flipped(x, weight):
    return depthwise(x, weight[:, ::-1, ::-1])


@mutant("ex-4-3", "只用第一个核")
def first_kernel(x, weight):
    return depthwise(x, np.repeat(weight[:1], len(weight), axis=0))


@mutant("ex-4-3", "核的行列弄反")
def transposed(x, weight):
    return depthwise(x, weight.transpose(0, 2, 1))


@mutant("ex-4-3", "少算了最后一行一列")
def short(x, weight):
    return depthwise(x, weight)[:, :, :-1, :-1]


# ---- 每个都要被拒绝，提示要说到点子上 ----


@pytest.mark.parametrize(
    ("name", "solution", "diagnosis"),
    [
        ("ex-4-1", from_zero, "第一格"),
        ("ex-4-1", no_dilation, "没有用上空洞"),
        ("ex-4-1", no_stride, "步幅没有用上"),
        ("ex-4-1", own_stride, "自己的步幅"),
        ("ex-4-1", dilation_as_stride, "不改变步幅之积"),
        ("ex-4-2", no_division, "忘了除以"),
        ("ex-4-2", divided_by_k, "只除以了 k"),
        ("ex-4-2", tiled, "np.repeat"),
        ("ex-4-3", mixed, "不混合通道"),
        ("ex-4-3", flipped, "不翻转"),
        ("ex-4-3", first_kernel, "第一个核"),
        ("ex-4-3", transposed, "行列弄反"),
    ],
)
def test_diagnosis_names_the_misconception(name, solution, diagnosis):
    assert diagnosis in kill(name, solution)


def test_other_correct_solutions_pass(capsys):
    def by_probing(layers):
        """从输出的一格往回，数出原图上的跨度。"""
        low = high = 0
        for kernel, stride, dilation in reversed(layers):
            low, high = low * stride, high * stride + dilation * (kernel - 1)
        return high - low + 1

    def by_kron(dy, k):
        return np.kron(dy, np.full((1, 1, k, k), 1 / k**2))

    check("ex-4-1", by_probing)
    check("ex-4-2", by_kron)
    check("ex-4-3", depthwise)
    assert capsys.readouterr().out.count("✓") == 3
