"""文字与语言模型的图：逐字的概率与损失、覆盖率、词元的切分、UTF-8、嵌入。

书中：sec-lm-task、sec-lm-tokens
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from matplotlib.ticker import NullFormatter, PercentFormatter

from dlbook.plot.style import COLORS, GRID, INK, MUTED, ON_CELL, PAPER, number

_STYLES = ("-", "--", "-.", ":")
_MARKS = "os^Dvp"
# 换行在图里写成 ↵。
_SHOWN = str.maketrans({"\n": "↵"})


def next_characters(panels: Mapping[str, Sequence[tuple[str, float]]], answer: str) -> Figure:
    """几个模型对下一个字的预测，一个模型一格；panels 把名字对到（字, 概率）的列表，由大到小。

    真正的下一个字 answer 用橙色。书中：fig-lm-next
    """
    fig, axes = plt.subplots(1, len(panels), figsize=(6.4, 3.0), sharex=True)
    for ax, (name, ranked) in zip(axes, panels.items(), strict=True):
        y = np.arange(len(ranked))
        colors = [COLORS["orange"] if c == answer else COLORS["blue"] for c, _ in ranked]
        hatches = ["//" if c == answer else "" for c, _ in ranked]
        ax.barh(y, [p for _, p in ranked], color=colors, hatch=hatches, edgecolor=PAPER)
        ax.set_yticks(y, [c.translate(_SHOWN) for c, _ in ranked], fontsize=12)
        ax.invert_yaxis()
        ax.grid(axis="y", visible=False)
        ax.set_title(name)
        ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes[len(axes) // 2].set_xlabel("概率")
    return fig


def coverage(counts: np.ndarray, marks: Sequence[int]) -> Figure:
    """最常见的前 k 个字符占全文的比例；counts 由大到小，marks 是要标的 k。书中：fig-lm-coverage"""
    share = np.cumsum(counts) / np.sum(counts)
    fig, ax = plt.subplots(figsize=(6.4, 3.4))
    ranks = np.unique(np.geomspace(1, len(counts), 200).astype(int))
    ax.plot(ranks, share[ranks - 1], color=COLORS["blue"])
    for k in marks:
        ax.plot(k, share[k - 1], "o", color=COLORS["orange"], ms=7)
        ax.annotate(
            f"前 {k} 个：{share[k - 1]:.0%}", (k, share[k - 1]), (8, -12),
            textcoords="offset points", va="top", fontsize=10,
        )  # fmt: skip
    ax.set(xscale="log", xlabel="最常见的前 k 个字符", ylabel="占全文的比例", ylim=(0, 1.04))
    ax.set_xlim(1, len(counts) * 3)
    ax.set_xticks([1, 10, 100, 1000], ["1", "10", "100", "1000"])
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return fig


def smoothing(ks: np.ndarray, losses: Mapping[str, np.ndarray]) -> Figure:
    """加 k 平滑：k 与损失的曲线，一条线一个数据集。书中：fig-lm-add-k"""
    fig, ax = plt.subplots(figsize=(6.4, 3.4))
    for (name, values), style, mark, color in zip(
        losses.items(), _STYLES, _MARKS, COLORS.values(), strict=False
    ):
        ax.plot(ks, values, style, marker=mark, ms=5, color=color, label=name)
    ax.set(xscale="log", xlabel="k", ylabel="损失（奈特／字符）")
    ax.legend(loc="upper center")
    return fig


def held_out_counts(counts: np.ndarray, other: np.ndarray) -> Figure:
    """一半语料里的次数，与同样的二元组在另一半里的平均次数。书中：fig-lm-held-out"""
    fig, ax = plt.subplots(figsize=(6.4, 3.6))
    ax.plot(counts, counts, "--", color=MUTED, label="一次不少")
    ax.plot(counts, other, "o", color=COLORS["blue"], ms=7, label="另一半里的平均次数")
    ax.vlines(counts, other, counts, color=COLORS["orange"], lw=1.4)
    for c, o in zip(counts, other, strict=True):
        ax.annotate(
            number(c - o, ".2f"), (c, (c + o) / 2), (5, -4), textcoords="offset points",
            fontsize=9, color=COLORS["orange"],
        )  # fmt: skip
    ax.set(xlabel="这一半里出现的次数 c", ylabel="另一半里的次数")
    ax.set_xticks(counts)
    ax.legend(loc="upper left")
    return fig


def text_losses(
    rows: Mapping[str, tuple[Sequence[str], np.ndarray]], *, columns: int = 12
) -> Figure:
    """一段文字逐字的损失，一个模型一组格子：颜色越深损失越大，格子下半写损失。

    rows 把名字对到（字符, 损失）；每行 columns 格，写不下就换行。书中：fig-lm-poem-losses
    """
    top = max(losses.max() for _, losses in rows.values())
    lines = -(-max(len(characters) for characters, _ in rows.values()) // columns)
    block = 1.1 * lines + 0.7
    fig, ax = plt.subplots(figsize=(6.4, 0.5 * block * len(rows)))
    for i, (name, (characters, losses)) in enumerate(rows.items()):
        first = -block * i
        ax.text(0, first + 1.05, name, ha="left", va="bottom", fontsize=10, color=MUTED)
        for k, (character, loss) in enumerate(zip(characters, losses, strict=True)):
            x, y = k % columns, first - 1.1 * (k // columns)
            shade = 0.08 + 0.8 * float(loss / top)
            ax.add_patch(Rectangle((x, y), 0.94, 1, facecolor=COLORS["orange"], alpha=shade))
            # 底色浅时露出页面，字用墨色；底色深时不随主题变，字用固定的深色。
            ink = ON_CELL if shade > 0.7 else INK
            ax.text(x + 0.47, y + 0.66, character.translate(_SHOWN), ha="center", va="center",
                    fontsize=13, color=ink)  # fmt: skip
            ax.text(x + 0.47, y + 0.22, f"{loss:.1f}", ha="center", va="center", fontsize=9,
                    color=ink)  # fmt: skip
    ax.set(xlim=(-0.05, columns), ylim=(block * (1 - len(rows)) - 1.1 * (lines - 1) - 0.1, 1.7))
    ax.axis("off")
    return fig


def position_losses(losses: Mapping[str, np.ndarray], width: int) -> Figure:
    """每句 width 字的诗里，各个位置的平均损失，一个模型一条线。书中：fig-lm-positions"""
    fig, ax = plt.subplots(figsize=(6.4, 3.6))
    for (name, values), style, mark, color in zip(
        losses.items(), _STYLES, _MARKS, COLORS.values(), strict=False
    ):
        ax.plot(np.arange(1, len(values) + 1), values, style, marker=mark, ms=4, color=color,
                label=name)  # fmt: skip
    count = len(next(iter(losses.values())))
    for k in range(width + 1, count, width + 1):
        ax.axvline(k, color=GRID, lw=6, zorder=0)
    ax.set(xlabel="在诗里的位置（灰带是标点）", ylabel="损失（奈特）", ylim=(0, None))
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.18), ncols=len(losses))
    return fig


def ladder(losses: Mapping[str, float], goal: float) -> Figure:
    """各个基线的验证损失，一行一个；虚线是要达到的目标。书中：fig-lm-ladder"""
    fig, ax = plt.subplots(figsize=(6.4, 0.42 * len(losses) + 1.0))
    y = np.arange(len(losses))
    values = np.array(list(losses.values()))
    ax.barh(y, values, height=0.62, color=COLORS["blue"], edgecolor=PAPER)
    for k, value in enumerate(values):
        ax.text(value - 0.1, k, f"{value:.3f}", ha="right", va="center", color=PAPER, fontsize=10)
    ax.axvline(goal, color=COLORS["red"], ls="--")
    ax.annotate(
        f"本章的目标 {goal:.2f}", (goal, -0.62), (-5, 0), textcoords="offset points", ha="right",
        va="bottom", color=COLORS["red"],
    )  # fmt: skip
    ax.set_yticks(y, list(losses))
    ax.set(xlabel="验证损失（奈特／字符）", xlim=(0, None), ylim=(len(losses) - 0.5, -1.15))
    ax.grid(axis="y", visible=False)
    return fig


def rhyme_groups(rhymes: np.ndarray, groups: Sequence[str]) -> Figure:
    """两两是否押韵：深色押韵，浅色不押；groups 是按韵排好的字，一组一串。书中：fig-lm-rhymes"""
    characters = "".join(groups)
    fig, ax = plt.subplots(figsize=(5.4, 5.4))
    ax.pcolormesh(
        rhymes.astype(float), cmap=plt.matplotlib.colors.ListedColormap([GRID, COLORS["blue"]]),
        edgecolors=PAPER, linewidth=0.8,
    )  # fmt: skip
    places = np.arange(len(characters)) + 0.5
    ax.set_xticks(places, characters, fontsize=11)
    ax.set_yticks(places, characters, fontsize=11)
    for edge in np.cumsum([len(g) for g in groups])[:-1]:
        ax.axhline(edge, color=INK, lw=1)
        ax.axvline(edge, color=INK, lw=1)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.invert_yaxis()
    ax.set_aspect("equal")
    ax.grid(False)
    return fig


def utf8_bits(rows: Sequence[tuple[str, bytes]]) -> Figure:
    """UTF-8 的比特：灰底是标记，蓝底是码位的比特；rows 是（说明, 字节）。书中：fig-lm-utf8"""
    fig, ax = plt.subplots(figsize=(6.4, 0.86 * len(rows) + 0.1))
    for i, (name, raw) in enumerate(rows):
        y = -1.55 * i
        ax.text(0, y + 1.08, name, ha="left", va="bottom", fontsize=10, color=MUTED)
        for k, byte in enumerate(raw):
            bits = f"{byte:08b}"
            # 前导字节：一串 1 和一个 0；后续字节：10；单字节：0。
            prefix = bits.index("0") + 1
            for j, bit in enumerate(bits):
                marked = j < prefix
                ax.add_patch(
                    Rectangle(
                        (k * 9 + j, y), 0.94, 0.94, lw=0.8, edgecolor=MUTED,
                        facecolor=GRID if marked else COLORS["blue"], alpha=1 if marked else 0.3,
                    )
                )  # fmt: skip
                ax.text(k * 9 + j + 0.47, y + 0.45, bit, ha="center", va="center", fontsize=11)
    ax.set(xlim=(-0.1, 35.2), ylim=(-1.55 * (len(rows) - 1) - 0.1, 1.75))
    ax.axis("off")
    return fig


def segmentations(rows: Mapping[str, Sequence[str]], *, columns: int = 12) -> Figure:
    """同一段文字的几种切分：一组一种，两个字以上的词元涂蓝，相邻的深浅相间。

    每行至多 columns 个字符，写不下就换行。书中：fig-lm-segments
    """
    placed, y = [], 0.0
    for name, tokens in rows.items():
        placed.append((0, y + 1.1, f"{name}：{len(tokens)} 个词元"))
        x = 0
        for token in tokens:
            if x + len(token) > columns:
                x, y = 0, y - 1.12
            placed.append((x, y, token))
            x += len(token)
        y -= 2.0
    fig, ax = plt.subplots(figsize=(6.4, 0.5 * (2.0 - y - 0.9)))
    for k, (x, y, text) in enumerate(placed):
        if "：" in text:
            ax.text(x, y, text, fontsize=10, color=MUTED, va="bottom")
            continue
        joined = len(text) > 1
        ax.add_patch(
            Rectangle(
                (x + 0.04, y), len(text) - 0.08, 1, lw=1, edgecolor=INK,
                facecolor=COLORS["blue"] if joined else PAPER,
                alpha=0.45 - 0.2 * (k % 2) if joined else 1,
            )
        )  # fmt: skip
        for j, character in enumerate(text):
            ax.text(x + j + 0.5, y + 0.47, character.translate(_SHOWN), ha="center", va="center",
                    fontsize=13)  # fmt: skip
    ax.set(xlim=(-0.05, columns + 0.05), ylim=(min(y for _, y, _ in placed) - 0.1, 1.75))
    ax.axis("off")
    return fig


def compression(curves: Mapping[str, tuple[np.ndarray, np.ndarray]], ylabel: str) -> Figure:
    """合并数与压缩的程度，一条线一种；curves 把名字对到（合并数, 值）。书中：fig-lm-compression"""
    fig, ax = plt.subplots(figsize=(6.4, 3.6))
    for (name, (x, y)), style, mark, color in zip(
        curves.items(), _STYLES, _MARKS, COLORS.values(), strict=False
    ):
        ax.plot(x, y, style, marker=mark, ms=5, color=color, label=name)
    ax.axhline(1, color=MUTED, lw=0.8, ls=":")
    ax.set(xlabel="合并的个数", ylabel=ylabel, ylim=(0, None))
    ax.legend(loc="lower right")
    return fig


def linked_merge() -> Figure:
    """一次合并怎样改动链表：只有左右两侧的对变了。书中：fig-lm-linked-merge"""
    fig, ax = plt.subplots(figsize=(6.4, 2.9))
    for y, tokens in ((1.9, "不知何处在"), (0.3, ["不", "知", "何处", "在"])):
        places = [0.6, 1.8, 3.0, 4.2, 5.4] if y > 1 else [0.6, 1.8, 3.6, 5.4]
        for x, token in zip(places, tokens, strict=True):
            half = 0.33 * len(token)
            edge = COLORS["blue"] if token in ("何", "处", "何处") else INK
            ax.add_patch(
                Rectangle((x - half, y), 2 * half, 0.55, facecolor=PAPER, edgecolor=edge, lw=1.6)
            )
            ax.text(x, y + 0.26, token, ha="center", va="center", fontsize=13)
        for left, right in zip(range(len(places) - 1), places[1:], strict=True):
            middle = (places[left] + right) / 2
            pair = f"{tokens[left]}+{tokens[left + 1]}"
            changed = "何" in pair or "处" in pair
            color = COLORS["orange"] if changed else MUTED
            _link(ax, places[left] + 0.33 * len(tokens[left]), right - 0.33 * len(tokens[left + 1]),
                  y + 0.27, color)  # fmt: skip
            sign = ("+1" if y < 1 else "−1") if changed else "不变"
            ax.text(middle, y + 0.66, pair, ha="center", va="bottom", fontsize=9, color=color)
            ax.text(middle, y - 0.04, sign, ha="center", va="top", fontsize=9, color=color)
    ax.annotate(
        "", (3.6, 1.1), (3.6, 1.6),
        arrowprops={"arrowstyle": "-|>", "color": COLORS["blue"], "lw": 1.6},
    )  # fmt: skip
    ax.text(3.75, 1.34, "合并“何”与“处”", va="center", fontsize=10, color=COLORS["blue"])
    ax.set(xlim=(0, 6.1), ylim=(-0.05, 2.9), aspect="equal")
    ax.axis("off")
    return fig


def _link(ax: Axes, start: float, stop: float, y: float, color: str) -> None:
    ax.add_patch(
        FancyArrowPatch(
            (start, y), (stop, y), arrowstyle="<|-|>", mutation_scale=9, color=color, lw=1.2,
            shrinkA=0, shrinkB=0,
        )
    )  # fmt: skip


def one_hot_product(one_hot: np.ndarray, table: np.ndarray, names: Sequence[str]) -> Figure:
    """独热矩阵乘以嵌入表，就是取行；one_hot (n, V)，table (V, E)。书中：fig-lm-one-hot"""
    product = one_hot @ table
    n, v = one_hot.shape
    e = table.shape[1]
    fig, ax = plt.subplots(figsize=(6.4, 3.0))
    used = set(np.flatnonzero(one_hot.any(axis=0)).tolist())
    chosen = [int(row.argmax()) for row in one_hot]
    middle = v / 2
    x_table, x_product = v + 1.9, v + e + 3.2
    hues = dict(zip(sorted(used), ("blue", "orange", "green", "red"), strict=False))
    _cells(ax, 0, middle + n / 2, one_hot, ".0f", [None] * n)
    for i, k in enumerate(chosen):
        y = middle + n / 2 - i
        ax.add_patch(Rectangle((k, y - 1), 1, 1, color=COLORS[hues[k]], alpha=0.35, lw=0))
        ax.text(-0.25, y - 0.5, names[k], ha="right", va="center", fontsize=12)
    _cells(ax, x_table, v, table, ".1f", [hues.get(k) for k in range(v)])
    for k in range(v):
        ax.text(x_table - 0.25, v - k - 0.5, names[k], ha="right", va="center", fontsize=12)
    _cells(ax, x_product, middle + n / 2, product, ".1f", [hues[k] for k in chosen])
    for x, text in ((v + 0.75, "×"), (x_product - 0.65, "=")):
        ax.text(x, middle, text, ha="center", va="center", fontsize=16)
    for x, text in (
        (v / 2, f"独热 ({n}, {v})"),
        (x_table + e / 2, f"嵌入表 ({v}, {e})"),
        (x_product + e / 2, f"结果 ({n}, {e})"),
    ):
        ax.text(x, -0.2, text, ha="center", va="top", fontsize=10, color=MUTED)
    ax.set(xlim=(-0.9, x_product + e + 0.1), ylim=(-0.9, v + 0.1), aspect="equal")
    ax.axis("off")
    return fig


def _cells(
    ax: Axes, x: float, y: float, values: np.ndarray, form: str, hues: Sequence[str | None]
) -> None:
    """左上角在 (x, y) 的一块数字格子，hues 是各行的底色。"""
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            place = (x + j, y - i - 1)
            if hues[i] is not None:
                ax.add_patch(Rectangle(place, 1, 1, color=COLORS[hues[i]], alpha=0.35, lw=0))
            ax.add_patch(Rectangle(place, 1, 1, fill=False, edgecolor=MUTED, lw=0.8))
            ax.text(x + j + 0.5, y - i - 0.5, number(value, form), ha="center",
                    va="center", fontsize=10)  # fmt: skip
