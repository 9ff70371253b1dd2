"""接着训练：用原来的命令，从文件夹里最近的检查点开始。

书中：sec-save-load
"""

import argparse
import json
from pathlib import Path

from dlbook.training import cli


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``dlbook resume`` 的选项。

    书中：sec-save-load
    """
    parser.add_argument("folder", type=Path, metavar="文件夹", help="原来的 --out")
    extra = parser.add_argument(
        "extra",
        nargs=argparse.REMAINDER,
        metavar="…",
        help="只管怎样运行的选项（如 --device、--processes），加在原来的命令之后",
    )
    extra.required = False  # 没有也行；argparse 缺了 文件夹 时会把它也算作缺的


def run(args: argparse.Namespace) -> None:
    """读出原来的命令，加上 --resume 再运行一次。

    书中：sec-save-load
    """
    file = args.folder / "command.json"
    if not file.exists():
        raise ValueError(f"{args.folder} 不是训练存下的文件夹：里面没有 {file.name}")
    argv = json.loads(file.read_text(encoding="utf-8"))["argv"]
    status = cli.main([*argv, "--out", str(args.folder), "--resume", *args.extra])
    if status:
        raise SystemExit(status)
