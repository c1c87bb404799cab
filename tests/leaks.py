"""A script of calls, right and wrong, after none of which memory may have grown.

Its argument is a folder for files.
"""

import copy
import gc
import os
import pickle
import sys

import numpy as np

import cflows as cf
from cflows import _core, nn
from memory import leaked

flow = cf.realnvp(4, layers=2, hidden=(8,), context_features=1, permute="reverse", seed=0)
plain = cf.realnvp(4, layers=1, hidden=(8,), seed=0)


class Named(cf.Flow):
    pass


named = Named([], 2)
named.name = "nothing"
x, c = np.ones((20, 4)), np.ones((20, 1))
foreign = x.astype(">i2")[:, ::-1]
model, checkpoint, cut = (os.path.join(sys.argv[1], name) for name in ("model", "fit", "cut"))
flow.save(model)
with open(model, "rb") as file, open(cut, "wb") as part:
    part.write(file.read()[:-1])
os.fsync = lambda file: None  # many files are written, and none has to last


class Again:
    """A number of features that makes the flow before it is told."""

    def __init__(self, made):
        self.made = made

    def __index__(self):
        self.made.__init__([cf.Coupling(hidden=(4,))], 4)
        return 4


def fails(function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except (ValueError, TypeError, RuntimeError, ArithmeticError, OSError):
        return
    raise AssertionError(f"{function} took {args} {kwargs}")


CALLS = {
    "forward": lambda: flow.forward(x, c),
    "inverse": lambda: flow.inverse(x.tolist(), [1.0]),
    "log_prob": lambda: flow.log_prob(foreign, c),
    "sample": lambda: flow.sample(3, c),
    "sample_and_log_prob": lambda: flow.sample_and_log_prob(3, c[0], start=4),
    "grad_log_prob": lambda: flow.grad_log_prob(x, c, return_log_prob=True),
    "vjp": lambda: flow.vjp(x, x, c[:, 0], c[0]),
    "vjp forward": lambda: flow.vjp(x, x, None, c, "forward", parameters=False),
    "loss_and_grad": lambda: flow.loss_and_grad(x, c, weights=c[:, 0]),
    "freeze": lambda: (flow.freeze("*.bias"), flow.frozen, flow.unfreeze("*")),
    "attributes": lambda: (flow.layers, flow.base, flow.dtype, flow.seed, flow.n_parameters),
    "layers": lambda: [(b.spec, b.options, b.layers, repr(b)) for b in flow.layers],
    "permutation": lambda: (flow.layers[1].indices, flow.layers[1].sign),
    "mappings": lambda: (dict(flow.parameters), dict(flow.gradients), dict(flow.buffers)),
    "repr": lambda: repr(flow),
    "astype": lambda: (flow.astype("float64"), named.astype("float64").name),
    "pickle": lambda: (pickle.loads(pickle.dumps(flow)), copy.copy(named).name),
    "specs": lambda: (
        cf.Coupling([0, 1], scale=cf.Scale("tanh"), conditioner=cf.MLP((3,))).options,
        hash(cf.Affine([1, 2.5], 3)) == hash(cf.Affine([1, 2.5], 3)),
        cf.Chain([cf.Inverse(cf.Affine())]).layers,
        pickle.loads(pickle.dumps(cf.Permutation([1, 0]))),
    ),
    "flow": lambda: cf.Flow([cf.Coupling(hidden=(4,))], 3, base=cf.Normal(learned=True)),
    "embedding": lambda: cf.Flow([cf.Coupling()], 3, 4, cf.Embedding(2)).embedding,
    "wrong flow": lambda: (
        fails(cf.Flow, [cf.Coupling(), cf.Permutation([0])], 2),
        fails(cf.Flow, [cf.Coupling(), cf.MLP()], 2),
        fails(cf.Flow, [], 2, base=3),
        fails(cf.Flow, [], 2, embedding=cf.Embedding(2)),
        fails(cf.Flow, [], 2, 1, 3),
        fails(cf.Flow, [], 2, dtype="int8"),
        fails(flow.__init__, [], 2),
        fails(flow.__setstate__, plain.__reduce__()[2]),
        fails((made := cf.Flow.__new__(cf.Flow)).__init__, [], Again(made)),
        fails(cf.Flow.__new__(cf.Flow).log_prob, x),
    ),
    "wrong state": lambda: (
        fails(cf.Flow.__new__(cf.Flow).__setstate__, {}),
        fails(cf.Flow.__new__(cf.Flow).__setstate__, {**plain.__reduce__()[2], "buffers": {}}),
    ),
    "wrong specs": lambda: (
        fails(cf.Coupling, hidden=(1, 2.5)),
        fails(cf.Coupling, mask="none"),
        fails(cf.Coupling, conditioner=[cf.MLP(), 3]),
        fails(cf.Coupling, conditioner=cf.MLP(), hidden=(3,)),
        fails(cf.Permutation, [0, 0]),
        fails(cf.Inverse),
        fails(cf.Affine, 1, shift=2),
        fails(cf.Affine, nothing=2),
    ),
    "wrong arrays": lambda: (
        fails(flow.log_prob, x[:, :3], c),
        fails(flow.log_prob, x * 1j, c),
        fails(flow.inverse, x, c[:3]),
        fails(flow.forward, x),
        fails(flow.vjp, x, context=c),
        fails(flow.vjp, x, x[:3], c[:, 0], c),
        fails(flow.vjp, x, x, c, c),
        fails(flow.vjp, x, x, direction="up"),
        fails(flow.loss_and_grad, x, c, -c[:, 0]),
        fails(flow.loss_and_grad, x[:0], c[:0]),
        fails(flow.grad_log_prob, [[None]], c),
        fails(plain.log_prob, x, c),
    ),
    "wrong arguments": lambda: (
        fails(flow.log_prob),
        fails(flow.log_prob, x, c, 3, 0, 0),
        fails(flow.log_prob, x, y=c),
        fails(flow.sample, -1, c),
        fails(flow.sample, 3, c, seed=-1),
        fails(flow.sample, 3, c, start="a"),
        fails(flow.sample, 2**62, c),
        fails(flow.freeze, "nothing"),
        fails(flow.astype, "int8"),
        fails(cf.set_num_threads, 0),
    ),
}


def fit(**options):
    return plain.fit(x, **{"seed": 0, "epochs": 1, "progress": False, **options})


def stop(report):
    raise ValueError


def new_objective():
    def loss(x, p, y):
        return nn.divergence(nn.grad(p.net), x) + (p.net(x) * p.a - y) ** 2

    net = nn.Network(nn.MLP((4,), activation="tanh"), 4, 1)
    options = {"parameters": {"a": 1.0}, "networks": {"net": net}, "seed": 0}
    return nn.objective(loss, 4, context_features=1, **options)


def train(model, *batch, steps=2, **options):
    with cf.Trainer(model, seed=0, **options) as trainer:
        for _ in range(steps):
            trainer.step(*batch)
        trainer.load_state(trainer.state())


def use_objective():
    model = new_objective()
    nn.function(model, lambda x, p, y: (p.loss(x, y), p.net(x)), "two")(x, c)
    fails(nn.function, model, lambda x, p, y: p.net(x), "two")
    train(copy.copy(model), x, c)
    fails(model._call, "two", (x, c[:3]))
    fails(model._call, "two", (x,))


def learn_target():
    for options in ({}, {"path_gradient": True}, {"loss": "forward_kl"}, {"loss": "alpha"}):
        copy.copy(plain).fit_target(
            lambda x: (-0.5 * (x**2).sum(axis=1), -x), steps=2, batch_size=8, **options
        )


SLOW_CALLS = {
    "averaged fit": lambda: fit(ema=0.9, validation=0.2),
    "trainer": lambda: (train(plain, x, None, c[:, 0], ema=0.9), train(flow, x, c)),
    "wrong trainer": lambda: (
        fails(cf.Trainer, plain, "nothing"),
        fails(train, plain, x[:, :3]),
        fails(train, plain, x, c),
        fails(train, plain, x, None, -c[:, 0]),
        fails(train, plain, x * np.nan, steps=30),
    ),
    "objective": use_objective,
    "wrong modules": lambda: (
        fails(_core.Model, _core.Module("function f x 1 x 1 gives y 1;argument 0 1;return 0")),
        fails(_core.Model, _core.Module("function f x 1 gives y 1;exp 0;return 0")),
        fails(_core.Model, _core.Module(declarations="parameter a 3")),
    ),
    "target": learn_target,
    "fit": lambda: fit(validation=0.2, weights=c[:, 0], jitter=0.1, patience=1),
    "fit of foreign": lambda: fit(validation=foreign, optimizer=cf.SGD(), schedule="plateau"),
    "fit with context": lambda: flow.fit(x, c, validation=0.5, epochs=1, progress=False),
    "checkpoint": lambda: (
        fit(checkpoint=checkpoint, validation=0.2),
        fit(resume=checkpoint, validation=0.2, epochs=2),
    ),
    "save and load": lambda: (flow.save(model), cf.load(model)),
    "jacobian": lambda: cf.jacobian(flow, x, c),
    "audit": lambda: cf.audit(flow, x, c),
    "copy": lambda: copy.deepcopy(flow),
    "wrong fit": lambda: (
        fails(fit, weights=-c[:, 0]),
        fails(fit, validation=x * np.nan),
        fails(fit, batch_size=0),
        fails(fit, callback=stop),
        fails(fit, resume=model),
        fails(fit, checkpoint=os.path.join(checkpoint, "nowhere")),
        fails(fit, optimizer=cf.SGD(1e300), clip_norm=None, epochs=50),
        fails(flow.fit, x),
    ),
    "wrong file": lambda: (
        fails(flow.save, os.path.join(model, "nowhere")),
        fails(cf.load, os.path.join(model, "nowhere")),
        fails(cf.load, cut),
        fails(cf.load, 1),
    ),
}


def watch(name, call, times):
    """Bytes, objects and references: the least leak comes to 16, 1 and 1 a call."""
    for _ in range(200):
        call()
    gc.collect()
    blocks, counts = sys.getallocatedblocks(), list(map(sys.getrefcount, CONSTANTS))
    bytes_ = leaked(call, times)
    blocks = sys.getallocatedblocks() - blocks
    counts = [sys.getrefcount(c) - before for c, before in zip(CONSTANTS, counts, strict=True)]
    assert bytes_ < 12, (name, "bytes a call", bytes_)
    assert blocks < times / 2, (name, "blocks", blocks)
    assert all(abs(change) < times / 2 for change in counts), (name, "references", counts)


CONSTANTS = (None, True, False, cf.Flow, cf.Coupling, cf.Cotangents, np.dtype("f4"), np.dtype("f8"))
for name, call in CALLS.items():
    watch(name, call, 5000)
for name, call in SLOW_CALLS.items():
    watch(name, call, 700)
