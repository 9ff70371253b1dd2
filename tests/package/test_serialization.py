"""save、load：存什么读回什么；残缺、损坏、外来的文件一概说清楚；存不成时旧文件不动。"""

import errno
import io
import json
import math
import os
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from dlbook import nn, optim, serialization
from dlbook.autograd.tensor import Tensor
from dlbook.serialization import CheckpointError, load, save

repeatable = settings(derandomize=True, database=None, deadline=None, max_examples=60)
DTYPES = [np.float32, np.float64, np.int64, np.int32, np.uint8, np.bool_]


@st.composite
def tensors(draw):
    dtype = draw(st.sampled_from(DTYPES))
    array = draw(arrays(dtype, array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)))
    floating = np.issubdtype(dtype, np.floating)
    kind = draw(st.sampled_from([Tensor, nn.Parameter] if floating else [Tensor]))
    return kind(array, draw(st.booleans()) if floating else False)


scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text())
keys = st.one_of(st.text(), st.integers(), st.tuples(st.integers(), st.text()))
objects = st.recursive(
    st.one_of(scalars, tensors()),
    lambda inner: st.one_of(
        st.lists(inner), st.lists(inner).map(tuple), st.dictionaries(keys, inner, max_size=4)
    ),
    max_leaves=12,
)


def roundtrip(obj):
    buffer = io.BytesIO()
    save(obj, buffer)
    buffer.seek(0)
    return load(buffer)


def assert_same(a, b):
    assert type(a) is type(b)
    if isinstance(a, Tensor):
        assert a.dtype == b.dtype and a.requires_grad == b.requires_grad
        np.testing.assert_array_equal(a.array, b.array, strict=True)
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for x, y in zip(a.values(), b.values(), strict=True):
            assert_same(x, y)
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    elif isinstance(a, float):
        assert (math.isnan(a) and math.isnan(b)) or (
            a == b and math.copysign(1, a) == math.copysign(1, b)
        )
    else:
        assert a == b


def sample():
    return {
        "weight": nn.Parameter(np.arange(6, dtype=np.float32).reshape(2, 3)),
        "步数": 7,
        "历史": [0.5, float("inf"), (True, None)],
    }


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "模型.dlbook"
    save(sample(), path)
    return path


@repeatable
@given(objects)
def test_roundtrip(obj):
    assert_same(roundtrip(obj), obj)


@pytest.mark.parametrize(
    "array",
    [
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(12.0).reshape(3, 4)[::-1, ::2],
        np.broadcast_to(np.float32(3), (2, 2)),
        np.array([np.nan, -np.inf, -0.0, 1e-45], np.float32),
    ],
    ids=["按列存放", "隔行的视图", "广播", "特殊值"],
)
def test_memory_layouts_and_special_values(array):
    found = roundtrip(Tensor(array))
    np.testing.assert_array_equal(found.array, array, strict=True)
    assert found.array.flags.writeable


def test_model_and_optimizer_resume(tmp_path):
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    optimizer = optim.Adam(model.parameters(), lr=0.1)

    def train(model, optimizer):
        x = Tensor(np.arange(6, dtype=np.float32).reshape(2, 3))
        for _ in range(3):
            optimizer.zero_grad()
            (model(x) ** 2).sum().backward()
            optimizer.step()

    train(model, optimizer)
    path = tmp_path / "checkpoint"
    save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, path)
    other = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    other_optimizer = optim.Adam(other.parameters(), lr=9.0)
    checkpoint = load(path)
    other.load_state_dict(checkpoint["model"])
    other_optimizer.load_state_dict(checkpoint["optimizer"])
    train(model, optimizer)
    train(other, other_optimizer)
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(p.array, q.array)


def test_same_object_same_bytes(tmp_path, saved):
    save(sample(), tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == saved.read_bytes()


def test_standard_tools_can_read_it(saved):
    with zipfile.ZipFile(saved) as archive:
        assert archive.testzip() is None
        assert json.loads(archive.read("dlbook.json")) == {"format": "dlbook", "version": 1}
        with archive.open("tensors/0.npy") as entry:
            np.testing.assert_array_equal(np.load(entry), sample()["weight"].array)


# 不支持的对象：什么也不写


class Odd(dict):
    pass


CYCLE = []
CYCLE.append(CYCLE)
UNSUPPORTED = [
    (np.ones(2), TypeError, "ndarray"),
    (np.float64(1), TypeError, "float64"),
    ({"x": {1, 2}}, TypeError, "set"),
    ([torch.ones(2)], TypeError, "torch"),
    (Odd(), TypeError, "Odd"),
    (nn.Linear(2, 2), TypeError, "state_dict"),
    (1j, TypeError, "complex"),
    (b"x", TypeError, "bytes"),
    (CYCLE, ValueError, "自己"),
]


@pytest.mark.parametrize(("obj", "error", "message"), UNSUPPORTED)
def test_unsupported_objects_leave_the_file_alone(saved, obj, error, message):
    before = saved.read_bytes()
    with pytest.raises(error, match=message):
        save(obj, saved)
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


# 坏文件


def test_every_truncation_is_noticed(saved):
    raw = saved.read_bytes()
    for length in range(len(raw)):
        saved.write_bytes(raw[:length])
        with pytest.raises(CheckpointError, match=r"不完整|空的|不是"):
            load(saved)


def test_every_bit_flip_is_noticed(saved):
    raw = saved.read_bytes()
    for position in range(len(raw)):
        damaged = bytearray(raw)
        damaged[position] ^= 1 << (position % 8)
        with pytest.raises(CheckpointError):
            load(io.BytesIO(bytes(damaged)))


def test_extra_bytes_are_noticed(saved):
    saved.write_bytes(saved.read_bytes() + b"\n")
    with pytest.raises(CheckpointError, match="损坏"):
        load(saved)


class Bomb:
    def __reduce__(self):
        return (os._exit, (3,))


def foreign_files():
    files = {}
    buffer = io.BytesIO()
    torch.save({"w": torch.ones(2)}, buffer)
    files["torch"] = (buffer.getvalue(), "torch.save")
    files["pickle"] = (pickle.dumps(Bomb()), "pickle")
    buffer = io.BytesIO()
    np.save(buffer, np.ones(2))
    files["npy"] = (buffer.getvalue(), "numpy.load")
    buffer = io.BytesIO()
    np.savez(buffer, w=np.ones(2))
    files["npz"] = (buffer.getvalue(), "不是 dlbook.save")
    files["text"] = (b"hello", "68 65 6c 6c")
    files["empty"] = (b"", "空的")
    return files


@pytest.mark.parametrize("name", foreign_files())
def test_foreign_files_are_named(tmp_path, name):
    content, message = foreign_files()[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)


def forge(entries):
    """摘要正确、内容由我们编造的文件。"""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in entries.items():
            archive.writestr(serialization._entry(name), content)
        archive.comment = b"0" * 64
    body = buffer.getvalue()[:-64]
    return io.BytesIO(body + serialization.hashlib.sha256(body).hexdigest().encode())


def npy(array, **options):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, **options)
    return buffer.getvalue()


HEADER = '{"format": "dlbook", "version": 1}'
FORGED = {
    "没有结构": {"dlbook.json": HEADER},
    "不认识的节点": {"dlbook.json": HEADER, "structure.json": '{"call": "os.system"}'},
    "没有张量": {"dlbook.json": HEADER, "structure.json": '{"tensor": 0, "requires_grad": false}'},
    "对象数组": {
        "dlbook.json": HEADER,
        "structure.json": '{"tensor": 0, "requires_grad": false}',
        "tensors/0.npy": npy(np.array([Bomb()], object), allow_pickle=True),
    },
    "复数": {
        "dlbook.json": HEADER,
        "structure.json": '{"tensor": 0, "requires_grad": false}',
        "tensors/0.npy": npy(np.ones(2, complex)),
    },
    "键不可散列": {"dlbook.json": HEADER, "structure.json": '{"dict": [[[1], 2]]}'},
    "太深": {"dlbook.json": HEADER, "structure.json": "[" * 100000},
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_files_are_refused(name):
    with pytest.raises(CheckpointError, match="不合格式"):
        load(forge(FORGED[name]))


def test_newer_version_asks_to_upgrade():
    with pytest.raises(CheckpointError, match=r"第 2 版.*升级"):
        load(forge({"dlbook.json": '{"format": "dlbook", "version": 2}'}))


def test_missing_file_and_options(tmp_path, saved):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nowhere")
    assert load(saved, map_location="cpu")["步数"] == 7
    with pytest.raises(NotImplementedError, match="CPU"):
        load(saved, map_location="cuda")
    with pytest.raises(NotImplementedError, match="weights_only"):
        load(saved, weights_only=False)


# 写到一半


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_failure_keeps_the_old_file(saved, monkeypatch, step):
    before = saved.read_bytes()

    def fail(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="没有存成") as caught:
        save({"new": Tensor(np.ones(1000))}, saved)
    assert caught.value.errno == errno.ENOSPC and caught.value.filename == str(saved)
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


@pytest.mark.skipif(sys.platform == "win32", reason="没有 RLIMIT_FSIZE")
def test_full_disk(saved):
    """限制文件大小的进程里，写到一半就写不下去。"""
    before = saved.read_bytes()
    program = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096));"
        "import numpy as np; from dlbook.serialization import save;"
        "from dlbook.autograd.tensor import Tensor;"
        "save(Tensor(np.ones(10000)), sys.argv[1])"
    )
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    result = subprocess.run(
        [sys.executable, "-c", program, str(saved)], capture_output=True, text=True, env=environment
    )
    assert result.returncode == 1 and "没有存成" in result.stderr
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


def test_missing_folder_and_links(tmp_path, saved):
    with pytest.raises(FileNotFoundError, match="没有存成"):
        save(1, tmp_path / "nowhere" / "x")
    link = tmp_path / "link"
    link.symlink_to(saved)
    save(5, link)
    assert link.is_symlink() and load(saved) == 5
