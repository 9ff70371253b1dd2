"""train：与手写的循环逐位相同；累积、裁剪、评估、接着训练、报错、打断、进度条。"""

import io
import math
import os
import random
import signal
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

from dlbook.training import (
    Batches,
    CheckpointError,
    Checkpoints,
    History,
    NonFiniteLossError,
    accuracy,
    classification_loss,
    classification_metrics,
    load_checkpoint,
    seed_everything,
    train,
    warmup_cosine,
    warmup_linear,
)
from dlbook.training.loop import _Pending
from dlbook.training.progress import Progress
from tests.training.jobs import same, shaky, toy_data, toy_model, toy_training

X, Y = toy_data()


def batches(size=16, **options):
    return Batches(X, Y, batch_size=size, **options)


def sgd(model, lr=0.1):
    return torch.optim.SGD(model.parameters(), lr)


def test_same_as_a_loop_by_hand():
    ours, theirs = toy_model(dropout=0.3, norm=True), toy_model(dropout=0.3, norm=True)
    torch.manual_seed(7)
    optimizer = torch.optim.AdamW(ours.parameters(), 0.01)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 4, 0.5)
    history = train(ours, batches(), optimizer, epochs=3, schedule=schedule, clip_norm=0.5)

    torch.manual_seed(7)
    optimizer = torch.optim.AdamW(theirs.parameters(), 0.01)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 4, 0.5)
    losses, rates = [], []
    for epoch in range(3):
        for x, y in batches().epoch(epoch):
            loss = cross_entropy(theirs(x), y)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(theirs.parameters(), 0.5)
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
    assert (history.loss, history.lr, history.evaluations) == (losses, rates, [])
    assert same(dict(ours.state_dict()), dict(theirs.state_dict()))


def test_steps_cross_epochs():
    seen = []

    def loss(model, batch):
        seen.append(batch[1])
        return classification_loss(model, batch)

    model = toy_model()
    history = train(model, batches(40), sgd(model), steps=7, loss=loss)  # 每轮 3 批
    assert len(history.loss) == 7
    expected = [y for epoch in range(3) for _, y in batches(40).epoch(epoch)][:7]
    assert same(seen, expected)


def test_accumulated_small_batches_are_one_large_batch():
    results = []
    for size, parts in ((32, 1), (8, 4)):
        model = toy_model().double()
        data = Batches(X.double(), Y, batch_size=size)
        history = train(model, data, sgd(model), epochs=2, accumulate=parts)
        results.append((history.loss, list(model.parameters())))
    assert len(results[0][0]) == len(results[1][0]) == 6
    torch.testing.assert_close(results[0], results[1], rtol=1e-6, atol=1e-8)


def test_several_optimizers_and_schedules():
    model = toy_model()
    pair = [sgd(model[0], 0.1), torch.optim.AdamW(model[-1].parameters(), 0.01)]
    schedules = [warmup_cosine(o, 12, warmup=3) for o in pair]
    train(model, batches(), pair, schedule=schedules, epochs=2)
    assert [s.last_epoch for s in schedules] == [12, 12]
    assert pair[1].state and not pair[0].state.get("exp_avg")


def test_batches_are_moved_and_the_model_too():
    model = toy_model().to("meta")
    seen = []

    def loss(model, batch):
        seen.append({name: value.device.type for name, value in batch.items()})
        raise InterruptedError

    with pytest.raises(InterruptedError):
        train(model, [{"x": X, "y": Y}], sgd(model), steps=1, loss=loss)
    assert seen == [{"x": "meta", "y": "meta"}]
    other = toy_model()
    with pytest.raises(InterruptedError):
        train(other, [{"x": X}], sgd(other), steps=1, loss=loss, device="meta")
    assert next(other.parameters()).device.type == "meta"


def test_mixed_precision():
    kinds = []

    def loss(model, batch):
        logits = model(batch[0])
        kinds.append(logits.dtype)
        return cross_entropy(logits, batch[1])

    for precision in ("float32", "bfloat16"):
        model = toy_model()
        history = train(model, batches(), sgd(model), steps=2, loss=loss, precision=precision)
        assert all(map(math.isfinite, history.loss))
    assert kinds == [torch.float32] * 2 + [torch.bfloat16] * 2
    with pytest.raises(ValueError, match=r"precision 应是 .*收到 'fp8'"):
        train(model, batches(), sgd(model), steps=1, precision="fp8")


# 评估


def test_evaluation_does_not_change_the_training():
    def evaluate(model):
        assert not model.training and not torch.is_grad_enabled()
        random.random(), np.random.random(), torch.rand(3)
        return {"accuracy": accuracy(model, batches(shuffle=False)), "two": 2}

    reports, results = [], []
    for hook in (None, evaluate):
        model = toy_model(dropout=0.5)
        seed_everything(1)
        history = train(
            model,
            batches(transform=shaky),
            sgd(model),
            steps=10,
            evaluate=hook,
            evaluate_every=4,
            report=reports.append,
        )
        assert model.training
        results.append((history.loss, dict(model.state_dict())))
    assert same(results[0], results[1])
    assert [record["step"] for record in history.evaluations] == [4, 8, 10]
    assert reports == history.evaluations
    assert history.metric("two") == [2.0, 2.0, 2.0] and history.metric("无") == []


def test_evaluates_each_epoch_by_default():
    model = toy_model()
    history = train(model, batches(), sgd(model), epochs=3, evaluate=lambda m: {"a": 0})
    assert [record["step"] for record in history.evaluations] == [6, 12, 18]


def test_classification_metrics():
    model = toy_model().eval()
    metrics = classification_metrics(model, batches(50, shuffle=False))  # 末批小一些
    logits = model(X)
    assert metrics["accuracy"] == (logits.argmax(1) == Y).double().mean().item()
    assert metrics["loss"] == pytest.approx(cross_entropy(logits, Y).item(), rel=1e-6)
    assert not model.training
    with pytest.raises(ValueError, match="没有样本"):
        classification_metrics(model, [])


# 检查点


def test_checkpoint_holds_everything(tmp_path):
    _, history = toy_training(tmp_path, steps=20)
    state = load_checkpoint(tmp_path / "step-00000020.pt")
    assert set(state) == {"model", "optimizers", "schedules", "processes", "history", "config"}
    assert state["history"]["loss"].tolist() == history.loss
    assert state["processes"][0]["stream"] == {"epoch": 6, "batch": 4, "rng": None}
    best = min(history.evaluations, key=lambda record: record["loss"])
    assert len(load_checkpoint(tmp_path / "best.pt")["history"]["loss"]) == best["step"]


def test_a_longer_run_continues_a_shorter_one(tmp_path):
    toy_training(tmp_path / "a", steps=10)
    toy_training(tmp_path / "a", steps=33)
    whole = toy_training(tmp_path / "b", steps=33)
    again = toy_training(tmp_path / "a", steps=33)  # 已经到头：什么也不做
    assert same(again[0].state_dict(), whole[0].state_dict())
    assert again[1].loss == whole[1].loss


def loaders():
    """(名字, 新建加载器)：次序来自全局随机数、自己的发生器、取样器。"""
    dataset = TensorDataset(X, Y)

    def sampled():
        sampler = DistributedSampler(dataset, num_replicas=1, rank=0, seed=3)
        return DataLoader(dataset, 10, sampler=sampler)

    return {"shuffle": lambda: DataLoader(dataset, 10, shuffle=True), "sampler": sampled}


@pytest.mark.parametrize("name", ["shuffle", "sampler"])
@pytest.mark.parametrize("stop", [3, 10, 14])
def test_any_dataloader_resumes_exactly(tmp_path, name, stop):
    results = []
    for folder, plan in ((tmp_path / "a", {25: 3}), (tmp_path / "b", {stop: 3, 25: 99})):
        for steps, seed in plan.items():
            model = toy_model(dropout=0.5)
            torch.manual_seed(seed)
            history = train(
                model,
                loaders()[name](),
                sgd(model),
                steps=steps,
                checkpoints=Checkpoints(folder),
                resume=True,
            )
        results.append((history.loss, dict(model.state_dict())))
    assert same(results[0], results[1])
    assert len(set(results[0][0])) == 25


def test_sampler_gets_each_epoch():
    """DistributedSampler 忘了 set_epoch，每轮的次序就都一样；train 替你记着。"""
    loader, model, seen = loaders()["sampler"](), toy_model(), []

    def loss(model, batch):
        seen.append(batch[0])
        return classification_loss(model, batch)

    train(model, loader, sgd(model), epochs=2, loss=loss)
    assert not torch.equal(torch.cat(seen[:10]), torch.cat(seen[10:]))


def run(folder, model=None, *, optimizer=sgd, resume=True, steps=3, **options):
    model = model or toy_model()
    return train(
        model,
        batches(),
        optimizer(model),
        steps=steps,
        checkpoints=Checkpoints(folder),
        resume=resume,
        **options,
    )


def test_does_not_mix_two_trainings(tmp_path):
    run(tmp_path, resume=False)
    with pytest.raises(FileExistsError, match="已有检查点：接着训练请指明 resume"):
        run(tmp_path, resume=False)


def test_what_does_not_fit_the_checkpoint(tmp_path):
    run(tmp_path, config={"lr": 0.1, "seed": 0})
    with pytest.raises(
        CheckpointError, match=r"lr 原来是 0\.1，现在是 0\.2；旧 原来是 None，现在是 1"
    ):
        run(tmp_path, config={"lr": 0.2, "seed": 0, "旧": 1})
    with pytest.raises(CheckpointError, match=r"(?s)对不上.*size mismatch"):
        run(
            tmp_path, nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 2)), config={"lr": 0.1, "seed": 0}
        )
    with pytest.raises(CheckpointError, match="对不上"):
        run(
            tmp_path,
            config={"lr": 0.1, "seed": 0},
            optimizer=lambda m: [sgd(m[0]), sgd(m[-1])],
        )


def test_best_needs_its_metric(tmp_path):
    model = toy_model()
    with pytest.raises(ValueError, match=r"没有 'val_loss'.*有：loss"):
        train(
            model,
            batches(),
            sgd(model),
            steps=1,
            evaluate=lambda m: {"loss": 1.0},
            checkpoints=Checkpoints(tmp_path, metric="val_loss"),
        )


# 出错与打断


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_non_finite_loss_names_step_and_batch(tmp_path, bad):
    """CPU 上：参数还没有被它更新，上一个检查点完好。"""
    model, values = toy_model(), []

    def loss(model, batch):
        values.append(1)
        if len(values) == 20:  # 每步 2 小批，每轮 6 批：第 10 步，第 3 轮第 1 批
            values.append({k: v.clone() for k, v in model.state_dict().items()})
            return classification_loss(model, batch) * bad
        return classification_loss(model, batch)

    with pytest.raises(NonFiniteLossError) as caught:
        train(
            model,
            batches(),
            sgd(model),
            steps=30,
            accumulate=2,
            loss=loss,
            checkpoints=Checkpoints(tmp_path),
        )
    error = caught.value
    assert (error.step, error.epoch, error.batch, error.rank) == (10, 3, 1, 0)
    assert f"第 10 步的损失是 {bad}，训练停下：第 3 轮第 1 批" in str(error)
    assert same(dict(model.state_dict()), values[-1])
    assert Checkpoints(tmp_path).paths()[-1].name == "step-00000009.pt"


def test_losses_kept_on_the_gpu_for_a_while(tmp_path, monkeypatch):
    """GPU 上攒几步才取回损失：记录照样完整，报错照样说得出是哪一步，不会存下坏了的参数。"""

    class LikeGPU(_Pending):
        def __init__(self, history, device):
            super().__init__(history, device)
            self.patience = 4

    def bad(model, batch):
        calls.append(1)
        return classification_loss(model, batch) * (math.nan if len(calls) == 10 else 1)

    expected = run(tmp_path / "a", steps=11, save_every=5)
    monkeypatch.setattr("dlbook.training.loop._Pending", LikeGPU)
    assert run(tmp_path / "b", steps=11, save_every=5) == expected
    assert run(tmp_path / "b", steps=11) == expected
    calls = []
    with pytest.raises(NonFiniteLossError) as caught:
        run(tmp_path / "c", steps=11, save_every=10, loss=bad)
    assert (caught.value.step, caught.value.epoch, caught.value.batch) == (10, 1, 3)
    assert [path.name for path in Checkpoints(tmp_path / "c").paths()] == []


@pytest.mark.skipif(sys.platform == "win32", reason="要用信号")
def test_ctrl_c_finishes_the_step_and_saves(tmp_path):
    def interrupting(model, batch):
        calls.append(1)
        if len(calls) == 8:
            os.kill(os.getpid(), signal.SIGINT)
        return classification_loss(model, batch)

    calls, before = [], signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match="停在第 8 步，一共 20 步"):
        run(tmp_path / "a", steps=20, loss=interrupting)
    assert signal.getsignal(signal.SIGINT) is before
    assert Checkpoints(tmp_path / "a").paths()[-1].name == "step-00000008.pt"
    assert run(tmp_path / "a", steps=20).loss == run(tmp_path / "b", steps=20).loss


@pytest.mark.skipif(sys.platform == "win32", reason="要用信号")
def test_the_same_ctrl_c_arriving_twice_counts_once(tmp_path):
    """torchrun 把终端已经发给各进程的 Ctrl-C 再转发一遍：仍要走完这一步、存好检查点。"""

    def interrupting(model, batch):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)  # 等前一个信号处理完，免得两个并成一个
        return classification_loss(model, batch)

    with pytest.raises(KeyboardInterrupt, match="停在第 1 步"):
        run(tmp_path, loss=interrupting)
    assert Checkpoints(tmp_path).paths()[-1].name == "step-00000001.pt"


@pytest.mark.skipif(sys.platform == "win32", reason="要用信号")
def test_second_ctrl_c_stops_at_once(tmp_path, monkeypatch):
    def stuck(model, batch):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)
        raise AssertionError("到不了这里")

    monkeypatch.setattr("dlbook.training.loop._ONE_PRESS", 0.01)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, loss=stuck)
    assert Checkpoints(tmp_path).paths() == []


def test_works_in_a_thread():
    """信号只有主线程能接；别的线程里照样能训练。"""
    model, found = toy_model(), []
    worker = threading.Thread(
        target=lambda: found.append(train(model, batches(), sgd(model), steps=2))
    )
    worker.start()
    worker.join()
    assert len(found[0].loss) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "恰好给一个，收到 epochs=None、steps=None"),
        ({"steps": 1, "epochs": 1}, "恰好给一个"),
        ({"steps": -1}, "不能是负数"),
        ({"epochs": 1, "accumulate": 0}, "accumulate 应是正整数"),
        ({"epochs": 1, "batches": iter([])}, "没有长度.*请改用 steps"),
        ({"epochs": 1, "batches": []}, "一批也没有"),
        ({"steps": 1, "batches": iter([])}, "第 0 轮.*一批数据也没有"),
    ],
)
def test_errors(options, message):
    model = toy_model()
    with pytest.raises(ValueError, match=message):
        train(model, **{"batches": batches(), "optimizer": sgd(model)} | options)


# 日程与进度条


def twelve_rates(make, **options):
    """最大学习率 2.0、共 10 步的日程，头 12 步的学习率。"""
    optimizer = sgd(toy_model(), 2.0)
    schedule = make(optimizer, 10, **options)
    rates = []
    for _ in range(12):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


def test_warmup_cosine():
    rates = twelve_rates(warmup_cosine, warmup=4, floor=0.1)
    assert rates[:5] == [0.5, 1.0, 1.5, 2.0, 2.0]
    assert rates[7] == pytest.approx(2 * (0.1 + 0.9 / 2))
    assert rates[10] == rates[11] == pytest.approx(0.2)
    with pytest.raises(ValueError, match="0 与 9 之间，收到 10"):
        warmup_cosine(sgd(toy_model()), 10, warmup=10)


def test_warmup_linear():
    rates = twelve_rates(warmup_linear, warmup=5)
    assert rates == pytest.approx([0.4, 0.8, 1.2, 1.6, 2.0, 2.0, 1.6, 1.2, 0.8, 0.4, 0.0, 0.0])


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_shows_loss_speed_and_time_left(monkeypatch):
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr("dlbook.training.progress.time.monotonic", lambda: clock.now)
    out = Terminal()
    history = History()
    with Progress(10, stream=out) as bar:
        for step in range(4):
            clock.now += 30
            history.loss.append(2.0 - step)
            bar.add((torch.zeros(60), torch.zeros(60)))
            bar.update(history)
    last = out.getvalue().split("\r\x1b[K")[-2]
    assert last.startswith("━" * 10 + "─" * 14 + " 4/10")
    assert "损失 0.5000" in last and "2/秒" in last and "还要 3:00" in last
    assert out.getvalue().endswith("\r\x1b[K")  # 用完擦去


def test_progress_is_quiet_outside_a_terminal(capfd):
    model = toy_model()
    train(model, batches(), sgd(model), epochs=1, evaluate=lambda m: {"a": 1})
    out = io.StringIO()
    with Progress(3, stream=out) as bar:
        bar.update(History())
    assert out.getvalue() == "" and capfd.readouterr() == ("", "")
    train(model, batches(), sgd(model), epochs=1, progress=True)
    assert "6/6" in capfd.readouterr().err


def test_progress_counts_what_it_is_told():
    out = Terminal()
    bar = Progress(1, stream=out, count=lambda batch: batch["x"].numel())
    bar.add({"x": torch.zeros(3, 4)})
    assert bar._items == 12
    bar = Progress(1, stream=out)
    bar.add({"x": [torch.zeros(3, 4)]})
    assert bar._items == 3
