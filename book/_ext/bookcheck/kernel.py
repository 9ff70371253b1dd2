"""在执行章节的内核里加载的 IPython 扩展（``%load_ext bookcheck.kernel``）。

它让输出可重复、可核对：图一律是确定的 SVG，并随图附上指纹；报错只留最后一行；警告只留类别与内容，
不带文件路径；记下用到的文件与包；``%bookcheck_eval`` 求出正文里要用的数。
"""

from __future__ import annotations

import json
import platform
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from IPython.core.formatters import BaseFormatter
from IPython.core.magic import Magics, line_magic, magics_class, no_var_expand
from IPython.display import display
from matplotlib.figure import Figure
from traitlets import ObjectName, Unicode

from bookcheck import FIGURE_MIME, RESULT_MIME, deps
from bookcheck.fingerprint import fingerprint
from bookcheck.opened import watch


class FingerprintFormatter(BaseFormatter):
    """显示一幅图时，除 SVG 外再给出它的指纹。"""

    format_type = Unicode(FIGURE_MIME)
    print_method = ObjectName("_repr_dlbook_figure_")
    _return_type = dict


@magics_class
class BookMagics(Magics):
    """供执行器调用的内部命令。"""

    @no_var_expand
    @line_magic
    def bookcheck_eval(self, line: str) -> None:
        """求一组 f-string 表达式，把文字与数值一起交还执行器。"""
        results = {}
        for key, expression in json.loads(line).items():
            results[key] = self._evaluate(expression)
        display({RESULT_MIME: results}, raw=True)

    def _evaluate(self, expression: str) -> dict:
        namespace = self.shell.user_ns
        try:
            text = eval(f"f'''{{{expression}}}'''", namespace)
            value = eval(f"({_without_format(expression)})", namespace)
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}"}
        try:
            return {"text": text, "value": float(value)}
        except (TypeError, ValueError):
            return {"text": text}

    @line_magic
    def bookcheck_device(self, line: str) -> None:
        """交还运行所在的设备，供录制写明来历。"""
        display({RESULT_MIME: {"device": _device()}}, raw=True)

    @no_var_expand
    @line_magic
    def bookcheck_footprint(self, line: str) -> None:
        """交还本次执行用到的文件与包。"""
        display({RESULT_MIME: deps.footprint(Path(line))}, raw=True)


def _device() -> str:
    """有 CUDA 时是显卡与驱动，否则是处理器型号。"""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()}（CUDA {torch.version.cuda}）"
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{models[0] if models else platform.machine()}，单线程"


def _without_format(expression: str) -> str:
    """去掉 f-string 的格式部分（最后一个不在括号里的冒号之后）。"""
    depth = 0
    for position, char in enumerate(expression):
        depth += (char in "([{") - (char in ")]}")
        if char == ":" and depth == 0:
            return expression[:position]
    return expression


def _show_warning(message: object, category: type, *_: object, **__: object) -> None:
    print(f"{category.__name__}: {message}", file=sys.stderr)


def load_ipython_extension(ip: object) -> None:
    """IPython 加载扩展时调用。"""
    watch()
    warnings.showwarning = _show_warning
    ip.run_line_magic("xmode", "Minimal")
    ip.run_line_magic("matplotlib", "inline")
    ip.run_line_magic("config", "InlineBackend.figure_formats = ['svg']")
    ip.run_line_magic("config", "InlineBackend.print_figure_kwargs = {'metadata': {'Date': None}}")
    formatters = ip.display_formatter.formatters
    svg = formatters["image/svg+xml"]
    svg.for_type(Figure, _fingerprint_while_drawing(svg.lookup_by_type(Figure)))
    # 各种格式按登记的次序生成：轮到指纹时，图已经画好。
    formatters[FIGURE_MIME] = FingerprintFormatter(parent=ip.display_formatter)
    formatters[FIGURE_MIME].for_type(Figure, lambda figure: figure.dlbook_fingerprint)
    ip.display_formatter.active_types = [*ip.display_formatter.active_types, FIGURE_MIME]
    ip.register_magics(BookMagics)


def _fingerprint_while_drawing(draw: Callable[[Figure], str]) -> Callable[[Figure], str]:
    """画一遍，同时记下指纹：画出来坐标范围才定得下来，缺字的警告也只在画的时候有。"""

    def draw_and_record(figure: Figure) -> str:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            svg = draw(figure)
        for warning in caught:
            _show_warning(warning.message, warning.category)
        figure.dlbook_fingerprint = fingerprint(figure, [str(w.message) for w in caught])
        return svg

    return draw_and_record
