"""Modules: texts of functions, of files that are not trusted, build a model or raise."""

import json

import numpy as np
import pytest

import cflows as cf
from cflows import _core, nn
from model_files import architecture, forge, write

ROWS = 5


def model_of(text, **options):
    return _core.Model(_core.Module(text, **options), "float64", 0)


# -- what a loss is -- #


@pytest.mark.parametrize(
    "text",
    [
        "function loss x 1 gives loss 3000;argument 0 1;repeat 0 3000;return 1",
        "function loss x 1 gives loss 1x1x7;argument 0 1;repeat 0 7;return 1",
        "function loss x 1 gives loss 1 more 1;argument 0 1;return 0 0",
        "function loss x 1 gives more 1 loss 1;argument 0 1;return 0 0",
        "function loss y 1 gives loss 1;argument 0 1;return 0",
        "function loss gives loss 1;normal 1;return 0",
    ],
)
def test_what_is_no_loss_is_not_minimised(text):
    """Losses are stored as a number a row: of more numbers there is no room for the others."""
    model = model_of(text)
    with pytest.raises(ValueError, match="there is no loss called 'loss'"):
        model.loss_and_grad(np.ones((ROWS, 1)))
    loss = nn.Loss(model.module, "float64", 0)
    with pytest.raises(ValueError, match="there is no loss called 'loss'"):
        cf.Trainer(loss)


def test_a_loss_of_a_flow_reads_what_the_flow_does():
    """The first batch sets the flow's standardisation, column by column."""
    flow = cf.realnvp(300, layers=2, hidden=(4,), context_features=2, seed=0)
    nn.function(flow, lambda x, p: nn.sum(x), "narrow", inputs={"x": 1}, loss=True)
    with pytest.raises(ValueError, match="reads x of 1 features, but the flow has 300"):
        cf.Trainer(flow, "narrow")
    shapes = {"x": 300, "context": 1}
    nn.function(flow, lambda x, p, c: nn.sum(x) * c, "few", inputs=shapes, loss=True)
    with pytest.raises(ValueError, match="reads a context of 1 features, but the flow one of 2"):
        cf.Trainer(flow, "few")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("function loss", "function lossy"),
        ("gives loss 1", "gives out 1"),
        ("gives loss 1", "gives loss 1x1x1"),
        ("loss x 2", "loss y 2"),
        ("loss x 2", "loss z 1 x 2"),
        ("loss x 2", "loss x 2 z 1"),
    ],
)
def test_a_forged_file_has_a_loss_or_is_refused(tmp_path, old, new):
    loss = nn.objective(lambda x, p: nn.sum(x * p.a), 2, parameters={"a": [1.0, 2.0]}, seed=0)
    loss.save(tmp_path / "loss")
    content = (tmp_path / "loss").read_bytes()
    text = json.dumps(architecture(content))
    assert old in text
    changed = write(tmp_path / "forged", forge(content, **json.loads(text.replace(old, new))))
    with pytest.raises(ValueError, match="forged: "):
        cf.load(changed)


def test_no_function_takes_the_name_of_a_loss():
    flow = cf.realnvp(2, layers=1, hidden=(4,), seed=0)
    with pytest.raises(ValueError, match="there is a function called likelihood already"):
        nn.function(flow, lambda x, p: nn.sum(x), "likelihood", loss=True)
    flow.fit(np.ones((5, 2)), epochs=1, seed=0, progress=False)


# -- ports and calls -- #


@pytest.mark.parametrize(
    "text",
    [
        "function f x 1 x 2 gives out 1;argument 0 1;return 0",
        "function f x 1 gives out 1 out 1;argument 0 1;return 0 0",
    ],
)
def test_a_name_stands_for_one_input_or_output(text):
    with pytest.raises(ValueError, match="a function's inputs and outputs cannot be read"):
        model_of(text)


def test_functions_of_as_many_inputs_as_there_can_be():
    model = nn.objective(lambda x, p: nn.sum(x), 1, dtype="float64", seed=0)
    names = dict.fromkeys("abcdef", 1)

    def many(a, p, *others):
        return nn.concat([a, *others])

    nn.function(model, many, inputs=names)
    twice = nn.function(model, lambda a, p, *x: 2 * p.many(a, *x), "twice", inputs=names)
    columns = np.arange(12.0).reshape(2, 6)
    assert np.array_equal(twice(*(columns[:, [i]] for i in range(6))), 2 * columns)


def doubling(count):
    """Functions each of which calls the one before it twice."""
    first = "function f0 x 1 gives out 1;argument 0 1;tanh 0;return 1"
    calls = "argument 0 1;call f{0} 0 1 0;call f{0} 0 1 1;return 2"
    rest = (f"function f{i + 1} x 1 gives out 1;{calls.format(i)}" for i in range(count))
    return "\n".join([first, *rest])


def repeated_gradients(count):
    """The derivative of tanh of that order, each by reverse mode through the one before it."""
    lines = ["argument 0 1", "copy 0", "tanh 1", "constant 1 0"]
    lines += [f"gradient {3 + k if k else 2} 3 1" for k in range(count)]
    return f"function f x 1 gives out 1;{';'.join(lines)};return {len(lines) - 1}"


def test_functions_that_call_and_derivatives_that_derive():
    x = np.full((ROWS, 1), 0.3)
    value = x
    for _ in range(2**3):
        value = np.tanh(value)
    assert np.allclose(model_of(doubling(3))._call("f3", (x,))[0], value, rtol=1e-14)
    t = np.tanh(0.3)
    third = -2 * (1 - t**2) * (1 - 3 * t**2)
    model = model_of(repeated_gradients(3), numbers=[1.0])
    assert np.allclose(model._call("f", (x,))[0], third, rtol=1e-12)


@pytest.mark.parametrize(
    ("text", "name"), [(doubling(60), "f60"), (repeated_gradients(60), "f")], ids=["calls", "grads"]
)
def test_what_grows_without_bound_is_refused(text, name):
    with pytest.raises(ValueError, match="comes to more than 131072 operations"):
        model_of(text, numbers=[1.0])._call(name, (np.ones((1, 1)),))


# -- mutations -- #

NETWORKS = {"net": nn.Network(nn.MLP((3,), activation="tanh"), 2, 2)}
PARAMETERS = {"a": [0.5, -1.0], "w": [[1.0, 2.0], [0.5, 0.3], [0.1, 0.2]], "b": 0.7}


def plain(x, p):
    y = nn.concat([p.net(x) * p.a, nn.exp(-x), nn.matmul(p.w, x)])
    return nn.sum(y[1:5] ** 2) / (1.0 + nn.repeat(nn.exp(p.b), 1)) + nn.log_sum_exp(y)


def score_matching(x, p):
    score = nn.grad(lambda y: nn.sum(p.net(y) * p.a) - nn.sum(nn.softplus(nn.matmul(p.w, y))))
    return nn.divergence(score, x) + 0.5 * nn.sum(score(x) ** 2)


def noisy(x, p):
    z = x + 0.1 * nn.normal(2) * nn.sigmoid(p.b)
    field = nn.jvp(p.net, z, nn.clamp(x, -1.0, 1.0))[1]
    return nn.divergence(p.net, z, probes=2) + nn.cosine(nn.sum(field), 0.5) + nn.gelu(p.b)


def seeds():
    """(options, first line, second line) of modules that are right."""
    for loss in (plain, score_matching, noisy):
        model = nn.objective(loss, 2, parameters=PARAMETERS, networks=NETWORKS, seed=0)
        spec = model.module
        names = ("declarations", "starts", "networks", "numbers")
        options = {name: getattr(spec, name) for name in names}
        again = "function again x 2 gives out 1;argument 0 2;call loss 0 1 0;silu 1;return 2"
        yield options, spec.functions, again


def mutated(rng, text, words):
    """The text with some of its words changed, dropped, repeated or put in another place."""
    parts = text.replace(";", " ; ").split(" ")
    for _ in range(rng.integers(1, 4)):
        i, j = rng.integers(len(parts), size=2)
        kind = rng.integers(6)
        if kind == 0:
            parts[i] = str(rng.integers(40))
        elif kind == 1:
            parts[i] = str(rng.choice(words))
        elif kind == 2:
            del parts[i]
        elif kind == 3:
            parts.insert(i, parts[j])
        elif kind == 4:
            parts[i], parts[j] = parts[j], parts[i]
        elif parts[i].isdigit():
            parts[i] = str(max(0, int(parts[i]) + rng.integers(-2, 3)))
    return " ".join(parts).replace(" ; ", ";")


def compute_all(model):
    """Calls every function with rows of its sizes, and the gradient of the loss."""
    for name, (inputs, _) in model._functions().items():
        arrays = tuple(np.full((ROWS, *shape), 0.5) for _, shape in inputs)
        model._call(name, arrays)
        if name == "loss" and inputs:
            model.loss_and_grad(arrays[0], *arrays[1:2])


@pytest.mark.parametrize("number", range(3))
def test_mutations_raise_or_compute(number):
    options, text, again = list(seeds())[number]
    rng = np.random.default_rng(number)
    words = sorted({word for word in text.replace(";", " ").split() if not word.isdigit()})
    words += ["copy", "gradient", "call", "return", "network", "parameter", "2x1x1", "floor", "-1"]
    compute_all(model_of(f"{text}\n{again}", **options))
    built = 0
    for _ in range(700):
        lines = [
            mutated(rng, text, words),
            mutated(rng, again, words) if rng.integers(2) else again,
        ]
        try:
            compute_all(model_of("\n".join(lines), **options))
            built += 1
        except (ValueError, TypeError):
            continue
    assert built > 20
