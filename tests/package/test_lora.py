"""LoRA：两个引擎上都成立的性质，与不合要求时的报错。"""

import numpy as np
import pytest
import torch

import dlbook
from dlbook.models import lora
from dlbook.models.gpt import GPTConfig, define

CONFIG = GPTConfig(17, context=8, layers=2, heads=2, width=12)
IDS = np.random.default_rng(0).integers(17, size=(3, 9))
ENGINES = pytest.mark.parametrize("lib", [dlbook, torch], ids=["dlbook", "torch"])


def build(lib):
    lib.manual_seed(0)
    return define(lib)(CONFIG)


def batch(lib):
    return lib.from_numpy(IDS[:, :-1].copy()), lib.from_numpy(IDS[:, 1:].copy())


def logits(model):
    with model.engine.no_grad():
        return model(batch(model.engine)[0])[0].numpy()


def step(model, weights, times=3):
    optimizer = model.engine.optim.AdamW(weights, lr=1e-2)
    losses = []
    for _ in range(times):
        loss = model(*batch(model.engine))[1]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@ENGINES
def test_nothing_changes_until_training(lib):
    model = build(lib)
    before = logits(model)
    lora.attach(model, 2)
    np.testing.assert_array_equal(logits(model), before)


@ENGINES
def test_only_the_small_matrices_are_trained(lib):
    model = build(lib)
    names = [name for name, _ in model.named_parameters()]
    weights = lora.attach(model, 3)
    # 每块四层：qkv 12→36，out 12→12，up 12→48，down 48→12。
    assert sum(w.numel() for w in weights) == 2 * 3 * (48 + 24 + 60 + 60)
    frozen = {n: p.detach().numpy().copy() for n, p in model.named_parameters()
              if not n.endswith((".A", ".B"))}  # fmt: skip
    assert len(frozen) == len(names)
    losses = step(model, weights, 8)
    assert losses[-1] < losses[0]
    for name, value in model.named_parameters():
        if name in frozen:
            assert value.grad is None
            np.testing.assert_array_equal(value.detach().numpy(), frozen[name])


@ENGINES
def test_merge_keeps_the_function_and_restores_the_structure(lib):
    model = build(lib)
    keys = list(model.state_dict())
    step(model, lora.attach(model, 2, alpha=5.0))
    attached = logits(model)
    lora.merge(model)
    np.testing.assert_allclose(logits(model), attached, atol=2e-6)
    assert list(model.state_dict()) == keys
    assert all(p.requires_grad for p in model.parameters())
    merged = logits(model)
    lora.merge(model)
    np.testing.assert_array_equal(logits(model), merged)
    assert lora.attach(model, 1)


@ENGINES
def test_changes_round_trip(lib):
    model, fresh = build(lib), build(lib)
    step(model, lora.attach(model, 2))
    lora.attach(fresh, 2)
    saved = lora.changes(model)
    assert len(saved) == 2 * 4 * CONFIG.layers
    fresh.load_state_dict(saved, strict=False)
    np.testing.assert_array_equal(logits(fresh), logits(model))


def test_both_engines_agree():
    models = {lib: build(lib) for lib in (dlbook, torch)}
    weights = {lib: lora.attach(model, 2) for lib, model in models.items()}
    state = {n: v.numpy().copy() for n, v in models[torch].state_dict().items()}
    models[dlbook].load_state_dict({n: dlbook.from_numpy(v) for n, v in state.items()})
    losses = {lib: step(model, weights[lib], 5) for lib, model in models.items()}
    np.testing.assert_allclose(losses[dlbook], losses[torch], atol=1e-5)


def test_some_layers_only():
    model = build(torch)
    lora.attach(model, 2, names=("qkv",))
    assert {n.split(".")[-2] for n in lora.changes(model)} == {"qkv"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0,), "正整数"), ((2, None, ("query",)), "query"), ((-3,), "-3")],
)
def test_bad_arguments_leave_the_model_alone(arguments, message):
    model = build(torch)
    keys = list(model.state_dict())
    with pytest.raises(ValueError, match=message):
        lora.attach(model, *arguments)
    assert list(model.state_dict()) == keys
    assert all(p.requires_grad for p in model.parameters())


def test_attaching_twice_is_refused():
    model = build(torch)
    lora.attach(model, 2)
    with pytest.raises(ValueError, match="已经加过"):
        lora.attach(model, 2)
