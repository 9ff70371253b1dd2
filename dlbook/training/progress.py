"""进度条：走到第几步、损失、速度、还要多久。

书中：sec-training-loop
"""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from dlbook.training import distributed

if TYPE_CHECKING:
    from dlbook.training.loop import History

_INTERVAL = 0.2  # 两次刷新之间至少隔几秒
_SMOOTH = 20  # 显示最近几步的平均损失
_WIDTH = 24


class Progress:
    """在终端的一行里刷新的进度条；用完擦去，不留痕迹。

    show=None 时只在终端里、只由 0 号进程显示；书的构建、重定向到文件时都不显示。
    count(一批) 给出一批算多少个，缺省为样本数。

    书中：sec-training-loop
    """

    def __init__(
        self,
        total: int,
        done: int = 0,
        *,
        show: bool | None = None,
        count: Callable[[Any], int] | None = None,
        stream: TextIO | None = None,
    ) -> None:
        self.stream = sys.stderr if stream is None else stream
        wanted = self.stream.isatty() if show is None else show
        self.shown = wanted and distributed.is_main()
        self.total, self.done, self._first = total, done, done
        self._count = _samples if count is None else count
        self._items = 0
        self._start = self._last = time.monotonic()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.clear()

    def add(self, batch: Any) -> None:
        """又用掉一批。"""
        if self.shown:
            self._items += self._count(batch)

    def update(self, history: "History") -> None:
        """又走完一步；离上次刷新太近就不画。"""
        self.done += 1
        if not self.shown:
            return
        now = time.monotonic()
        if now - self._last >= _INTERVAL or self.done == self.total:
            self._last = now
            self.stream.write("\r\x1b[K" + self._line(history, now - self._start))
            self.stream.flush()

    def clear(self) -> None:
        """擦去这一行。"""
        if self.shown:
            self.stream.write("\r\x1b[K")
            self.stream.flush()

    def _line(self, history: "History", seconds: float) -> str:
        share = self.done / self.total
        full = round(share * _WIDTH)
        left = seconds / (self.done - self._first) * (self.total - self.done)
        speed = self._items * distributed.world_size() / seconds
        recent = history.loss[-_SMOOTH:]
        loss = f"  损失 {sum(recent) / len(recent):.4f}" if recent else ""
        return (
            f"{'━' * full}{'─' * (_WIDTH - full)} {self.done}/{self.total}{loss}"
            f"  {_short(speed)}/秒  还要 {_clock(left)}"
        )


def _samples(batch: Any) -> int:
    while isinstance(batch, dict):
        batch = next(iter(batch.values()))
    while isinstance(batch, list | tuple):
        batch = batch[0]
    return len(batch)


def _short(number: float) -> str:
    for size, unit in ((1e8, "亿"), (1e4, "万")):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number:.0f}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
