"""张量的打印，版式与 PyTorch 相同。

书中：sec-bp-engine
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from dlbook.autograd import dtypes

if TYPE_CHECKING:
    from dlbook.autograd.tensor import Tensor

LINE = 80  # 一行最多几个字符
EDGE = 3  # 元素太多时，每一轴的两头各留几个
MANY = 1000
HEAD = "tensor("


def describe(x: "Tensor") -> str:
    """如 ``tensor([1.0000, 0.5000], requires_grad=True)``。

    书中：sec-bp-engine
    """
    a = x.array
    notes = []
    if a.size == 0 and a.ndim != 1:
        notes.append(f"size={a.shape}")
    usual = {dtypes.DEFAULT} if a.size == 0 else {dtypes.DEFAULT, dtypes.int64, dtypes.bool}
    if a.dtype not in usual:
        notes.append(f"dtype={a.dtype}")
    if x.grad_fn is not None:
        notes.append(f"grad_fn={x.grad_fn!r}")
    elif x.requires_grad:
        notes.append("requires_grad=True")
    text = HEAD + (_block(a, len(HEAD), *_formatter(_shown(a)), a.size > MANY) if a.size else "[]")
    for note in notes:
        width = len(note) + (len("torch.") if note.startswith("dtype") else 0)  # 与它换行处相同
        full = len(text) - text.rfind("\n") - 1 + width + 2 > LINE
        text += (",\n" + " " * len(HEAD) if full else ", ") + note
    return text + ")"


def _shown(a: np.ndarray) -> np.ndarray:
    """元素太多时只看每一轴两头的那些；格式由看得见的元素决定。"""
    if a.size > MANY:
        for axis, n in enumerate(a.shape):
            if n > 2 * EDGE:
                a = np.take(a, [*range(EDGE), *range(n - EDGE, n)], axis)
    return a


def _formatter(a: np.ndarray) -> tuple[Callable, int]:
    """一个元素怎样写，以及对齐的宽度（零维的不对齐）。"""
    if a.dtype.kind != "f":
        texts, one = map(str, a.reshape(-1)), str
    else:
        finite = np.abs(a[np.isfinite(a) & (a != 0)].astype(np.float64))
        whole = bool((np.ceil(a[np.isfinite(a)]) == a[np.isfinite(a)]).all())
        low, high = (finite.min(), finite.max()) if finite.size else (1.0, 1.0)
        scientific = high / low > 1000 or high > 1e8 or (low < 1e-4 and not whole)
        spec = ".4e" if scientific else ".0f" if whole else ".4f"

        def one(v: float) -> str:
            return format(v, spec) + ("." if spec == ".0f" and np.isfinite(v) else "")

        texts = (one(v) for v in a[np.isfinite(a) & (a != 0)].reshape(-1))
    width = max(map(len, texts), default=1) if a.ndim else 0
    return (lambda v: one(v).rjust(width)), width


def _block(a: np.ndarray, indent: int, one: Callable, width: int, short: bool) -> str:
    if a.ndim == 0:
        return one(a[()])
    n = len(a)
    short_here = short and n > 2 * EDGE
    picked = [*range(EDGE), *range(n - EDGE, n)] if short_here else range(n)
    if a.ndim == 1:
        items = [one(a[i]) for i in picked]
        if short_here:
            items.insert(EDGE, " ...")
        per_line = max(1, (LINE - indent) // (width + 2))
        lines = [", ".join(items[i : i + per_line]) for i in range(0, len(items), per_line)]
        return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
    items = [_block(a[i], indent + 1, one, width, short) for i in picked]
    if short_here:
        items.insert(EDGE, "...")
    return "[" + ("," + "\n" * (a.ndim - 1) + " " * (indent + 1)).join(items) + "]"
