"""全书图的样式：中文字体、线宽、颜色。

颜色分两类。墨色 :data:`INK`、:data:`MUTED`、:data:`GRID`、:data:`PAPER` 用来画文字、坐标轴、
网格与底色；生成网页时它们换成随主题变化的 CSS 变量，深色模式下自动反白。
:data:`COLORS` 用来画数据，取自 Okabe 与 Ito 的色盲友好配色，稍调明度，
使它们在白底、深底与灰度打印时都分得开；不同的线还应配不同的线型或标记。
"""

from pathlib import Path

import matplotlib as mpl
from cycler import cycler
from matplotlib import font_manager

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
            "axes.unicode_minus": False,
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
