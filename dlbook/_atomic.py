"""写文件：要么写成完整的新文件，要么旧文件原封不动。"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """with 里往给出的文件写，正常结束时它成为 path；中途出错，path 原来怎样还是怎样。

    先写临时文件、等它落盘，再改名，再等改名落盘：别的进程看到的、断电之后留下的，
    要么是旧文件，要么是完整的新文件，没有写了一半的。写不成时抛出 OSError。
    """
    temporary = path.with_name(f"{path.name}.{uuid4().hex}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomic(path: Path, content: bytes) -> None:
    """把 content 写成 path，写不成时抛出 OSError。"""
    with replacing(path) as file:
        file.write(content)


def _sync_folder(folder: Path) -> None:
    """等 folder 里的改名落盘；Windows 不能这样打开文件夹，也就不等。"""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
