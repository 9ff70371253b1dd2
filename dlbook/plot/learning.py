"""第 6 章的图：下降的轨迹、各层的激活、几种方法在 MNIST 上的比较。"""

from collections.abc import Callable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from dlbook.plot.style import COLORS, INK, MUTED, number

STYLES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "x")


def paths(
    f: Callable, trails: Mapping[str, np.ndarray], limits: tuple[float, float, float, float]
) -> Figure:
    """等高线上的几条轨迹，一条一幅。书中：fig-learn-zigzag、fig-learn-saddle"""
    fig, axes = plt.subplots(len(trails), 1, figsize=(6.2, 1.75 * len(trails)), sharex=True)
    left, right, low, high = limits
    x, y = np.meshgrid(np.linspace(left, right, 101), np.linspace(low, high, 81))
    height = f(x, y)
    levels = np.linspace(0, 1, 13)[1:] ** 2 * (height.max() - height.min()) + height.min()
    for ax, (title, trail), color in zip(
        np.atleast_1d(axes), trails.items(), COLORS.values(), strict=False
    ):
        ax.contour(x, y, height, levels, colors=MUTED, linewidths=0.6)
        ax.plot(*np.asarray(trail).T, "o-", color=color, ms=3, lw=1.2)
        ax.plot(*trail[0], "s", color=INK, ms=5)
        ax.set(title=title, ylabel="$x_2$", xlim=(left, right), ylim=(low, high))
        ax.title.set_fontsize(10)
        ax.grid(False)
    np.atleast_1d(axes)[-1].set_xlabel("$x_1$")
    return fig


def activations(layers: Mapping[str, Sequence[np.ndarray]], shown: Sequence[int]) -> Figure:
    """各种初始化下，若干层里不为 0 的激活的直方图，一行一种初始化。书中：fig-learn-init"""
    fig, axes = plt.subplots(
        len(layers), len(shown), figsize=(6.4, 1.5 * len(layers)), sharey="row", squeeze=False
    )
    for row, (name, values) in zip(axes, layers.items(), strict=True):
        for ax, k in zip(row, shown, strict=True):
            top = max(np.quantile(values[k], 0.99), 1e-12)
            ax.hist(values[k][values[k] > 0], np.linspace(0, top, 31), color=COLORS["blue"])
            ax.set_yticks([])
            ax.set_xticks([0, top], ["0", number(top, ".1g")], fontsize=9)
            # 两端的数都往里靠，免得与邻格的挤在一起。
            for tick, side in zip(ax.get_xticklabels(), ("left", "right"), strict=True):
                tick.set_ha(side)
            ax.grid(False)
        row[0].set_ylabel(name, fontsize=9)
    for ax, k in zip(axes[0], shown, strict=True):
        ax.set_title(f"第 {k + 1} 层", fontsize=10)
    return fig


def sweep(rates: Sequence[float], accuracy: Mapping[str, Sequence[float]]) -> Figure:
    """各种优化方法的验证准确率随学习率的变化，横轴是学习率除以各自网格的中心。

    书中：fig-learn-sweep
    """
    fig, ax = plt.subplots(figsize=(6.2, 3.4))
    for k, (name, values) in enumerate(accuracy.items()):
        ax.plot(rates, values, STYLES[k % 4], marker=MARKERS[k % 6], ms=5, label=name)
    ax.set(xscale="log", xlabel="学习率 ÷ 该方法的参考值", ylabel="验证准确率", ylim=(0.82, 0.96))
    ax.legend(fontsize=9, ncols=2)
    return fig


def generalization(curves: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> Figure:
    """训练损失（实线）与验证损失（虚线）随轮数的变化，一种做法一幅。书中：fig-learn-overfit"""
    rows = -(-len(curves) // 2)  # 一行两幅：四幅排成一行，在手机上字就太小了
    fig, axes = plt.subplots(
        rows, 2, figsize=(6.4, 2.3 * rows + 0.3), sharex=True, sharey=True, squeeze=False
    )
    for ax, (title, (train, validation)) in zip(axes.flat, curves.items(), strict=True):
        epochs = np.arange(1, len(train) + 1)
        ax.plot(epochs, train, color=COLORS["blue"], label="训练")
        ax.plot(epochs, validation, "--", color=COLORS["orange"], label="验证")
        best = int(np.argmin(validation))
        ax.plot(epochs[best], validation[best], "o", color=COLORS["orange"], ms=5)
        ax.set(title=title, yscale="log")
        ax.title.set_fontsize(11)
    for ax in axes[-1]:
        ax.set_xlabel("轮数")
    for ax in axes[:, 0]:
        ax.set_ylabel("损失")
    axes[0, 0].legend()
    return fig
