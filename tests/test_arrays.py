"""What users hand in as arrays, as tensors."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from fastcam.arrays import as_tensor

VALUES = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
DTYPES = [
    "?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16",
]  # fmt: skip


def frozen(array):
    array = array.copy()
    array.flags.writeable = False
    return array


LAYOUTS = {
    "plain": lambda a: a,
    "all strides negative": lambda a: a[::-1, ::-1, ::-1],
    "one stride negative": lambda a: a[:, ::-1],
    "every other": lambda a: a[..., ::2],
    "every other, backwards": lambda a: a[..., ::-2],
    "transposed": lambda a: a.T,
    "Fortran": np.asfortranarray,
    "read-only": frozen,
    "read-only backwards": lambda a: frozen(a)[::-1],
    "broadcast": lambda a: np.broadcast_to(a[:1], (3, *a.shape[1:])),
    "a field of records": lambda a: records(a)["value"],
    "0-d": lambda a: a[0, 0, 1:2].reshape(()),
    "empty": lambda a: a[:0],
    "masked, nothing hidden": lambda a: np.ma.masked_array(a, np.zeros(a.shape, bool)),
    "masked, no mask": np.ma.masked_array,
}


def records(array):
    made = np.zeros(array.shape, [("flag", "u1"), ("value", array.dtype)])
    made["value"] = array
    return made


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_layout_and_byte_order_is_read(dtype, layout, order):
    array = LAYOUTS[layout](VALUES.astype(np.dtype(dtype).newbyteorder(order)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tensor = as_tensor("x", array)
    assert tensor.shape == array.shape
    assert tensor.tolist() == np.ma.getdata(array).tolist()
    assert str(tensor.dtype).removeprefix("torch.") == np.dtype(dtype).name


def test_what_torch_can_read_is_shared_and_the_rest_is_not():
    array = VALUES.copy()
    as_tensor("x", array)[0, 0, 0] = 7
    assert array[0, 0, 0] == 7
    locked = frozen(VALUES)
    as_tensor("x", locked)[0, 0, 0] = 7
    assert locked[0, 0, 0] == 0


def test_long_doubles_become_doubles():
    long = np.array([1 / np.longdouble(3), 5])[::-1]
    assert as_tensor("x", long).tolist() == [5, 1 / 3]
    assert as_tensor("x", long).dtype == torch.float64
    assert as_tensor("x", np.longdouble(2.5)).item() == 2.5


@pytest.mark.parametrize(
    ("given", "shape", "dtype"),
    [
        (np.float32(2), (), torch.float32),
        (np.int16(2), (), torch.int16),
        (np.bool_(True), (), torch.bool),
        ([[1, 2], [3, 4]], (2, 2), torch.int64),
        (((1.5, 2),), (1, 2), torch.float64),
        ([True, False], (2,), torch.bool),
        ([np.int32(1), np.int32(2)], (2,), torch.int32),
        ([np.float32(1), 2.5], (2,), torch.float64),
        ([torch.tensor(1), np.int64(2), 3], (3,), torch.int64),
        ([VALUES[0][::-1], VALUES[1]], (2, 3, 4), torch.float32),
        ([torch.ones(2), np.ones(2, ">f8")], (2, 2), torch.float64),
        ([[np.ones(2), torch.ones(2)]], (1, 2, 2), torch.float64),
        ([], (0,), torch.float64),
    ],
)
def test_lists_and_scalars(given, shape, dtype):
    tensor = as_tensor("x", given)
    assert (tuple(tensor.shape), tensor.dtype) == (shape, dtype)
    assert tensor.tolist() == np.array([np.asarray(one).tolist() for one in given] if shape else given).tolist()


class Shared:
    """An array of another library, by DLPack alone or by NumPy's protocol as well."""

    def __init__(self, array):
        self.array = array
        self.__dlpack__, self.__dlpack_device__ = array.__dlpack__, array.__dlpack_device__


class Readable:
    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


def test_arrays_of_other_libraries_are_read():
    assert as_tensor("x", Shared(VALUES)).tolist() == VALUES.tolist()
    assert as_tensor("x", Readable(VALUES[::-1])).tolist() == VALUES[::-1].tolist()
    assert as_tensor("x", [Readable(VALUES[0]), VALUES[1]]).tolist() == VALUES.tolist()


def test_a_tensor_is_itself():
    tensor = torch.ones(2, 3, requires_grad=True).T
    assert as_tensor("x", tensor) is tensor


HIDING = np.ma.masked_array([1.0, 2.0, 3.0], [0, 1, 0])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (torch.eye(2).to_sparse(), r"x must be a dense tensor, got a sparse one \(torch.sparse_coo\): call .to_dense"),
        (lambda: torch.eye(2).to_sparse_csc(), r"a sparse one \(torch.sparse_csc\)"),
        (lambda: torch.eye(2).to_mkldnn(), "mkldnn's layout: call .to_dense"),
        (lambda: torch.nested.nested_tensor([torch.ones(1), torch.ones(2)]), "a nested one"),
        (lambda: torch.nested.nested_tensor([torch.ones(1)], layout=torch.jagged), "a nested one"),
        (torch.ones(2, device="meta"), "x must hold values, got a tensor on the meta device"),
        (lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8), "a quantized tensor"),
        (
            HIDING,
            r"x must hold a value everywhere, got a masked array that hides 1 of 3 entries: call .filled\(value\)",
        ),
        ([HIDING.data, HIDING], r"x\[1\] must hold a value everywhere"),
        (np.ma.masked, "hides 1 of 1"),
        ([torch.ones(2), torch.ones(2).to_sparse()], r"x\[1\] must be a dense tensor"),
        (np.array(["a"]), "got an array of <U1"),
        (np.array([None]), "got an array of object"),
        (np.array(["2020"], "M8"), "got an array of datetime64"),
        (records(VALUES), "got an array of"),
        (["a"], "got an array of <U1"),
        (np.longdouble(1) * np.complex64(1), "got an array of complex"),
        ("text", "x must be a tensor or an array, got str"),
        (None, "got NoneType"),
        (3, "got int"),
        ({1: 2}, "got dict"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_what_is_no_array_of_values_is_refused(given, message):
    with pytest.raises(TypeError, match=message):
        as_tensor("x", given() if callable(given) and not isinstance(given, torch.Tensor) else given)


@pytest.mark.parametrize("given", [[[1, 2], [3]], [[[1]], [2]]])
def test_lists_that_are_no_array_are_refused(given):
    with pytest.raises(ValueError, match="x must be a tensor or an array, got lists of different lengths"):
        as_tensor("x", given)


def test_arrays_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r"got a list of shapes \(2,\), \(3,\)"):
        as_tensor("x", [np.ones(3), torch.ones(2)])
