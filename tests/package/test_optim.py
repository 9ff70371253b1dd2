"""优化器与日程：与 torch.optim 逐步比较。"""

import inspect
import math

import numpy as np
import pytest
import torch

from dlbook import nn, optim
from dlbook.autograd.tensor import Tensor
from dlbook.nn import Parameter
from dlbook.optim import lr_scheduler

# 每个公开的优化器都要有例子；少了，test_every_optimizer_has_a_case 会失败。
CASES = {
    "SGD": [
        {},
        {"lr": 0.1, "weight_decay": 0.3},
        {"lr": 0.1, "momentum": 0.9},
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1},
        {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
        {"lr": 0.1, "momentum": 0.5, "maximize": True},
    ],
    "Adagrad": [
        {},
        {"lr": 0.1, "lr_decay": 0.2, "weight_decay": 0.1},
        {"lr": 0.1, "initial_accumulator_value": 0.5, "eps": 1e-3, "maximize": True},
    ],
    "RMSprop": [
        {},
        {"lr": 0.05, "alpha": 0.8, "eps": 1e-3, "weight_decay": 0.1},
        {"lr": 0.05, "momentum": 0.9, "maximize": True},
        {"lr": 0.05, "centered": True},
        {"lr": 0.05, "centered": True, "momentum": 0.5, "weight_decay": 0.1},
    ],
    "Adam": [
        {},
        {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.2},
        {"lr": 0.1, "amsgrad": True, "maximize": True},
        {"lr": 0.1, "weight_decay": 0.2, "decoupled_weight_decay": True},
    ],
    "AdamW": [
        {},
        {"lr": 0.1, "betas": (0.8, 0.9), "weight_decay": 0.3},
        {"lr": 0.1, "amsgrad": True, "maximize": True, "weight_decay": 0},
    ],
}
TRIALS = [(name, options) for name, cases in CASES.items() for options in cases]
SHAPES = [(3, 4), (5,), (), (0, 2), (7, 500)]
TOLERANCE = {np.float32: {"rtol": 1e-5, "atol": 1e-6}, np.float64: {"rtol": 1e-10, "atol": 1e-12}}


def classes(module, base):
    return {
        n for n in dir(module) if inspect.isclass(c := getattr(module, n)) and issubclass(c, base)
    }


def twins(dtype, shapes=SHAPES, seed=0):
    """数值相同的两组参数：我们的与 torch 的。"""
    rng = np.random.default_rng(seed)
    arrays = [np.asarray(rng.normal(size=s), dtype) for s in shapes]
    ours = [Parameter(a.copy()) for a in arrays]
    theirs = [torch.nn.Parameter(torch.from_numpy(a.copy())) for a in arrays]
    return ours, theirs


def give_gradients(ours, theirs, rng):
    for p, q in zip(ours, theirs, strict=True):
        g = np.asarray(rng.normal(size=p.shape), p.dtype)
        p.grad, q.grad = Tensor(g.copy()), torch.from_numpy(g.copy())


def assert_same_params(ours, theirs):
    for p, q in zip(ours, theirs, strict=True):
        assert p.array.dtype == q.detach().numpy().dtype
        np.testing.assert_allclose(p.array, q.detach().numpy(), **TOLERANCE[p.dtype.type])


def as_torch(value):
    """状态里的张量换成 torch 的。"""
    if isinstance(value, Tensor):
        return torch.from_numpy(value.array.copy())
    if isinstance(value, dict):
        return {k: as_torch(v) for k, v in value.items()}
    return value


def test_every_optimizer_has_a_case():
    assert classes(optim, optim.Optimizer) - {"Optimizer"} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_constructor_is_torchs(name):
    mine = inspect.signature(getattr(optim, name)).parameters.values()
    theirs = inspect.signature(getattr(torch.optim, name)).parameters.values()
    assert [(p.name, p.kind, p.default) for p in mine] == [
        (p.name, p.kind, p.default) for p in theirs
    ]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "options"), TRIALS)
def test_twenty_steps(name, options, dtype):
    ours, theirs = twins(dtype)
    groups = [slice(0, 2), slice(2, None)]
    second = {"lr": 0.02, "weight_decay": 0.05}

    def build(cls, params):
        return cls(
            [{"params": params[groups[0]]}, {"params": params[groups[1]], **second}], **options
        )

    mine, reference = build(getattr(optim, name), ours), build(getattr(torch.optim, name), theirs)
    assert repr(mine) == repr(reference)
    rng = np.random.default_rng(1)
    for _ in range(20):
        give_gradients(ours, theirs, rng)
        mine.step()
        reference.step()
        assert_same_params(ours, theirs)
    state, expected = mine.state_dict(), reference.state_dict()
    assert state["param_groups"] == expected["param_groups"]
    assert state["state"].keys() == expected["state"].keys()
    for i, entry in expected["state"].items():
        assert set(state["state"][i]) == {k for k, v in entry.items() if v is not None}
        for key, value in entry.items():
            if value is None:
                continue
            found = state["state"][i][key]
            assert found.array.dtype == value.numpy().dtype
            # 动量是正负相消的和，误差相对于这一块里最大的数来量
            rtol, largest = TOLERANCE[dtype]["rtol"], value.abs().max() if value.numel() else 0
            np.testing.assert_allclose(found.array, value.numpy(), rtol, rtol * float(largest))


@pytest.mark.parametrize(("name", "options"), TRIALS)
def test_state_moves_to_torch_and_back(name, options):
    ours, theirs = twins(np.float64)
    mine = getattr(optim, name)(ours, **options)
    reference = getattr(torch.optim, name)(theirs, **options)
    rng = np.random.default_rng(2)
    for _ in range(5):
        give_gradients(ours, theirs, rng)
        mine.step()
        reference.step()
    moved = getattr(optim, name)(ours, lr=9.0)
    moved.load_state_dict(reference.state_dict())
    back = getattr(torch.optim, name)(theirs, lr=9.0)
    back.load_state_dict(as_torch(mine.state_dict()))
    for _ in range(5):
        give_gradients(ours, theirs, rng)
        moved.step()
        back.step()
        assert_same_params(ours, theirs)


def test_loaded_state_is_a_copy():
    ours, theirs = twins(np.float32)
    first = optim.SGD(ours, lr=0.1, momentum=0.9)
    give_gradients(ours, theirs, np.random.default_rng(0))
    first.step()
    saved = first.state_dict()
    before = saved["state"][0]["momentum_buffer"].array.copy()
    second = optim.SGD(ours, lr=0.1, momentum=0.9)
    second.load_state_dict(saved)
    second.step()
    np.testing.assert_array_equal(saved["state"][0]["momentum_buffer"].array, before)


def test_parameters_keep_their_memory_and_missing_gradients_are_skipped():
    ours, _ = twins(np.float32)
    arrays = [p.array for p in ours]
    values = [a.copy() for a in arrays]
    optimizer = optim.Adam(ours)
    ours[0].grad = Tensor(np.ones_like(arrays[0]))
    optimizer.step()
    assert all(p.array is a for p, a in zip(ours, arrays, strict=True))
    assert not np.array_equal(arrays[0], values[0])
    for a, v in zip(arrays[1:], values[1:], strict=True):
        np.testing.assert_array_equal(a, v)
    assert set(optimizer.state_dict()["state"]) == {0}


def test_memory_layouts_of_gradients_do_not_matter():
    values = np.random.default_rng(0).normal(size=(300, 200)).astype(np.float32)
    results = []
    for layout in (np.ascontiguousarray, np.asfortranarray):
        p = Parameter(layout(values.copy()))
        optimizer = optim.AdamW([p], lr=0.1)
        for gradient in (values, values[::-1]):
            p.grad = Tensor(np.asfortranarray(gradient))
            optimizer.step()
        results.append(p.array)
    np.testing.assert_array_equal(*results)


def test_an_update_invalidates_older_graphs():
    p = Parameter(np.ones(3, np.float32))
    loss = (p * p).sum()
    p.grad = Tensor(np.ones(3, np.float32))
    optim.SGD([p], lr=0.1).step()
    with pytest.raises(RuntimeError, match="就地修改"):
        loss.backward()


def test_closure_and_zero_grad():
    p = Parameter(np.array([1.0, 2.0], np.float32))
    optimizer = optim.SGD([p], lr=0.5)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 5.0
    np.testing.assert_allclose(p.array, [0, 0])
    optimizer.zero_grad(set_to_none=False)
    np.testing.assert_array_equal(p.grad.array, [0, 0])
    optimizer.zero_grad()
    assert p.grad is None
    assert optimizer.step() is None


def test_learning_rate_may_be_a_numpy_number():
    p = Parameter(np.ones(3, np.float32))
    p.grad = Tensor(np.ones(3, np.float32))
    optim.SGD([p], lr=np.float64(0.25)).step()
    assert p.array.dtype == np.float32
    np.testing.assert_array_equal(p.array, np.full(3, 0.75, np.float32))


P = Parameter(np.ones(2, np.float32))
REFUSED = [
    ("SGD", dict(params=[]), ValueError),
    ("SGD", dict(params=P), TypeError),
    ("SGD", dict(params=[1.0]), TypeError),
    ("SGD", dict(params=[P * 2]), ValueError),
    ("SGD", dict(params=[P, P]), ValueError),
    ("SGD", dict(params=[{"params": [P]}, {"params": P}]), ValueError),
    ("SGD", dict(params=[P], lr=-1), ValueError),
    ("SGD", dict(params=[P], momentum=-1), ValueError),
    ("SGD", dict(params=[P], weight_decay=-1), ValueError),
    ("SGD", dict(params=[P], nesterov=True), ValueError),
    ("SGD", dict(params=[P], momentum=0.9, dampening=0.1, nesterov=True), ValueError),
    ("SGD", dict(params=[P], foreach=True), NotImplementedError),
    ("SGD", dict(params=[P], fused=True), NotImplementedError),
    ("SGD", dict(params=[P], differentiable=True), NotImplementedError),
    ("Adagrad", dict(params=[P], lr_decay=-1), ValueError),
    ("Adagrad", dict(params=[P], initial_accumulator_value=-1), ValueError),
    ("Adagrad", dict(params=[P], eps=-1), ValueError),
    ("RMSprop", dict(params=[P], alpha=-1), ValueError),
    ("RMSprop", dict(params=[P], capturable=True), NotImplementedError),
    ("Adam", dict(params=[P], betas=(1.0, 0.9)), ValueError),
    ("Adam", dict(params=[P], betas=(0.9, -0.1)), ValueError),
    ("Adam", dict(params=[P], eps=-1), ValueError),
    ("AdamW", dict(params=[P], weight_decay=-1), ValueError),
]


@pytest.mark.parametrize(("name", "arguments", "error"), REFUSED)
def test_refusals(name, arguments, error):
    with pytest.raises(error, match=r"[\u4e00-\u9fff]"):
        getattr(optim, name)(**arguments)


def test_state_of_another_model_is_refused():
    with pytest.raises(ValueError, match=r"\[1\].*\[2\]"):
        optim.SGD([P], lr=1).load_state_dict(
            optim.SGD([P, Parameter(np.ones(1))], lr=1).state_dict()
        )


# 日程

SCHEDULES = {
    "LambdaLR": [
        dict(lr_lambda=lambda t: 0.9**t),
        dict(lr_lambda=[lambda t: t, lambda t: 1 / (t + 1)]),
    ],
    "StepLR": [dict(step_size=3), dict(step_size=4, gamma=0.5), dict(step_size=2, gamma=0.0)],
    "MultiStepLR": [dict(milestones=[8, 3, 3]), dict(milestones=[0, 5], gamma=0.5)],
    "CosineAnnealingLR": [dict(T_max=10), dict(T_max=7, eta_min=0.01)],
    "LinearLR": [
        dict(),
        dict(start_factor=0.01, total_iters=10),
        dict(end_factor=0.0, total_iters=4),
    ],
    "OneCycleLR": [
        dict(max_lr=0.5, total_steps=25, cycle_momentum=True),
        dict(
            max_lr=[0.5, 0.2], epochs=5, steps_per_epoch=5, anneal_strategy="linear", pct_start=0.2
        ),
        dict(max_lr=0.5, total_steps=25, three_phase=True, div_factor=10.0, final_div_factor=100.0),
        dict(max_lr=0.5, total_steps=25, base_momentum=[0.8, 0.7], max_momentum=0.9),
    ],
    "SequentialLR": [
        [
            ("LinearLR", dict(start_factor=0.1, total_iters=5)),
            ("CosineAnnealingLR", dict(T_max=15)),
            [5],
        ],
        [("StepLR", dict(step_size=2)), ("LambdaLR", dict(lr_lambda=lambda t: 1 / (1 + t))), [4]],
        [
            ("LinearLR", dict(total_iters=3)),
            ("StepLR", dict(step_size=3)),
            ("CosineAnnealingLR", dict(T_max=5, eta_min=0.01)),
            [4, 9],
        ],
    ],
}
SCHEDULE_TRIALS = [(name, case) for name, cases in SCHEDULES.items() for case in cases]


def build_schedule(lib, optimizer, name, case):
    if name != "SequentialLR":
        return getattr(lib, name)(optimizer, **case)
    *parts, milestones = case
    return lib.SequentialLR(
        optimizer, [getattr(lib, n)(optimizer, **options) for n, options in parts], milestones
    )


def two_optimizers(cls="SGD", **options):
    pairs = []
    for lib, (a, b) in zip((optim, torch.optim), twins(np.float32, [(2,), (3,)]), strict=True):
        groups = [{"params": [a]}, {"params": [b], "lr": 0.03}]
        pairs.append(getattr(lib, cls)(groups, lr=0.3, **options))
    return pairs


def rates(optimizer):
    return [
        group.get(key)[0] if key == "betas" else group.get(key, 0.0)
        for group in optimizer.param_groups
        for key in ("lr", "momentum", "betas")
        if key in group
    ]


def test_every_schedule_has_a_case():
    assert classes(lr_scheduler, lr_scheduler.LRScheduler) - {"LRScheduler", "_Chainable"} == set(
        SCHEDULES
    )


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_constructor_is_torchs(name):
    mine = inspect.signature(getattr(lr_scheduler, name)).parameters.values()
    theirs = inspect.signature(getattr(torch.optim.lr_scheduler, name)).parameters.values()
    assert [(p.name, p.kind, p.default) for p in mine] == [
        (p.name, p.kind, p.default) for p in theirs
    ]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("cls", ["SGD", "Adam"])
@pytest.mark.parametrize(("name", "case"), SCHEDULE_TRIALS)
def test_schedule_sequence(name, case, cls):
    options = {"momentum": 0.9} if cls == "SGD" else {}
    mine, reference = two_optimizers(cls, **options)
    ours = build_schedule(lr_scheduler, mine, name, case)
    theirs = build_schedule(torch.optim.lr_scheduler, reference, name, case)
    for _ in range(24):
        assert rates(mine) == pytest.approx(rates(reference), rel=1e-12, abs=1e-16)
        assert ours.get_last_lr() == [g["lr"] for g in mine.param_groups]
        assert ours.last_epoch == theirs.last_epoch
        for stepped in (mine, reference, ours, theirs):
            stepped.step()


@pytest.mark.parametrize(("name", "case"), SCHEDULE_TRIALS)
def test_schedule_resumes(name, case):
    whole, _ = two_optimizers("Adam")
    schedule = build_schedule(lr_scheduler, whole, name, case)
    for _ in range(7):
        schedule.step()
    resumed, _ = two_optimizers("Adam")
    copy = build_schedule(lr_scheduler, resumed, name, case)
    resumed.load_state_dict(whole.state_dict())
    copy.load_state_dict(schedule.state_dict())
    for _ in range(10):
        schedule.step()
        copy.step()
        assert rates(resumed) == rates(whole)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_schedules_chain_on_one_optimizer():
    mine, reference = two_optimizers()
    pairs = []
    for lib, optimizer in ((lr_scheduler, mine), (torch.optim.lr_scheduler, reference)):
        pairs.append([lib.LinearLR(optimizer, 0.1, total_iters=6), lib.StepLR(optimizer, 4)])
    for _ in range(12):
        assert rates(mine) == pytest.approx(rates(reference), rel=1e-12)
        for schedules in pairs:
            for schedule in schedules:
                schedule.step()


def test_warmup_then_cosine_by_hand():
    optimizer = optim.SGD([P], lr=1.0)
    schedule = lr_scheduler.CosineAnnealingLR(optimizer, 4, eta_min=0.0)
    seen = []
    for _ in range(5):
        seen.append(optimizer.param_groups[0]["lr"])
        schedule.step()
    assert seen == pytest.approx([(1 + math.cos(math.pi * t / 4)) / 2 for t in range(5)], abs=1e-15)


SCHEDULE_REFUSED = [
    (lambda o: lr_scheduler.StepLR(1, 3), TypeError),
    (lambda o: lr_scheduler.StepLR(o, 3, last_epoch=2), NotImplementedError),
    (lambda o: lr_scheduler.LambdaLR(o, [abs]), ValueError),
    (lambda o: lr_scheduler.LinearLR(o, start_factor=0.0), ValueError),
    (lambda o: lr_scheduler.LinearLR(o, end_factor=1.5), ValueError),
    (lambda o: lr_scheduler.OneCycleLR(o, 0.1), ValueError),
    (lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=0), ValueError),
    (lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=5, pct_start=2.0), ValueError),
    (lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=5, anneal_strategy="x"), ValueError),
    (lambda o: lr_scheduler.OneCycleLR(o, [0.1], total_steps=5), ValueError),
    (lambda o: lr_scheduler.SequentialLR(o, [], []), ValueError),
    (lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.StepLR(o, 3)], [3]), ValueError),
    (
        lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.StepLR(optim.SGD([P], lr=1), 3)], []),
        ValueError,
    ),
]


@pytest.mark.parametrize(("build", "error"), SCHEDULE_REFUSED)
def test_schedule_refusals(build, error):
    mine, _ = two_optimizers()
    with pytest.raises(error, match=r"[\u4e00-\u9fff]"):
        build(mine)


def test_one_cycle_needs_a_momentum_to_cycle_and_ends():
    optimizer = optim.Adagrad([P])
    with pytest.raises(ValueError, match="动量"):
        lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=3)
    schedule = lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=3, cycle_momentum=False)
    for _ in range(3):
        schedule.step()
    with pytest.raises(ValueError, match="3 步"):
        schedule.step()


@pytest.mark.parametrize("method", ["_update"])
def test_base_class_is_abstract(method):
    optimizer = optim.Optimizer([P], {})
    P.grad = Tensor(np.ones(2, np.float32))
    with pytest.raises(NotImplementedError, match=method):
        optimizer.step()
    P.grad = None


# 整个训练


def network(lib):
    return lib.Sequential(
        lib.Conv2d(1, 3, 3, padding=1),
        lib.BatchNorm2d(3),
        lib.ReLU(),
        lib.MaxPool2d(2),
        lib.Flatten(),
        lib.Linear(48, 8),
        lib.LayerNorm(8),
        lib.GELU(),
        lib.Linear(8, 4),
    )


@pytest.mark.parametrize("name", CASES)
def test_training_a_network_follows_torch(name):
    """建模、损失、反向、裁剪、更新、日程：二十步之后参数与 torch 的相同。"""
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(6, 1, 8, 8)), rng.integers(0, 4, 6)
    reference = network(torch.nn).double()
    mine = network(nn).double()
    mine.load_state_dict(reference.state_dict())
    sides = (
        (nn, optim, mine, Tensor(images), Tensor(labels)),
        (torch.nn, torch.optim, reference, torch.from_numpy(images), torch.from_numpy(labels)),
    )
    losses = []
    for lib, optimizers, model, x, y in sides:
        optimizer = getattr(optimizers, name)(model.parameters(), lr=0.01)
        schedule = optimizers.lr_scheduler.CosineAnnealingLR(optimizer, 20)
        loss_function = lib.CrossEntropyLoss(label_smoothing=0.1)
        losses.append([])
        for _ in range(20):
            optimizer.zero_grad()
            loss = loss_function(model(x), y)
            loss.backward()
            lib.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses[-1].append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-7)
    assert losses[0][-1] < losses[0][0]
    for key, value in reference.state_dict().items():
        found = mine.state_dict()[key].array
        np.testing.assert_allclose(found, value.numpy(), rtol=1e-6, atol=1e-8)
