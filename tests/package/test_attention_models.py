"""最小语言模型与位置编码：两个引擎相同、因果、四种位置、写错时的报错。"""

import numpy as np
import pytest
import torch

import dlbook
from dlbook.models.attention import init, logits
from dlbook.models.position import frequencies, rotate, sinusoidal

POSITIONS = ("none", "learned", "sinusoidal", "rotary")
IDS = np.random.default_rng(0).integers(0, 7, (2, 6))


def scores(lib, ids=IDS, **options):
    parameters = init(lib, 7, 8, 12, np.random.default_rng(1))
    return logits(lib, parameters, lib.from_numpy(ids), **options), parameters


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("heads", [1, 3])
def test_engines_agree_in_value_and_gradient(position, heads):
    results = []
    for lib in (dlbook, torch):
        z, parameters = scores(lib, position=position, heads=heads)
        assert tuple(z.shape) == (2, 6, 7) and z.dtype == lib.float32
        z.square().sum().backward()
        used = [p for name, p in parameters.items() if position == "learned" or name != "position"]
        results.append([z.detach().numpy(), *(p.grad.numpy() for p in used)])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("position", POSITIONS)
def test_future_does_not_leak_unless_asked(position):
    changed = IDS.copy()
    changed[:, -1] = (changed[:, -1] + 1) % 7
    for causal in (True, False):
        before, after = (
            scores(dlbook, ids, position=position, causal=causal)[0].detach().numpy()
            for ids in (IDS, changed)
        )
        assert np.array_equal(before[:, :-1], after[:, :-1]) is causal


def test_only_position_information_separates_equal_tokens():
    same = np.full((1, 4), 3)
    for position in POSITIONS:
        z = scores(dlbook, same, position=position)[0].detach().numpy()[0]
        distinct = not np.allclose(z, z[0], atol=1e-6)
        # 字全相同时，旋转只改权重，取回的值都一样，所以仍分不出
        assert distinct is (position in ("learned", "sinusoidal"))


def test_unknown_position_is_refused():
    with pytest.raises(ValueError, match=r"rotary.*'alibi'"):
        scores(dlbook, position="alibi")


def test_learned_positions_end_with_the_table():
    with pytest.raises(RuntimeError):
        scores(dlbook, np.zeros((1, 9), np.int64), position="learned")
    scores(dlbook, np.zeros((1, 9), np.int64), position="rotary")


def test_odd_width_is_refused():
    for call in (
        lambda: frequencies(5),
        lambda: sinusoidal(np.arange(3), 5),
        lambda: rotate(dlbook, dlbook.ones(3, 5), np.arange(3)),
    ):
        with pytest.raises(ValueError, match="正偶数"):
            call()


def test_parameters_repeat_with_the_seed():
    first, second = (init(dlbook, 5, 4, 6, np.random.default_rng(2)) for _ in range(2))
    for name, parameter in first.items():
        assert parameter.requires_grad and parameter.dtype == dlbook.float32
        assert dlbook.equal(parameter, second[name])
