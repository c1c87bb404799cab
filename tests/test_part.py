"""Parts of a flow: maps that compose to the whole, log-determinants that add up."""

import numpy as np
import pytest

import cflows as cf
from instances import INSTANCES, build, sample_rows


@pytest.mark.parametrize("name", INSTANCES)
def test_parts_compose_to_the_flow(name):
    flow = build(name)
    u, context = sample_rows(name, 5)
    whole, log_det = flow.forward(u, context)
    for cut in range(len(flow.layers) + 1):
        begin, rest = flow.part(0, cut), flow.part(cut)
        between, first = begin.forward(u, context)
        x, second = rest.forward(between, context)
        np.testing.assert_allclose(x, whole, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(first + second, log_det, rtol=1e-12, atol=1e-12)
        assert begin.shape == rest.base_shape


def make_flow():
    flow = cf.Flow(
        [cf.Linear(), cf.Affine(standardize=[True, False]), cf.Coupling(hidden=(4,)), cf.Affine()],
        features=2,
        context_features=3,
        embedding=cf.Embedding(2, cf.MLP((4,))),
        base=cf.Normal(learned=True),
        seed=9,
    )
    flow.freeze("layers.2.conditioner.linear0.*")
    for i, array in enumerate((*flow.parameters.values(), *flow.buffers.values())):
        array[...] = i + 0.5
    return flow


def test_a_part_is_what_its_layers_are():
    flow = make_flow()
    rest = flow.part(2)
    assert type(rest) is cf.Flow
    assert [layer.spec for layer in rest.layers] == [layer.spec for layer in flow.layers[2:]]
    assert rest.frozen == tuple(f"layers.0.conditioner.linear0.{n}" for n in ("weight", "bias"))
    assert (rest.dtype, rest.seed, rest.embedding) == (flow.dtype, flow.seed, flow.embedding)
    assert rest.base == cf.Normal() and flow.part(0, 2).base == flow.base
    for name, array in rest.parameters.items():
        source = name.replace("layers.0", "layers.2").replace("layers.1", "layers.3")
        np.testing.assert_array_equal(array, flow.parameters[source])
    context, buffer = rest.buffers.values()
    np.testing.assert_array_equal(context, flow.buffers["context.shift_scale"])
    np.testing.assert_array_equal(buffer, flow.buffers["layers.3.shift_scale"])
    # They are copies.
    rest.parameters["embedding.linear0.bias"][...] = -1.0
    assert (flow.parameters["embedding.linear0.bias"] > 0).all()


def test_a_part_from_the_base_has_a_density_of_its_own():
    flow = make_flow()
    context = np.ones(3)
    half = flow.part(0, 2)
    h = half.sample(9, context, seed=1)
    x, log_det = flow.part(2).forward(h, context)
    np.testing.assert_allclose(x, flow.sample(9, context, seed=1), rtol=1e-5)
    log_prob = half.log_prob(h, context) - log_det
    np.testing.assert_allclose(log_prob, flow.log_prob(x, context), rtol=1e-4)


def test_parts_are_counted_as_slices_are():
    flow = make_flow()
    types = [layer.type for layer in flow.layers]
    for start, stop in ((0, None), (1, 3), (-2, None), (0, -1), (1, 99), (-99, 2), (4, 4), (3, 1)):
        part = flow.part(start, stop)
        assert [layer.type for layer in part.layers] == types[start:stop]
    assert flow.part(stop=1).layers[0].type == "Linear"
    for arguments in ((1.0,), (0, "2"), (None,), (True,)):
        with pytest.raises(TypeError, match="must be an int"):
            flow.part(*arguments)
