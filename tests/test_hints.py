"""Names that are nearly right, and what stands for what: the messages a newcomer meets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cflows as cf

X = np.random.default_rng(0).normal(size=(50, 2))


def small(**options: Any) -> cf.Flow:
    return cf.maf(2, 1, hidden=(8,), seed=0, **options)


HINTS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "a class": (lambda: cf.MAF, AttributeError, "no attribute 'MAF'; did you mean maf?"),
    "a recipe": (lambda: cf.RealNVP, AttributeError, "'RealNVP'; did you mean realnvp?"),
    "a base": (lambda: cf.StudenT, AttributeError, "'StudenT'; did you mean StudentT?"),
    "nothing like it": (lambda: cf.xyzzy, AttributeError, "has no attribute 'xyzzy'"),
    "an option": (lambda: cf.maf(2, hiden=8), TypeError, "'hiden'; did you mean hidden?"),
    "its plural": (lambda: cf.maf(2, layer=3), TypeError, "'layer'; did you mean layers?"),
    "another word": (lambda: cf.maf(2, n_layers=3), TypeError, "'n_layers'; did you mean layers?"),
    "bins": (lambda: cf.nsf(2, n_bins=4), TypeError, "'n_bins'; did you mean bins?"),
    "epoch": (lambda: small().fit(X, epoch=1), TypeError, "'epoch'; did you mean epochs?"),
    "lr": (
        lambda: small().fit(X, lr=1e-3),
        TypeError,
        "'lr'; did you mean optimizer=cf.Adam(…)?",
    ),
    "batchsize": (
        lambda: small().fit(X, batchsize=5),
        TypeError,
        "fit() got an unexpected keyword argument 'batchsize'; did you mean batch_size?",
    ),
    "step": (
        lambda: small().fit_target(lambda x: (x[:, 0], x), step=5),
        TypeError,
        "fit_target() got an unexpected keyword argument 'step'; did you mean steps?",
    ),
    "no idea": (lambda: small().fit(X, zzz=5), TypeError, "unexpected keyword argument 'zzz'"),
}


@pytest.mark.parametrize("name", HINTS)
def test_the_message_says_what_was_meant(name: str) -> None:
    call, error, message = HINTS[name]
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value).endswith(message)


@pytest.mark.parametrize(
    "make",
    [
        lambda hidden: cf.MLP(hidden),
        lambda hidden: cf.Coupling(hidden=hidden),
        lambda hidden: cf.Autoregressive(hidden=hidden),
        lambda hidden: cf.Elementwise(hidden=hidden),
        lambda hidden: cf.maf(2, 1, hidden=hidden, seed=0).layers[0].spec,
        lambda hidden: cf.realnvp(2, 1, hidden=hidden, seed=0).layers[0].spec,
    ],
)
def test_one_width_is_one_hidden_layer(make: Callable[[Any], Any]) -> None:
    assert make(8) == make((8,)) == make(np.int64(8))


def test_one_point_goes_with_many_contexts() -> None:
    """As many contexts with one point each, bit for bit; and the other way round, as ever."""
    rng = np.random.default_rng(0)
    flow = small(context_features=1)
    for parameter in flow.parameters.values():
        parameter[...] += 0.2 * rng.normal(size=parameter.shape)
    contexts, x = rng.normal(size=(300, 1)), rng.normal(size=(1, 2))
    every = np.repeat(x, 300, axis=0)
    np.testing.assert_array_equal(flow.log_prob(x, contexts), flow.log_prob(every, contexts))
    score = flow.grad_log_prob(every, contexts)
    np.testing.assert_array_equal(flow.grad_log_prob(x, contexts), score)
    for call in (flow.inverse, flow.forward):
        for found, truth in zip(call(x, contexts), call(every, contexts), strict=True):
            np.testing.assert_array_equal(found, truth)
    assert flow.log_prob(x, contexts).std() > 0.0
    one = contexts[:1]
    np.testing.assert_array_equal(
        flow.log_prob(every, one), flow.log_prob(every, np.repeat(one, 300, axis=0))
    )
    with pytest.raises(ValueError, match="context must have 2 rows, as the samples, or 1, got 300"):
        flow.log_prob(every[:2], contexts)


@pytest.mark.parametrize("row", [0, 3, 777, 999])
def test_a_fit_does_not_resume_on_other_data_wherever_they_differ(row: int, tmp_path: Any) -> None:
    x = np.random.default_rng(0).normal(size=(1000, 2))
    options: dict[str, Any] = {"epochs": 3, "seed": 0, "progress": False}
    path = tmp_path / "fit.safetensors"
    small().fit(x, checkpoint=path, callback=lambda report: True, **options)
    small().fit(x, resume=path, **options)
    x[row, 1] += 1e-9
    with pytest.raises(ValueError, match="is of a fit with x="):
        small().fit(x, resume=path, **options)


@pytest.mark.parametrize("call", [lambda flow, x: flow.fit(x), lambda flow, x: flow.log_prob(x)])
@pytest.mark.parametrize(
    ("shape", "given", "hint"),
    [
        ((4,), (4, 300), r"got \(4, 300\); it looks transposed: give x.T"),
        ((1,), (300,), r"got \(300,\); samples of one feature are x.reshape\(-1, 1\)"),
        ((3, 8, 6), (9, 8, 6, 3), r"channels come first: x.transpose\(0, 3, 1, 2\)"),
    ],
)
def test_what_a_shape_may_have_meant(
    call: Any, shape: tuple[int, ...], given: tuple[int, ...], hint: str
) -> None:
    with pytest.raises(ValueError, match=hint):
        size = {"features": shape[0]} if len(shape) == 1 else {"shape": shape}
        call(cf.Flow([cf.ActNorm()], **size), np.zeros(given))
