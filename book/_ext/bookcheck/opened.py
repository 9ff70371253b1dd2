"""记下读过的文件：本进程的、它派生的，以及它另起的每一个 Python 进程的。

章节里也会另起进程（第 7 章的多进程训练）。新进程导入的模块父进程看不到，漏了它们，
改了那里的函数，书上就还是旧结果。所以每个进程都把读过的文件追加到同一份清单里，
清单的位置由环境变量 ``BOOKCHECK_OPENED`` 给出；新进程一启动就由 ``child/sitecustomize.py``
调用 :func:`watch`。这里只导入 os 与 sys，不拖慢新进程的启动。
"""

from __future__ import annotations

import os
import sys

LOG = "BOOKCHECK_OPENED"
_seen: set[str] = set()
_watching = False


def watch() -> None:
    """从现在起记下读过的文件；重复调用无妨（审计钩子装上后无法卸下，所以只在子进程里用）。"""
    global _watching
    if _watching:
        return
    _watching, log = True, os.environ.get(LOG)
    # 一直开着、只追加：派生出的进程继承它，几个进程同时写也不会互相覆盖。
    out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600) if log else None

    def hook(event: str, args: tuple) -> None:
        if event != "open" or not isinstance(args[0], str) or (args[1] or "r")[0] != "r":
            return
        path = os.path.abspath(args[0])
        if path in _seen:
            return
        _seen.add(path)
        if out is not None:
            try:
                os.write(out, os.fsencode(path) + b"\n")
            except OSError:  # 被人关了：只少记别的进程的，不连累章节里的代码
                return

    sys.addaudithook(hook)


def opened() -> set[str]:
    """到目前为止读过的文件的绝对路径，含别的进程记下的。"""
    log = os.environ.get(LOG)
    if not log or not os.path.exists(log):
        return set(_seen)
    with open(log, "rb") as file:
        return _seen | {os.fsdecode(line) for line in file.read().splitlines()}
