"""第 1 章的图：几个领域的关系、任务的五个例子、画出来的数字、网格里的寻宝。"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch, Rectangle

from dlbook.models.policy import ACTIONS, Episodes, GridWorld
from dlbook.plot.diagrams import arrow, box, canvas
from dlbook.plot.style import COLORS, GRID, INK, MUTED, ON_CELL, PAPER, number

STYLES = ("-", "--", "-.", ":")
_DIRECTIONS = np.array([(0, 1), (0, -1), (-1, 0), (1, 0)])  # 四个动作在图上的方向


def fields(digit: np.ndarray, sample: np.ndarray, world: GridWorld) -> Figure:
    """人工智能、机器学习、三大领域与深度学习的包含关系。

    digit (28, 28) 是一张真的数字，sample 是模型画的数字。书中：fig-intro-fields
    """
    fig, ax = canvas(6.4, 4.9)
    _region(ax, 0.05, 0.05, 6.3, 4.8, MUTED)
    ax.text(0.3, 4.5, "人工智能：造出能做出智能行为的系统", va="center", fontsize=11.5)
    for x, name in ((4.35, "逻辑"), (5.05, "搜索"), (5.85, "…")):
        ax.text(x, 4.5, name, va="center", ha="center", fontsize=10, color=MUTED)
    _region(ax, 0.25, 0.2, 5.9, 3.95, COLORS["blue"])
    ax.text(0.45, 3.85, "机器学习：把数学模型拟合到数据", va="center", fontsize=11.5)
    names = {1.3: "监督学习", 3.2: "无监督学习", 5.1: "强化学习"}
    for x, name in names.items():
        _region(ax, x - 0.9, 0.35, 1.8, 3.15, COLORS["green"])
        ax.text(x, 3.2, name, ha="center", va="center", fontsize=11.5)
    ax.add_patch(
        FancyBboxPatch(
            (0.3, 1.02), 5.8, 1.88, boxstyle="round,pad=0,rounding_size=0.5", lw=1.6, ls="--",
            facecolor=COLORS["orange"] + "26", edgecolor=COLORS["orange"],
        )
    )  # fmt: skip
    ax.text(3.2, 2.68, "深度学习", ha="center", va="center", fontsize=11)
    _picture(ax, digit, 0.62, 1.45, 0.78)
    arrow(ax, (1.44, 1.84), (1.74, 1.84))
    ax.text(1.9, 1.84, "“7”", ha="center", va="center", fontsize=12)
    arrow(ax, (2.4, 1.84), (2.75, 1.84))
    _picture(ax, sample, 2.82, 1.45, 0.78)
    ax.text(1.3, 1.22, "由图认出数字", ha="center", va="center", fontsize=9.5)
    ax.text(3.2, 1.22, "画出新的数字", ha="center", va="center", fontsize=9.5)
    ax.text(5.1, 1.22, "走到宝藏", ha="center", va="center", fontsize=9.5)
    _tiny_world(ax, world, 4.62, 1.42, 0.14)
    for x, name in ((1.3, "最近邻、决策树…"), (3.2, "聚类、主成分…"), (5.1, "查表法…")):
        ax.text(x, 0.68, name, ha="center", va="center", fontsize=9.5, color=MUTED)
    return fig


def tasks(digit: np.ndarray, probabilities: np.ndarray, wave: np.ndarray) -> Figure:
    """回归与分类的五个例子，一行一个：实际输入 → 输入向量 → 模型 → 输出向量 → 预测。

    digit (28, 28)、probabilities (10,) 是真的图与真的预测；wave 是一段波形。书中：fig-intro-tasks
    """
    fig, ax = canvas(6.4, 6.5)
    for x, name in ((0.98, "实际输入"), (2.3, "输入向量"), (3.35, "模型"), (4.4, "输出向量"),
                    (5.6, "预测")):  # fmt: skip
        ax.text(x, 6.3, name, ha="center", va="center", fontsize=10, color=MUTED)
    pixels = np.round(digit[7, 7:9] * 255).astype(int)
    samples = np.round(wave[1:4] * 32767).astype(int)
    guess = int(probabilities.argmax())
    rows = [
        ("a", "回归", [140, 3], ["320"], "320 万元"),
        ("b", "多输出回归", [2, 6, 1], ["−114", "78"], "熔点 −114 ℃\n沸点 78 ℃"),
        ("c", "二分类", [518, 36, 902, "…"], ["0.97", "0.03"], "好评"),
        ("d", "多分类", [*samples, "…"], ["0.08", "0.85", "…"], "民谣"),
        ("e", "多分类", ["…", *pixels, "…"],
         ["…", *(f"{p:.2f}" for p in probabilities[guess - 1 : guess + 1]), "…"], f"数字 {guess}"),
    ]  # fmt: skip
    for k, (mark, kind, vector, output, answer) in enumerate(rows):
        y = 5.5 - 1.22 * k
        if k:
            ax.plot([0, 6.4], [y + 0.61] * 2, color=GRID, lw=0.8)
        ax.text(0.05, y + 0.36, f"({mark})", fontsize=10, va="center")
        _column(ax, 2.3, y, [str(v) for v in vector])
        box(ax, 3.35, y, 0.72, 0.56, "模型", edge=COLORS["blue"])
        ax.text(3.35, y - 0.45, kind, ha="center", va="center", fontsize=9, color=MUTED)
        _column(ax, 4.4, y, output, COLORS["orange"])
        ax.text(5.6, y, answer, ha="center", va="center", fontsize=10.5)
        for start, stop in ((1.62, 1.88), (2.72, 2.96), (3.74, 3.98), (4.82, 5.06)):
            arrow(ax, (start, y), (stop, y))
    ax.text(1.0, 5.5, "面积 140 m²\n卧室 3 间", ha="center", va="center", fontsize=10)
    _molecule(ax, 1.0, 4.28)
    ax.text(1.0, 3.06, "“汤很鲜，\n下次还来”", ha="center", va="center", fontsize=10.5)
    x = np.linspace(0.45, 1.55, len(wave))
    ax.plot(x, 1.84 + 0.38 * wave / np.abs(wave).max(), color=COLORS["blue"], lw=0.8)
    _picture(ax, digit, 0.6, 0.22, 0.8)
    return fig


def family(
    age: np.ndarray,
    height: np.ndarray,
    grid: np.ndarray,
    curves: Mapping[str, np.ndarray],
    mark: tuple[float, float],
) -> Figure:
    """孩子的年龄与身高，以及一族曲线；最后一条是训练好的，圆圈 mark 是它的一个预测。

    书中：fig-intro-heights
    """
    fig, ax = plt.subplots(figsize=(6.4, 4.0))
    ax.plot(age, height, "o", ms=3.5, color=COLORS["orange"], alpha=0.75, label="训练数据")
    *others, last = curves
    for style, name in zip(STYLES[1:], others, strict=False):
        ax.plot(grid, curves[name], style, color=COLORS["gray"], lw=1.4, label=name)
    ax.plot(grid, curves[last], color=COLORS["blue"], lw=2.6, label=last)
    ax.plot([mark[0], mark[0], grid[0]], [100, mark[1], mark[1]], ":", color=INK, lw=1)
    ax.plot(*mark, "o", ms=9, mfc=PAPER, mec=INK)
    ax.set(xlabel="年龄（岁）", ylabel="身高（厘米）", xlim=(grid[0], grid[-1]), ylim=(100, 200))
    ax.legend(loc="lower right", fontsize=9.5)
    return fig


def structured(
    picture: np.ndarray,
    mask: np.ndarray,
    scene: np.ndarray,
    depth: np.ndarray,
    wave: np.ndarray,
    line: str,
    drawn: Sequence[np.ndarray],
) -> Figure:
    """带结构的输出的五个例子，一行一个：输入 → 模型 → 输出。书中：fig-intro-structured"""
    fig, ax = canvas(6.4, 6.2)
    kinds = ("逐像素二分类", "逐像素回归", "声音转文字", "翻译", "由文字画图")
    for k, kind in enumerate(kinds):
        y = 5.55 - 1.23 * k
        if k:
            ax.plot([0, 6.4], [y + 0.615] * 2, color=GRID, lw=0.8)
        ax.text(0.05, y + 0.36, f"({'abcde'[k]})", fontsize=10, va="center")
        box(ax, 3.0, y, 0.72, 0.56, "模型", edge=COLORS["blue"])
        ax.text(3.0, y - 0.45, kind, ha="center", va="center", fontsize=9, color=MUTED)
        arrow(ax, (2.3, y), (2.6, y))
        arrow(ax, (3.4, y), (3.72, y))
    for k, (given, wanted) in enumerate(((picture, mask), (scene, depth))):
        _picture(ax, given, 0.85, 5.03 - 1.23 * k, 1.04)
        _picture(ax, wanted, 4.45, 5.03 - 1.23 * k, 1.04)
    ax.plot(np.linspace(0.45, 2.2, len(wave)), 3.09 + 0.34 * wave, color=COLORS["blue"], lw=0.7)
    ax.text(4.97, 3.09, "S O S", ha="center", va="center", fontsize=13)
    ax.text(1.33, 1.86, line, ha="center", va="center", fontsize=12)
    ax.text(4.97, 2.05, "Le soleil décline\nderrière les monts.", ha="center", va="center",
            fontsize=9)  # fmt: skip
    ax.text(4.97, 1.6, "Au couchant, le soleil\nfrôle les montagnes.", ha="center", va="center",
            fontsize=9, color=MUTED)  # fmt: skip
    ax.text(1.33, 0.63, "“画一个 7”", ha="center", va="center", fontsize=12)
    for k, image in enumerate(drawn):
        _picture(ax, image, 3.95 + 0.72 * k, 0.3, 0.66)
    return fig


def latent_map(z: np.ndarray, images: np.ndarray) -> Figure:
    """左：两个隐变量的平面上几个编了号的点 z (N, 2)；右：解码出来的图。

    书中：fig-intro-latent-map
    """
    fig, ax = canvas(6.4, 3.0)
    plane = ax.inset_axes((0.05, 0.3, 2.4, 2.4), transform=ax.transData)
    for radius, shade in ((2.0, 0.12), (1.0, 0.2)):
        plane.add_patch(Circle((0, 0), radius, color=COLORS["blue"], alpha=shade, lw=0))
    for k, point in enumerate(z):
        plane.plot(*point, "o", ms=13, color=COLORS["blue"], mec=PAPER)
        plane.text(*point, str(k + 1), ha="center", va="center", fontsize=9, color="white")
    plane.set(xlim=(-2.6, 2.6), ylim=(-2.6, 2.6), aspect="equal", xticks=[-2, 0, 2],
              yticks=[-2, 0, 2])  # fmt: skip
    plane.tick_params(labelsize=9)
    ax.text(1.3, 2.85, "隐变量 $(z_1,\\,z_2)$", ha="center", va="center", fontsize=10.5)
    box(ax, 3.15, 1.5, 0.8, 0.6, "解码器", edge=COLORS["blue"])
    arrow(ax, (2.5, 1.5), (2.73, 1.5))
    arrow(ax, (3.57, 1.5), (3.8, 1.5))
    for k, image in enumerate(images):
        x, y = 3.9 + 0.83 * (k % 3), 1.56 - 1.1 * (k // 3)
        _picture(ax, image, x, y, 0.78)
        ax.text(x + 0.39, y + 0.9, str(k + 1), ha="center", va="center", fontsize=9.5)
    ax.text(5.1, 2.85, "784 个像素的图", ha="center", va="center", fontsize=10.5)
    return fig


def policy_network(world: GridWorld, state: int, probabilities: np.ndarray) -> Figure:
    """状态 → 编码 → 深度网络 → 各动作的概率 (4,)。书中：fig-intro-policy-network"""
    fig, ax = canvas(6.4, 3.0)
    _tiny_world(ax, world, 0.1, 0.55, 0.25, agent=state)
    ax.text(0.98, 2.3, "状态", ha="center", va="center")
    arrow(ax, (1.95, 1.3), (2.2, 1.3))
    code = [*("0" for _ in range(2)), "…", "1", "…", "0"]
    _column(ax, 2.55, 1.3, code, height=1.9)
    ax.text(2.55, 2.5, "编码", ha="center", va="center")
    arrow(ax, (2.92, 1.3), (3.15, 1.3))
    layers = {3.35: 3, 3.8: 4, 4.25: 4}
    spots = {x: 1.3 + 0.42 * (np.arange(n) - (n - 1) / 2) for x, n in layers.items()}
    for (x0, y0), (x1, y1) in zip(list(spots.items())[:-1], list(spots.items())[1:], strict=True):
        for a in y0:
            for b in y1:
                ax.plot([x0, x1], [a, b], color=COLORS["blue"], lw=0.6, alpha=0.6)
    for x, ys in spots.items():
        for y in ys:
            ax.add_patch(Circle((x, y), 0.11, facecolor=PAPER, edgecolor=INK, lw=1, zorder=3))
    ax.text(3.8, 2.5, "策略网络", ha="center", va="center")
    arrow(ax, (4.42, 1.3), (4.65, 1.3))
    for k, (name, p) in enumerate(zip(ACTIONS, probabilities, strict=True)):
        y = 1.93 - 0.42 * k
        ax.text(4.83, y, name, ha="center", va="center")
        ax.add_patch(Rectangle((5.0, y - 0.12), 1.1 * p, 0.24, facecolor=COLORS["orange"]))
    for share in (0, 0.5, 1):  # 刻度
        ax.plot([5.0 + 1.1 * share] * 2, [0.47, 2.13], color=GRID, lw=0.8, zorder=0)
        ax.text(5.0 + 1.1 * share, 0.33, f"{share:g}", ha="center", va="center", fontsize=9)
    ax.text(5.55, 2.5, "各动作的概率", ha="center", va="center")
    return fig


def policies(world: GridWorld, tables: Mapping[str, np.ndarray]) -> Figure:
    """网格上的策略，一幅一个：由格心伸出的四条线，长短是四个动作的概率。书中：fig-intro-policy"""
    fig, axes = plt.subplots(1, len(tables), figsize=(6.4, 3.1), squeeze=False)
    for ax, (name, probability) in zip(axes[0], tables.items(), strict=True):
        _grid(ax, world)
        inside = np.flatnonzero(~world.wall & (world.reward == 0))
        row, column = np.divmod(inside, world.shape[1])
        center = np.stack([column + 0.5, world.shape[0] - 0.5 - row], axis=1)
        tips = center[:, None] + 0.47 * probability[inside, :, None] * _DIRECTIONS
        rays = np.stack([np.broadcast_to(center[:, None], tips.shape), tips], axis=2)
        ax.add_collection(LineCollection(rays.reshape(-1, 2, 2), colors=COLORS["blue"], lw=2.4))
        ax.scatter(*center.T, s=14, color=COLORS["blue"], zorder=3)
        ax.set_title(name, fontsize=11)
    return fig


def rewards(runs: Mapping[str, np.ndarray]) -> Figure:
    """训练中的平均奖励：runs 把名字对到 (种子数, 更新次数)；细线是各个种子，粗线是平均。

    书中：fig-intro-rewards
    """
    fig, ax = plt.subplots(figsize=(6.4, 3.6))
    for (name, curves), style, color in zip(runs.items(), STYLES, ("blue", "orange"), strict=False):
        for curve in curves:
            ax.plot(_smooth(curve), color=COLORS[color], lw=0.7, alpha=0.5)
        ax.plot(_smooth(curves.mean(axis=0)), style, color=COLORS[color], lw=2.6, label=name)
    ax.set(xlabel="更新的次数", ylabel="每回合的平均奖励", ylim=(-0.02, 1.08))
    ax.legend(loc="center right")
    return fig


def credit(world: GridWorld, played: Episodes, gain: np.ndarray) -> Figure:
    """一回合的路，与每一步分到的功劳 gain (T,)。书中：fig-intro-credit"""
    fig, (left, right) = plt.subplots(1, 2, figsize=(6.4, 3.0), width_ratios=[1.15, 1])
    _grid(left, world)
    steps = int(played.running[:, 0].sum())
    path = [*played.states[:steps, 0], world.next[played.states[steps - 1, 0],
                                                 played.actions[steps - 1, 0]]]  # fmt: skip
    rows, columns = np.divmod(path, world.shape[1])
    left.plot(columns + 0.5, world.shape[0] - 0.5 - rows, "-", color=COLORS["blue"], lw=1.2)
    left.scatter(columns[:-1] + 0.5, world.shape[0] - 0.5 - rows[:-1], s=30 + 90 * gain[:steps],
                 color=COLORS["blue"], zorder=3)  # fmt: skip
    right.bar(np.arange(1, steps + 1), gain[:steps], color=COLORS["blue"])
    right.set(xlabel="第几步", ylabel="分到的功劳 $G_t$", ylim=(0, 1.1))
    right.set_xticks(np.arange(1, steps + 1, 2))
    return fig


def _smooth(values: np.ndarray, width: int = 5) -> np.ndarray:
    return np.convolve(values, np.ones(width) / width, mode="valid")


def _region(ax: Axes, x: float, y: float, width: float, height: float, edge: str) -> None:
    """以 (x, y) 为左下角的圆角区域，底色透明。"""
    ax.add_patch(FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0,rounding_size=0.15",
                                fill=False, edgecolor=edge, lw=1.4))  # fmt: skip


def _picture(ax: Axes, image: np.ndarray, x: float, y: float, size: float) -> None:
    """以 (x, y) 为左下角、边长 size 的一张图，亮度 0 到 1。"""
    ax.imshow(image, vmin=0, vmax=1, extent=(x, x + size, y, y + size), zorder=2,
              interpolation="nearest")  # fmt: skip
    ax.set(xlim=ax.get_figure().get_size_inches()[0] * np.array([0, 1]),
           ylim=ax.get_figure().get_size_inches()[1] * np.array([0, 1]))  # fmt: skip


def _column(
    ax: Axes, x: float, y: float, values: Sequence[str], edge: str = INK, height: float = 0.0
) -> None:
    """以 (x, y) 为中心的一列数，外面加框。"""
    height = height or 0.21 * len(values) + 0.12
    box(ax, x, y, 0.72, height, "", edge=edge)
    step = (height - 0.12) / len(values)
    for k, value in enumerate(values):
        ax.text(x, y + step * ((len(values) - 1) / 2 - k), value, ha="center", va="center",
                fontsize=9)  # fmt: skip


def _molecule(ax: Axes, x: float, y: float) -> None:
    """乙醇 C₂H₆O 的骨架。"""
    atoms = [(x - 0.4, y - 0.1, "CH₃"), (x + 0.05, y + 0.18, "CH₂"), (x + 0.48, y - 0.1, "OH")]
    ax.plot([a[0] for a in atoms], [a[1] for a in atoms], color=INK, lw=1.4)
    for ax_x, ax_y, name in atoms:
        ax.text(ax_x, ax_y, name, ha="center", va="center", fontsize=9.5,
                bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1.5})  # fmt: skip


def _cell_style(world: GridWorld, state: int) -> tuple[str, str]:
    """一格的底色与写在里面的字。"""
    mark = "".join(world.rows)[state]
    if mark == "#":
        return MUTED, ""
    if world.reward[state]:
        return COLORS["orange"], number(world.reward[state])
    return PAPER, "起" if mark == "S" else ""


def _tiny_world(
    ax: Axes, world: GridWorld, x: float, y: float, size: float, agent: int | None = None
) -> None:
    """以 (x, y) 为左下角、每格 size 的网格；agent 是智能体所在的格子。"""
    for state in range(len(world.wall)):
        row, column = divmod(state, world.shape[1])
        corner = (x + column * size, y + (world.shape[0] - 1 - row) * size)
        color, _ = _cell_style(world, state)
        ax.add_patch(Rectangle(corner, size, size, facecolor=color, edgecolor=GRID, lw=0.7))
        if state == agent:
            center = (corner[0] + size / 2, corner[1] + size / 2)
            ax.add_patch(Circle(center, 0.35 * size, color=COLORS["blue"]))


def _grid(ax: Axes, world: GridWorld) -> None:
    """一幅网格：墙是深色，宝藏写着奖励，起点写“起”。"""
    rows, columns = world.shape
    for state in range(rows * columns):
        row, column = divmod(state, columns)
        color, text = _cell_style(world, state)
        corner = (column, rows - 1 - row)
        ax.add_patch(Rectangle(corner, 1, 1, facecolor=color, edgecolor=GRID, lw=1))
        if text:
            place, color = ((0.24, 0.76), MUTED) if text == "起" else ((0.5, 0.5), ON_CELL)
            ax.text(corner[0] + place[0], corner[1] + place[1], text, ha="center", va="center",
                    fontsize=9, color=color, zorder=5)  # fmt: skip
    ax.set(xlim=(-0.05, columns + 0.05), ylim=(-0.05, rows + 0.05), aspect="equal")
    ax.axis("off")
