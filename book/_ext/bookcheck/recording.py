"""录制：不能每次构建都跑的代码格（要 GPU，或要跑很久），显示录下的输出并写明来历。

代码格后面的 ``{expect}`` 写 ``:recorded: 名字``，这一格在构建时就不执行，输出取自
``book/_recordings/<名字>.json``；``make record CH=04 NAME=名字`` 真正执行它并重写录制。
再写 ``:where: cuda`` 的，在能用 CUDA 的机器上当场执行，输出照正文核对，别处才显示录制。
录制里有代码的摘要与当时用到的文件的摘要：任何一个变了，网页上就标“过期”。没有录制时标“未录”，绝不编造。
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from bookcheck import deps
from bookcheck.source import Cell, Chapter, chapter_number


@dataclass
class Recording:
    """一次录制：输出，以及它从哪里来。"""

    code: str
    deps: dict[str, str]
    device: str
    versions: dict[str, str]
    date: str
    seconds: float
    outputs: list[dict]

    def status(self, cell: Cell, root: Path) -> str:
        """``recorded``，或代码已经变了的 ``stale``。"""
        files = {
            key: value
            for key, value in self.deps.items()
            if key.startswith("file:") and not key.startswith(_IRRELEVANT)
        }
        same = self.code == deps.digest(cell.source) and deps.is_fresh(files, root)
        return "recorded" if same else "stale"

    def provenance(self) -> str:
        """给读者看的来历。"""
        versions = "，".join(f"{name} {version}" for name, version in self.versions.items())
        return f"录制于 {self.date}；{self.device}；{versions}；用时 {self.seconds:.1f} 秒"


# 不影响录下的数的文件：画图、练习，以及别的代码格、别的章产生的训练成果（各有自己的核对）。
# 包的版本写在来历里，不算过期。
_IRRELEVANT = tuple(
    f"file:{folder}/" for folder in ("dlbook/plot", "dlbook/exercises", "/".join(deps.ARTIFACTS))
)


def _path(chapter: Chapter, name: str) -> Path:
    return chapter.path.parent / "_recordings" / f"{name}.json"


def load_recording(chapter: Chapter, cell: Cell) -> Recording | None:
    """一个代码格的录制；还没有录的返回 ``None``。"""
    path = _path(chapter, cell.recording)
    return Recording(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def absence(cell: Cell) -> str:
    """还没有录的，给读者看的话：缺什么。"""
    needs = "要有 GPU 才能运行" if cell.where == "cuda" else "构建时不运行"
    return f"这段代码{needs}，输出还没有录下"


def record_command(chapter: Chapter, cell: Cell) -> str:
    """补录的命令。"""
    return f"make record CH={chapter_number(chapter.name)} NAME={cell.recording}"


def save_recording(chapter: Chapter, cell: Cell, recording: Recording) -> Path:
    """写下一份录制。"""
    path = _path(chapter, cell.recording)
    text = json.dumps(asdict(recording), ensure_ascii=False, indent=1)
    deps.write_whole(path, text + "\n")
    return path
