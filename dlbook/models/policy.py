"""强化学习的小世界：网格里找宝藏，策略网络用 REINFORCE 学会怎样走。

网格与走法用 NumPy，策略网络在引擎 lib（dlbook 或 torch）上，换引擎就是换这一个参数。

书中：sec-intro-reinforcement
"""

from collections.abc import Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

# 近处藏着小宝藏 o，墙后面藏着大宝藏 *；S 是起点，# 是墙。
MAP = (
    "....#.*",
    ".##....",
    ".#..#.#",
    "...#...",
    "S....#.",
    "..o#...",
)
TREASURE = {"o": 0.2, "*": 1.0}
ACTIONS = ("上", "下", "左", "右")
_MOVES = np.array([(-1, 0), (1, 0), (0, -1), (0, 1)])


class Episodes(NamedTuple):
    """N 回合的记录，每个数组 (T, N)：时刻 t 的状态、动作、奖励，以及那一回合是否还没有结束。

    书中：sec-intro-credit
    """

    states: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    running: np.ndarray


class GridWorld:
    """由一幅字符地图定下的世界。

    状态是格子的编号，从左上起逐行数；每步走一格，撞墙或出界就原地不动；
    踩到宝藏得到奖励，这一回合结束；走满 limit 步也结束。
    地图各行不一样长，或没有恰好一个起点 S，抛出 ValueError。

    书中：sec-intro-reinforcement
    """

    def __init__(self, rows: Sequence[str] = MAP, limit: int = 25) -> None:
        cells = "".join(rows)
        if len({len(row) for row in rows}) != 1 or cells.count("S") != 1:
            raise ValueError("地图各行应一样长，恰有一个起点 S")
        self.rows, self.limit = tuple(rows), limit
        self.shape = len(rows), len(rows[0])
        self.start = cells.index("S")
        self.reward = np.array([TREASURE.get(cell, 0.0) for cell in cells])
        self.wall = np.array([cell == "#" for cell in cells])
        self.next = np.array([[self._step(s, move) for move in _MOVES] for s in range(len(cells))])

    def _step(self, state: int, move: np.ndarray) -> int:
        row, column = np.array(divmod(state, self.shape[1])) + move
        inside = 0 <= row < self.shape[0] and 0 <= column < self.shape[1]
        target = row * self.shape[1] + column
        return state if not inside or self.wall[target] else int(target)

    def play(self, probabilities: np.ndarray, episodes: int, rng: np.random.Generator) -> Episodes:
        """照 probabilities (状态数, 4) 抽动作，同时走 episodes 回合。

        书中：sec-intro-reinforcement
        """
        edges = probabilities.cumsum(axis=1)
        state = np.full(episodes, self.start)
        running = np.ones(episodes, bool)
        record = []
        for _ in range(self.limit):
            draw = rng.random((episodes, 1)) * edges[state, -1:]
            action = (draw >= edges[state]).sum(axis=1)
            new = self.next[state, action]
            reward = np.where(running, self.reward[new], 0.0)
            record.append((state, action, reward, running))
            running = running & (self.reward[new] == 0)
            state = np.where(running, new, state)
        return Episodes(*map(np.array, zip(*record, strict=True)))


def returns(rewards: np.ndarray, discount: float) -> np.ndarray:
    """每一步之后的总收获：G_t = r_t + discount · G_{t+1}；rewards (T, …) → 同形。

    书中：eq-intro-return
    """
    total = np.zeros_like(rewards, dtype=float)
    after = np.zeros(rewards.shape[1:])
    for t in reversed(range(len(rewards))):
        after = rewards[t] + discount * after
        total[t] = after
    return total


def build(lib: ModuleType, world: GridWorld, width: int = 32) -> Any:
    """策略网络：独热的状态 (N, 状态数) → 四个动作的分数 (N, 4)。

    书中：sec-intro-reinforcement
    """
    nn = lib.nn
    return nn.Sequential(nn.Linear(len(world.wall), width), nn.Tanh(), nn.Linear(width, 4))


def probabilities(lib: ModuleType, policy: Any, world: GridWorld) -> np.ndarray:
    """每个格子上四个动作的概率 (状态数, 4)，float64。

    书中：sec-intro-reinforcement
    """
    with lib.no_grad():
        logits = policy(_all_states(lib, world)).numpy().astype(float)
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


def surrogate(
    lib: ModuleType, log_p: Any, played: Episodes, gain: np.ndarray, entropy: float = 0.0
) -> Any:
    """REINFORCE 的损失：它的负梯度就是“好的动作多做一些”的方向。

    log_p (状态数, 4) 是各动作的对数概率；gain (T, N) 是各步之后的收获（可先减去平均）；
    entropy 是鼓励多试的力度，乘在策略的熵上。

    书中：eq-intro-reinforce
    """
    alive = played.running.ravel()
    chosen = (played.states * log_p.shape[1] + played.actions).ravel()[alive]
    weight = lib.from_numpy(gain.ravel()[alive].astype(np.float32))
    states = lib.from_numpy(played.states.ravel()[alive])
    episodes = played.states.shape[1]
    wanted = (weight * log_p.reshape(-1)[lib.from_numpy(chosen)]).sum() / episodes
    spread = -(log_p.exp() * log_p).sum(dim=1)[states].sum() / episodes
    return -(wanted + entropy * spread)


def train(
    lib: ModuleType,
    policy: Any,
    world: GridWorld,
    *,
    updates: int,
    rng: np.random.Generator,
    episodes: int = 32,
    lr: float = 0.01,
    discount: float = 0.95,
    entropy: float = 0.0,
) -> np.ndarray:
    """用 REINFORCE 训练 updates 次，就地更新 policy；返回每次的平均奖励 (updates,)。

    每次照现在的策略走 episodes 回合，各步的收获减去平均，再走一步 Adam。entropy 线性降到 0。

    书中：sec-intro-reinforcement
    """
    optimizer = lib.optim.Adam(policy.parameters(), lr=lr)
    mean_reward = []
    for update in range(updates):
        played = world.play(probabilities(lib, policy, world), episodes, rng)
        gain = returns(played.rewards, discount)
        gain = gain - gain[played.running].mean()
        log_p = lib.nn.functional.log_softmax(policy(_all_states(lib, world)), dim=1)
        bonus = entropy * (1 - update / updates)
        loss = surrogate(lib, log_p, played, gain, bonus)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        mean_reward.append(played.rewards.sum(axis=0).mean())
    return np.array(mean_reward)


def _all_states(lib: ModuleType, world: GridWorld) -> Any:
    return lib.from_numpy(np.eye(len(world.wall), dtype=np.float32))
