"""一次执行真正用到了什么：模块、数据文件、第三方包的版本。

用“记账”而不是“猜”：让代码跑完，再看解释器导入了哪些文件、用审计钩子看它读了哪些文件
（见 :mod:`bookcheck.opened`）。这样连动态导入、数据文件、另起的进程用到的模块都不会漏掉
（MyST-NB 自带的缓存恰恰漏掉这些）。
账记成 ``{"file:dlbook/backprop/linear.py": 摘要, "dist:numpy": "2.4.6"}``，
下次构建时任何一项对不上，这一章就要重新执行。
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.metadata
import importlib.util
import os
import pickle
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeVar

from bookcheck.opened import opened

T = TypeVar("T")

# 这些目录里的文件另有办法跟踪，或不影响结果。
_SKIP = {".venv", "_build", "__pycache__", ".git", "_ext"}
# 章与章之间传递的训练成果（见 dlbook.artifacts）所在的文件夹。
ARTIFACTS = ("_build", "artifacts")


def footprint(root: Path) -> dict[str, str]:
    """到目前为止用到的、属于 ``root`` 的文件，与本进程用到的全部第三方包，连同摘要与版本。"""
    root = root.resolve()
    paths = {_source(path) for path in opened()}
    paths |= {f for m in list(sys.modules.values()) if (f := getattr(m, "__file__", None))}
    names = {_relative(path, root) for path in paths} - {None}
    used = {name.partition(".")[0] for name in list(sys.modules)}
    by_module = importlib.metadata.packages_distributions()
    dists = {dist for name in used for dist in by_module.get(name, [])}
    keys = [f"file:{name}" for name in names] + [f"dist:{name}" for name in dists]
    return {key: current(key, root) for key in sorted(keys)}


def _source(path: str) -> str:
    """编译好的 ``.pyc`` 换成它的源文件：读了前者，就是用到了后者。"""
    if not path.endswith(".pyc"):
        return path
    try:
        return importlib.util.source_from_cache(path)
    except ValueError:
        return path


def _relative(path: str, root: Path) -> str | None:
    try:
        relative = Path(path).resolve().relative_to(root)
    except (ValueError, OSError):
        return None
    if not (root / relative).is_file():
        return None
    # 训练成果虽在 _build 里，却是别的章的输入，要记账。
    if relative.parts[:2] != ARTIFACTS and any(
        part in _SKIP or part.endswith(".egg-info") for part in relative.parts
    ):
        return None
    return relative.as_posix()


def current(key: str, root: Path) -> str:
    """某一项此刻的摘要或版本；已不存在的返回空串。"""
    kind, _, name = key.partition(":")
    if kind == "dist":
        return _version(name)
    path = root / name
    return digest_file(path, root) if path.is_file() else ""


def is_fresh(deps: dict[str, str], root: Path) -> bool:
    """账上每一项都没有变。"""
    return all(current(key, root) == value for key, value in deps.items())


@cache
def _version(dist: str) -> str:
    try:
        return importlib.metadata.version(dist)
    except importlib.metadata.PackageNotFoundError:
        return ""


def digest_file(path: Path, root: Path) -> str:
    """文件摘要。Python 源文件按语法树算：改注释、改排版不影响结果，不必重新执行。"""
    status = path.stat()
    return _digest_of(path, status.st_mtime_ns, status.st_size, root)


@cache
def _digest_of(path: Path, mtime: int, size: int, root: Path) -> str:
    """同一个文件几十章都要问；修改时间与大小没有变，就不再算一遍。"""
    data = path.read_bytes()
    if path.suffix != ".py":
        return digest(data)
    name = "digest-" + digest(str(path))
    return remembered(root, name, digest(data) + sys.version, lambda: _digest_python(data))


def _digest_python(data: bytes) -> str:
    with contextlib.suppress(SyntaxError):
        data = ast.dump(ast.parse(data)).encode()
    return digest(data)


def remembered(root: Path, name: str, key: str, compute: Callable[[], T]) -> T:
    """``compute()``，记在 ``_build/memo/<name>``；下次 ``key`` 还是这个，就直接取出来。

    ``key`` 应包含结果所依据的一切。只用来省时间：文件缺了、坏了就重新算。
    """
    path = root / "_build" / "memo" / name
    with contextlib.suppress(OSError, EOFError, pickle.UnpicklingError, AttributeError, TypeError):
        saved, value = pickle.loads(path.read_bytes())
        if saved == key:
            return value
    value = compute()
    write_whole(path, pickle.dumps((key, value)))
    return value


def write_whole(path: Path, content: bytes | str) -> None:
    """先写临时文件再改名：中途打断，``path`` 也不会是写了一半的；没有的文件夹先建好。"""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    temporary.replace(path)


def digest(data: bytes | str) -> str:
    """SHA-256 的前 20 个十六进制位，足够辨认。"""
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()[:20]
