"""Saving and loading flows: nothing is lost, and no damaged or hostile file does harm."""

from __future__ import annotations

import copy
import json
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy

import cflows as cf
import instances
from model_files import architecture, contents, forge, join, part, sign, write
from processes import run_script


def flow_of_everything() -> cf.Flow:
    """Has all that files have: permutations, buffers, nested layers, frozen names."""
    flow = cf.Flow(
        [
            cf.Coupling([True, False, True], hidden=(5,), scale=cf.Scale("tanh", bound=2.0)),
            cf.Permutation("random"),
            cf.Inverse(cf.Chain([cf.Permutation([2, 0, 1]), cf.Affine(0.5, learned=True)])),
            cf.Coupling([2], conditioner=[cf.MLP((4,)), cf.ResidualNet(3, blocks=1)]),
            cf.Affine(),
        ],
        features=3,
        context_features=2,
        base=cf.Normal([1.0, 2.0, 3.0], 0.5),
        seed=2**64 - 1,
    )
    rng = np.random.default_rng(0)
    for parameter in flow.parameters.values():
        parameter[...] = rng.normal(size=parameter.shape)
    flow.buffers["layers.4.shift_scale"][:] = [1e6, -2.0, 0.1, 3.0, 0.3, 1e-3]
    flow.freeze("layers.2.*")
    return flow


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("saved") / "flow.safetensors"
    flow_of_everything().save(path)
    return path.read_bytes()


def load_bytes(tmp_path: Path, content: bytes) -> cf.Flow:
    return cf.load(write(tmp_path / "flow", content))


# ---- nothing is lost ----


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", instances.INSTANCES)
def test_a_flow_comes_back_bit_by_bit(tmp_path: Path, name: str, dtype: str):
    flow = instances.build(name, dtype)
    path = tmp_path / "flow.safetensors"
    flow.save(path)
    again = cf.load(path)
    assert type(again) is cf.Flow
    assert contents(again) == contents(flow)
    u, context = instances.sample_rows(name, 17)
    x = flow.forward(u, context)[0]
    assert again.log_prob(x, context).tobytes() == flow.log_prob(x, context).tobytes()


def test_all_at_once(tmp_path: Path, saved: bytes):
    again = load_bytes(tmp_path, saved)
    assert again.seed == 2**64 - 1
    assert again.frozen == ("layers.2.layers.1.shift", "layers.2.layers.1.log_scale")
    again.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == saved


def test_a_random_permutation_is_not_drawn_again(tmp_path: Path):
    flow = cf.Flow([cf.Permutation("random")], features=20, seed=1)
    flow.save(tmp_path / "flow")
    tensors = safetensors.numpy.load_file(tmp_path / "flow")
    indices = tensors["permutations.layers.0"]
    assert indices.dtype == np.int64
    np.testing.assert_array_equal(indices, flow.layers[0].indices)
    np.testing.assert_array_equal(cf.load(tmp_path / "flow").layers[0].indices, indices)


def test_numbers_that_are_no_numbers_are_kept(tmp_path: Path):
    flow = cf.realnvp(features=2, layers=1, seed=0)
    next(iter(flow.parameters.values()))[0, :] = np.nan
    flow.save(tmp_path / "flow")
    assert contents(cf.load(tmp_path / "flow")) == contents(flow)


def test_the_safetensors_package_reads_it(tmp_path: Path, saved: bytes):
    path = write(tmp_path / "flow", saved)
    flow = cf.load(path)
    tensors = safetensors.numpy.load_file(path)
    for name, parameter in flow.parameters.items():
        np.testing.assert_array_equal(tensors[name], parameter)
    for name, buffer in flow.buffers.items():
        assert tensors[f"buffers.{name}"].dtype == np.float64
        np.testing.assert_array_equal(tensors[f"buffers.{name}"], buffer)
    with safetensors.safe_open(path, "np") as file:
        metadata = file.metadata()
    assert metadata["format"] == "cflows" and metadata["version"] == cf.__version__
    assert json.loads(metadata["architecture"])["shape"] == [3]


def test_a_file_that_the_package_has_written_again(tmp_path: Path, saved: bytes):
    # In another order, with other spaces: what it says is the same.
    path = write(tmp_path / "flow", saved)
    with safetensors.safe_open(path, "np") as file:
        metadata = file.metadata()
    safetensors.numpy.save_file(safetensors.numpy.load_file(path), tmp_path / "again", metadata)
    assert contents(cf.load(tmp_path / "again")) == contents(cf.load(path))


def test_a_fitted_standardisation_is_kept(tmp_path: Path):
    flow = cf.realnvp(features=2, layers=2, seed=0)
    rng = np.random.default_rng(0)
    x = rng.normal([5.0, -1e4], [0.1, 30.0], size=(500, 2))
    flow.fit(x, epochs=1, seed=0, progress=False)
    flow.save(tmp_path / "flow")
    again = cf.load(tmp_path / "flow")
    assert contents(again) == contents(flow)
    assert np.isfinite(again.log_prob(x)).all()


# ---- where to ----


def test_saving_replaces_the_old_file_and_nothing_else(tmp_path: Path):
    path = tmp_path / "flow.safetensors"
    path.write_text("old")
    cf.realnvp(features=2, seed=0).save(str(path))
    assert cf.load(str(path)).features == 2
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_or_read(tmp_path: Path):
    flow = cf.realnvp(features=2, seed=0)
    for place in (tmp_path / "nowhere" / "flow", tmp_path):
        with pytest.raises(OSError):
            flow.save(place)
        with pytest.raises(OSError):
            cf.load(place)
    assert list(tmp_path.iterdir()) == []


def test_a_file_descriptor_is_no_path(tmp_path: Path, saved: bytes):
    flow = cf.realnvp(features=2, seed=0)
    with open(write(tmp_path / "flow", saved), "rb+") as file:
        for number in (file.fileno(), True, 1.0, None):
            with pytest.raises(TypeError, match="PathLike"):
                cf.load(number)
            with pytest.raises(TypeError, match="PathLike"):
                flow.save(number)
        assert file.read() == saved  # neither read, nor written, nor closed
    flow.save(os.fsencode(tmp_path / "bytes"))
    assert contents(cf.load(os.fsencode(tmp_path / "bytes"))) == contents(flow)


def test_a_disc_that_is_full_leaves_the_old_file(tmp_path: Path, saved: bytes, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    path = write(tmp_path / "flow", saved)
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        cf.realnvp(features=2, seed=0).save(path)
    assert path.read_bytes() == saved and list(tmp_path.iterdir()) == [path]


def test_layers_that_nest_too_deep_for_a_file(tmp_path: Path):
    layer: cf.Layer = cf.Affine()
    for depth in range(40):
        if depth == 25:
            cf.Flow([layer], features=1).save(tmp_path / "flow")
            cf.load(tmp_path / "flow")
        layer = cf.Inverse(layer)
    with pytest.raises(ValueError, match="deep"):
        cf.Flow([layer], features=1).save(tmp_path / "deep")
    assert not (tmp_path / "deep").exists()


# ---- damaged and foreign files ----


def with_metadata(content: bytes, **changes: str | None) -> bytes:
    header, data = part(content)
    metadata = {**header["__metadata__"], **changes}
    header["__metadata__"] = {k: v for k, v in metadata.items() if v is not None}
    return join(header, data)


def signed(content: bytes) -> bytes:
    header, data = part(content)
    return join(sign(header, data), data)


FOREIGN: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "nothing": (lambda _: b"", "expected a safetensors file, got another"),
    "something else": (
        lambda _: b"PK\x03\x04" + bytes(100),
        "expected a safetensors file, got another",
    ),
    "another's tensors": (lambda _: join({}), "not a cflows model"),
    "another format": (lambda c: with_metadata(c, format="pt"), "not a cflows model"),
    "a later version": (
        lambda c: with_metadata(c, format_version="3", version="9.1.0"),
        "written by cflows 9.1.0.*newer",
    ),
    "no version": (lambda c: with_metadata(c, format_version=None), "no format version"),
    "version zero": (lambda c: with_metadata(c, format_version="0"), "metadata"),
    "a version in other digits": (lambda c: with_metadata(c, format_version="²"), "version"),
    "a version of many digits": (lambda c: with_metadata(c, format_version="9" * 5000), "version"),
    "no architecture": (lambda c: signed(with_metadata(c, architecture=None)), "metadata"),
    "no checksum": (lambda c: with_metadata(c, checksum=None), "metadata"),
    "another checksum": (lambda c: with_metadata(c, checksum="0" * 64), "checksum"),
    "more metadata": (lambda c: signed(with_metadata(c, note="hello")), "metadata"),
    "another weight": (lambda c: c[:-9] + bytes([c[-9] ^ 1]) + c[-8:], "checksum"),
    "another architecture": (
        lambda c: with_metadata(c, architecture=part(c)[0]["__metadata__"]["architecture"] + " "),
        "checksum",
    ),
    "no JSON": (lambda c: signed(with_metadata(c, architecture="{")), "Expecting"),
    "a tensor of another name": (lambda c: renamed(c, "base.", "layers.7."), "must have base"),
    "a buffer too many": (
        lambda c: renamed(c, "layers.0.conditioner", "buffers.more"),
        "the parameters must|more than",
    ),
    "a permutation too many": (
        lambda c: renamed(c, "layers.0.conditioner", "permutations.more"),
        "permutations?.more|no layer",
    ),
}


def renamed(content: bytes, old: str, new: str) -> bytes:
    """The file with the first tensor of that beginning called otherwise, and its checksum right."""
    header, data = part(content)
    name = next(name for name in header if name.removeprefix("buffers.").startswith(old))
    header[name.replace(old, new, 1)] = header.pop(name)
    return join(sign(header, data), data)


@pytest.mark.parametrize("case", FOREIGN)
def test_a_damaged_or_foreign_file_is_refused(tmp_path: Path, saved: bytes, case: str):
    damage, message = FOREIGN[case]
    path = write(tmp_path / "flow", damage(saved))
    with pytest.raises(ValueError, match=message) as caught:
        cf.load(path)
    assert str(caught.value).startswith(f"{path}: ")


# ---- hostile architectures, their checksums right ----


def coupling(**options: Any) -> dict[str, Any]:
    return {"type": "Coupling", "options": options}


def layer(type: Any = "Affine", options: Any = None) -> dict[str, Any]:
    return {"layers": [{"type": type, "options": {} if options is None else options}]}


def nested(depth: int) -> dict[str, Any]:
    inner = {"type": "Affine", "options": {}}
    for _ in range(depth):
        inner = {"type": "Inverse", "options": {"layer": inner}}
    return {"layers": [inner]}


def other_indices(name: object) -> dict[str, Any]:
    return {"type": "Permutation", "options": {"indices": {"tensor": name}}}


LARGE = (0, 1, 2**20, 2**24, 2**31, 2**63)

HOSTILE: dict[str, dict[str, Any]] = {
    **{
        f"{key} {value!r:.20}": {key: value}
        for key in ("context_features", "seed")
        for value in (-1, 2**64, 10**400, 1.0, True, None, "3", [3], {})
    },
    **{f"context {value}": {"context_features": value} for value in LARGE},
    **{f"shape [{value}]": {"shape": [value]} for value in LARGE},
    **{f"shape [1, {value}, {value}]": {"shape": [1, value, value]} for value in LARGE},
    **{
        f"shape {value!r:.20}": {"shape": value}
        for value in (
            [-1],
            [10**400],
            [1.0],
            [True],
            [None],
            ["3"],
            [[3]],
            [],
            [3, 3],
            [1, 3, 1, 1],
            3,
            "3",
            None,
            {},
        )
    },
    **{f"dtype {value!r}": {"dtype": value} for value in ("float16", "object", "", None, 1, ["f"])},
    **{
        f"base {value!r:.30}": {"base": value}
        for value in (
            None,
            [],
            {},
            {"type": "Normal"},
            {"type": "Affine", "options": {}},
            {"type": "Normal", "options": {"loc": [0.0] * 5}},
            {"type": "Normal", "options": {}},
        )
    },
    **{
        f"frozen {value!r:.30}": {"frozen": value}
        for value in (None, "*", ["*"], [1], [["*"]], ["layers.9.shift"], [{}], ["a"] * 2, ["\0"])
    },
    "no layers": {"layers": []},
    "layers that are none": {"layers": None},
    "layers that are an object": {"layers": {}},
    "layers that are text": {"layers": ["Affine"]},
    "an unknown layer": layer("Spline"),
    "a dangerous name": layer("__import__('os').system('true')"),
    "a base as layer": layer("Normal"),
    "a conditioner as layer": layer("MLP"),
    "no layer's name": layer(["Affine"]),
    "a null in the name": layer("Affine\0"),
    "a lone surrogate": layer("\ud800"),
    "options that are none": {"layers": [{"type": "Affine", "options": None}]},
    "options that are a list": layer(options=[]),
    "an unknown option": layer(options={"speed": 1}),
    "an option with a surrogate": layer(options={"\udcff": 1}),
    "a null in an option": {"layers": [coupling(mask="half\0")]},
    "wrong numbers": layer(options={"shift": [1.0, 2.0], "scale": 0.0}),
    "a number beyond floats": layer(options={"shift": 10**400}),
    "mixed lists": layer(options={"shift": [1.0, "2", None]}),
    "lists in lists": layer(options={"shift": [[[[1.0]]]]}),
    "a missing option": layer("Inverse"),
    "a scale as layer": layer("Inverse", {"layer": {"type": "Scale", "options": {}}}),
    "layers in a deep nest": nested(20),
    "layers in too deep a nest": nested(50),
    "an enormous width": {"layers": [coupling(hidden=[2**20, 2**20])]},
    "a wide layer": {"layers": [coupling(hidden=[2**14, 2**14])]},
    "a width beyond 64 bits": {"layers": [coupling(hidden=[2**70])]},
    "a width of zero": {"layers": [coupling(hidden=[0])]},
    "a negative width": {"layers": [coupling(hidden=[-5])]},
    "many widths": {"layers": [coupling(hidden=[1000] * 2000)]},
    "many layers": {"layers": [coupling(hidden=[1000, 1000])] * 2000},
    "many blocks": {
        "layers": [
            coupling(
                conditioner={"type": "ResidualNet", "options": {"hidden": 4096, "blocks": 1024}}
            )
        ]
        * 100
    },
    "a wide context": {"context_features": 2**24, "layers": [coupling(hidden=[100])]},
    "many features": {"shape": [2**24], "layers": [coupling(hidden=[100])] * 100},
    "many features, no parameters": {
        "shape": [2**20],
        "layers": [{"type": "Permutation", "options": {"indices": "reverse"}}] * 1000,
    },
    "a drawn permutation": layer("Permutation", {"indices": "random"}),
    "a permutation by default": layer("Permutation"),
    "a repeated index": layer("Permutation", {"indices": [0, 0, 1]}),
    "a permutation of a float tensor": {"layers": [other_indices("layers.0.conditioner")]},
    "a permutation without tensor": {"layers": [other_indices("permutations.layers.9")]},
    "a permutation of no name": {"layers": [other_indices(None)]},
    "a permutation of a list": {"layers": [other_indices(["permutations.layers.1"])]},
    "one tensor for all": {"layers": [other_indices("permutations.layers.1")] * 3},
    "something more": {"more": 1},
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_architecture_is_refused(tmp_path: Path, saved: bytes, case: str):
    content = forge(saved, **HOSTILE[case])
    with pytest.raises(ValueError) as caught:
        load_bytes(tmp_path, content)
    assert len(str(caught.value)) < 1000


def test_a_member_must_not_be_missing(tmp_path: Path, saved: bytes):
    for name in architecture(saved).keys() - {"standardize_context"}:  # files of 0.1.0 have none
        header, data = part(saved)
        rest = {k: v for k, v in architecture(saved).items() if k != name}
        header["__metadata__"]["architecture"] = json.dumps(rest)
        with pytest.raises(ValueError, match="architecture"):
            load_bytes(tmp_path, join(sign(header, data), data))


LIMITED = """
import sys
import cflows as cf
from memory import no_more_than

cf.load(sys.argv[1])
for path in sys.argv[2:]:
    try:
        with no_more_than(64 << 20):
            cf.load(path)
    except ValueError:
        continue
    sys.exit(f"{path} was not refused")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_small_file_never_asks_for_much_memory(tmp_path: Path, saved: bytes):
    paths = [write(tmp_path / "good", saved)]
    for i, changes in enumerate(HOSTILE.values()):
        paths.append(write(tmp_path / str(i), forge(saved, **changes)))
    run_script(tmp_path, LIMITED, *paths)


# ---- mutations at random ----


def flip_a_bit(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :]


def flip_in_the_header(content: bytes, rng: random.Random) -> bytes:
    end = 8 + int.from_bytes(content[:8], "little")
    return flip_a_bit(content[:end], rng) + content[end:]


def cut_off(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def take_out(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content))
    return content[:start] + content[start + rng.randint(1, 20) :]


def put_in(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content) + 1)
    return content[:place] + rng.randbytes(rng.randint(1, 20)) + content[place:]


def repeat(content: bytes, rng: random.Random) -> bytes:
    start, length = rng.randrange(len(content)), rng.randint(1, 200)
    return content[: start + length] + content[start:]


def put_zeros(content: bytes, rng: random.Random) -> bytes:
    start, length = rng.randrange(len(content)), rng.randint(1, 200)
    changed = content[:start] + bytes(length) + content[start + length :]
    return changed if changed != content else content[:-1]


DAMAGES = [flip_a_bit, flip_in_the_header, cut_off, take_out, put_in, repeat, put_zeros]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damage_at_random_is_noticed(tmp_path: Path, saved: bytes, damage: Callable[..., bytes]):
    rng = random.Random(damage.__name__)
    path = tmp_path / "flow"
    for _ in range(500):
        path.write_bytes(damage(saved, rng))
        with pytest.raises(ValueError):
            cf.load(path)


def test_every_place_to_cut_off(tmp_path: Path, saved: bytes):
    path = tmp_path / "flow"
    for length in range(0, len(saved), 17):
        path.write_bytes(saved[:length])
        with pytest.raises(ValueError):
            cf.load(path)


STRANGE = [
    *(None, True, False, 0, 1, -1, 2, 3, 2**24, 2**31, 2**63, -(2**63), 2**64, 10**30),
    *(0.0, -0.5, 1.5, 1e300, -1e-300, "", "half", "relu", "tensor", "\0", "\ud800", "x" * 5000),
    *([], {}, [0], [[]], [1, 2, 3], [True, False, True], ["a"], [None], list(range(100))),
    *({"type": "Affine", "options": {}}, {"tensor": "permutations.layers.1"}, {"type": 1}),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to all values in JSON, the outermost left out."""
    if isinstance(value, dict):
        members = list(value.items())
    elif isinstance(value, list):
        members = list(enumerate(value))
    else:
        members = []
    return [p for k, item in members for p in [(*path, k), *places(item, (*path, k))]]


def mutate(value: Any, rng: random.Random) -> Any:
    """The JSON with one value replaced, removed, repeated or renamed."""
    value = copy.deepcopy(value)
    *way, key = rng.choice(places(value))
    parent = value
    for step in way:
        parent = parent[step]
    kind = rng.choice(["replace", "replace", "remove", "repeat", "copy"])
    if kind == "remove":
        del parent[key]
    elif kind == "repeat" and isinstance(parent, list):
        parent[key:key] = [copy.deepcopy(parent[key])] * rng.randint(1, 5)
    elif kind == "copy" and isinstance(parent, dict):
        parent[rng.choice(["type", "options", "hidden", "scale", "zzz"])] = parent[key]
    else:
        parent[key] = copy.deepcopy(rng.choice(STRANGE))
    return value


FORGED = {  # and how often
    "vectors": (2500, flow_of_everything),
    "images": (
        800,
        lambda: cf.glow(
            (2, 4, 4),
            levels=1,
            steps=1,
            channels=4,
            discrete=16,
            noise=[cf.Coupling("checkerboard", conditioner=cf.ConvNet((4,), 3))],
            transform=cf.MixtureLogistic(2),
            context_features=2,
            seed=0,
        ),
    ),
    "a VAE": (
        800,
        lambda: cf.VAE(
            cf.ConvEncoder((4,)),
            cf.ConvDecoder((4,)),
            latents=3,
            shape=(1, 4, 4),
            prior=[cf.Coupling()],
            posterior=[cf.Inverse(cf.Autoregressive())],
            likelihood=cf.LogisticLikelihood(4),
            seed=0,
        ),
    ),
}


@pytest.mark.parametrize(("times", "new_flow"), FORGED.values(), ids=FORGED)
def test_forged_architectures_at_random(
    tmp_path: Path, times: int, new_flow: Callable[[], cf.Flow]
):
    # What is refused raises ValueError; the rest are other flows of the same tensors, and whole.
    rng = random.Random(1)
    path = tmp_path / "flow"
    new_flow().save(path)
    saved = path.read_bytes()
    original, built = architecture(saved), 0
    header, data = part(saved)
    for _ in range(times):
        changed = original
        for _ in range(rng.choice([1, 1, 1, 2, 3])):
            changed = mutate(changed, rng)
        header["__metadata__"]["architecture"] = json.dumps(changed)
        path.write_bytes(join(sign(header, data), data))
        try:
            flow = cf.load(path)
        except ValueError:
            continue
        built += 1
        context = np.zeros((2, flow.context_features)) if flow.context_features else None
        flow.log_prob(np.zeros((2, *flow.shape)), context)
        flow.save(tmp_path / "again")
        assert contents(cf.load(tmp_path / "again")) == contents(flow)
    assert built > 20


def test_forged_headers_at_random(tmp_path: Path, saved: bytes):
    rng = random.Random(2)
    header, data = part(saved)
    path, before = tmp_path / "flow", contents(load_bytes(tmp_path, saved))
    for _ in range(1000):
        path.write_bytes(join(mutate(header, rng), data))
        try:
            flow = cf.load(path)
        except ValueError:
            continue
        assert contents(flow) == before


LOADS = """
import sys
import cflows as cf
from memory import leaked


def load():
    for path in sys.argv[1:]:
        try:
            cf.load(path)
        except ValueError:
            continue
        sys.exit(f"{path} was not refused")


for _ in range(20):
    load()
bytes_ = leaked(load, 1000)
assert bytes_ < 12, bytes_
"""


def test_a_refused_file_leaves_nothing_behind(tmp_path: Path, saved: bytes):
    """Refused at the beginning, at the architecture, and when the flow was all but built."""
    contents = [
        saved[:-1],
        forge(saved, layers=[]),
        forge(saved, base={"type": "Normal", "options": {"loc": [1.0, 2.0]}}),
        forge(saved, frozen=["layers.0.*"]),
        forge(saved, dtype="float64"),
    ]
    run_script(tmp_path, LOADS, *(write(tmp_path / str(i), c) for i, c in enumerate(contents)))
