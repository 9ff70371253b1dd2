"""训练成果：一处训练好、别处要用的文件放在哪里。

编译这本书时，训练模型的一页把成果存进 ``_build/artifacts``，后面的页与章取来用；
读者自己运行代码时，存在自己的缓存文件夹里。

书中：sec-lm-training
"""

import os
from pathlib import Path

_VARIABLE = "DLBOOK_ARTIFACTS"


class ArtifactMissing(FileNotFoundError):
    """要用的训练成果还没有产生。

    书中：sec-lm-training
    """


def path(name: str) -> Path:
    """名为 name 的成果所在的路径；文件夹不存在就建立，文件可以还没有。

    文件夹由环境变量 ``DLBOOK_ARTIFACTS`` 指定，没有指定时用缓存文件夹
    （``$XDG_CACHE_HOME/dlbook`` 或 ``~/.cache/dlbook``）。
    name 不是单纯的文件名时抛出 ValueError；文件夹建不成时抛出 OSError。

    书中：sec-lm-training
    """
    if not name or Path(name).name != name:
        raise ValueError(f"成果的名字应是单纯的文件名，不含路径，实得 {name!r}")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(os.environ.get(_VARIABLE) or cache / "dlbook")
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


def require(name: str, *, made_by: str) -> Path:
    """同 :func:`path`，但文件必须已经在那里。

    made_by 告诉读者成果从哪里来，如“第 8.6 节的代码，或 dlbook train gpt”。
    文件不在时抛出 :class:`ArtifactMissing`。

    书中：sec-lm-training
    """
    found = path(name)
    try:
        # 打开一次：读不了就尽早说，编译书的执行器也由此记下这一页用到了它。
        with open(found, "rb"):
            return found
    except FileNotFoundError:
        raise ArtifactMissing(f"没有训练成果 {found}；它来自{made_by}，请先运行") from None
