"""读数据文件：要么得到核对过的全部字节，要么得到一条说清楚的错误。

书中：sec-mnist-data
"""

import errno
import gzip
import hashlib
import lzma
import os
import zlib
from pathlib import Path

from dlbook._atomic import write_atomic


class DataError(ValueError):
    """数据文件不对。信息里写明出了什么问题、哪个文件、期望什么、实际是什么、怎么办。

    书中：sec-mnist-data
    """

    def __init__(
        self, path: str | os.PathLike, problem: str, expected: str, found: str, advice: str
    ) -> None:
        super().__init__(path, problem, expected, found, advice)
        self.path, self.problem = Path(path), problem
        self.expected, self.found, self.advice = expected, found, advice

    def __str__(self) -> str:
        return (
            f"{self.problem}：{self.path}\n"
            f"  期望：{self.expected}\n  实际：{self.found}\n  怎么办：{self.advice}"
        )


_FETCH_AGAIN = "换一份完好的文件：从原处重新复制，或重新安装 dlbook"
# 后缀 → 解压函数、格式名、开头的魔数。
_COMPRESSED = {
    ".gz": (gzip.decompress, "gzip", b"\x1f\x8b"),
    ".xz": (lzma.decompress, "xz", b"\xfd7zXZ\0"),
}


def find_file(folder: Path, name: str) -> Path:
    """folder 里名为 name.gz 或 name 的文件（都有时取前者）；都没有时抛出 DataError。

    书中：sec-mnist-data
    """
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise DataError(
            folder,
            "数据文件夹打不开",
            expected=f"一个可读的文件夹，里面有 {name}.gz 或 {name}",
            found=_reason(error),
            advice="检查路径与权限；不给 root 就用随包携带的数据",
        ) from error
    for candidate in (f"{name}.gz", name):
        if candidate in names:
            return folder / candidate
    raise DataError(
        folder / f"{name}.gz",
        "缺少数据文件",
        expected=f"文件夹里有 {name}.gz 或 {name}",
        found=f"文件夹里有 {'、'.join(names)}" if names else "文件夹是空的",
        advice="把缺的文件放进去，或重新安装 dlbook",
    )


def read_file(path: Path) -> bytes:
    """文件的全部内容，.gz、.xz 先解压。读不了、空的、压缩流不完整或有损坏时抛出 DataError。

    书中：sec-mnist-data
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            path,
            "数据文件读不了",
            expected="一个可读的文件",
            found=_reason(error),
            advice="检查它是不是文件、有没有读权限（Linux 与 macOS 上用 ls -l 查看）",
        ) from error
    if not content:
        raise DataError(
            path, "数据文件是空的", expected="有内容的文件", found="0 字节", advice=_FETCH_AGAIN
        )
    return _decompress(path, content) if path.suffix in _COMPRESSED else content


def _decompress(path: Path, content: bytes) -> bytes:
    decompress, name, magic = _COMPRESSED[path.suffix]
    try:
        return decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError) as error:
        cause = error
    # gzip 用 EOFError 报告截断，lzma 没有专门的异常，只在信息里写 end-of-stream。
    if isinstance(cause, EOFError) or "end-of-stream" in str(cause):
        found = f"只有 {len(content)} 字节，后面被截断了"
    elif content.startswith(magic):
        found = f"压缩流损坏（{cause}）"
    else:
        found = f"开头是 {content[:4].hex(' ')}"
    raise DataError(
        path,
        "数据文件解压失败",
        expected=f"完整的 {name} 文件，开头是 {magic.hex(' ')}",
        found=found,
        advice=f"{_FETCH_AGAIN}；已经解压的文件，名字不带 {path.suffix}",
    ) from cause


def check_sha256(path: Path, raw: bytes, expected: str) -> None:
    """raw 的 SHA-256 应等于 expected，否则抛出 DataError。

    书中：sec-mnist-data
    """
    found = hashlib.sha256(raw).hexdigest()
    if found != expected:
        raise DataError(
            path,
            "数据文件的内容有改动",
            expected=f"（解压后）SHA-256 为 {expected}",
            found=f"{found}；格式与长度都对，是数据本身变了",
            advice=_FETCH_AGAIN,
        )


def write_cache(path: Path, content: bytes) -> None:
    """把 content 完整地写成 path；它的文件夹不存在时建立（只建一层）。写不成时抛出 DataError。

    书中：sec-mnist-data
    """
    try:
        path.parent.mkdir(exist_ok=True)
        write_atomic(path, content)
    except OSError as error:
        raise DataError(
            path.parent,
            "缓存文件夹写不进去",
            expected=f"一个可写的文件夹（不存在时它的上一级须存在），能放下 {path.name} "
            f"的 {len(content)} 字节",
            found=_reason(error),
            advice="换一个文件夹，或给它写权限、腾出空间；不给 cache 就不用缓存",
        ) from error


def _reason(error: OSError) -> str:
    """系统报的错，用中文说。"""
    known = {
        errno.ENOENT: "它或它的上一级不存在",
        errno.EACCES: "没有权限",
        errno.EPERM: "没有权限",
        errno.EISDIR: "这是一个文件夹",
        errno.ENOTDIR: "它或它的上一级不是文件夹",
        errno.EEXIST: "已有一个同名的文件",
        errno.ENOSPC: "磁盘满了",
        errno.EROFS: "文件系统是只读的",
    }
    return f"{known.get(error.errno, '系统报错')}（{error}）"
