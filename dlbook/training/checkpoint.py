"""检查点：训练到某一步的全部状态，存得下、读得回、坏了说得清。

文件就是 ``torch.save`` 的文件（``torch.load(..., weights_only=True)`` 也能读），末尾多一段注释：
格式的版本与前面全部字节的 SHA-256。读的时候先对摘要，再解读内容。

书中：sec-save-load
"""

import hashlib
import os
import platform
import struct
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from dlbook._atomic import replacing

VERSION = 1
_LABEL = b"dlbook-checkpoint "
_DIGEST_LENGTH = hashlib.sha256().digest_size * 2
_COMMENT_LENGTH = len(_LABEL) + 5 + _DIGEST_LENGTH  # 版本占四位数字与一个空格
_ZIP_START = b"PK\x03\x04"
_ZIP_END = b"PK\x05\x06"  # zip 末尾的 22 字节由它开头
_PLAIN = (torch.Tensor, str, bytes, bool, int, float, type(None))


class CheckpointError(RuntimeError):
    """检查点读不成，或者与现在的训练对不上。

    书中：sec-save-load
    """


def save_checkpoint(path: str | os.PathLike, state: Mapping[str, Any]) -> None:
    """把 state 完整地存成 path；中途失败（断电、被杀、磁盘满）时原来的文件原封不动。

    state 只能由张量、数、字符串、None 与它们组成的 dict、list、tuple 构成，否则抛出 TypeError；
    写不成时抛出 OSError。

    书中：sec-save-load
    """
    path = Path(path)
    _check_plain(state, "state")
    versions = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": str(torch.__version__),
    }
    try:
        with replacing(path) as file:
            writer = _SignedWriter(file)
            torch.save({"state": dict(state), "versions": versions}, writer)
            writer.finish()
    except OSError as error:
        reason = f"检查点没有存成（{error.strerror}），已有的检查点没有动"
        raise OSError(error.errno, reason, str(path)) from error


def load_checkpoint(path: str | os.PathLike) -> dict[str, Any]:
    """读回 :func:`save_checkpoint` 存的 state，张量都在 CPU 上；绝不执行文件里的代码。

    文件残缺、损坏、不是检查点、来自更新的版本，都抛出 CheckpointError；打不开时抛出 OSError。

    书中：sec-save-load
    """
    path = Path(path)
    with open(path, "rb") as file:
        _check_signature(file, path)
        file.seek(0)
        try:
            return torch.load(file, map_location="cpu", weights_only=True)["state"]
        except Exception as error:  # 摘要对而内容不对：不是本库写出来的
            raise CheckpointError(f"{path}：内容不合格式（{error}）") from error


def _check_plain(value: object, where: str) -> None:
    """只放行 weights_only=True 读得回来的东西：存的时候发现，好过读的时候才发现。"""
    if isinstance(value, Mapping):
        for key, item in value.items():
            _check_plain(key, f"{where} 的键")
            _check_plain(item, f"{where}[{key!r}]")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _check_plain(item, f"{where}[{index}]")
    elif not isinstance(value, _PLAIN) or isinstance(value, np.generic):
        raise TypeError(
            f"检查点里存不了 {type(value).__name__}（在 {where}）；"
            "能存张量、数、字符串、None 和由它们组成的 dict、list、tuple"
        )


class _SignedWriter:
    """替 torch.save 写文件，边写边算摘要；最后把摘要写成 zip 末尾的注释。

    zip 的最后两个字节是注释的长度，torch.save 写的是 0；所以总留着两个字节没写，
    到 finish 时换成真的长度。
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.digest = file, hashlib.sha256()
        self.held, self.error = b"", None

    def write(self, data: bytes) -> int:
        size = len(data)
        if self.error is None:
            data = self.held + bytes(data)
            self.held = data[-2:]
            try:
                self._put(data[:-2])
            except OSError as error:  # 不能穿过 torch 的 C++ 代码抛出，先记下
                self.error = error
        return size

    def finish(self) -> None:
        if self.error is not None:
            raise self.error
        self._put(struct.pack("<H", _COMMENT_LENGTH))
        self._put(_LABEL + b"%04d " % VERSION)
        self.file.write(self.digest.hexdigest().encode())

    def flush(self) -> None:
        """torch.save 写完时会调用；真正的落盘由 replacing 负责。"""

    def _put(self, data: bytes) -> None:
        self.file.write(data)
        self.digest.update(data)


def _check_signature(file: BinaryIO, path: Path) -> None:
    size = file.seek(0, os.SEEK_END)
    if size == 0:
        raise CheckpointError(f"{path}：文件是空的")
    file.seek(0)
    start = file.read(4)
    if start != _ZIP_START:
        raise CheckpointError(f"{path}：不是检查点（开头是 {start.hex(' ')}），或者开头已损坏")
    file.seek(max(0, size - _COMMENT_LENGTH))
    comment = file.read()
    if not comment.startswith(_LABEL):
        if _ZIP_END in comment[-22:]:
            raise CheckpointError(
                f"{path}：不是检查点；它可能是 torch.save 存的，请直接用 torch.load 读"
            )
        raise CheckpointError(f"{path}：文件不完整（{size} 字节，末尾没有摘要）")
    version = comment[len(_LABEL) : len(_LABEL) + 4]
    if version.isdigit() and int(version) > VERSION:
        raise CheckpointError(
            f"{path}：格式是第 {int(version)} 版，这里只认识到第 {VERSION} 版，请升级 dlbook"
        )
    file.seek(0)
    digest, left = hashlib.sha256(), size - _DIGEST_LENGTH
    while left > 0:
        block = file.read(min(left, 1 << 20))
        digest.update(block)
        left -= len(block)
    if digest.hexdigest().encode() != comment[-_DIGEST_LENGTH:]:
        raise CheckpointError(f"{path}：文件已损坏（{size} 字节，摘要不符）")


class Checkpoints:
    """一个文件夹里的检查点：``step-00000120.pt`` 等最近 keep 个，与最好的一个 ``best.pt``。

    文件夹不存在时建立。metric 是评估结果里用来比较好坏的那一项的名字，不给就没有 best.pt；
    larger_is_better=True 时越大越好。

    书中：sec-save-load
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        *,
        keep: int = 3,
        metric: str | None = None,
        larger_is_better: bool = False,
    ) -> None:
        if keep < 1:
            raise ValueError(f"keep 应是正整数，收到 {keep}")
        self.folder, self.keep = Path(folder), keep
        self.metric, self.larger_is_better = metric, larger_is_better

    @property
    def best(self) -> Path:
        """最好的那个检查点的路径（可能还没有）。"""
        return self.folder / "best.pt"

    def paths(self) -> list[Path]:
        """现有的检查点，由旧到新，不含 best.pt。"""
        found = [path for path in self.folder.glob("step-*.pt") if path.stem[5:].isdecimal()]
        return sorted(found, key=lambda path: int(path.stem[5:]))

    def save(self, step: int, state: Mapping[str, Any], *, best: bool = False) -> Path:
        """存下第 step 步的状态；best=True 时它也成为 best.pt。然后删去过旧的。"""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"step-{step:08d}.pt"
        if best:
            save_checkpoint(self.best, state)
        save_checkpoint(path, state)
        for old in self.paths()[: -self.keep]:
            old.unlink()
        for leftover in self.folder.glob("*.pt.*.tmp"):  # 以前的进程写到一半被杀，留下的
            leftover.unlink()
        return path

    def load(self) -> dict[str, Any] | None:
        """最近一个完好的检查点；一个也没有时返回 None，全都坏了抛出 CheckpointError。

        最近的坏了就退回前一个，并给出警告。
        """
        damaged = []
        for path in reversed(self.paths()):
            try:
                state = load_checkpoint(path)
            except CheckpointError as error:
                damaged.append(str(error))
                continue
            if damaged:
                warnings.warn(f"{'；'.join(damaged)}。改用 {path.name}", stacklevel=2)
            return state
        if damaged:
            raise CheckpointError("没有一个检查点是完好的：" + "；".join(damaged))
        return None

    def is_better(self, values: list[float]) -> bool:
        """values 是 metric 依次的各个值：最后一个是不是到此为止最好的。"""
        if not values:
            return False
        *before, last = values
        sign = 1 if self.larger_is_better else -1
        return all(sign * last > sign * value for value in before)
