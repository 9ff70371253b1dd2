"""示意图：神经元、网络结构、softmax、梯度的流动，都由 matplotlib 画出。

待学的参数一律用蓝色。书中：sec-network-design、sec-minimise-loss
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch

from dlbook.plot.style import COLORS, INK, MUTED, PAPER, number

LEARNED = COLORS["blue"]
GRADIENT = COLORS["red"]


def relu_neuron() -> Figure:
    """一个 ReLU 神经元：加权求和、加偏置、过 ReLU。书中：fig-relu-neuron"""
    fig, ax = canvas(6.4, 3.0)
    rows = {2.4: "1", 1.75: "2", 0.6: "n"}
    for y, k in rows.items():
        circle(ax, 0.45, y, rf"$x_{k}$", radius=0.28)
        arrow(ax, (0.75, y), (2.42, 1.5 + 0.14 * np.sign(y - 1.5)))
        ax.text(
            1.35, 1.5 + (y - 1.5) * 0.62 + 0.24, rf"$w_{k}$", color=LEARNED, fontsize=13,
            ha="center", va="center",
        )  # fmt: skip
    ax.text(0.45, 1.17, "⋮", fontsize=16, ha="center", va="center")
    circle(ax, 2.8, 1.5, r"$\Sigma$", radius=0.38)
    ax.text(2.8, 2.72, r"$b$", color=LEARNED, fontsize=13, ha="center", va="center")
    arrow(ax, (2.8, 2.55), (2.8, 1.9))
    arrow(ax, (3.2, 1.5), (4.0, 1.5))
    box(ax, 4.5, 1.5, 0.95, 0.95, "")
    ax.plot([4.13, 4.5, 4.84], [1.3, 1.3, 1.64], color=COLORS["orange"], lw=2.4)
    ax.text(4.5, 1.83, "ReLU", ha="center", va="center")
    arrow(ax, (5.0, 1.5), (5.55, 1.5))
    ax.text(5.62, 1.5, r"$f(\mathbf{x})$", fontsize=13, ha="left", va="center")
    ax.text(2.8, 0.75, "加权求和，\n再加偏置", color=MUTED, ha="center", va="center")
    ax.text(4.5, 0.75, "负数变 0，\n正数不变", color=MUTED, ha="center", va="center")
    return fig


def network(image: np.ndarray) -> Figure:
    """784→10→10 的网络，image (28, 28) 是输入的图；待学的参数用蓝色。书中：fig-network"""
    fig, ax = canvas(6.4, 4.3)
    picture = ax.inset_axes((0.0, 2.0, 1.15, 1.15), transform=ax.transData)
    picture.imshow(image, cmap="gray")
    picture.set_axis_off()
    ax.text(0.575, 1.75, "28×28 的图", ha="center", va="center", fontsize=10)
    columns = {
        1.55: (r"$\mathbf{x}$", "784", 784),
        2.95: (r"$\mathbf{z}_1$", "10", 10),
        3.85: (r"$\mathbf{a}$", "10", 10),
        5.25: (r"$\mathbf{z}_2$", "10", 10),
        6.1: ("output", "10", 10),
    }
    for x, (name, size, n) in columns.items():
        _vector(ax, x, 2.575, n)
        ax.text(x, 4.12, name, ha="center", va="center", fontsize=12)
        ax.text(x, 0.98, size, ha="center", va="center", fontsize=10, color=MUTED)
    for start, stop in ((1.75, 2.78), (4.03, 5.08)):
        _fan(ax, start, stop, 2.575)
    for x, above, shapes in (
        (2.25, r"$\mathbf{W}_1,\ \mathbf{b}_1$", "10×784，10"),
        (4.55, r"$\mathbf{W}_2,\ \mathbf{b}_2$", "10×10，10"),
    ):
        ax.text(x, 0.55, above, color=LEARNED, ha="center", va="center", fontsize=13)
        ax.text(x, 0.22, shapes, color=LEARNED, ha="center", va="center", fontsize=10)
        arrow(ax, (x, 0.75), (x, 1.5), color=LEARNED)
    arrow(ax, (1.17, 2.575), (1.38, 2.575))
    for x, name in ((3.4, "ReLU"), (5.68, "softmax")):
        arrow(ax, (x - 0.27, 2.575), (x + 0.27, 2.575))
        ax.text(x, 0.55, name, ha="center", va="center", fontsize=10)
        arrow(ax, (x, 0.75), (x, 2.5), color=MUTED, ls=":")
    for k in range(10):
        y = 2.575 + (4.5 - k) * 0.285
        ax.text(6.27, y, str(k), ha="left", va="center", fontsize=9, color=MUTED)
    return fig


def softmax(z: np.ndarray, prob: np.ndarray) -> Figure:
    """任意实数 z 经 softmax 变成概率 prob。书中：fig-softmax"""
    fig, ax = canvas(6.4, 3.2)
    n = len(z)
    for i in range(n):
        y = 2.6 - 0.68 * i
        box(ax, 0.75, y, 1.0, 0.5, number(z[i], ".1f"))
        arrow(ax, (1.3, y), (2.05, y))
        arrow(ax, (4.35, y), (5.05, y))
        box(ax, 5.65, y, 1.15, 0.5, f"{prob[i]:.4f}", edge=COLORS["orange"])
    box(ax, 3.2, 1.58, 2.2, 2.6, "", edge=COLORS["green"])
    ax.text(3.2, 1.95, r"$\dfrac{e^{z_i}}{\sum_l e^{z_l}}$", fontsize=20, ha="center", va="center")
    ax.text(3.2, 0.78, "先取指数，再归一", color=MUTED, ha="center", va="center")
    ax.text(0.75, 3.05, "任意实数", ha="center", va="center")
    ax.text(5.65, 3.05, "概率，和为 1", ha="center", va="center")
    return fig


def gradient_flow() -> Figure:
    """左列自上而下是前向传播，右列自下而上是反向传播，同一行的量与梯度形状相同。

    书中：fig-gradient-flow
    """
    fig, ax = canvas(6.4, 6.6)
    rows = [
        (r"$\mathbf{x}$", "784", ""),
        (r"$\mathbf{z}_1=\mathbf{W}_1\mathbf{x}+\mathbf{b}_1$", "10",
         r"$\delta_1=\dfrac{\partial\mathcal{L}}{\partial\mathbf{a}}\odot[\mathbf{z}_1>0]$"),
        (r"$\mathbf{a}=\mathrm{ReLU}(\mathbf{z}_1)$", "10",
         r"$\dfrac{\partial\mathcal{L}}{\partial\mathbf{a}}=\mathbf{W}_2^{\top}\delta_2$"),
        (r"$\mathbf{z}_2=\mathbf{W}_2\mathbf{a}+\mathbf{b}_2$", "10",
         r"$\delta_2=\mathbf{s}-\mathbf{y}$"),
        (r"$\mathbf{s}=\mathrm{softmax}(\mathbf{z}_2)$", "10",
         r"$\dfrac{\partial\mathcal{L}}{\partial s_k}=-\dfrac{y_k}{s_k}$"),
        (r"$\mathcal{L}=-\sum_k y_k\log s_k$", "1", r"$1$"),
    ]  # fmt: skip
    height = [5.75 - 1.02 * i for i in range(len(rows))]
    for i, ((value, size, gradient), y) in enumerate(zip(rows, height, strict=True)):
        box(ax, 1.15, y, 2.2, 0.66, value)
        ax.text(2.3, y + 0.2, size, fontsize=9, color=MUTED, ha="left", va="center")
        if gradient:
            box(ax, 5.2, y, 2.2, 0.66, gradient, edge=GRADIENT)
        if i:
            arrow(ax, (1.15, height[i - 1] - 0.34), (1.15, y + 0.34))
        if i > 1:
            arrow(ax, (5.2, y + 0.34), (5.2, height[i - 1] - 0.34), color=GRADIENT)
    for i, k, inputs in ((1, 1, r"\mathbf{x}"), (3, 2, r"\mathbf{a}")):
        y = height[i]
        ax.text(
            3.22, y + 0.5, rf"$\mathbf{{W}}_{k},\ \mathbf{{b}}_{k}$", color=LEARNED, fontsize=13,
            ha="center", va="center",
        )  # fmt: skip
        arrow(ax, (2.98, y + 0.38), (2.3, y + 0.05), color=LEARNED)
        for below, formula in (
            (0.45, rf"\mathbf{{W}}_{k}}}=\delta_{k}{inputs}^{{\top}}"),
            (1.0, rf"\mathbf{{b}}_{k}}}=\delta_{k}"),
        ):
            ax.text(
                3.2, y - below, rf"$\dfrac{{\partial\mathcal{{L}}}}{{\partial{formula}$",
                color=GRADIENT, fontsize=11, ha="center", va="center",
            )  # fmt: skip
        arrow(ax, (4.07, y - 0.08), (3.75, y - 0.3), color=GRADIENT)
    ax.text(1.15, 6.35, "前向：求值", ha="center", va="center", fontsize=12)
    ax.text(5.2, 6.35, "反向：求梯度", color=GRADIENT, ha="center", va="center", fontsize=12)
    return fig


def canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """一张没有坐标轴的画布，坐标以英寸计。"""
    fig, ax = plt.subplots(figsize=(width, height))
    ax.set(xlim=(0, width), ylim=(0, height), aspect="equal")
    ax.axis("off")
    return fig, ax


def circle(ax: Axes, x: float, y: float, text: str, *, radius: float) -> None:
    """以 (x, y) 为中心的圆，中间写 text。"""
    ax.add_patch(Circle((x, y), radius, facecolor=PAPER, edgecolor=INK, lw=1.2))
    ax.text(x, y, text, fontsize=13, ha="center", va="center")


def box(
    ax: Axes, x: float, y: float, width: float, height: float, text: str, *, edge: str = INK
) -> None:
    """以 (x, y) 为中心的圆角方框，中间写 text。"""
    ax.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2), width, height,
            boxstyle="round,pad=0,rounding_size=0.08", facecolor=PAPER, edgecolor=edge, lw=1.3,
        )
    )  # fmt: skip
    ax.text(x, y, text, ha="center", va="center", fontsize=12)


def arrow(
    ax: Axes, start: tuple[float, float], stop: tuple[float, float], *,
    color: str = MUTED, ls: str = "-",
) -> None:  # fmt: skip
    """从 start 指向 stop 的箭头。"""
    style = {"arrowstyle": "-|>", "color": color, "shrinkA": 0, "shrinkB": 0, "ls": ls, "lw": 1.2}
    ax.annotate("", stop, start, arrowprops=style)


def _vector(ax: Axes, x: float, y: float, n: int) -> None:
    """以 (x, y) 为中心的一列小圆代表一个 n 维向量；多于 10 个时中间省略。"""
    for k in range(10):
        if n > 10 and 4 <= k <= 5:
            ax.text(x, y + (4.5 - k) * 0.285, "⋮", ha="center", va="center", fontsize=10)
        else:
            center = (x, y + (4.5 - k) * 0.285)
            ax.add_patch(Circle(center, 0.11, facecolor=PAPER, edgecolor=INK, lw=1))


def _fan(ax: Axes, start: float, stop: float, y: float) -> None:
    """全连接：左右两列小圆两两相连。"""
    rows = y + (4.5 - np.arange(10)) * 0.285
    for top in rows:
        ax.plot(np.tile([start, stop], (10, 1)).T, [np.full(10, top), rows], color=LEARNED,
                lw=0.4, alpha=0.45)  # fmt: skip
