"""分类问题的图：手写数字、ReLU、概率、训练曲线、混淆矩阵、隐藏单元。

每个函数收下数据，返回画好的 matplotlib Figure。书中：chap-mnist
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, PercentFormatter

from dlbook.plot.style import COLORS, INK, MUTED, ON_CELL

STYLES = ("-", "--", "-.", ":")
CLASSES = np.arange(10)
# 双色图：零为白，正负两色，供权重之类有正有负的图像使用。
SIGNED = "RdBu_r"


def table_rows(labels: np.ndarray, pixels: np.ndarray) -> Figure:
    """表格的前几行：左边一列是标签，右边是排成一行的像素。

    labels (n,)，pixels (n, 784)。书中：fig-mnist-table
    """
    n = len(labels)
    fig, ax = plt.subplots(figsize=(6.4, 0.5 * n + 0.9))
    ax.imshow(pixels, aspect="auto", extent=(0.5, 784.5, n - 0.5, -0.5), interpolation="none")
    ax.set_yticks(range(n), [f"第 {i} 行   {label}" for i, label in enumerate(labels)])
    ax.hlines(np.arange(1, n) - 0.5, 0.5, 784.5, color=MUTED, lw=1)
    ax.set_xticks([1, 196, 392, 588, 784], ["1x1", "7x28", "14x28", "21x28", "28x28"])
    ax.set_xlabel("784 列像素，列名是“行x列”")
    ax.set_title("label", loc="left", x=-0.085)
    ax.grid(False)
    return fig


def gallery(images: np.ndarray, titles: Sequence[str], *, columns: int = 10) -> Figure:
    """若干张 (28, 28) 的图排成网格，titles 写在各图上方。书中：fig-mistakes、fig-cnn-mistakes"""
    rows = -(-len(images) // columns)
    fig, axes = plt.subplots(
        rows, columns, figsize=(6.4, rows * (6.4 / columns + 0.2)), squeeze=False
    )
    for ax in axes.flat:
        ax.axis("off")
    for ax, image, title in zip(axes.flat, images, titles, strict=False):
        ax.imshow(image, cmap="gray")
        ax.set_title(title, fontsize=10)
    return fig


def class_shares(shares: Mapping[str, np.ndarray]) -> Figure:
    """各类所占的比例，一个数据集一组柱；shares 把数据集的名字对到 (10,) 的比例。

    书中：fig-class-shares
    """
    fig, ax = plt.subplots(figsize=(6.4, 3.2))
    width = 0.8 / len(shares)
    for k, (name, share) in enumerate(shares.items()):
        left = CLASSES - 0.4 + width * (k + 0.5)
        ax.bar(left, share, width, label=name, hatch=("", "//", "..")[k % 3], edgecolor="white")
    ax.axhline(0.1, color=INK, ls="--", lw=1)
    ax.set(xticks=CLASSES, xlabel="数字", ylabel="所占比例", ylim=(0, 0.155))
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.legend(ncols=3, loc="upper center")
    return fig


def relu(x: np.ndarray, y: np.ndarray) -> Figure:
    """ReLU 的图像。书中：fig-relu"""
    fig, ax = plt.subplots(figsize=(5.2, 3.4))
    ax.axhline(0, color=MUTED, lw=0.8)
    ax.axvline(0, color=MUTED, lw=0.8)
    ax.plot(x, y, color=COLORS["blue"], lw=2.4)
    ax.annotate(
        "在原点处转折", (0, 0), (-3.4, 1.5), color=COLORS["red"],
        arrowprops={"arrowstyle": "->", "color": COLORS["red"]},
    )  # fmt: skip
    ax.set(xlabel=r"$x$", ylabel=r"$\mathrm{ReLU}(x)$", aspect="equal")
    return fig


def relu_sums(x: np.ndarray, target: np.ndarray, fits: Mapping[str, np.ndarray]) -> Figure:
    """目标曲线与若干条由 ReLU 神经元相加得到的折线。书中：fig-relu-sums"""
    fig, ax = plt.subplots(figsize=(6.4, 3.6))
    ax.plot(x, target, color=MUTED, lw=4, alpha=0.5, label="要逼近的函数")
    colors = (COLORS["red"], COLORS["orange"], COLORS["blue"])
    for (label, y), color, style in zip(fits.items(), colors, ("--", "-.", "-"), strict=False):
        ax.plot(x, y, color=color, ls=style, lw=1.6, label=label)
    ax.set(xlabel=r"$x$", ylabel=r"$f(x)$")
    ax.legend()
    return fig


def probabilities(images: np.ndarray, probs: np.ndarray, labels: Sequence[int]) -> Figure:
    """每行左边一张图，右边是十类的概率；正确的那一类用橙色斜纹。

    images (n, 28, 28)，probs (n, 10)，labels (n,)。书中：fig-untrained-output、fig-predictions
    """
    n = len(images)
    fig, axes = plt.subplots(
        n, 2, figsize=(6.4, 1.9 * n + 0.6), squeeze=False, gridspec_kw={"width_ratios": (1, 2.2)}
    )
    for (left, right), image, prob, label in zip(axes, images, probs, labels, strict=True):
        left.imshow(image, cmap="gray")
        left.set_title(f"标签：{label}")
        left.axis("off")
        correct = label == CLASSES
        right.bar(CLASSES[~correct], prob[~correct], color=COLORS["blue"])
        right.bar(CLASSES[correct], prob[correct], color=COLORS["orange"], hatch="//",
                  edgecolor="white")  # fmt: skip
        right.set(xticks=CLASSES, ylim=(0, 1), ylabel="概率")
    axes[-1, 1].set_xlabel("数字")
    return fig


def negative_log(points: Mapping[float, str]) -> Figure:
    """−log s 的曲线，并标出 points 中的几个概率及说明。书中：fig-negative-log"""
    s = np.geomspace(5e-4, 1, 400)
    fig, ax = plt.subplots(figsize=(6.4, 3.4))
    ax.plot(s, -np.log(s), color=COLORS["blue"])
    for p, text in points.items():
        ax.plot([p], [-np.log(p)], "o", color=COLORS["red"])
        left = p > 0.5  # 靠右边的点，文字写在左边
        ax.annotate(
            text, (p, -np.log(p)), xytext=(-4 if left else 12, 10), textcoords="offset points",
            ha="right" if left else "left", color=COLORS["red"],
        )  # fmt: skip
    ax.set(xlabel="正确类别的概率 $s_t$", ylabel=r"损失 $-\log s_t$", ylim=(-0.3, 8))
    return fig


def loss_and_accuracy(shift: np.ndarray, loss: np.ndarray, accuracy: np.ndarray) -> Figure:
    """只动一个偏置时，损失（上）平滑地变，准确率（下）一级一级地跳。书中：fig-loss-vs-accuracy"""
    fig, (top, bottom) = plt.subplots(2, 1, figsize=(6.4, 4.4), sharex=True)
    top.plot(shift, loss, color=COLORS["blue"])
    top.set(ylabel="损失")
    bottom.step(shift, accuracy, where="mid", color=COLORS["orange"])
    bottom.set(xlabel="类别 3 的偏置的改变量", ylabel="准确率")
    bottom.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return fig


def two_gradients(numerical: Mapping[str, np.ndarray], formula: np.ndarray) -> Figure:
    """数值微分得到的梯度（柱）与公式 output − y（点）对照，一个求导对象一幅。

    书中：fig-dz2-check
    """
    fig, axes = plt.subplots(1, len(numerical), figsize=(6.4, 3.3))
    for ax, (name, values) in zip(axes, numerical.items(), strict=True):
        ax.bar(CLASSES, values, color=COLORS["blue"], alpha=0.55, label="数值微分")
        ax.plot(CLASSES, formula, "D", color=COLORS["red"], ms=5, label="output − y")
        ax.axhline(0, color=MUTED, lw=0.8)
        ax.set(title=name, xticks=CLASSES, xlabel="类别")
    axes[0].set_ylabel("偏导数")
    axes[0].legend(loc="lower left", fontsize=9)
    return fig


def training_curves(runs: Mapping[str, object], *, log_epochs: bool = False) -> Figure:
    """损失（上）与准确率（下）随轮数的变化；runs 把名字对到 :class:`dlbook.models.mlp.History`。

    同一次训练颜色相同：实线是训练集，虚线是验证集。书中：fig-full-batch、fig-mini-batch
    """
    fig, axes = plt.subplots(2, 1, figsize=(6.4, 5.6), sharex=True)
    names = (("loss", "val_loss"), ("accuracy", "val_accuracy"))
    for (name, history), color in zip(runs.items(), COLORS.values(), strict=False):
        prefix = f"{name}，" if len(runs) > 1 else ""
        for ax, fields in zip(axes, names, strict=True):
            for field, role, style in zip(fields, ("训练", "验证"), STYLES, strict=False):
                values = getattr(history, field)
                epochs = np.arange(1, len(values) + 1)
                ax.plot(epochs, values, color=color, ls=style, label=f"{prefix}{role}")
    axes[0].set_ylabel("损失")
    axes[1].set(xlabel="轮数", ylabel="准确率")
    if not log_epochs:
        axes[1].xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[1].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    if log_epochs:
        axes[1].set_xscale("log")
        axes[1].xaxis.set_major_formatter("{x:g}")
    axes[0].legend()
    return fig


def error_rates(
    values: Sequence[float],
    rates: Mapping[str, Sequence[float]],
    *,
    xlabel: str,
    sample_size: int,
) -> Figure:
    """错误率随某个超参数的变化，两轴都取对数；最后一条线画出上下一个标准误。

    rates 把名字对到与 values 等长的错误率；sample_size 是最后一条线的样本数。

    书中：fig-learning-rates、fig-widths
    """
    fig, ax = plt.subplots(figsize=(6.4, 3.6))
    for (name, rate), color, style, marker in zip(
        rates.items(), COLORS.values(), STYLES, ("o", "s", "^"), strict=False
    ):
        ax.plot(values, rate, color=color, ls=style, marker=marker, label=name)
    rate = np.asarray(rate)
    error = np.sqrt(rate * (1 - rate) / sample_size)
    ax.fill_between(values, rate - error, rate + error, color=color, alpha=0.18, lw=0)
    ax.set(xscale="log", yscale="log", xlabel=xlabel, ylabel="错误率（1 − 准确率）")
    ax.set_xticks(values, [f"{v:g}" for v in values])
    ax.minorticks_off()
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(lambda v, _: f"{100 * v:g}%")
    ax.legend()
    return fig


def confusion_matrix(matrix: np.ndarray) -> Figure:
    """混淆矩阵 (10, 10)：行是真实类别，列是预测类别；颜色只按错误的个数。

    书中：fig-confusion-matrix
    """
    fig, ax = plt.subplots(figsize=(5.6, 5.2))
    errors = np.where(np.eye(len(matrix), dtype=bool), 0, matrix)
    ax.imshow(errors, cmap="Oranges", vmin=0, vmax=errors.max() * 1.4)
    for (i, j), count in np.ndenumerate(matrix):
        if count:
            # 格子底色不随主题变，文字也用固定的深色。
            ax.text(j, i, str(count), ha="center", va="center", fontsize=9, color=ON_CELL)
    ax.set(xticks=CLASSES, yticks=CLASSES, xlabel="预测的类别", ylabel="真实的类别")
    ax.grid(False)
    return fig


def hidden_units(weights: np.ndarray, votes: np.ndarray) -> Figure:
    """每个隐藏单元的权重画成图像，下面是它给十个类别投的票。

    weights (n, 784) 是第一层的权重，votes (10, n) 是第二层的权重。书中：fig-hidden-units
    """
    n = len(weights)
    columns = min(n, 5)
    blocks = -(-n // columns)
    fig, axes = plt.subplots(
        2 * blocks, columns, figsize=(6.4, 2.3 * blocks), squeeze=False,
        gridspec_kw={"height_ratios": (1.6, 1) * blocks},
    )  # fmt: skip
    # 颜色按第 99.5 百分位定，免得个别极端的权重把其余的都衬成白色。
    limit, vote_limit = np.quantile(np.abs(weights), 0.995), np.abs(votes).max() * 1.1
    for unit in range(n):
        block, column = divmod(unit, columns)
        image, bars = axes[2 * block : 2 * block + 2, column]
        image.imshow(weights[unit].reshape(28, 28), cmap=SIGNED, vmin=-limit, vmax=limit)
        image.axis("off")
        image.set_title(f"单元 {unit}", fontsize=10)
        colors = [COLORS["red"] if vote > 0 else COLORS["blue"] for vote in votes[:, unit]]
        bars.bar(CLASSES, votes[:, unit], color=colors)
        bars.set(ylim=(-vote_limit, vote_limit), xticks=CLASSES, yticks=[0])
        bars.tick_params(labelsize=9, length=0)
        bars.yaxis.set_major_formatter(NullFormatter())
    return fig


def weight_images(weights: Mapping[str, np.ndarray]) -> Figure:
    """每行一组 (n, 784) 的权重，各画成 28×28 的图像；每行按自己的最大绝对值定颜色。

    书中：fig-symmetry
    """
    columns = max(len(w) for w in weights.values())
    fig, axes = plt.subplots(
        len(weights), columns, figsize=(6.4, 1.0 * len(weights)), squeeze=False
    )
    for row, (name, group) in zip(axes, weights.items(), strict=True):
        limit = max(np.abs(group).max(), 1e-12)
        for ax, weight in zip(row, group, strict=True):
            ax.imshow(weight.reshape(28, 28), cmap=SIGNED, vmin=-limit, vmax=limit)
            ax.axis("off")
        row[0].set_title(name, loc="left", fontsize=10)
    return fig
