"""全书图的样式：中文字体、线宽、颜色。

颜色分两类。墨色 :data:`INK`、:data:`MUTED`、:data:`GRID`、:data:`PAPER` 用来画文字、坐标轴、
网格与底色；生成网页时它们换成随主题变化的 CSS 变量，深色模式下自动反白。
:data:`COLORS` 用来画数据，取自 Okabe 与 Ito 的色盲友好配色，稍调明度，
使它们在白底、深底与灰度打印时都分得开；不同的线还应配不同的线型或标记。
"""

from pathlib import Path

import matplotlib as mpl
from cycler import cycler
from matplotlib import colors, font_manager
from matplotlib.typing import ColorType

INK = "#1f2328"
MUTED = "#59636e"
GRID = "#d1d9e0"
PAPER = "#fefefe"
COLORS = {
    "blue": "#2f7fc1",
    "orange": "#e08214",
    "green": "#1b9e77",
    "red": "#d1495b",
    "purple": "#8e6bbf",
    "gray": "#8a8f98",
}
# 格子的底色不随主题变，上面的字也用固定的深浅两色（墨色会随主题反白，不能用）。
ON_CELL, ON_DARK_CELL = "#101418", "#ffffff"
FONT_FAMILY = "DLBook Sans SC"
_FONT_FILE = Path(__file__).with_name("fonts") / "NotoSansSC-Regular.otf"


def use_book_style() -> None:
    """把本书的样式设为 matplotlib 的默认样式；``import dlbook.plot`` 时自动调用。"""
    font_manager.fontManager.addfont(_FONT_FILE)
    mpl.rcParams.update(
        {
            # 中文字体里没有的符号（如 ŷ、ℒ）退到 matplotlib 自带的 DejaVu Sans。
            "font.family": [FONT_FAMILY, "DejaVu Sans"],
            "font.size": 11,
            "mathtext.fontset": "dejavusans",
            "axes.unicode_minus": True,
            "axes.edgecolor": MUTED,
            "axes.labelcolor": INK,
            "axes.facecolor": "none",
            "axes.grid": True,
            "axes.axisbelow": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.prop_cycle": cycler(color=list(COLORS.values())),
            "axes.titlesize": 12,
            "text.color": INK,
            "xtick.color": MUTED,
            "ytick.color": MUTED,
            "xtick.labelcolor": INK,
            "ytick.labelcolor": INK,
            "grid.color": GRID,
            "grid.linewidth": 0.6,
            "lines.linewidth": 1.8,
            "legend.frameon": False,
            "figure.facecolor": "none",
            "figure.figsize": (6.4, 4.0),
            "figure.constrained_layout.use": True,
            "savefig.facecolor": "none",
            # 字形存成轮廓：读者的设备上不必有这种字体。
            "svg.fonttype": "path",
            # 固定 id 的散列盐，同样的图逐字节相同。
            "svg.hashsalt": "dlbook",
            "image.cmap": "gray",
        }
    )


def number(value: float, form: str = "g") -> str:
    """写在图上的数：负号用“−”，与坐标轴的刻度一致；舍入成零的不带负号。"""
    return format(float(value), f"z{form}").replace("-", "−")


def on_cell(background: ColorType) -> str:
    """写在底色 background 上的字的颜色：深浅两色里取对比度大的那一个。"""
    cell, dark, light = (_luminance(c) for c in (background, ON_CELL, ON_DARK_CELL))
    return ON_CELL if (cell + 0.05) ** 2 > (dark + 0.05) * (light + 0.05) else ON_DARK_CELL


def _luminance(color: ColorType) -> float:
    """WCAG 的相对亮度：先还原成与光强成正比的红绿蓝，再按眼睛的敏感程度加权。"""
    encoded = colors.to_rgb(color)
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in encoded]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
