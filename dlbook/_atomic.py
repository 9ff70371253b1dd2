"""写文件：要么写成完整的新文件，要么旧文件原封不动。"""

import os
from pathlib import Path
from uuid import uuid4


def write_atomic(path: Path, content: bytes) -> None:
    """把 content 写成 path，写不成时抛出 OSError。

    先写临时文件、等它落盘，再改名：别的进程看到的、断电之后留下的，
    要么是旧文件，要么是完整的新文件，没有写了一半的。
    """
    temporary = path.with_name(f"{path.name}.{uuid4().hex}.tmp")
    try:
        temporary.write_bytes(content)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
