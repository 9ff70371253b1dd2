"""命令行：``python -m bookcheck check [章]``、``… bless [章]``、``… record 章 名字``。"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from bookcheck.bless import bless
from bookcheck.checks import check_book, record
from bookcheck.source import read_chapter


def main(argv: list[str] | None = None) -> int:
    """返回退出码：全部相符（或都已接受）为 0。"""
    parser = argparse.ArgumentParser(prog="bookcheck", description="核对书里的每一项说法")
    parser.add_argument(
        "command",
        choices=["check", "bless", "record"],
        help="check 只核对；bless 接受新结果；record 重做录制",
    )
    parser.add_argument("chapter", nargs="?", default="", help="章文件名的开头，如 02；不写为全书")
    parser.add_argument("name", nargs="?", default="", help="录制的名字（只用于 record）")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="仓库根目录")
    options = parser.parse_args(argv)
    matched = sorted((options.root / "book").glob(f"{options.chapter}*.md"))
    if not matched:
        parser.error(f"book/ 里没有文件名以 {options.chapter} 开头的章")
    if options.command == "record":
        print(record(options.root, read_chapter(matched[0]), options.name))
        return 0
    start = time.perf_counter()
    report = check_book(options.root, only=options.chapter)
    problems = bless(report) if options.command == "bless" else report.problems
    for problem in problems:
        print(problem.render(report.root))
    ran = "、".join(report.executed) or "无"
    print(
        f"{len(report.claims)} 项说法，{len(problems)} 处不符；"
        f"重新执行：{ran}；用时 {time.perf_counter() - start:.1f} 秒"
    )
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
