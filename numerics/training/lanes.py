"""Vectors of numbers that compiled functions hold in registers.

LLVM vectorizes loops by guess, and short loops over rows of several arrays mostly not at all: such
a loop was measured to be up to ten times slower than the same arithmetic on vectors. Here a vector
of `LANES` numbers is a value of its own, which LLVM spreads over the registers that a machine has:
one of AVX-512 for float32, two of AVX, four of SSE or NEON.

The functions of this file can be called from compiled functions only. They check no bounds. Every
sum has a fixed order, so that results depend on nothing but the numbers; a product and a sum are
rounded once where the machine has a fused operation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.extending import intrinsic, models, register_model

__all__ = [
    "LANES",
    "absolute",
    "add",
    "add_totals",
    "is_above",
    "keep_above",
    "load",
    "magnitudes",
    "multiply",
    "multiply_add",
    "signed_magnitudes",
    "splat",
    "spread",
    "store",
    "subtract",
    "total",
]

LANES: Final = 16

Generator = Callable[..., Any]

_CONTRACT = ("contract",)
_I32 = ir.IntType(32)


class _LanesType(types.Type):
    """The type of a vector of `LANES` numbers."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        super().__init__(name=f"Lanes({dtype})")


@register_model(_LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        element = manager.lookup(kind.dtype).get_value_type()
        super().__init__(manager, kind, ir.VectorType(element, LANES))  # type: ignore[no-untyped-call]


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index])


def _load(context: Any, builder: Any, array_type: Any, array: Any, index: Any, count: int) -> Any:
    pointer = _pointer(context, builder, array_type, array, index)
    vector = ir.VectorType(pointer.type.pointee, count)
    place = builder.bitcast(pointer, vector.as_pointer())
    return builder.load(place, align=array_type.dtype.bitwidth // 8)


def _store(
    context: Any, builder: Any, array_type: Any, array: Any, index: Any, vector: Any
) -> None:
    pointer = _pointer(context, builder, array_type, array, index)
    place = builder.bitcast(pointer, vector.type.as_pointer())
    builder.store(vector, place, align=array_type.dtype.bitwidth // 8)


def _shuffled(builder: Any, first: Any, second: Any, order: list[int]) -> Any:
    mask = ir.Constant(ir.VectorType(_I32, len(order)), order)
    return builder.shuffle_vector(first, second, mask)


def _splat(builder: Any, scalar: Any) -> Any:
    empty = ir.Constant(ir.VectorType(scalar.type, LANES), ir.Undefined)
    first = builder.insert_element(empty, scalar, ir.Constant(_I32, 0))
    return _shuffled(builder, first, empty, [0] * LANES)


def _operation(typing: Generator) -> Generator:
    """Make an operation of compiled functions from its types and the instructions it stands for."""
    return cast(Generator, intrinsic(typing))


@_operation
def load(typing: Any, array: Any, index: Any) -> Any:
    """Return `LANES` numbers of a one-dimensional array, from `index` on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, place = arguments
        return _load(context, builder, signature.args[0], array, place, LANES)

    return _LanesType(array.dtype)(array, types.intp), generate


@_operation
def store(typing: Any, array: Any, index: Any, lanes: Any) -> Any:
    """Write a vector to a one-dimensional array, from `index` on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _store(context, builder, signature.args[0], *arguments)
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes), generate


@_operation
def splat(typing: Any, scalar: Any) -> Any:
    """Return a vector with the same number in every lane."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _splat(builder, arguments[0])

    return _LanesType(scalar)(scalar), generate


@_operation
def spread(typing: Any, array: Any, index: Any) -> Any:
    """Return a vector with entry `index` of an array in every lane."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], *arguments)
        return _splat(builder, builder.load(pointer))

    return _LanesType(array.dtype)(array, types.intp), generate


@_operation
def add(typing: Any, first: Any, second: Any) -> Any:
    """Return first + second, lane by lane."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fadd(*arguments)

    return first(first, second), generate


@_operation
def subtract(typing: Any, first: Any, second: Any) -> Any:
    """Return first − second, lane by lane."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fsub(*arguments)

    return first(first, second), generate


@_operation
def multiply(typing: Any, first: Any, second: Any) -> Any:
    """Return first · second, lane by lane."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fmul(*arguments)

    return first(first, second), generate


@_operation
def multiply_add(typing: Any, first: Any, second: Any, third: Any) -> Any:
    """Return first · second + third, lane by lane."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, b, c = arguments
        return builder.fadd(builder.fmul(a, b, flags=_CONTRACT), c, flags=_CONTRACT)

    return first(first, second, third), generate


@_operation
def keep_above(typing: Any, value: Any, decides: Any, bound: Any) -> Any:
    """Return `value` where `decides` is above `bound`, and 0 elsewhere."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kept, decisive, limit = arguments
        above = builder.fcmp_ordered(">", decisive, limit)
        return builder.select(above, kept, ir.Constant(kept.type, None))

    return value(value, decides, bound), generate


@_operation
def is_above(typing: Any, lanes: Any, bound: Any) -> Any:
    """Return an integer with one bit for each lane, set where it is above `bound`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        above = builder.fcmp_ordered(">", *arguments)
        bits = builder.bitcast(above, ir.IntType(LANES))
        return builder.zext(bits, ir.IntType(64))

    return types.int64(lanes, bound), generate


def _absolute(builder: Any, lanes: Any) -> Any:
    name = {"float": "f32", "double": "f64"}[str(lanes.type.element)]
    kind = ir.FunctionType(lanes.type, [lanes.type])
    function = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
        builder.module, kind, f"llvm.fabs.v{LANES}{name}"
    )
    return builder.call(function, [lanes])


@_operation
def absolute(typing: Any, lanes: Any) -> Any:
    """Return |v|, lane by lane."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _absolute(builder, arguments[0])

    return lanes(lanes), generate


def _scaled(context: Any, builder: Any, signature: Any, arguments: Any) -> tuple[Any, Any]:
    """Return v · scale of `LANES` integers of an array, and its absolute values."""
    array, place, factor = arguments
    numbers = _load(context, builder, signature.args[0], array, place, LANES)
    scaled = builder.fmul(builder.sitofp(numbers, factor.type), factor)
    return scaled, _absolute(builder, scaled)


def _kept_within_one(builder: Any, values: Any, sizes: Any) -> Any:
    within = builder.fcmp_ordered("<=", sizes, ir.Constant(sizes.type, [1.0] * LANES))
    return builder.select(within, values, ir.Constant(values.type, None))


@_operation
def magnitudes(typing: Any, integers: Any, index: Any, scale: Any) -> Any:
    """Return |v| · scale for `LANES` int32 of an array, or 0 where that exceeds 1.

    In the floating-point type of `scale`, which is positive.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, sizes = _scaled(context, builder, signature, arguments)
        return _kept_within_one(builder, sizes, sizes)

    return scale(integers, types.intp, scale), generate


@_operation
def signed_magnitudes(typing: Any, integers: Any, index: Any, scale: Any) -> Any:
    """Return v · scale for `LANES` int32 of an array, or 0 where its absolute value exceeds 1."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _kept_within_one(builder, *_scaled(context, builder, signature, arguments))

    return scale(integers, types.intp, scale), generate


def _halves_added(builder: Any, vector: Any) -> Any:
    half = vector.type.count // 2
    low = _shuffled(builder, vector, vector, list(range(half)))
    high = _shuffled(builder, vector, vector, list(range(half, 2 * half)))
    return builder.fadd(low, high)


@_operation
def total(typing: Any, lanes: Any) -> Any:
    """Return the sum over all lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = arguments[0]
        while vector.type.count > 1:
            vector = _halves_added(builder, vector)
        return builder.extract_element(vector, ir.Constant(_I32, 0))

    return lanes.dtype(lanes), generate


def _paired(builder: Any, first: Any, second: Any, width: int) -> Any:
    """Fold groups of `width` lanes of both to half, those of the first before the second's.

    Of a vector with g sums of `width` partial terms each, and another one, comes a vector with 2g
    sums of width/2 partial terms each.
    """
    count = first.type.count
    low = [k for k in range(2 * count) if k % width < width // 2]
    high = [k for k in range(2 * count) if k % width >= width // 2]
    return builder.fadd(
        _shuffled(builder, first, second, low), _shuffled(builder, first, second, high)
    )


@_operation
def add_totals(typing: Any, array: Any, index: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """Add the sums over all lanes of a, b, c and d to four entries of an array, from `index` on.

    Half as many operations as four calls of `total`.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target, place, *vectors = arguments
        first = _paired(builder, vectors[0], vectors[1], LANES)
        second = _paired(builder, vectors[2], vectors[3], LANES)
        quarter = LANES // 4
        sums = _paired(builder, first, second, 2 * quarter)
        while sums.type.count > 4:
            width = sums.type.count // 4
            low = [k for k in range(4 * width) if k % width < width // 2]
            high = [k for k in range(4 * width) if k % width >= width // 2]
            sums = builder.fadd(
                _shuffled(builder, sums, sums, low), _shuffled(builder, sums, sums, high)
            )
        before = _load(context, builder, signature.args[0], target, place, 4)
        _store(context, builder, signature.args[0], target, place, builder.fadd(before, sums))
        return context.get_dummy_value()

    return types.void(array, types.intp, a, b, c, d), generate
