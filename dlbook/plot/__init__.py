"""全书的画图函数：一种图一个函数，样式统一（见 :mod:`dlbook.plot.style`）。

按图的种类分成模块，用到哪个导入哪个：``from dlbook.plot import regression``。
"""

from dlbook.plot.style import COLORS, GRID, INK, MUTED, PAPER, use_book_style

__all__ = ["COLORS", "GRID", "INK", "MUTED", "PAPER", "use_book_style"]

use_book_style()
