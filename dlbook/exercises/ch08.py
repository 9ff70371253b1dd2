"""第 8 章的练习，按节分块。书中：chap-transformer"""

import math
from collections.abc import Callable, Iterator

import numpy as np

from dlbook.exercises import Case, exercise

# ---- 第 1、2 节：任务、词元（ex-8-1 至 ex-8-4）


@exercise("ex-8-1", title="公平的比较")
def _(solution: Callable) -> Iterator[Case]:
    log2 = math.log(2)
    yield Case(
        "3 个词元的损失都是 2 log 2，文字“春眠不觉晓”",
        lambda: solution([2 * log2] * 3, "春眠不觉晓"),
        6 / 5,
        mistakes={
            "除以的是词元数，不是字符数": 2.0,
            "忘了除以 log 2，单位还是奈特": 6 * log2 / 5,
            "乘了 log 2，应当除": 6 * log2**2 / 5,
            "没有除以字符数": 6.0,
            "除以的是字节数": 6 / 15,
        },
        hint="总共 6 比特，5 个字符",
    )
    losses = np.array([0.5, 1.25, 3.0, 0.25])
    yield Case(
        "4 个词元的损失 0.5、1.25、3、0.25，文字“abcdefgh”",
        lambda: float(solution(losses.copy(), "abcdefgh")),
        5 / log2 / 8,
        mistakes={"除以的是词元数，不是字符数": 5 / log2 / 4},
    )


@exercise("ex-8-2", title="绝对折扣")
def _(solution: Callable) -> Iterator[Case]:
    counts = np.array([[0, 2, 1], [4, 0, 0], [0, 1, 0]])
    # 接续计数 1、2、1；γ = D·2/3、D·1/4、D·1/1。
    share = np.array([1, 2, 1]) / 4
    kept = np.array([[0, 1.5 / 3, 0.5 / 3], [3.5 / 4, 0, 0], [0, 0.5, 0]])
    gamma = np.array([[1 / 3], [1 / 8], [1 / 2]])
    by_count = np.array([4, 3, 1]) / 8
    yield Case(
        "counts = [[0, 2, 1], [4, 0, 0], [0, 1, 0]]，D = 0.5",
        lambda: solution(counts.copy(), 0.5),
        kept + gamma * share,
        mistakes={
            "扣下的份额没有分出去，每行之和不是 1": kept,
            "低一阶用了次数，应当用接续计数": kept + gamma * by_count,
            "扣下的份额平均分了，应当按接续计数的比例": kept + gamma / 3,
            "没有扣，却又分了一份，每行之和大于 1": counts / counts.sum(axis=1, keepdims=True)
            + gamma * share,
            "零也被扣了，概率成了负数": (counts - 0.5) / counts.sum(axis=1, keepdims=True)
            + gamma * share,
        },
        hint="每行之和应当是 1",
    )
    empty = np.array([[0, 3], [0, 0]])
    yield Case(
        "counts = [[0, 3], [0, 0]]，D = 0.5，第 1 行没有出现过",
        lambda: solution(empty.copy(), 0.5),
        np.array([[0.0, 1.0], [0.0, 1.0]]),
        mistakes={"全零的行没有处理，得到 nan": np.array([[0.0, 1.0], [np.nan, np.nan]])},
        hint="没有出现过的上文，γ = 1，全听低一阶的",
    )
    random = np.random.default_rng(0).integers(0, 3, (6, 6))
    yield Case(
        "6 行随机的计数，D = 0.75，每行之和",
        lambda: np.sum(solution(random.copy(), 0.75), axis=1),
        np.ones(6),
        hint="扣掉的总量要恰好等于分出去的总量",
    )


@exercise("ex-8-3", title="手写 UTF-8")
def _(solution: Callable) -> Iterator[Case]:
    def shown(raw: object) -> object:
        return raw.hex(" ") if isinstance(raw, bytes) else raw

    hints = {
        0x41: "不到 0x80，就是一个字节，与 ASCII 相同",
        0x7F: "0x7F 还在一个字节之内",
        0x80: "0x80 起要两个字节",
        0xE9: "两个字节：110 加 5 个比特，10 加 6 个比特",
        0x7FF: "0x7FF 还在两个字节之内",
        0x800: "0x800 起要三个字节",
        0x6625: "三个字节：1110 加 4 个比特，后两个字节各是 10 加 6 个比特，高位在前",
        0xFFFF: "0xFFFF 还在三个字节之内",
        0x10000: "0x10000 起要四个字节",
        0x1F600: "四个字节：11110 加 3 个比特，后三个字节各是 10 加 6 个比特",
    }
    for code, hint in hints.items():
        right = chr(code).encode("utf-8")
        bits = [code >> 6 * k & 0x3F for k in range(len(right))][::-1]
        mistakes = {}
        if len(right) > 1:
            mistakes["后续字节忘了前面的 10"] = shown(right[:1] + bytes(bits[1:]))
            mistakes["六个比特一组的次序反了，高位应在前"] = shown(
                right[:1] + right[:0:-1] if right[:0:-1] != right[1:] else b"\0"
            )
            mistakes["第一个字节忘了标明长度的那几个 1"] = shown(bytes(bits[:1]) + right[1:])
        yield Case(
            f"码位 0x{code:X}",
            lambda code=code: shown(solution(code)),
            shown(right),
            mistakes=mistakes,
            hint=hint,
        )


@exercise("ex-8-4", title="照合并表编码")
def _(solution: Callable) -> Iterator[Case]:
    # 基本符号 0、1、2；合并依次得到 3 = (1, 2)、4 = (0, 1)、5 = (0, 3)。
    merges = [(1, 2), (0, 1), (0, 3)]
    yield Case(
        "[0, 1, 2]，合并 (1, 2)、(0, 1)、(0, 3)",
        lambda: solution([0, 1, 2], merges, 3),
        [5],
        mistakes={
            "从左到右遇到能合并的就合并了，应当先做学得早的合并": [4, 2],
            "每个合并只做了一遍就停了，或没有按学到的次序接着做": [0, 3],
        },
        hint="先做 (1, 2)，得到 0 3；再做 (0, 3)",
    )
    yield Case(
        "[0, 1, 0, 1, 2, 0, 1]，合并同上",
        lambda: solution([0, 1, 0, 1, 2, 0, 1], merges, 3),
        [4, 5, 4],
        mistakes={"每个合并要做完所有的位置，不是只做第一处": [4, 5, 0, 1]},
    )
    yield Case(
        "[0, 0, 0, 0, 0]，只有一个合并 (0, 0)",
        lambda: solution([0, 0, 0, 0, 0], [(0, 0)], 1),
        [1, 1, 0],
        mistakes={
            "应从左到右，不重叠：这是从右到左的结果": [0, 1, 1],
            "重叠了：一个符号被用了两次": [1, 1, 1, 1],
        },
    )
    yield Case("[2, 2]，没有能做的合并", lambda: solution([2, 2], merges, 3), [2, 2])
    yield Case("空的列表", lambda: solution([], merges, 3), [])


# ---- 第 3 至 5 节：次序、注意力、块与模型（ex-8-5 至 ex-8-11）


@exercise("ex-8-5", title="旋转一次的得分")
def _(solution: Callable) -> Iterator[Case]:
    q, k = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    yield Case(
        "q = (1, 0)，k = (0, 1)，m = 2，n = 1",
        lambda: solution(q.copy(), k.copy(), 2, 1),
        np.sin(1.0),
        mistakes={
            "方向反了：键要转过 ω(n − m)": -np.sin(1.0),
            "没有旋转": 0.0,
        },
        rtol=1e-9,
        hint="两者都在二维，ω = 1，夹角是 90° 加上 n − m 弧度",
    )
    rng = np.random.default_rng(0)
    q, k = rng.normal(size=(2, 6))
    yield Case(
        "q、k 各 6 维，m = 3，n = 7",
        lambda: solution(q.copy(), k.copy(), 3, 7),
        _rotary_score(q, k, 7 - 3),
        mistakes={
            "方向反了：键要转过 ω(n − m)": _rotary_score(q, k, 3 - 7),
            "所有的对用了同一个转速；ω 随 i 变慢": _rotary_score(q, k, 7 - 3, base=1.0),
            "第 i 个与第 i + d/2 个配成了对；这里是相邻的两个": _rotary_score(
                q[_HALVES], k[_HALVES], 7 - 3
            ),
        },
        rtol=1e-9,
        hint="相邻的两个分量配成一对，第 i 对的转速是 10000^(−2i/d)",
    )
    yield Case(
        "同样的 q、k，m = 103，n = 107：整体平移 100 格，得分不变",
        lambda: solution(q.copy(), k.copy(), 103, 107),
        _rotary_score(q, k, 7 - 3),
        rtol=1e-9,
        hint="结果只应与 n − m 有关",
    )


_HALVES = [0, 3, 1, 4, 2, 5]


def _rotary_score(q: np.ndarray, k: np.ndarray, turn: float, base: float = 10000.0) -> float:
    d = len(q)
    omega = base ** (-np.arange(0, d, 2) / d)
    q, k = q[0::2] + 1j * q[1::2], k[0::2] + 1j * k[1::2]
    return float(np.sum(q * np.conj(k * np.exp(1j * omega * turn))).real)


@exercise("ex-8-6", title="越远扣得越多")
def _(solution: Callable) -> Iterator[Case]:
    for T, m in ((4, 0.5), (1, 3.0), (6, 2.0)):
        back = np.arange(T)[:, None] - np.arange(T)
        right = np.where(back >= 0, -m * back, -np.inf)
        mistakes = {
            "符号反了：越远应扣得越多": np.where(back >= 0, m * back, -np.inf),
            "忘了遮住后面的：j > t 应是 −∞": -m * np.abs(back),
            "后面的不应是 0，也不应是正数": -m * back,
            "距离应是 t − j，不是 t − j + 1": np.where(back >= 0, -m * (back + 1), -np.inf),
            "没有乘 m": np.where(back >= 0, -1.0 * back, -np.inf),
            "行与列弄反了：行是看的位置 t": right.T,
        }
        yield Case(
            f"T = {T}，m = {m}",
            lambda T=T, m=m: solution(T, m),
            right,
            mistakes=mistakes if T > 1 else {},
            rtol=1e-12,
            hint="第 t 行第 j 列：j ≤ t 时 −m(t − j)，否则 −∞",
        )


@exercise("ex-8-7", title="只看最近的 w 个")
def _(solution: Callable) -> Iterator[Case]:
    small = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]], bool)
    yield Case(
        "T = 4，w = 2",
        lambda: solution(4, 2),
        small,
        accept=lambda got: _is_mask(got, small),
        mistakes={
            "没有遮住后面的": _band(4, -1, 1),
            "多看了一个：包括自己在内共 w 个": _band(4, 0, 2),
            "少看了一个：自己也算在 w 个里，但不该把它去掉": _band(4, 1, 1),
            "方向反了：看的是后面 w 个": small.T,
            "True 应表示可以看": ~small,
            "没有用上 w": np.tril(np.ones((4, 4), bool)),
        },
        hint="形状 (T, T) 的布尔数组，第 i 行第 j 列可以看的条件是 0 ≤ i − j < w",
    )
    yield Case(
        "T = 5，w = 1：只看自己",
        lambda: solution(5, 1),
        np.eye(5, dtype=bool),
        accept=lambda got: _is_mask(got, np.eye(5, dtype=bool)),
        hint="w = 1 时只有对角线可以看",
    )
    whole = np.tril(np.ones((3, 3), bool))
    yield Case(
        "T = 3，w = 8：窗口比句子长",
        lambda: solution(3, 8),
        whole,
        accept=lambda got: _is_mask(got, whole),
        hint="窗口比句子长时就是普通的因果掩码",
    )


def _band(T: int, low: int, high: int) -> np.ndarray:
    back = np.arange(T)[:, None] - np.arange(T)
    return (back >= low) & (back <= high)


def _is_mask(got: object, expected: np.ndarray) -> bool:
    return getattr(got, "dtype", None) == np.bool_ and np.array_equal(got, expected)


@exercise("ex-8-8", title="两块并一块")
def _(solution: Callable) -> Iterator[Case]:
    rng = np.random.default_rng(0)
    scores, values = rng.normal(size=7) * 3, rng.normal(size=(7, 3))
    parts = _partial(scores[:3], values[:3]), _partial(scores[3:], values[3:])
    (m1, l1, u1), (m2, l2, u2) = parts
    yield Case(
        "七个位置分成前三个与后四个",
        lambda: solution(*parts),
        _partial(scores, values),
        mistakes={
            "换了基准，旧的 l 与 u 要乘以 e^(m旧 − m新)": (max(m1, m2), l1 + l2, u1 + u2),
            "u 没有除以分母；合并时也不要除": (
                max(m1, m2),
                _partial(scores, values)[1],
                _partial(scores, values)[2] / _partial(scores, values)[1],
            ),
        },
        rtol=1e-9,
        hint="与不分块直接算的 m、l、u 比较",
    )
    yield Case(
        "两块对调，结果应相同",
        lambda: solution(*parts[::-1]),
        _partial(scores, values),
        rtol=1e-9,
        hint="第一块的最大值不一定是大的那个",
    )
    huge = scores + 2000
    yield Case(
        "得分都加上 2000：不许上溢",
        lambda: solution(_partial(huge[:3], values[:3]), _partial(huge[3:], values[3:])),
        _partial(huge, values),
        rtol=1e-9,
        hint="先减去较大的 m 再取指数",
    )
    hidden = (-np.inf, 0.0, np.zeros(3))
    yield Case(
        "第二块整块被遮住",
        lambda: solution(parts[0], hidden),
        parts[0],
        rtol=1e-9,
        hint="e^(−∞) = 0，被遮住的一块不起作用",
    )
    yield Case(
        "两块都被遮住",
        lambda: solution(hidden, hidden),
        hidden,
        hint="−∞ − (−∞) 是 nan，要单独处理",
    )


def _partial(scores: np.ndarray, values: np.ndarray) -> tuple[float, float, np.ndarray]:
    m = scores.max()
    powers = np.exp(scores - m)
    return float(m), float(powers.sum()), powers @ values


@exercise("ex-8-9", title="换一种配置的参数量")
def _(solution: Callable) -> Iterator[Case]:
    yield Case(
        "V = 10，E = 4，L = 2，h = 2，g = 2，H = 6",
        lambda: solution(10, 4, 2, 2, 2, 6),
        2 * 40 + 2 * (64 + 72 + 8) + 4,
        mistakes={
            "输出层不与嵌入共用，表有两张": 40 + 2 * (64 + 72 + 8) + 4,
            "前馈网络有三个矩阵": 2 * 40 + 2 * (64 + 48 + 8) + 4,
            "漏了最后的归一化": 2 * 40 + 2 * (64 + 72 + 8),
            "每个块有两个归一化": 2 * 40 + 2 * (64 + 72 + 4) + 4,
            "漏了全部的归一化": 2 * 40 + 2 * (64 + 72),
        },
        hint="两张表 80，每块注意力 64、前馈 72、归一化 8，最后的归一化 4",
    )
    yield Case(
        "V = 10，E = 8，L = 2，h = 4，g = 1，H = 6：键值只有一个头",
        lambda: solution(10, 8, 2, 4, 1, 6),
        2 * 80 + 2 * (2 * 64 + 2 * 16 + 3 * 48 + 16) + 8,
        mistakes={
            "键与值的投影只有 E × (gE/h)": 2 * 80 + 2 * (4 * 64 + 3 * 48 + 16) + 8,
            "键、值各有一个投影": 2 * 80 + 2 * (2 * 64 + 16 + 3 * 48 + 16) + 8,
        },
        hint="头宽是 E/h = 2，一个键值头就是 2 维",
    )
    yield Case(
        "LLaMA 2 的 70 亿：V = 32000，E = 4096，L = 32，h = g = 32，H = 11008",
        lambda: solution(32000, 4096, 32, 32, 32, 11008),
        6_738_415_616,
        rtol=0,
        hint="每个块的参数要乘以 L",
    )
    yield Case(
        "LLaMA 3 的 80 亿：V = 128256，E = 4096，L = 32，h = 32，g = 8，H = 14336",
        lambda: solution(128256, 4096, 32, 32, 8, 14336),
        8_030_261_248,
        rtol=0,
        hint="每个块的参数要乘以 L",
    )


@exercise("ex-8-10", title="各头各写一份")
def _(solution: Callable) -> Iterator[Case]:
    Z = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])  # 两个头，一个位置，每头两维
    W = np.arange(16.0).reshape(4, 4)
    yield Case(
        "两个头，d = 2，W 是 0 到 15：头 0 写第 0 列，头 1 写第 3 列",
        lambda: solution(Z.copy(), W.copy()),
        np.stack([W[:, :1].T, W[:, 3:].T]),
        mistakes={
            "切的应是 W 的列，不是行": np.stack([W[:1], W[3:]]),
            "忘了转置：y = O Wᵀ": np.stack([Z[0] @ W[:2], Z[1] @ W[2:]]),
            "两个头用了同一块 W": np.stack([W[:, :1].T, W[:, 1:2].T]),
        },
        hint="第 r 个头乘 W 的第 rd 到 rd + d − 1 列（转置之后是行）",
    )
    rng = np.random.default_rng(0)
    Z3, W3 = rng.normal(size=(3, 5, 2)), rng.normal(size=(6, 6))
    whole = np.concatenate(list(Z3), axis=1) @ W3.T
    yield Case(
        "三个头，d = 2，T = 5，随机的数：形状",
        lambda: np.shape(solution(Z3.copy(), W3.copy())),
        (3, 5, 6),
        hint="形状是 (h, T, hd)",
    )
    yield Case(
        "同上：各头之和应等于拼接之后乘 Wᵀ",
        lambda: np.sum(solution(Z3.copy(), W3.copy()), axis=0),
        whole,
        mistakes={"每个头都写了全部，应各写各的": 3 * whole},
        rtol=1e-9,
        hint="把 W 按列切成 h 块",
    )
    yield Case(
        "同上：第 2 个头（从 0 数起）写的",
        lambda: np.asarray(solution(Z3.copy(), W3.copy()))[2],
        Z3[2] @ W3[:, 4:].T,
        rtol=1e-9,
        hint="头的次序不变",
    )


# ---- 第 7 至 10 节：引擎、生成、内部、长大（ex-8-14 至 ex-8-21）


@exercise("ex-8-14", title="一处小小的不同")
def _(solution: Callable) -> Iterator[Case]:
    a = np.array([8.0, 7.5, 7.0, 6.5])
    b = np.array([8.0, 7.5, 7.125, 6.0])
    yield Case(
        "a = [8, 7.5, 7, 6.5]，b = [8, 7.5, 7.125, 6]，limit = 0.1",
        lambda: solution(a.copy(), b.copy(), 0.1),
        3,
        mistakes={
            "步数从 1 数起": 2,
            "这是最后一次，要的是第一次": 4,
        },
        hint="第三步差 0.125，第一次超过 0.1",
    )
    yield Case(
        "a、b 对调：差要取绝对值",
        lambda: solution(b.copy(), a.copy(), 0.1),
        3,
        mistakes={"差要取绝对值：b 比 a 小也是不同": 4},
        hint="差的绝对值大于 limit",
    )
    yield Case(
        "limit = 1：始终没有超过",
        lambda: solution(a.copy(), b.copy(), 1.0),
        0,
        mistakes={"argmax 对全是 False 的数组返回 0，要先问 any": 1},
        hint="没有超过时返回 0",
    )
    yield Case(
        "limit = 0.125：恰好等于不算",
        lambda: solution(a.copy(), b.copy(), 0.125),
        4,
        mistakes={"要大于 limit，等于不算": 3},
        hint="第三步恰好差 0.125，第四步差 0.5",
    )
    yield Case(
        "第一步就不同",
        lambda: solution(a + 1, b.copy(), 0.1),
        1,
        hint="第一步是 1，不是 0",
    )


@exercise("ex-8-15", title="差几个末位")
def _(solution: Callable) -> Iterator[Case]:
    def f32(*values: float) -> np.ndarray:
        return np.array(values, np.float32)

    step = np.spacing(np.float32(1))
    yield Case(
        "1 与它后面的第 1、第 3 个浮点数",
        lambda: solution(f32(1, 1), f32(1 + step, 1 + 3 * step)),
        np.array([1, 3]),
        mistakes={"这是差的数值，不是隔几个": np.array([step, 3 * step])},
        hint="按整数读出来相减",
    )
    yield Case(
        "1 与 2 之间有 2²³ 个间隔；2 与 4 之间也是",
        lambda: solution(f32(1, 4), f32(2, 2)),
        np.array([2**23, 2**23]),
        mistakes={
            "末位单位随大小变：不能都除以 1 附近的间隔": np.array([2**23, 2**24]),
            "要取绝对值": np.array([-(2**23), 2**23]),
        },
        hint="每翻一倍，间隔也翻一倍，个数不变",
    )
    tiny = np.nextafter(np.float32(0), np.float32(1))
    yield Case(
        "零的两侧：−tiny 与 tiny 隔两个，+0 与 −0 隔零个",
        lambda: solution(np.array([-tiny, 0.0], np.float32), np.array([tiny, -0.0], np.float32)),
        np.array([2, 0]),
        mistakes={
            "负数要先换成负的整数": np.array([2**31, 2**31]),
            "绝对值相同的正负数不是同一个": np.array([0, 0]),
        },
        hint="负的浮点数：去掉最高位，再变号",
    )
    yield Case(
        "两个负数：−1 与 −2",
        lambda: solution(f32(-1), f32(-2)),
        np.array([2**23]),
        hint="与 1 和 2 一样远",
    )
    yield Case(
        "一正一负，绝对值很大：−3e38 与 3e38，不许溢出",
        lambda: solution(f32(-3e38), f32(3e38)),
        np.array([2 * int(f32(3e38).view(np.int32)[0])]),
        hint="先转成 int64 再减",
    )


@exercise("ex-8-16", title="分辨真假")
def _(solution: Callable) -> Iterator[Case]:
    yield Case(
        "n = 8，chance = 0.05：至少对 7 组的机会约 0.035，至少对 6 组的约 0.145",
        lambda: solution(8, 0.05),
        7,
        mistakes={
            "对 6 组或更多的机会有 0.145，还不够小": 6,
            "对 7 组或更多的机会已经小于二十分之一": 8,
            "要算“这么多或更多”，不是恰好这么多": 0,
        },
        hint="机会 (8 + 1) / 256 小于 0.05",
    )
    yield Case(
        "n = 4，chance = 0.05：全对的机会有 1/16",
        lambda: solution(4, 0.05),
        None,
        accept=lambda got: got is None,
        hint="1/16 不小于 0.05，应返回 None",
    )
    yield Case(
        "n = 5，chance = 1/32：恰好等于不算",
        lambda: solution(5, 1 / 32),
        None,
        accept=lambda got: got is None,
        hint="要小于 chance，等于不算",
    )
    yield Case(
        "n = 100，chance = 0.05",
        lambda: solution(100, 0.05),
        59,
        mistakes={
            "对 58 组或更多的机会约 0.067": 58,
            "恰好对 58 组的机会小于 0.05，但要算“或更多”": 55,
        },
        hint="从 100 往下把机会加起来",
    )


@exercise("ex-8-17", title="另一种截断")
def _(solution: Callable) -> Iterator[Case]:
    p = np.array([0.05, 0.5, 0.25, 0.02, 0.18])
    yield Case(
        "p = [0.05, 0.5, 0.25, 0.02, 0.18]，m = 0.2",
        lambda: solution(p.copy(), 0.2),
        _kept(p, [1, 2, 4]),
        mistakes={
            "门槛应是 m 乘最大的概率，不是 m 本身": _kept(p, [1, 2]),
            "留下的没有重新归一": np.array([0, 0.5, 0.25, 0, 0.18]),
            "方向反了：留下的应是大的": _kept(p, [0, 3]),
            "这是 top-p：min-p 不看累积的概率": _kept(p, [1]),
        },
        rtol=1e-9,
        hint="留下概率不小于 m · max(p) 的，再除以它们的和",
    )
    even = np.full(4, 0.25)
    yield Case(
        "p 是四个 0.25，m = 1：全都等于最大的概率，应全部留下",
        lambda: solution(even.copy(), 1.0),
        even,
        rtol=1e-9,
        hint="“不小于”包括恰好相等",
    )
    kept = p.copy()
    yield Case(
        "调用之后，传入的 p 应保持不变",
        lambda: (solution(kept, 0.2), kept)[1],
        p,
        hint="不要就地修改 p",
    )


def _kept(p: np.ndarray, places: list[int]) -> np.ndarray:
    out = np.zeros_like(p)
    out[places] = p[places] / p[places].sum()
    return out


# ---- 第 6 节：训练（ex-8-12、ex-8-13）


@exercise("ex-8-12", title="平均的平均")
def _(solution: Callable) -> Iterator[Case]:
    for losses, counts in (([4.0, 6.0], [300, 100]), ([2.0, 1.0, 3.0], [1, 50, 2])):
        mean = float(np.average(losses, weights=counts))
        perplexity = np.average(np.exp(losses), weights=counts)
        yield Case(
            f"losses = {losses}，counts = {counts}",
            lambda losses=losses, counts=counts: np.array(solution(losses, counts)),
            np.array([mean, np.exp(mean)]),
            mistakes={
                "各批的权重应是目标数，不是一样的": np.array(
                    [np.mean(losses), np.exp(np.mean(losses))]
                ),
                "困惑度是平均损失的指数，不是各批困惑度的平均": np.array([mean, perplexity]),
                "损失的单位是奈特，底数是 e": np.array([mean, 2**mean]),
                "这是总和；还要除以目标的总数": np.array([np.dot(losses, counts), np.exp(mean)]),
            },
            rtol=1e-9,
            hint="先算全部目标的损失之和，再除以目标的总数，最后取指数",
        )


def _newton_schulz(x: np.ndarray, steps: int) -> np.ndarray:
    """照定义算：奇异向量不动，奇异值逐个变。"""
    left, s, right = np.linalg.svd(x / np.linalg.norm(x), full_matrices=False)
    for _ in range(steps):
        s = _quintic(s)
    return (left * s) @ right


def _quintic(s: np.ndarray | float) -> np.ndarray | float:
    from dlbook.training.muon import A, B, C

    return A * s + B * s**3 + C * s**5


@exercise("ex-8-13", title="正交化一个矩阵")
def _(solution: Callable) -> Iterator[Case]:
    diagonal = np.diag([3.0, 4.0])
    s = np.array([0.6, 0.8])
    unscaled = np.array([3.0, 4.0])
    yield Case(
        "x = diag(3, 4)，steps = 1",
        lambda: solution(diagonal.copy(), 1),
        np.diag(_quintic(s)),
        mistakes={
            "没有先除以弗罗贝尼乌斯范数": np.diag(_quintic(unscaled)),
            "除以的是最大的奇异值；应是弗罗贝尼乌斯范数": np.diag(_quintic(unscaled / 4)),
            "这是奇异值全为 1 的矩阵；要的是照公式迭代一次": np.eye(2),
        },
        rtol=1e-9,
        hint="范数是 5，奇异值 0.6 与 0.8 各照第二行变一次",
    )
    rng = np.random.default_rng(0)
    for shape in ((3, 5), (6, 2)):
        x = rng.normal(size=shape)
        scaled = x / np.linalg.norm(x)
        yield Case(
            f"x 是 {shape[0]}×{shape[1]} 的随机矩阵，steps = 5",
            lambda x=x: solution(x.copy(), 5),
            _newton_schulz(x, 5),
            mistakes={
                "只迭代了一次": _newton_schulz(x, 1),
                "乘方要用矩阵乘法，不是逐个元素": _elementwise(scaled, 5),
            },
            rtol=1e-6,
            hint="每次先算 S = X @ X.T，再算 a X + (b S + c S @ S) @ X",
        )


def _elementwise(x: np.ndarray, steps: int) -> np.ndarray:
    for _ in range(steps):
        x = _quintic(x)
    return x


@exercise("ex-8-20", title="花多少，买多大")
def _(solution: Callable) -> Iterator[Case]:
    # 挑得整齐：总运算量 1.2e20，于是 N = 1e9，D = 2e10。
    yield Case(
        "gpus = 10，days = 1/864，mfu = 0.5，peak = 2.4e17（一共 100 秒）",
        lambda: solution(10, 1 / 864, 0.5, 2.4e17),
        (1e9, 2e10),
        mistakes={
            "没有乘上利用率": (2**0.5 * 1e9, 2**0.5 * 2e10),
            "天没有换成秒": (1e9 / 86400**0.5, 2e10 / 86400**0.5),
            "没有乘块数": (1e9 / 10**0.5, 2e10 / 10**0.5),
            "忘了训练一个词元是 6N：C = 6ND": (6**0.5 * 1e9, 6**0.5 * 2e10),
            "次序反了：先参数个数，后词元个数": (2e10, 1e9),
        },
        rtol=1e-9,
        hint="C = 块数 × 秒数 × 峰值 × 利用率，N = √(C / 120)，D = 20 N",
    )
    yield Case(
        "gpus = 8，days = 7，mfu = 0.4，peak = 989e12",
        lambda: solution(8, 7, 0.4, 989e12),
        (
            (8 * 7 * 86400 * 0.4 * 989e12 / 120) ** 0.5,
            20 * (8 * 7 * 86400 * 0.4 * 989e12 / 120) ** 0.5,
        ),
        rtol=1e-9,
        hint="一天 86400 秒",
    )
    yield Case(
        "四倍的块数，参数与词元各是原来的几倍",
        lambda: tuple(
            a / b
            for a, b in zip(solution(32, 7, 0.4, 1e15), solution(8, 7, 0.4, 1e15), strict=True)
        ),
        (2.0, 2.0),
        mistakes={"计算量涨四倍，模型与数据各涨两倍，因为是乘积": (4.0, 4.0)},
        rtol=1e-9,
        hint="开平方",
    )


@exercise("ex-8-18", title="隔几格")
def _(solution: Callable) -> Iterator[Case]:
    weights = np.array(
        [[1.0, 0, 0, 0], [0.4, 0.6, 0, 0], [0.5, 0.3, 0.2, 0], [0.1, 0.7, 0.15, 0.05]]
    )
    yield Case(
        "4×4 的注意力，lag = 1：0.4、0.3、0.15 的平均",
        lambda: solution(weights.copy(), 1),
        (0.4 + 0.3 + 0.15) / 3,
        mistakes={
            "这是往前看：行与列弄反了": 0.0,
            "应除以行数 T − lag，不是 T": (0.4 + 0.3 + 0.15) / 4,
            "求了和，没有取平均": 0.4 + 0.3 + 0.15,
            "差了一格：lag = 0 才是看自己": (1 + 0.6 + 0.2 + 0.05) / 4,
        },
        rtol=1e-9,
        hint="取 weights[1, 0]、weights[2, 1]、weights[3, 2]",
    )
    yield Case(
        "lag = 0：看自己",
        lambda: solution(weights.copy(), 0),
        (1 + 0.6 + 0.2 + 0.05) / 4,
        rtol=1e-9,
        hint="就是主对角线",
    )
    yield Case(
        "lag = 3：只有最后一行够得着",
        lambda: solution(weights.copy(), 3),
        0.1,
        mistakes={"应取第 3 行第 0 列": 0.05},
        rtol=1e-9,
        hint="weights[3, 0]",
    )


@exercise("ex-8-19", title="找归纳头")
def _(solution: Callable) -> Iterator[Case]:
    weights = np.tril(np.arange(1.0, 37.0).reshape(6, 6)) ** 2 / 1000
    # 编号 5 7 9 5 7 5：t = 3 看 1，t = 4 看 2，t = 5（上次是 3）看 4。
    ids = [5, 7, 9, 5, 7, 5]
    yield Case(
        "ids = [5, 7, 9, 5, 7, 5]，weights 第 t 行第 j 列是 (6t + j + 1)² / 1000",
        lambda: solution(weights.copy(), list(ids)),
        (weights[3, 1] + weights[4, 2] + weights[5, 4]) / 3,
        mistakes={
            "看的是上一次它自己，应是它后面的一个": (weights[3, 0] + weights[4, 1] + weights[5, 3])
            / 3,
            "应取最近的一次，不是第一次": (weights[3, 1] + weights[4, 2] + weights[5, 1]) / 3,
            "求了和，没有取平均": weights[3, 1] + weights[4, 2] + weights[5, 4],
            "只对有重复的 t 取平均": (weights[3, 1] + weights[4, 2] + weights[5, 4]) / 6,
        },
        rtol=1e-9,
        hint="t = 3、4、5 各取 weights[3, 1]、weights[4, 2]、weights[5, 4]",
    )
    yield Case(
        "ids = [4, 4]：上一次的后面就是自己",
        lambda: solution(np.array([[1.0, 0.0], [0.25, 0.75]]), [4, 4]),
        0.75,
        rtol=1e-9,
        hint="s = 0，s + 1 = 1 = t",
    )
    yield Case(
        "ids = [1, 2, 3]：没有重复",
        lambda: solution(np.eye(3), [1, 2, 3]),
        float("nan"),
        accept=lambda got: got is not None and np.isnan(got),
        hint="没有可平均的数，返回 nan",
    )


@exercise("ex-8-21", title="要多少计算量")
def _(solution: Callable) -> Iterator[Case]:
    flops = np.array([1e10, 1e11, 1e12, 1e13])
    losses = 20 * flops**-0.05
    yield Case(
        "恰好在 20·C^(−0.05) 上的四个点，target = 3",
        lambda: solution(flops.copy(), losses.copy(), 3.0),
        (3 / 20) ** (-1 / 0.05),
        mistakes={
            "两个都要取对数，只取了计算量的": _semilog(flops, losses, 3.0),
            "没有取对数，拟合的是直线": _straight(flops, losses, 3.0),
            "这是对数，还要取指数": np.log((3 / 20) ** (-1 / 0.05)),
        },
        rtol=1e-6,
        hint="C = (target / a)^(−1/b)",
    )
    # 不在一条线上时，看是不是最小二乘。
    noisy = np.exp([1.7, 1.6, 1.55, 1.4])
    slope, intercept = np.polyfit(np.log(flops), np.log(noisy), 1)
    yield Case(
        "不在一条直线上的四个点，target = 3.5",
        lambda: solution(flops.copy(), noisy.copy(), 3.5),
        float(np.exp((np.log(3.5) - intercept) / slope)),
        mistakes={
            "只用了首尾两点": float(
                np.exp(np.log(flops[0]) + (np.log(3.5) - 1.7) / (-0.3 / np.log(1e3)))
            ),
        },
        rtol=1e-6,
        hint="用全部的点做最小二乘",
    )


def _semilog(flops: np.ndarray, losses: np.ndarray, target: float) -> float:
    slope, intercept = np.polyfit(np.log(flops), losses, 1)
    return float(np.exp((target - intercept) / slope))


def _straight(flops: np.ndarray, losses: np.ndarray, target: float) -> float:
    slope, intercept = np.polyfit(flops, losses, 1)
    return float((target - intercept) / slope)
