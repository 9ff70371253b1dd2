"""一元线性回归的图：数据与直线、损失曲面与下降轨迹、步长与收敛。

每个函数收下数据，返回画好的 matplotlib Figure。书中：sec-lr-theory、sec-why-gd
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dlbook.plot.style import COLORS, INK, MUTED, PAPER

STYLES = ("-", "--", "-.", ":")
LOSS_LABEL = r"损失 $\mathcal{L}$"


def scatter(x: np.ndarray, y: np.ndarray) -> Figure:
    """数据的散点图；x、y 形状相同。书中：sec-toy-data"""
    fig, ax = plt.subplots()
    _points(ax, x, y)
    return fig


def residuals(x: np.ndarray, y: np.ndarray, W: float, b: float) -> Figure:
    """散点、直线 y = W x + b，以及每个点到直线的竖直线段（残差）。书中：sec-lr-theory"""
    fig, ax = plt.subplots()
    x, y = np.ravel(x), np.ravel(y)
    ax.vlines(x, W * x + b, y, color=COLORS["orange"], lw=1, label="残差")
    _points(ax, x, y)
    _line(ax, W, b, color=COLORS["red"], label=r"$\hat y = Wx + b$")
    ax.legend()
    return fig


def fitted_lines(x: np.ndarray, y: np.ndarray, lines: Mapping[str, tuple[float, float]]) -> Figure:
    """散点与若干条直线；lines 把图例文字对到 (W, b)。书中：sec-lr-implementation"""
    fig, ax = plt.subplots()
    _points(ax, x, y)
    colors = (COLORS["red"], COLORS["green"], COLORS["purple"], COLORS["gray"])
    for (label, (W, b)), color, style in zip(lines.items(), colors, STYLES, strict=False):
        _line(ax, W, b, color=color, ls=style, label=label)
    ax.legend()
    return fig


def update_rule() -> Figure:
    """梯度下降更新式，各部分标上名字。书中：eq-update"""
    fig, ax = plt.subplots(figsize=(6.4, 3.0))
    ax.set(xlim=(0, 10), ylim=(0, 5))
    ax.axis("off")
    pieces = {2.0: "{p}", 3.1: r"\leftarrow", 4.2: "{p}", 5.2: "-", 6.2: r"\eta",
              7.6: r"\dfrac{{\partial \mathcal{{L}}}}{{\partial {p}}}"}  # fmt: skip
    for height, parameter in ((3.35, "W"), (1.65, "b")):
        for left, piece in pieces.items():
            text = f"${piece.format(p=parameter)}$"
            ax.text(left, height, text, fontsize=20, ha="center", va="center", color=INK)
    labels = {2.0: "新的值", 4.2: "旧的值", 6.2: "学习率", 7.6: "偏导数"}
    for left, label in labels.items():
        color = COLORS["red"] if label == "学习率" else MUTED
        # 上下两式各标一次：箭头从文字指向式子里的符号。
        for target, text_height in ((3.75, 4.75), (1.25, 0.15)):
            near = 0.35 * np.sign(text_height - target) if label == "偏导数" else 0
            ax.annotate(
                label, (left, target + near), (left, text_height), ha="center", va="center",
                color=color, arrowprops={"arrowstyle": "->", "color": color},
            )  # fmt: skip
    return fig


def loss_curves(
    losses: Mapping[str, Sequence[float]], *, floor: float | None = None, log: bool = True
) -> Figure:
    """损失随步数的变化，一组训练一条线；floor 处画一条水平线（能达到的最小值）。

    书中：sec-lr-implementation、sec-step-size
    """
    fig, ax = plt.subplots()
    for (label, values), style in zip(losses.items(), STYLES, strict=False):
        ax.plot(np.arange(len(values)), values, style, label=label)
    if floor is not None:
        ax.axhline(floor, color=MUTED, lw=1, ls=(0, (1, 2)), label="最小值")
    ax.set(xlabel="更新步数", ylabel=LOSS_LABEL)
    if log:
        ax.set_yscale("log")
    _legend_above(ax, len(losses) + (floor is not None))
    return fig


def loss_surface(x: np.ndarray, y: np.ndarray, W: np.ndarray, b: np.ndarray) -> Figure:
    """均方误差的三维曲面，以及参数 (W[k], b[k]) 在曲面上的轨迹。书中：sec-loss-surface"""
    fig = plt.figure(figsize=(6.4, 4.6))
    ax = fig.add_subplot(projection="3d", computed_zorder=False)
    grid_W, grid_b = np.meshgrid(np.linspace(-4, 8, 49), np.linspace(0, 10, 49))
    height = _loss(x, y, grid_W, grid_b)
    ax.plot_surface(
        grid_W, grid_b, height, cmap="viridis", alpha=0.75, linewidth=0, rasterized=True
    )
    path = _loss(x, y, np.asarray(W), np.asarray(b))
    ax.plot(W, b, path + 1, "o-", color=COLORS["red"], ms=3, lw=1.5, zorder=5)
    ax.set(xlabel="$W$", ylabel="$b$", zlabel=LOSS_LABEL)
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        axis.pane.set_visible(False)
        axis.line.set_color(MUTED)
    # 从缓坡的方向看过去：陡的一侧在左右展开，碗底不被前沿挡住。
    ax.view_init(elev=28, azim=-28)
    ax.set_box_aspect((1, 1, 0.75), zoom=0.9)
    return fig


def loss_contours(
    x: np.ndarray,
    y: np.ndarray,
    paths: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    minimum: tuple[float, float],
    *,
    xlim: tuple[float, float],
    ylim: tuple[float, float],
    axes_of_bowl: np.ndarray | None = None,
) -> Figure:
    """均方误差的等值线、若干条下降轨迹与最低点。

    paths 把图例文字对到 (W 的序列, b 的序列)；axes_of_bowl 形状 (2, 2)，每一列是椭圆的
    一个主轴方向，先缓后陡。横竖同一比例，轨迹与等值线的夹角是真的。书中：sec-loss-surface
    """
    fig, ax = plt.subplots(figsize=(6.4, 4.8))
    grid_W, grid_b = np.meshgrid(np.linspace(*xlim, 121), np.linspace(*ylim, 121))
    height = _loss(x, y, grid_W, grid_b)
    levels = height.min() + np.geomspace(5e-4, 1, 14) * np.ptp(height)
    ax.contour(grid_W, grid_b, height, levels, colors=MUTED, linewidths=0.7)
    if axes_of_bowl is not None:
        for direction, name in zip(axes_of_bowl.T, ("缓", "陡"), strict=True):
            ends = np.array(minimum) + np.outer((-9, 9), direction)
            ax.plot(*ends.T, color=COLORS["gray"], lw=1, ls=(0, (4, 3)))
            near = np.array(minimum) + 3.5 * direction * np.sign(direction[1])
            ax.annotate(name, near, xytext=(6, 0), textcoords="offset points", color=INK,
                        bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1})  # fmt: skip
    styles = (("o-", "red"), ("s--", "blue"), ("^-.", "purple"))
    for (label, (W, b)), (style, color) in zip(paths.items(), styles, strict=False):
        ax.plot(W, b, style, color=COLORS[color], ms=3.5, lw=1.2, label=label)
    ax.plot(*minimum, "*", color=COLORS["green"], ms=13, label="最低点")
    ax.set(xlabel="$W$", ylabel="$b$", xlim=xlim, ylim=ylim, aspect="equal")
    ax.grid(False)
    _legend_above(ax, len(paths) + 1)
    return fig


def slices(position: np.ndarray, losses: Mapping[str, np.ndarray]) -> Figure:
    """沿几个方向切开损失曲面所得的剖面，都是开口向上的抛物线。书中：sec-convexity"""
    fig, ax = plt.subplots()
    for (label, values), style in zip(losses.items(), STYLES, strict=False):
        ax.plot(position, values, style, label=label)
    ax.set(xlabel="从最低点走出的距离 $t$", ylabel=LOSS_LABEL)
    ax.legend()
    return fig


def directional_derivative(
    angles: np.ndarray, measured: np.ndarray, predicted: np.ndarray, steepest: float
) -> Figure:
    """朝各个方向迈一小步时损失的变化率；steepest 是负梯度方向的角度（度）。书中：sec-steepest"""
    fig, ax = plt.subplots()
    ax.plot(angles, predicted, color=COLORS["blue"], label=r"$\nabla\mathcal{L}\cdot u$")
    ax.plot(angles, measured, "o", color=COLORS["orange"], ms=5, label="迈一小步实测")
    ax.axvline(steepest, color=COLORS["red"], ls="--", label="负梯度方向")
    ax.axhline(0, color=MUTED, lw=1)
    ax.set(xlabel="方向 $u$ 的角度（度）", ylabel="损失的变化率", xticks=range(0, 361, 60))
    ax.legend()
    return fig


def swings(positions: Mapping[str, np.ndarray]) -> Figure:
    """每一步在陡轴上的位置（最低点为 0），一种学习率一条线。书中：sec-step-size"""
    fig, ax = plt.subplots()
    ax.axhline(0, color=MUTED, lw=1)
    for (label, values), style, mark in zip(positions.items(), STYLES, "os^v", strict=False):
        ax.plot(np.arange(len(values)), values, style, marker=mark, ms=4.5, label=label)
    ax.set(xlabel="更新步数", ylabel="在陡轴上的位置")
    _legend_above(ax, len(positions))
    return fig


def convergence(
    measured: Mapping[str, np.ndarray], predicted: Mapping[str, np.ndarray], *, every: int = 5
) -> Figure:
    """误差在各主轴上的分量逐步缩小：线是预言，点是实测（每 every 步一个）。书中：sec-convergence"""
    fig, ax = plt.subplots()
    colors = (COLORS["blue"], COLORS["orange"], COLORS["green"])
    for (label, values), color, style in zip(predicted.items(), colors, STYLES, strict=False):
        ax.plot(np.arange(len(values)), values, style, color=color, label=f"{label}：预言")
    for (label, values), color, mark in zip(measured.items(), colors, "os^", strict=False):
        steps = np.arange(0, len(values), every)
        ax.plot(steps, values[::every], mark, color=color, ms=4.5, label=f"{label}：实测")
    ax.set(xlabel="更新步数 $k$", ylabel="到最低点的距离分量", yscale="log")
    ax.legend()
    return fig


def _points(ax: Axes, x: np.ndarray, y: np.ndarray) -> None:
    ax.scatter(x, y, s=10, color=COLORS["blue"], zorder=3)
    ax.set(xlabel="x", ylabel="y")


def _legend_above(ax: Axes, entries: int) -> None:
    # 放在坐标系上方，不压住曲线。
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=min(entries, 3))


def _line(ax: Axes, W: float, b: float, **style: object) -> None:
    # 只要两个端点；不能拿未排序的数据 x 当横轴去连线。
    ends = np.array(ax.get_xlim())
    ax.plot(ends, W * ends + b, **style)
    ax.set_xlim(ends)


def _loss(x: np.ndarray, y: np.ndarray, W: np.ndarray, b: np.ndarray) -> np.ndarray:
    # 最后一维放样本，其余各维放不同的 (W, b)。
    return np.mean((W[..., None] * np.ravel(x) + b[..., None] - np.ravel(y)) ** 2, axis=-1)
