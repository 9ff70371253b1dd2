"""监督学习的图：直线族与残差、损失的等值线、多项式拟合、误差随模型复杂度的变化。

每个函数收下数据，返回画好的 matplotlib Figure。书中：chap-supervised
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dlbook.plot.diagrams import arrow, box, canvas
from dlbook.plot.style import COLORS, INK, MUTED, number

STYLES = ("-", "--", "-.", ":")
LINE_COLORS = (COLORS["blue"], COLORS["orange"], COLORS["gray"], COLORS["green"])


def pipeline() -> Figure:
    """监督学习的三个阶段：训练、测试、推理，各占一行；参数用蓝色。书中：fig-sl-pipeline"""
    fig, ax = canvas(6.4, 3.6)
    rows = {
        "训练": ("训练集", r"使损失 $\mathcal{L}(\phi)$ 最小", r"参数 $\hat{\phi}$"),
        "测试": ("测试集", "预测，与答案比较", "测试损失"),
        "推理": (r"新的 $\mathbf{x}$", r"代入 $f(\mathbf{x},\hat{\phi})$", r"预测 $\mathbf{y}$"),
    }
    for (name, (left, middle, right)), y in zip(rows.items(), (3.0, 1.75, 0.5), strict=True):
        ax.text(0.05, y, name, va="center", fontsize=12, color=MUTED)
        learned = name == "训练"
        box(ax, 1.45, y, 1.25, 0.8, left)
        box(ax, 3.55, y, 1.75, 0.8, middle, edge=COLORS["green"])
        box(ax, 5.65, y, 1.2, 0.8, right, edge=COLORS["blue"] if learned else INK)
        arrow(ax, (2.1, y), (2.65, y))
        arrow(ax, (4.45, y), (5.03, y))
    # 训练得到的参数送进下面两行：一条直接向下，一条从两列之间的空当绕过去。
    arrow(ax, (5.2, 2.6), (4.15, 2.17), color=COLORS["blue"])
    ax.plot([5.35, 4.74, 4.74], [2.6, 2.2, 1.15], color=COLORS["blue"], lw=1.2)
    arrow(ax, (4.74, 1.15), (4.15, 0.92), color=COLORS["blue"])
    return fig


def line_family(x: np.ndarray, lines: Sequence[tuple[float, float]]) -> Figure:
    """同一个模型、几组参数：每组 (φ0, φ1) 一条直线。书中：fig-sl-line-family"""
    fig, ax = plt.subplots()
    for (phi0, phi1), color, style in zip(lines, LINE_COLORS, STYLES, strict=False):
        label = rf"$\phi_0={number(phi0)},\ \phi_1={number(phi1)}$"
        ax.plot(x, phi0 + phi1 * x, style, color=color, lw=2.2, label=label)
    ax.set(xlabel="输入 $x$", ylabel="输出 $y$", ylim=(0, None))
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    return fig


def line_losses(
    x: np.ndarray, y: np.ndarray, lines: Mapping[str, tuple[float, float]], unit: str
) -> Figure:
    """2×2：左上是训练数据，其余三幅各画一条直线、竖直的偏差与平方和。书中：fig-sl-line-losses"""
    fig, axes = plt.subplots(2, 2, figsize=(6.4, 5.6), sharex=True, sharey=True)
    ends = np.array([x.min() - 0.5, x.max() + 0.5])
    axes.flat[0].set_title("(a) 训练数据")
    for ax, (label, (phi0, phi1)) in zip(axes.flat[1:], lines.items(), strict=True):
        total = np.sum((phi0 + phi1 * x - y) ** 2)
        ax.plot(ends, phi0 + phi1 * ends, color=COLORS["green"])
        ax.vlines(x, phi0 + phi1 * x, y, color=COLORS["orange"], ls=(0, (3, 1.5)), lw=2)
        ax.set_title(f"{label}：平方和 {total:.3g}")
    for ax in axes.flat:
        ax.plot(x, y, "o", color=COLORS["blue"], ms=7, zorder=3)
    for ax in axes[1]:
        ax.set_xlabel("车龄（年）")
    for ax in axes[:, 0]:
        ax.set_ylabel(f"价格（{unit}）")
    return fig


def loss_contours(
    x: np.ndarray,
    y: np.ndarray,
    marks: Mapping[str, tuple[float, float]],
    path: np.ndarray | None = None,
    *,
    xlim: tuple[float, float],
    ylim: tuple[float, float],
) -> Figure:
    """平方和损失的等值线（标出高度）、几个参数点，以及形状 (k, 2) 的下降轨迹。

    marks 的最后一个是最低点，画成星号。书中：fig-sl-loss-contours、fig-sl-descent
    """
    fig, ax = plt.subplots(figsize=(6.4, 4.8))
    phi0, phi1 = np.meshgrid(np.linspace(*xlim, 161), np.linspace(*ylim, 161))
    loss = np.sum((phi0[..., None] + phi1[..., None] * x - y) ** 2, axis=-1)
    levels = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000]
    drawn = ax.contour(phi0, phi1, loss, levels, colors=MUTED, linewidths=0.8)
    ax.clabel(drawn, levels[2::2], fmt="%d", fontsize=9, colors=INK)
    if path is not None:
        ax.plot(*path.T, "o-", color=COLORS["red"], ms=3.5, lw=1.2, label="梯度下降")
    *points, best = marks.items()
    for (label, point), mark, color in zip(points, "s^D", LINE_COLORS, strict=False):
        ax.plot(*point, mark, color=color, ms=9, label=label)
    ax.plot(*best[1], "*", color=COLORS["green"], ms=15, label=best[0])
    ax.set(xlabel=r"截距 $\phi_0$", ylabel=r"斜率 $\phi_1$", xlim=xlim, ylim=ylim)
    ax.grid(False)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=4)
    return fig


def lines_over_steps(
    x: np.ndarray, y: np.ndarray, lines: Mapping[str, tuple[float, float]]
) -> Figure:
    """训练途中的直线，越往后颜色越深。书中：fig-sl-lines-over-steps"""
    fig, ax = plt.subplots()
    ends = np.array([x.min() - 0.5, x.max() + 0.5])
    strength = np.linspace(0.65, 1, len(lines))
    for (label, (phi0, phi1)), alpha, style in zip(
        lines.items(), strength, (":", "-.", "--", (0, (5, 1)), "-"), strict=False
    ):
        ax.plot(ends, phi0 + phi1 * ends, ls=style, color=COLORS["red"], alpha=alpha, label=label)
    ax.plot(x, y, "o", color=COLORS["blue"], ms=7, zorder=3)
    ax.set(xlabel="车龄（年）", ylabel="价格（万元）")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)
    return fig


def generalization(
    train: tuple[np.ndarray, np.ndarray],
    tests: Mapping[str, tuple[np.ndarray, np.ndarray]],
    line: tuple[float, float],
) -> Figure:
    """直线、训练点与几组测试点。书中：fig-sl-test-line"""
    fig, ax = plt.subplots()
    last = max(x.max() for x, _ in tests.values())
    ends = np.array([0, last + 0.5])
    ax.axhline(0, color=MUTED, lw=1)
    ax.plot(ends, line[0] + line[1] * ends, color=COLORS["green"], label="拟合的直线")
    ax.plot(*train, "o", color=COLORS["blue"], ms=7, label="训练")
    for (label, points), mark, color in zip(tests.items(), "^s", ("orange", "red"), strict=False):
        ax.plot(*points, mark, color=COLORS[color], ms=7, label=label)
    ax.set(xlabel="车龄（年）", ylabel="价格（万元）")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    return fig


def projection(column: np.ndarray, y: np.ndarray) -> Figure:
    """两个样本、一列的设计矩阵：预测只能在一条线上，最近的点是 y 的垂足。书中：fig-sl-projection"""
    fig, ax = plt.subplots(figsize=(6.4, 4.2))
    prediction = (column @ y) / (column @ column) * column
    line = np.outer([-0.2, 1.6], column)
    ax.plot(*line.T, color=COLORS["blue"], lw=1, ls=(0, (5, 3)))
    arrows = {
        r"$\mathbf{y}$": (y, INK, (-0.12, 0.05)),
        r"$\mathbf{x}$": (column, COLORS["blue"], (0.05, -0.18)),
        r"$\hat{\mathbf{y}}=\phi\,\mathbf{x}$": (prediction, COLORS["green"], (0.12, -0.16)),
    }
    for width, (label, (v, color, shift)) in zip((2.2, 5, 2.2), arrows.items(), strict=True):
        style = {"arrowstyle": "-|>", "color": color, "lw": width, "shrinkA": 0, "shrinkB": 0}
        ax.annotate("", v, (0, 0), arrowprops=style)
        ax.text(*(v + shift), label, color=color, fontsize=13)
    ax.plot(*np.stack([prediction, y]).T, "--", color=COLORS["orange"], lw=2.2)
    ax.text(
        *((prediction + y) / 2 + [0.06, 0]), r"$-\mathbf{e}$", color=COLORS["orange"], fontsize=13
    )
    # 直角记号：沿两个互相垂直的单位方向各退一小段。
    along = -0.14 * column / np.linalg.norm(column)
    up = 0.14 * (y - prediction) / np.linalg.norm(y - prediction)
    corner = prediction + np.array([along, along + up, up])
    ax.plot(*corner.T, color=INK, lw=1)
    ax.set(xlabel="样本 0", ylabel="样本 1", xlim=(-0.4, 3.3), ylim=(-0.3, 2.3), aspect="equal")
    return fig


def conditioning(degrees: Sequence[int], condition: np.ndarray) -> Figure:
    """多项式设计矩阵 X 与 XᵀX 的条件数随阶数的增长。书中：fig-sl-conditioning"""
    fig, ax = plt.subplots()
    ax.plot(degrees, condition, "o-", color=COLORS["blue"], label=r"$\kappa(\mathbf{X})$")
    ax.plot(
        degrees, condition**2, "s--", color=COLORS["red"],
        label=r"$\kappa(\mathbf{X}^{\top}\mathbf{X})=\kappa(\mathbf{X})^2$",
    )  # fmt: skip
    ax.axhline(1 / np.finfo(float).eps, color=MUTED, ls=":", label="双精度的极限")
    ax.set(xlabel="多项式的阶数 $M$", ylabel="条件数", yscale="log", xticks=degrees)
    ax.legend(loc="upper left")
    return fig


def curve_and_points(x: np.ndarray, t: np.ndarray, grid: np.ndarray, truth: np.ndarray) -> Figure:
    """数据点与生成它们的曲线。书中：fig-sl-sine"""
    fig, ax = plt.subplots()
    _truth(ax, grid, truth)
    _data(ax, x, t)
    ax.set(xlabel="$x$", ylabel="$t$")
    ax.legend()
    return fig


def vertical_errors(
    x: np.ndarray, t: np.ndarray, prediction: np.ndarray, grid: np.ndarray, curve: np.ndarray
) -> Figure:
    """多项式曲线与每个点到它的竖直位移；误差是位移平方和的一半。书中：fig-sl-vertical"""
    fig, ax = plt.subplots()
    ax.plot(grid, curve, color=COLORS["red"], label=r"$y(x,\mathbf{w})$")
    for n, (xn, tn, yn) in enumerate(zip(x, t, prediction, strict=True)):
        style = {"arrowstyle": "->", "color": COLORS["green"], "lw": 1.8, "shrinkA": 0}
        ax.annotate("", (xn, yn), (xn, tn), arrowprops=style)
        ax.plot([], [], color=COLORS["green"], label=None if n else r"位移 $y(x_n,\mathbf{w})-t_n$")
    _data(ax, x, t)
    ax.set(xlabel="$x$", ylabel="$t$")
    ax.legend()
    return fig


def fits(
    panels: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]],
    grid: np.ndarray,
    truth: np.ndarray,
    *,
    ylim: tuple[float, float] = (-1.7, 1.9),
) -> Figure:
    """几幅并列的拟合：每幅是 (x, t, 曲线)，标题为键；灰色虚线是真相。书中：fig-sl-fits"""
    rows = (len(panels) + 1) // 2
    fig, axes = plt.subplots(
        rows, 2, figsize=(6.4, 2.6 * rows + 0.5), sharex=True, sharey=True, squeeze=False
    )
    for ax, (title, (x, t, curve)) in zip(axes.flat, panels.items(), strict=True):
        _truth(ax, grid, truth)
        ax.plot(grid, curve, color=COLORS["red"], label="拟合")
        _data(ax, x, t, ms=6 if len(x) < 30 else 3)
        ax.set(title=title, ylim=ylim)
    for ax in axes[-1]:
        ax.set_xlabel("$x$")
    for ax in axes[:, 0]:
        ax.set_ylabel("$t$")
    handles, labels = axes.flat[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside upper center", ncols=3)
    return fig


def rms_curves(
    horizontal: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    xlabel: str,
    *,
    noise: float | None = None,
    log: bool = False,
    ylim: tuple[float, float] | None = None,
) -> Figure:
    """均方根误差随模型复杂度（阶数、正则化强度）的变化；noise 处画一条水平线。

    书中：fig-sl-rms、fig-sl-ridge-rms
    """
    fig, ax = plt.subplots()
    for (label, values), color, mark, style in zip(
        curves.items(), ("blue", "red", "purple"), "os^", STYLES, strict=False
    ):
        ax.plot(horizontal, values, style, marker=mark, ms=5, color=COLORS[color], label=label)
    if noise is not None:
        ax.axhline(noise, color=MUTED, ls=":", label="噪声的标准差")
    ax.set(xlabel=xlabel, ylabel="均方根误差")
    if log:
        ax.set_yscale("log")
    if ylim:
        ax.set_ylim(ylim)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=4)
    return fig


def guess_loss(guess: np.ndarray, loss: np.ndarray, mean: float, floor: float) -> Figure:
    """在一处 x 上，预测取各个值时的平均平方损失：最低点在条件均值。书中：fig-sl-guess"""
    fig, ax = plt.subplots()
    ax.plot(guess, loss, color=COLORS["blue"], label="平均平方损失")
    ax.axvline(mean, color=COLORS["red"], ls="--", label="$t$ 的平均值")
    ax.axhline(floor, color=MUTED, ls=":", label="$t$ 的方差")
    ax.set(xlabel="预测值", ylabel="平均平方损失")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)
    return fig


def _truth(ax: Axes, grid: np.ndarray, truth: np.ndarray) -> None:
    ax.plot(grid, truth, "--", color=COLORS["green"], lw=1.5, label=r"$\sin(2\pi x)$")


def _data(ax: Axes, x: np.ndarray, t: np.ndarray, ms: float = 6) -> None:
    ax.plot(x, t, "o", color=COLORS["blue"], ms=ms, mfc="none", mew=1.6, zorder=3, label="数据")
