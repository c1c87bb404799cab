"""What functions of `cflows.nn` and the core say of arguments and sizes that make no sense."""

import pytest

from cflows import _core, nn

BAD_ARGUMENTS = [
    (lambda x: nn.clamp(x, 0.0), TypeError, r"clamp\(\): missing a required argument: 'high'"),
    (lambda x: nn.clamp(x, 0.0, 1.0, 2.0), TypeError, r"clamp\(\): too many positional arguments"),
    (
        lambda x: nn.cosine(x, turn=1.0),
        TypeError,
        r"cosine\(\): got an unexpected keyword .*'turn'",
    ),
    (lambda x: nn.normal(0), ValueError, "size must be 1 or more, got 0"),
    (lambda x: nn.normal(1.5), TypeError, r"size must be an int, got 1\.5"),
]


@pytest.mark.parametrize(("function", "error", "message"), BAD_ARGUMENTS)
def test_bad_arguments_of_functions(function, error, message):
    with pytest.raises(error, match=message):
        nn.objective(lambda x, p: nn.sum(function(x)), 2)


BAD_SIZES = [
    ("nothing", (), (), "there is no operation called 'nothing'"),
    ("add", (1,), (), "2 sizes expected, got 1"),
    ("slice", (3,), (), "2 integers expected, got 0"),
    ("slice", (3,), (0, -1), "integers must be from 0"),
    ("exp", (2**64,), (), "sizes must be from 0"),
]


@pytest.mark.parametrize(("name", "sizes", "integers", "message"), BAD_SIZES)
def test_sizes_of_no_operation(name, sizes, integers, message):
    with pytest.raises(ValueError, match=message):
        _core.nn_size(name, sizes, integers)


def test_sizes_that_do_not_fit():
    misfits = [("add", (2, 3)), ("matmul", (4, 3)), ("matmul", (4, 0)), ("gradient", (1, 2, 3))]
    assert [_core.nn_size(name, sizes, ()) for name, sizes in misfits] == [0, 0, 0, 0]
    assert _core.nn_size("slice", (3,), (2, 2)) == _core.nn_size("parameter", (), (0,)) == 0
