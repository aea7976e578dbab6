"""A scalar that remembers how it was made (reverse-mode differentiation), arrays of such scalars, and writers of .npy files and manifests.

The reference values of this folder come from formulas written as loops over scalars, in float64 and plain Python: slow, and nothing in common
with the code they test.
"""
import json
import math
import os
import random
import shutil
import struct


class Scalar:
    def __init__(self, value, parents=()):
        self.value, self.parents, self.gradient = float(value), parents, 0.0

    def __add__(self, other):
        other = lift(other)
        return Scalar(self.value + other.value, ((self, 1.0), (other, 1.0)))

    def __mul__(self, other):
        other = lift(other)
        return Scalar(self.value * other.value, ((self, other.value), (other, self.value)))

    def __pow__(self, other):
        """self ** other for a positive self, or a constant other."""
        if not isinstance(other, Scalar):
            return Scalar(self.value ** other, ((self, other * self.value ** (other - 1)),))
        y = self.value ** other.value
        return Scalar(y, ((self, other.value * self.value ** (other.value - 1)), (other, y * math.log(self.value))))

    def __neg__(self):
        return self * -1.0

    def __sub__(self, other):
        return self + -lift(other)

    def __truediv__(self, other):
        return self * lift(other) ** -1

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other):
        return lift(other) - self

    def __abs__(self):
        return Scalar(abs(self.value), ((self, (self.value > 0) - (self.value < 0)),))


def lift(v):
    return v if isinstance(v, Scalar) else Scalar(v)


def exp(v):
    y = math.exp(v.value)
    return Scalar(y, ((v, y),))


def log(v):
    return Scalar(math.log(v.value), ((v, 1 / v.value),))


def differentiate(outputs, seeds):
    """Adds to the gradient of everything that `outputs` were made of the gradient of sum(outputs * seeds)."""
    order, seen, stack = [], set(), [(o, False) for o in outputs]
    while stack:
        v, done = stack.pop()
        if done:
            order.append(v)
        elif id(v) not in seen:
            seen.add(id(v))
            stack.append((v, True))
            stack.extend((p, False) for p, _ in v.parents)
    for o, seed in zip(outputs, seeds):
        o.gradient += seed
    for v in reversed(order):
        for parent, slope in v.parents:
            parent.gradient += slope * v.gradient


class Array:
    """Scalars (or plain numbers) under a shape; a[i, j] and a.get(i, j), which is 0 outside."""

    def __init__(self, shape, flat):
        self.shape, self.flat = tuple(shape), list(flat)
        assert len(self.flat) == math.prod(self.shape)

    def at(self, index):
        position = 0
        for i, n in zip(index, self.shape):
            position = position * n + i
        return position

    def __getitem__(self, index):
        return self.flat[self.at(index)]

    def get(self, *index, outside=0.0):
        return self[index] if all(0 <= i < n for i, n in zip(index, self.shape)) else lift(outside)

    def values(self):
        return [v.value if isinstance(v, Scalar) else v for v in self.flat]

    def gradients(self):
        return Array(self.shape, [v.gradient for v in self.flat])


def positions(*shape):
    if not shape:
        yield ()
        return
    for i in range(shape[0]):
        for rest in positions(*shape[1:]):
            yield (i, *rest)


def make(shape, formula):
    """The array with formula(i, j, ...) at each position."""
    return Array(shape, [formula(*index) for index in positions(*shape)])


def draw(seed, shape, low=-1.0, high=1.0):
    generator = random.Random(seed)
    return Array(shape, [Scalar(low + (high - low) * generator.random()) for _ in range(math.prod(shape))])


DTYPES = {"float64": ("<f8", "d"), "float32": ("<f4", "f"), "int64": ("<i8", "q"), "bool": ("|b1", "?")}


def write_npy(path, array, dtype):
    descr, code = DTYPES[dtype]
    shape = "(" + "".join(f"{n}, " for n in array.shape).rstrip(" " if len(array.shape) == 1 else ", ") + ")"
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (63 - (10 + len(header)) % 64) + "\n"
    values = array.values() if code in "df" else [int(v) for v in array.values()]
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + struct.pack(f"<{len(values)}{code}", *values))


class Folder:
    """A folder of cases in the formats of gold/grad and gold/onnx_node."""

    def __init__(self, path):
        self.path, self.cases = path, []
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)

    def array(self, case, name, array, dtype):
        file = f"{case}.{name}.npy"
        write_npy(os.path.join(self.path, file), array, dtype)
        return {"file": file, "dtype": dtype, "shape": list(array.shape)}

    def grad(self, name, op, attrs, arrays):
        """`arrays` maps names to arrays, those of integers as (array, dtype)."""
        described = {}
        for key, value in arrays.items():
            array, dtype = value if isinstance(value, tuple) else (value, "float64")
            described[key] = self.array(name, key, array, dtype)
        self.cases.append({"name": name, "op": op, "attrs": attrs, "arrays": described})

    def differentiated(self, name, op, attrs, arrays, y, seed=99, fixed=None):
        """A case with dy drawn and the gradient of sum(y dy) by each of `arrays`; `fixed` arrays have none."""
        dy = make(y.shape, lambda *i: 1.0) if not y.shape else draw(seed, y.shape)
        differentiate(y.flat, dy.values())
        gradients = {"d" + key: array.gradients() for key, array in arrays.items()}
        self.grad(name, op, attrs, {**arrays, **(fixed or {}), "y": y, "dy": dy, **gradients})

    def onnx(self, name, op, opset, attrs, inputs, outputs):
        """Inputs and outputs are (role, array) or (role, array, dtype), or None where one is left out."""

        def port(side, i, described):
            if described is None:
                return None
            role, array, *dtype = described
            return {**self.array(name, f"{side}{i}", array, dtype[0] if dtype else "float32"), "role": role}

        self.cases.append({"name": name, "op": op, "domain": "", "opset": opset, "attrs": attrs, "inputs": [port("in", i, p) for i, p in enumerate(inputs)],
                           "outputs": [port("out", i, p) for i, p in enumerate(outputs)], "rtol": 1e-3, "atol": 1e-7})

    def write(self):
        with open(os.path.join(self.path, "manifest.json"), "w") as file:
            json.dump({"format": 1, "cases": self.cases}, file, indent=1)
            file.write("\n")
