"""第 8 章训练一节的图：批怎样拼、学习率的日程、正交化、学习曲线、押韵。

每个函数收下数据，返回画好的 matplotlib Figure。书中：sec-lm-training
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from dlbook.plot.style import COLORS, GRID, INK, MUTED

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
    _levels(ax, baselines, len(loss), "right")
    ax.set(xlabel="步", ylabel="奈特每字", xlim=(0, len(loss)))
    ax.legend()
    return fig


def rates(
    steps: Sequence[int], curves: Mapping[str, Sequence[float]], levels: Mapping[str, float]
) -> Figure:
    """几种比例随步数的变化，与作参照的横线。书中：fig-lm-rhyme"""
    fig, ax = plt.subplots(figsize=(6.4, 3.8))
    for (name, y), marker in zip(curves.items(), MARKERS, strict=False):
        ax.plot(steps, y, marker=marker, label=name)
    _levels(ax, levels, 0, "left")
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.set(xlabel="步", xlim=(0, steps[-1] * 1.02), ylim=(-0.03, 1.08))
    ax.legend(loc="center left")
    return fig


def _levels(ax: Axes, levels: Mapping[str, float], x: float, ha: str) -> None:
    """横线，名字写在 x 处线的上方；最低的一条写在下方，免得与挨着的一条重叠。"""
    for name, level in levels.items():
        lowest = len(levels) > 2 and level == min(levels.values())
        ax.axhline(level, color=MUTED, lw=1, ls=":")
        ax.annotate(
            name, (x, level), xytext=(4 if ha == "left" else -4, -2 if lowest else 2),
            textcoords="offset points", ha=ha, va="top" if lowest else "bottom",
            color=INK, fontsize=9,
        )  # fmt: skip
