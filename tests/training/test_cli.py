"""命令行：中文的帮助与错误，训练 MNIST，接着训练，几个进程，几种启动办法。"""

import json
import os
import re
import signal
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch

from dlbook.training import cli, load_checkpoint
from tests.training.jobs import same

REPO = Path(__file__).parents[2]
SMALL = ["train", "mnist", "--limit", "640", "--hidden", "16", "--device", "cpu"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """在本进程里训练一次，几步小的。"""
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert cli.main([*SMALL, "--epochs", "2", "--out", str(folder)]) == 0
    return folder


def last(folder):
    return load_checkpoint(max(folder.glob("step-*.pt")))


def test_overview(capsys):
    for argv in ([], ["--help"], ["-h"], ["train", "--help"]):
        assert cli.main(argv) == 0
        out = capsys.readouterr().out
        assert "用法：dlbook 子命令" in out
        assert all(name in out and summary in out for name, (summary, _) in cli.COMMANDS.items())


@pytest.mark.parametrize("command", list(cli.COMMANDS))
def test_every_command_has_chinese_help(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main([*command.split(), "--help"])
    out = capsys.readouterr().out
    assert stopped.value.code == 0
    assert out.startswith(f"用法：dlbook {command}")
    for english in ("usage", "options", "positional", "show this", "optional"):
        assert english not in out
    options = re.findall(r"^  (-.*|[^\s{].*)$", out.partition("选项")[2], re.M)
    assert options and all(re.search("[一-鿿]", line) or "--" in line for line in options)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["train", "mnits"], "没有子命令 'train mnits'；是不是想写 train mnist？"),
        (["什么"], "没有子命令 '什么'"),
        (["train"], "train 后面要写明是哪一个：train mnist、train gpt"),
    ],
)
def test_unknown_command(argv, message, capsys):
    assert cli.main(argv) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--model", "gpt"], "--model 不能是 'gpt'，可选：'mlp', 'cnn'"),
        (["--lr", "快"], "--lr 的值 '快' 不对"),
        (["--lr", "-1"], "--lr：应是正数，收到 '-1'"),
        (["--clip-norm", "inf"], "--clip-norm：应是正数，收到 'inf'"),
        (["--epochs", "0"], "--epochs：应是正整数，收到 '0'"),
        (["--hidden", "0"], "--hidden：应是正整数，收到 '0'"),
        (["--epochs", "1", "--steps", "2"], "--steps 不能与 --epochs 一起用"),
        (["--lr"], "--lr 后面缺一个值"),
        (["--nope"], "不认识 --nope"),
    ],
)
def test_wrong_options(argv, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["train", "mnist", *argv])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.splitlines()[-1] == f"错误：{message}" and "用法：" in error


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--device", "显卡"], "不认识的设备 '显卡'"),
        (["--resume"], "--resume 要与 --out 一起用"),
        (["--accumulate", "3"], "--batch-size 64 分不匀：1 个进程 × 每步 3 小批"),
        (["--limit", "55001"], "--limit 至多 55000（另外 5000 张留作验证），收到 55001"),
        (["--limit", "8", "--accumulate", "64", "--epochs", "1"], "8 张图一共只有 8 小批，不够走"),
        (["--out", "/dev/null/x"], "/dev/null/x：它的上一级不是文件夹"),
    ],
)
def test_known_errors_are_one_line(argv, message, capsys):
    assert cli.main([*SMALL, *argv]) == 1
    error = capsys.readouterr().err
    assert error.startswith("错误：") and message in error and error.count("\n") == 1


def test_missing_folder(tmp_path, capsys):
    assert cli.main(["resume", str(tmp_path)]) == 1
    assert "不是训练存下的文件夹" in capsys.readouterr().err


def test_resume_without_a_folder(capsys):
    with pytest.raises(SystemExit):
        cli.main(["resume"])
    assert capsys.readouterr().err.endswith("错误：缺少 文件夹\n")


def test_restarted_by_torchrun_resumes_by_itself(trained, tmp_path, monkeypatch, capsys):
    """torchrun --max-restarts 重启时命令里没有 --resume，也要接着训练；别人的检查点则不碰。"""
    command = [*SMALL, "--epochs", "2", "--out", str(tmp_path)]
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "甲")
    monkeypatch.setattr("dlbook.training.mnist.classification_metrics", dies)
    with pytest.raises(ZeroDivisionError):
        cli.main([*command, "--save-every", "3"])  # 第一轮（10 步）末尾评估时出事
    monkeypatch.undo()
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "甲")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert cli.main([*command, "--save-every", "50"]) == 0
    assert same(last(tmp_path)["model"], last(trained)["model"])
    assert same(last(tmp_path)["history"]["loss"], last(trained)["history"]["loss"])
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "乙")
    assert cli.main(command) == 1
    assert "已有检查点" in capsys.readouterr().err


def dies(*args):
    raise ZeroDivisionError


def test_training_and_resuming(trained, tmp_path, capsys):
    state = last(trained)
    assert len(state["history"]["loss"]) == 20
    losses = state["history"]["loss"]
    assert losses[-5:].mean() < losses[:5].mean()
    # 已经到头：再来一遍只报告测试结果
    assert cli.main(["resume", str(trained)]) == 0
    assert re.search(r"测试集：准确率 0\.\d{4}  损失 \d\.\d{4}\n", capsys.readouterr().out)
    # 没有 --resume，不往有检查点的文件夹里写
    assert cli.main([*SMALL, "--out", str(trained)]) == 1
    assert "已有检查点" in capsys.readouterr().err
    assert cli.main([*SMALL, "--epochs", "2", "--lr", "1", "--out", str(trained), "--resume"]) == 1
    assert "lr 原来是 0.002，现在是 1.0" in capsys.readouterr().err
    assert json.loads((trained / "command.json").read_text())["argv"][:2] == ["train", "mnist"]


def test_interrupted_and_resumed(trained, tmp_path):
    """Ctrl-C 之后 dlbook resume，与没有中断的结果相同。"""
    folder = tmp_path / "run"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "dlbook.training", *SMALL),
            *("--epochs", "2", "--out", folder, "--save-every", "1"),
        ],
        cwd=REPO,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list(folder.glob("step-*.pt")) and process.poll() is None:
        pass
    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=60)[1]
    if process.returncode:  # 机器太忙时，信号到得比训练结束还晚
        assert process.returncode == 130 and "按要求停在第" in error
    assert cli.main(["resume", str(folder), "--save-every", "50"]) == 0
    found, expected = last(folder), last(trained)
    assert same(found["history"]["loss"], expected["history"]["loss"])
    assert same(found["model"], expected["model"])


def test_two_processes_by_option_and_by_torchrun(trained, tmp_path, capfd):
    """--processes 2 与 torchrun 得到同样的结果，与一个进程的也相同（求和次序之差）。"""
    command = [*SMALL, "--epochs", "2", "--out"]
    assert cli.main([*command, str(tmp_path / "a"), "--processes", "2"]) == 0
    assert capfd.readouterr().out.count("测试集：") == 1  # 只有 0 号进程打印
    torchrun = ["torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    subprocess.run(
        [sys.executable, "-m", *torchrun, "-m", "dlbook.training", *command, tmp_path / "b"],
        cwd=REPO,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
        timeout=300,
    )
    a, b, one = last(tmp_path / "a"), last(tmp_path / "b"), last(trained)
    assert same(a["model"], b["model"]) and same(a["history"], b["history"])
    torch.testing.assert_close(a["model"], one["model"], rtol=1e-3, atol=1e-5)


def test_adding_a_command_is_one_line(monkeypatch, capsys):
    module = types.ModuleType("fake", "唱歌。\n\n书中：无")
    module.add_arguments = lambda parser: parser.add_argument("--song", default="无")
    module.run = lambda args: print("唱", args.song)
    monkeypatch.setitem(sys.modules, "fake", module)
    monkeypatch.setitem(cli.COMMANDS, "sing now", ("唱歌", "fake"))
    assert cli.main(["sing", "now", "--song", "春江"]) == 0
    assert capsys.readouterr().out == "唱 春江\n"
