"""网格寻宝：走法、功劳、两个引擎的梯度，以及学得会。"""

import numpy as np
import pytest
import torch

import dlbook
from dlbook.models import policy

UP, DOWN, LEFT, RIGHT = range(4)


def always(world, action):
    return np.tile(np.eye(4)[action], (len(world.wall), 1))


def test_walls_and_borders_stop_the_agent():
    world = policy.GridWorld(("S#", ".*"))
    assert world.next[0, UP] == world.next[0, LEFT] == world.next[0, RIGHT] == 0
    assert world.next[0, DOWN] == 2 and world.next[2, RIGHT] == 3


def test_an_episode_ends_at_the_treasure():
    world = policy.GridWorld(("S.*.",), limit=5)
    played = world.play(always(world, RIGHT), 3, np.random.default_rng(0))
    assert played.states.shape == (5, 3)
    np.testing.assert_array_equal(played.rewards[:, 0], [0, 1, 0, 0, 0])
    np.testing.assert_array_equal(played.running[:, 0], [True, True, False, False, False])


def test_the_limit_ends_an_episode_without_reward():
    world = policy.GridWorld(("S.*.",), limit=4)
    played = world.play(always(world, LEFT), 2, np.random.default_rng(0))
    assert played.rewards.sum() == 0 and played.running.all()


def test_actions_follow_the_probabilities():
    world = policy.GridWorld(("S..",), limit=1)
    p = np.tile([0.1, 0.2, 0.3, 0.4], (3, 1))
    actions = world.play(p, 20000, np.random.default_rng(0)).actions
    np.testing.assert_allclose(np.bincount(actions[0]) / 20000, p[0], atol=0.015)


@pytest.mark.parametrize("rows", [("S.", "."), ("..",), ("SS",)])
def test_bad_maps_are_refused(rows):
    with pytest.raises(ValueError, match="恰有一个起点 S"):
        policy.GridWorld(rows)


def test_both_engines_have_the_same_loss_and_gradient():
    world = policy.GridWorld()
    played = world.play(np.full((len(world.wall), 4), 0.25), 8, np.random.default_rng(0))
    gain = policy.returns(played.rewards, 0.9) - 0.1
    logits = np.random.default_rng(1).normal(size=(len(world.wall), 4)).astype(np.float32)
    losses, gradients = [], []
    for lib in (dlbook, torch):
        z = lib.tensor(logits, requires_grad=True)
        log_p = lib.nn.functional.log_softmax(z, dim=1)
        loss = policy.surrogate(lib, log_p, played, gain, entropy=0.1)
        loss.backward()
        losses.append(loss.item())
        gradients.append(z.grad.numpy())
    np.testing.assert_allclose(*losses, rtol=1e-4)
    np.testing.assert_allclose(*gradients, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("lib", [dlbook, torch])
def test_it_learns_a_corridor(lib):
    world = policy.GridWorld(("..S.*",), limit=8)
    lib.manual_seed(0)
    network = policy.build(lib, world, width=8)
    reward = policy.train(lib, network, world, updates=60, lr=0.05, rng=np.random.default_rng(0))
    assert reward[-10:].mean() > 0.95
    assert policy.probabilities(lib, network, world)[2].argmax() == RIGHT


def test_the_greedy_miss_the_big_treasure_and_the_curious_find_it():
    """第 1 章的说法：没有探索只拿小宝藏，鼓励多试就找得到大宝藏。"""
    world, late = policy.GridWorld(), []
    for entropy in (0.0, 0.1):
        dlbook.manual_seed(0)
        network = policy.build(dlbook, world)
        options = {"updates": 200, "entropy": entropy, "rng": np.random.default_rng(0)}
        late.append(policy.train(dlbook, network, world, **options)[-20:].mean())
    assert late[0] == pytest.approx(policy.TREASURE["o"], abs=0.02)
    assert late[1] > 0.9
