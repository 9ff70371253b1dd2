"""命令行 ``dlbook``：一张表列出全部子命令，用到哪个才导入哪个模块。

添一个子命令，就是在 :data:`COMMANDS` 里添一行；那个模块要有 ``add_arguments(parser)`` 与
``run(args)``，模块文档的第一行就是帮助里的说明。

书中：sec-training-loop
"""

import argparse
import difflib
import errno
import json
import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from dlbook._atomic import write_atomic

COMMANDS = {
    "train mnist": ("训练识别手写数字的网络", "dlbook.training.mnist"),
    "train gpt": ("训练写诗（或任何文字）的语言模型", "dlbook.training.gpt"),
    "resume": ("从一个文件夹里最近的检查点接着训练", "dlbook.training.resume"),
    "sample": ("用训练好的语言模型接着写", "dlbook.training.sample"),
    "evaluate": ("量一量训练好的语言模型", "dlbook.training.evaluate"),
}

# 这些选项只管怎样运行，不影响训练的结果；接着训练时可以与原来不同。
_OPERATIONAL = {"device", "evaluate_every", "keep", "out", "processes", "resume", "save_every"}
_OPERATIONAL |= {"threads"}

# 系统的报错 → 中文
_SYSTEM = {
    os.strerror(code): text
    for code, text in {
        errno.ENOENT: "没有这个文件或文件夹",
        errno.EACCES: "没有权限",
        errno.EISDIR: "这是一个文件夹，应是文件",
        errno.ENOTDIR: "它的上一级不是文件夹",
        errno.EEXIST: "已有一个同名的文件",
        errno.ENOSPC: "磁盘满了",
        errno.EROFS: "文件系统是只读的",
    }.items()
}


def main(argv: Sequence[str] | None = None) -> int:
    """运行 argv（缺省为命令行的参数）；返回退出的状态：0 正常，1 出错，130 被 Ctrl-C 打断。

    书中：sec-training-loop
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    command = next((name for name in COMMANDS if argv[: name.count(" ") + 1] == name.split()), None)
    if command is None:
        return _overview(argv)
    module = import_module(COMMANDS[command][1])
    parser = Parser(prog=f"dlbook {command}", description=_first_paragraph(module.__doc__))
    module.add_arguments(parser)
    args = parser.parse_args(argv[command.count(" ") + 1 :])
    args.argv = argv
    try:
        module.run(args)
    except KeyboardInterrupt as error:
        folder = getattr(args, "out", None)
        hint = f"；接着训练：dlbook resume {folder}" if folder else ""
        print(f"{str(error) or '被打断了'}{hint}", file=sys.stderr)
        return 130
    except _expected_errors() as error:
        print(f"错误：{_one_line(error)}", file=sys.stderr)
        return 1
    return 0


def _overview(argv: list[str]) -> int:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {summary}" for name, (summary, _) in COMMANDS.items()]
    text = "\n".join(
        [
            "用法：dlbook 子命令 [选项]",
            "",
            "《深度学习：理论与实践》的训练程序。子命令：",
            *lines,
            "",
            "dlbook 子命令 --help 显示它的选项。几个进程一起训练：",
            "  dlbook 子命令 … --processes 2",
            "  torchrun --standalone --nproc_per_node 2 -m dlbook.training 子命令 …",
            "几台机器一起训练，每台都运行（--out 用共享的文件夹，由 0 号进程读写）：",
            "  torchrun --nnodes 2 --nproc_per_node 8 --rdzv_backend c10d \\",
            "    --rdzv_endpoint 第一台的地址:29500 -m dlbook.training 子命令 …",
        ]
    )
    if not argv or argv[0] in ("-h", "--help"):
        print(text)
        return 0
    words = [word for word in argv[:2] if not word.startswith("-")]
    wanted, family = " ".join(words), [name for name in COMMANDS if name.split()[:1] == words]
    if family:
        if argv[1:2] in (["-h"], ["--help"]):
            print(text)
            return 0
        message = f"{wanted} 后面要写明是哪一个：{'、'.join(family)}"
    else:
        close = difflib.get_close_matches(wanted, COMMANDS, 1)
        message = f"没有子命令 {wanted!r}" + (f"；是不是想写 {close[0]}？" if close else "")
    print(f"错误：{message}\n\n{text}", file=sys.stderr)
    return 2


def _expected_errors() -> tuple[type[Exception], ...]:
    """说得清的错误只打印一句话；别的是程序的毛病，照样打印调用的经过。"""
    from dlbook.training.checkpoint import CheckpointError
    from dlbook.training.distributed import DistributedError
    from dlbook.training.loop import NonFiniteLossError

    return CheckpointError, DistributedError, NonFiniteLossError, OSError, ValueError


def _one_line(error: Exception) -> str:
    if not isinstance(error, OSError) or error.filename is None:
        return str(error)
    return f"{error.filename}：{_SYSTEM.get(error.strerror, error.strerror)}"


def _first_paragraph(text: str | None) -> str:
    return (text or "").strip().partition("\n\n")[0].replace("\n", "")


# 训练类子命令共用的选项


def add_training_arguments(
    parser: argparse.ArgumentParser,
    *,
    batch_size: int,
    lr: float,
    epochs: int | None = None,
    steps: int | None = None,
) -> None:
    """给 parser 加上各种训练都有的选项；关键字是它们的缺省值。

    书中：sec-training-loop
    """
    add = parser.add_argument_group("训练").add_argument
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=positive, default=epochs, help="训练几轮")
    length.add_argument(
        "--steps", type=positive, default=steps, help="训练几步（与 --epochs 二选一）"
    )
    add(
        "--batch-size",
        type=positive,
        default=batch_size,
        help="每步用多少个样本，各进程、各小批合计（缺省 %(default)s）",
    )
    add("--lr", type=positive_number, default=lr, help="学习率（缺省 %(default)s）")
    add("--clip-norm", type=positive_number, help="梯度的范数超过它就按比例缩小（缺省不裁剪）")
    add("--accumulate", type=positive, default=1, help="一步分几小批累积（内存不够时用）")
    add("--seed", type=int, default=0, help="随机数种子（缺省 %(default)s）")
    add(
        "--precision",
        choices=["float32", "bfloat16", "auto"],
        default="float32",
        help="前向的精度；auto：设备擅长 bfloat16 就用（缺省 %(default)s）",
    )
    add = parser.add_argument_group("检查点").add_argument
    add("--out", type=Path, metavar="文件夹", help="检查点存在哪里（缺省不存）")
    add("--resume", action="store_true", help="文件夹里有检查点就接着训练，没有就从头开始")
    add("--keep", type=positive, default=3, help="保留最近几个检查点（缺省 %(default)s）")
    add("--save-every", type=positive, metavar="步数", help="每几步存一次（缺省每轮一次）")
    add("--evaluate-every", type=positive, metavar="步数", help="每几步评估一次（缺省每轮一次）")
    add = parser.add_argument_group("设备").add_argument
    add("--device", default="auto", help="auto、cpu、cuda、cuda:1、mps（缺省 %(default)s）")
    add("--processes", type=positive, default=1, help="在这台机器上用几个进程（缺省 1）")
    add("--threads", type=positive, help="每个进程用几个 CPU 线程（缺省由 PyTorch 决定）")


def start(args: argparse.Namespace, job: Callable[..., None]) -> None:
    """按 args 选设备、建进程组、设种子，然后运行 job(args, device)。

    由 torchrun 启动时，它已经起好了进程；否则 --processes 大于 1 就在这里起。
    job 须能从模块里导入。

    书中：sec-training-loop
    """
    from dlbook.training import distributed

    if args.resume and args.out is None:
        raise ValueError("--resume 要与 --out 一起用：不知道从哪个文件夹接着训练")
    if args.processes > 1 and "WORLD_SIZE" not in os.environ:
        distributed.launch(_join, args.processes, args, job, threads=args.threads or 1)
    else:
        _join(args, job)


def _join(args: argparse.Namespace, job: Callable[..., None]) -> None:
    import torch

    from dlbook.training import Checkpoints, distributed, pick_device, seed_everything

    if args.threads is not None:
        torch.set_num_threads(args.threads)
    device = pick_device(args.device)
    with distributed.session(device):
        if args.out is not None and distributed.is_main():
            if not Checkpoints(args.out).paths():
                args.out.mkdir(parents=True, exist_ok=True)
                command = {"argv": args.argv, "run": os.environ.get("TORCHELASTIC_RUN_ID")}
                content = json.dumps(command, ensure_ascii=False).encode()
                write_atomic(args.out / "command.json", content)  # 给 dlbook resume 看
            args.resume = args.resume or _restarted(args.out)
        seed_everything(args.seed)
        job(args, device)


def _restarted(folder: Path) -> bool:
    """是不是 torchrun（--max-restarts）重启了自己，而 folder 里正是这次训练的检查点。"""
    if os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0":
        return False
    command = json.loads((folder / "command.json").read_text(encoding="utf-8"))
    return command.get("run") == os.environ["TORCHELASTIC_RUN_ID"]


def training_options(
    args: argparse.Namespace, *, metric: str | None = None, larger_is_better: bool = False
) -> dict[str, Any]:
    """由 :func:`add_training_arguments` 的选项得出 ``train`` 的关键字参数。

    metric 是用来选出 best.pt 的那一项评估。

    书中：sec-training-loop
    """
    from dlbook.training import Checkpoints

    checkpoints = None
    if args.out is not None:
        checkpoints = Checkpoints(
            args.out, keep=args.keep, metric=metric, larger_is_better=larger_is_better
        )
    settings = {k: v for k, v in vars(args).items() if k not in _OPERATIONAL | {"argv"}}
    return {
        "epochs": None if args.steps else args.epochs,
        "steps": args.steps,
        "clip_norm": args.clip_norm,
        "accumulate": args.accumulate,
        "precision": args.precision,
        "evaluate_every": args.evaluate_every,
        "checkpoints": checkpoints,
        "save_every": args.save_every,
        "resume": args.resume,
        "config": {k: str(v) if isinstance(v, Path) else v for k, v in settings.items()},
        "report": print_record,
    }


def share_of_batch(args: argparse.Namespace) -> int:
    """--batch-size 分到每个进程、每一小批是几个样本；分不匀时抛出 ValueError。

    书中：sec-training-loop
    """
    from dlbook.training import distributed

    parts = distributed.world_size() * args.accumulate
    if args.batch_size % parts:
        raise ValueError(
            f"--batch-size {args.batch_size} 分不匀："
            f"{distributed.world_size()} 个进程 × 每步 {args.accumulate} 小批"
        )
    return args.batch_size // parts


def print_record(record: dict[str, float]) -> None:
    """打印一次评估。

    书中：sec-training-loop
    """
    metrics = "  ".join(f"{name} {v:.4f}" for name, v in record.items() if name != "step")
    print(f"第 {record['step']} 步  {metrics}", flush=True)


# 中文的 argparse


def positive(text: str) -> int:
    """正整数，给 argparse 的 type 用。

    书中：sec-training-loop
    """
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"应是正整数，收到 {text!r}")
    return value


def positive_number(text: str) -> float:
    """正的有限的数，给 argparse 的 type 用。

    书中：sec-training-loop
    """
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"应是正数，收到 {text!r}")
    return value


class _Formatter(argparse.HelpFormatter):
    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: str | None = None) -> None:
        super().add_usage(usage, actions, groups, "用法：" if prefix is None else prefix)


# argparse 的英文错误信息 → 中文
_MESSAGES = [
    (r"the following arguments are required: (.*)", r"缺少 \1"),
    (r"unrecognized arguments: (.*)", r"不认识 \1"),
    (r"one of the arguments (.*) is required", r"\1 之中要给一个"),
    (r"argument (.*): not allowed with argument (.*)", r"\1 不能与 \2 一起用"),
    (r"argument (.*): expected one argument", r"\1 后面缺一个值"),
    (r"argument (.*): expected at least one argument", r"\1 后面至少要有一个值"),
    (r"argument (.*): invalid choice: (.*) \(choose from (.*)\)", r"\1 不能是 \2，可选：\3"),
    (r"argument (.*): invalid \w+ value: (.*)", r"\1 的值 \2 不对"),
    (r"ambiguous option: (.*) could match (.*)", r"\1 说不清是 \2 中的哪一个"),
    (r"argument (.*?): (.*)", r"\1：\2"),
]


class Parser(argparse.ArgumentParser):
    """帮助与错误信息都是中文的 ArgumentParser。

    书中：sec-training-loop
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(add_help=False, formatter_class=_Formatter, **options)
        self._positionals.title, self._optionals.title = "参数", "选项"
        self.add_argument("-h", "--help", action="help", help="显示这份说明")

    def error(self, message: str) -> NoReturn:
        for pattern, translation in _MESSAGES:
            message, changed = re.subn(f"^{pattern}$", translation, message)
            if changed:
                break
        self.exit(2, f"{self.format_usage()}错误：{message}\n")
