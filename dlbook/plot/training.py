"""第 8 章训练一节的图：批怎样拼、学习率的日程、正交化、学习曲线、押韵。

每个函数收下数据，返回画好的 matplotlib Figure。书中：sec-lm-training
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from dlbook.plot.levels import level
from dlbook.plot.style import COLORS, GRID

STYLES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D")


def batches(panels: Mapping[str, Sequence[int]]) -> Figure:
    """每个小图是一批：每行一首诗，深色是诗，浅色是填充；面板的值是各行的长度。

    书中：fig-lm-batches
    """
    fig, axes = plt.subplots(len(panels), 1, figsize=(6.4, 4.4), sharex=True)
    for ax, (title, lengths) in zip(axes, panels.items(), strict=True):
        y, longest = np.arange(len(lengths)), max(lengths)
        ax.barh(y, [longest] * len(y), height=0.8, color=GRID, label="填充")
        ax.barh(y, lengths, height=0.8, color=COLORS["blue"], label="诗")
        share = 1 - sum(lengths) / (longest * len(lengths))
        ax.set_title(f"{title}：填充占 {share:.0%}", loc="left")
        ax.set_yticks([])
        ax.invert_yaxis()
        ax.grid(False)
        ax.spines["left"].set_visible(False)
    axes[0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderpad=0)
    axes[-1].set_xlabel("位置")
    return fig


def lines(
    x: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    *,
    xlabel: str,
    ylabel: str,
    log_x: bool = False,
) -> Figure:
    """几条曲线，线型各不相同；log_x=True 时横轴取对数。

    书中：fig-lm-schedule、fig-lm-newton-schulz
    """
    fig, ax = plt.subplots(figsize=(6.4, 3.4))
    for (name, y), style in zip(curves.items(), STYLES, strict=False):
        ax.plot(x, y, style, label=name)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if log_x:
        ax.set_xscale("log")
    ax.legend()
    return fig


def learning_curve(
    loss: Sequence[float],
    val_steps: Sequence[int],
    val_loss: Sequence[float],
    baselines: Mapping[str, float],
    *,
    window: int = 25,
) -> Figure:
    """训练损失（每 window 步取平均）、验证损失的点，与各基线的横线。书中：fig-lm-curve"""
    fig, ax = plt.subplots(figsize=(6.4, 4.2))
    means = np.asarray(loss)[: len(loss) // window * window].reshape(-1, window).mean(axis=1)
    steps = (np.arange(len(means)) + 0.5) * window
    ax.plot(steps, means, color=COLORS["blue"], lw=1.2, label="训练（每批，取平均）")
    ax.plot(val_steps, val_loss, "o-", color=COLORS["orange"], label="验证")
    lowest = min(baselines, key=baselines.__getitem__)
    for name, height in baselines.items():
        level(ax, name, height, below=name == lowest)  # 最低的两条挨得近，名字各写一边
    # 右边留一点，最后一次验证的点才不会被切掉一半。
    ax.set(xlabel="步", ylabel="奈特每字", xlim=(0, 1.02 * len(loss)))
    ax.legend(ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1))
    return fig


def rates(
    steps: Sequence[int], curves: Mapping[str, Sequence[float]], levels: Mapping[str, float]
) -> Figure:
    """几种比例随步数上升，与作参照的横线。书中：fig-lm-rhyme"""
    fig, ax = plt.subplots(figsize=(6.4, 3.8))
    for (name, y), marker in zip(curves.items(), MARKERS, strict=False):
        ax.plot(steps, y, marker=marker, label=name)
    lowest = min(levels, key=levels.__getitem__)
    for name, height in levels.items():
        # 曲线起头低、末尾高：低的线把名字写在末尾，高的写在起头，才压不着曲线。
        level(ax, name, height, side="right" if name == lowest else "left")
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.set(xlabel="步", xlim=(0, steps[-1] * 1.02), ylim=(-0.03, 1.08))
    ax.legend(loc="center left")
    return fig
