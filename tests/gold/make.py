#!/usr/bin/env python3
"""Writes the reference values of this folder: grad/ and onnx/ (right), wrong/ (a case that must fail). Needs nothing but Python.

    python3 tests/gold/make.py
"""
import math
import os

from scalar import Array, Folder, Scalar, draw, exp, lift, log, make, positions

HERE = os.path.dirname(os.path.abspath(__file__))


def window_out(n, k, s, before, after, d=1, ceil=False):
    room = n + before + after - (k - 1) * d - 1
    out = room // s + 1
    return out + (1 if ceil and room % s and out * s < n + before else 0)


def conv2d(x, w, b, stride, pads, dilation=(1, 1), groups=1):
    (n, c, h, wd), (m, per_group, kh, kw) = x.shape, w.shape
    ho, wo = window_out(h, kh, stride[0], pads[0], pads[2], dilation[0]), window_out(wd, kw, stride[1], pads[1], pads[3], dilation[1])

    def one(i, o, r, q):
        total = lift(b[o,]) if b else Scalar(0)
        for k, u, v in positions(per_group, kh, kw):
            total += x.get(i, o // (m // groups) * per_group + k, r * stride[0] - pads[0] + u * dilation[0], q * stride[1] - pads[1] + v * dilation[1]) * w[o, k, u, v]
        return total

    return make((n, m, ho, wo), one)


def conv_transpose2d(x, w, b, stride, pads, added, groups):
    """Every input adds its weighted kernel to the output."""
    (n, c, h, wd), (_, per_group, kh, kw) = x.shape, w.shape
    m = per_group * groups
    ho, wo = (h - 1) * stride[0] + kh - pads[0] - pads[2] + added[0], (wd - 1) * stride[1] + kw - pads[1] - pads[3] + added[1]
    y = make((n, m, ho, wo), lambda i, o, r, q: lift(b[o,]) if b else Scalar(0))
    for i, k, r, q, o, u, v in positions(n, c, h, wd, per_group, kh, kw):
        row, column = r * stride[0] + u - pads[0], q * stride[1] + v - pads[1]
        if 0 <= row < ho and 0 <= column < wo:
            at = y.at((i, k // (c // groups) * per_group + o, row, column))
            y.flat[at] = y.flat[at] + x[i, k, r, q] * w[k, o, u, v]
    return y


def pool(x, kernel, stride, pads, reduce, dilation=(1, 1), ceil=False):
    """reduce(cells inside the image with their places, cells of the padded image) under each window."""
    n, c, h, w = x.shape
    ho, wo = window_out(h, kernel[0], stride[0], pads[0], pads[2], dilation[0], ceil), window_out(w, kernel[1], stride[1], pads[1], pads[3], dilation[1], ceil)

    def one(i, k, r, q):
        inside, padded = [], 0
        for u, v in positions(*kernel):
            row, column = r * stride[0] - pads[0] + u * dilation[0], q * stride[1] - pads[1] + v * dilation[1]
            padded += row < h + pads[2] and column < w + pads[3]
            if 0 <= row < h and 0 <= column < w:
                inside.append((x[i, k, row, column], (row, column)))
        return reduce(inside, padded)

    return make((n, c, ho, wo), one)


def first_largest(inside, _):
    return max(inside, key=lambda cell: cell[0].value)[0]


def mean_with_padding(inside, padded):
    return sum((v for v, _ in inside), Scalar(0)) / padded


def lp(p):
    return lambda inside, _: sum((abs(v) ** p for v, _ in inside), Scalar(0)) ** (1 / p)


def divisive(x, k, alpha, beta, exponent, before, after):
    size = math.prod(a + b + 1 for a, b in zip(before, after))

    def one(i, *place):
        total = Scalar(0)
        for offset in positions(*(a + b + 1 for a, b in zip(before, after))):
            total += abs(x.get(i, *(p + o - a for p, o, a in zip(place, offset, before)))) ** exponent
        per_channel = lambda p: p[place[0],] if len(p.shape) and p.shape[0] > 1 else p.flat[0]
        return x[(i, *place)] * (per_channel(k) + per_channel(alpha) * total / size) ** -per_channel(beta)

    return make(x.shape, one)


def batch_norm(x, w, b, eps):
    n, c, h, wd = x.shape
    means, variances = [], []
    for k in range(c):
        cells = [x[i, k, r, q] for i, r, q in positions(n, h, wd)]
        means.append(sum(cells, Scalar(0)) / len(cells))
        variances.append(sum(((v - means[k]) ** 2 for v in cells), Scalar(0)) / len(cells))
    y = make(x.shape, lambda i, k, r, q: (x[i, k, r, q] - means[k]) * (variances[k] + eps) ** -0.5 * w[k,] + b[k,])
    return y, [m.value for m in means], [v.value for v in variances], n * h * wd


def log_softmax(x, axis):
    def one(*index):
        line = [x[(*index[:axis], j, *index[axis + 1:])] for j in range(x.shape[axis])]
        return x[index] - log(sum((exp(v) for v in line), Scalar(0)))

    return make(x.shape, one)


def cross_entropy(x, labels, weights, ignore, smoothing):
    """Mean over [N,C,L]."""
    p, total, weight = log_softmax(x, 1), Scalar(0), 0.0
    for i, q in positions(x.shape[0], x.shape[2]):
        label = labels[i, q]
        if label == ignore:
            continue
        weight += weights[label,]
        total += -(1 - smoothing) * weights[label,] * p[i, label, q]
        for k in range(x.shape[1]):
            total += -smoothing / x.shape[1] * weights[k,] * p[i, k, q]
    return total / weight


def optimizer_case(folder, name, op, attrs, update):
    """Minimizes sum(a (p - c)^4 / 4 + p^2 / 2); update(p, g, state, step) -> p, for each element."""
    p0, a, c = draw(1, (5,)).values(), draw(2, (5,), 0.5, 2).values(), draw(3, (5,)).values()
    p, states, grads, path = list(p0), [{} for _ in p0], [], []
    for step in range(6):
        g = [ai * (pi - ci) ** 3 + pi for pi, ai, ci in zip(p, a, c)]
        p = [update(pi, gi, state, step) for pi, gi, state in zip(p, g, states)]
        grads += g
        path += p
    folder.grad(name, op, attrs, {"p0": Array((5,), p0), "a": Array((5,), a), "c": Array((5,), c), "grads": Array((6, 5), grads), "p": Array((6, 5), path)})


def adagrad(p, g, state, step):
    state["sum"] = state.get("sum", 0.25) + g * g
    return p - 0.3 / (1 + step * 0.1) * g / (math.sqrt(state["sum"]) + 1e-10)


def sgd_dampened(p, g, state, step):
    g += 0.01 * p
    state["v"] = g if step == 0 else 0.8 * state["v"] + (1 - 0.3) * g
    return p - 0.05 * state["v"]


def grad_cases():
    folder = Folder(os.path.join(HERE, "grad"))
    x, w, b = draw(1, (2, 3, 5, 6)), draw(2, (4, 3, 3, 2)), draw(3, (4,))
    folder.differentiated("conv_uneven_padding", "Conv2d", {"kernel": [3, 2], "stride": [2, 1], "padding": [1, 0, 2, 3], "dilation": [1, 2], "groups": 1, "bias": True}, {"x": x, "w": w, "b": b},
                          conv2d(x, w, b, (2, 1), (1, 0, 2, 3), (1, 2)))
    x, w = draw(4, (1, 4, 4, 5)), draw(5, (8, 2, 1, 3))
    folder.differentiated("conv_groups_no_bias", "Conv2d", {"kernel": [1, 3], "stride": [1, 2], "padding": [0, 1], "groups": 2, "bias": False}, {"x": x, "w": w},
                          conv2d(x, w, None, (1, 2), (0, 1, 0, 1), groups=2))
    x, w, b = draw(6, (2, 4, 3, 2)), draw(7, (4, 3, 2, 3)), draw(8, (6,))
    folder.differentiated("deconv_groups", "ConvTranspose2d", {"kernel": [2, 3], "stride": [2, 3], "padding": [1, 0], "output_padding": [1, 2], "groups": 2}, {"x": x, "w": w, "b": b},
                          conv_transpose2d(x, w, b, (2, 3), (1, 0, 1, 0), (1, 2), 2))
    x = Array((1, 2, 6, 7), [Scalar(round(4 * v.value)) for v in draw(9, (84,)).flat])
    folder.differentiated("max_ties", "MaxPool2d", {"kernel": [3, 3], "stride": [2, 1], "padding": [1, 1], "dilation": [1, 2]}, {"x": x}, pool(x, (3, 3), (2, 1), (1, 1, 1, 1), first_largest, (1, 2)))
    x = draw(10, (1, 2, 5, 6))
    folder.differentiated("mean_ceil_padded", "MeanPool2d", {"kernel": [3, 2], "stride": [2, 3], "padding": [1, 1], "ceil_mode": True, "count_include_pad": True}, {"x": x},
                          pool(x, (3, 2), (2, 3), (1, 1, 1, 1), mean_with_padding, ceil=True))
    x = draw(11, (2, 1, 5, 4))
    folder.differentiated("lp3", "LpPool2d", {"kernel": [2, 3], "stride": [2, 1], "p": 3}, {"x": x}, pool(x, (2, 3), (2, 1), (0, 0, 0, 0), lp(3)))
    x, k, alpha, beta = draw(12, (1, 4, 4, 3)), draw(13, (4,), 0.5, 1), draw(14, (4,), 0.5, 2), draw(15, (4,), 0.4, 1)
    folder.differentiated("div_each_channel", "DivisiveNorm", {"box": [3, 3, 1], "exponent": 1.5}, {"x": x, "k": k, "alpha": alpha, "beta": beta},
                          divisive(x, k, alpha, beta, 1.5, (1, 1, 0), (1, 1, 0)))
    x = draw(16, (1, 6, 2, 3), -2, 2)
    constant = lambda v: Array((), [Scalar(v)])
    folder.differentiated("lrn_even", "LocalResponseNorm", {"size": 4, "alpha": 0.8, "beta": 0.6, "k": 1.5}, {"x": x}, divisive(x, constant(1.5), constant(0.8), constant(0.6), 2, (2, 0, 0), (1, 0, 0)))
    x, w, b, mean, var = draw(17, (3, 2, 2, 3)), draw(18, (2,)), draw(19, (2,)), draw(20, (2,)), draw(21, (2,), 0.5, 2)
    y, means, variances, n = batch_norm(x, w, b, 1e-3)
    mean_out = [0.7 * old + 0.3 * new for old, new in zip(mean.values(), means)]
    var_out = [0.7 * old + 0.3 * new * n / (n - 1) for old, new in zip(var.values(), variances)]
    folder.differentiated("bn", "BatchNorm2d", {"eps": 1e-3, "momentum": 0.3, "training": True}, {"x": x, "w": w, "b": b}, y,
                          fixed={"running_mean_in": mean, "running_var_in": var, "running_mean_out": Array((2,), mean_out), "running_var_out": Array((2,), var_out)})
    x = draw(22, (2, 4, 3), -3, 3)
    folder.differentiated("log_softmax_middle", "LogSoftmax", {"axis": 1}, {"x": x}, log_softmax(x, 1))
    x, labels, weights = draw(23, (2, 4, 3), -3, 3), Array((2, 3), [0, 3, 1, 2, 2, 0]), Array((4,), [0.5, 2.0, 1.0, 1.5])
    folder.differentiated("ce_weights_ignore", "SoftmaxCrossEntropy", {"reduction": "mean", "ignore_index": 2, "label_smoothing": 0.1}, {"x": x},
                          Array((), [cross_entropy(x, labels, weights, 2, 0.1)]), fixed={"target": (labels, "int64"), "weight": weights})
    optimizer_case(folder, "adagrad_decay", "Adagrad", {"lr": 0.3, "lr_decay": 0.1, "initial_accumulator_value": 0.25}, adagrad)
    optimizer_case(folder, "sgd_dampened", "SGD", {"lr": 0.05, "momentum": 0.8, "dampening": 0.3, "weight_decay": 0.01}, sgd_dampened)
    folder.write()


def onnx_cases():
    folder = Folder(os.path.join(HERE, "onnx"))
    x, w, b = draw(31, (1, 2, 7)), draw(32, (3, 2, 3)), draw(33, (3,))
    image = lambda a: Array((a.shape[0], a.shape[1], 1, a.shape[2]), a.flat)
    y = conv2d(image(x), image(w), b, (1, 2), (0, 2, 0, 1))
    folder.onnx("conv_1d_uneven", "Conv", 22, {"pads": [2, 1], "strides": [2]}, [("X", x), ("W", w), ("B", b)], [("Y", Array((1, 3, y.shape[3]), y.flat))])
    x, w = draw(34, (1, 1, 6, 5)), draw(35, (2, 1, 4, 2))
    folder.onnx("conv_same_lower", "Conv", 22, {"auto_pad": "SAME_LOWER", "strides": [2, 1]}, [("X", x), ("W", w)], [("Y", conv2d(x, w, None, (2, 1), (1, 1, 1, 0)))])
    x, w = draw(36, (1, 1, 3, 3)), draw(37, (1, 2, 3, 3))
    folder.onnx("convtranspose_output_shape", "ConvTranspose", 22, {"output_shape": [6, 6], "strides": [2, 2]}, [("X", x), ("W", w)],
                [("Y", conv_transpose2d(x, w, None, (2, 2), (1, 1, 0, 0), (0, 0), 1))])
    x = draw(38, (2, 2, 4, 5))
    places = pool(x, (2, 2), (2, 2), (0, 0, 0, 0), lambda inside, _: max(inside, key=lambda cell: cell[0].value)[1])
    flat = make(places.shape, lambda i, k, r, q: ((i * 2 + k) * 5 + places[i, k, r, q][1]) * 4 + places[i, k, r, q][0])
    folder.onnx("maxpool_indices_by_column", "MaxPool", 12, {"kernel_shape": [2, 2], "strides": [2, 2], "storage_order": 1}, [("X", x)],
                [("Y", pool(x, (2, 2), (2, 2), (0, 0, 0, 0), first_largest)), ("Indices", flat, "int64")])
    folder.onnx("averagepool_valid_ceil", "AveragePool", 19, {"auto_pad": "VALID", "ceil_mode": 1, "kernel_shape": [3, 2], "strides": [2, 2]}, [("X", x)],
                [("Y", pool(x, (3, 2), (2, 2), (0, 0, 0, 0), mean_with_padding))])
    a, b, c = draw(39, (3, 4)), draw(40, (4, 2)), draw(41, (3, 1))
    folder.onnx("gemm_column_c", "Gemm", 13, {"alpha": 0.5, "beta": 2.0}, [("A", a), ("B", b), ("C", c)],
                [("Y", make((3, 2), lambda i, j: 0.5 * sum((a[i, k] * b[k, j] for k in range(4)), Scalar(0)) + 2.0 * c[i, 0]))])
    a, b = draw(42, (2, 1, 3, 4)), draw(43, (5, 4, 2))
    folder.onnx("matmul_broadcast", "MatMul", 13, {}, [("A", a), ("B", b)], [("Y", make((2, 5, 3, 2), lambda n, m, i, j: sum((a[n, 0, i, k] * b[m, k, j] for k in range(4)), Scalar(0))))])
    x, slope = draw(44, (2, 3, 2, 2)), draw(45, (3, 1, 2))
    folder.onnx("prelu_two_axes", "PRelu", 16, {}, [("X", x), ("slope", slope)], [("Y", make(x.shape, lambda n, k, r, q: x[n, k, r, q] if x[n, k, r, q].value > 0 else x[n, k, r, q] * slope[k, 0, q]))])
    x = draw(46, (2, 3, 4))
    flat_lines = log_softmax(Array((2, 12), x.flat), 1)
    folder.onnx("logsoftmax_opset_11", "LogSoftmax", 11, {"axis": 1}, [("input", x)], [("output", Array(x.shape, flat_lines.flat))])
    x = draw(47, (1, 5, 2, 2), -2, 2)
    constant = lambda v: Array((), [Scalar(v)])
    folder.onnx("lrn_even", "LRN", 13, {"size": 4, "alpha": 0.5, "bias": 2.0}, [("X", x)], [("Y", divisive(x, constant(2.0), constant(0.5), constant(0.75), 2, (1, 0, 0), (2, 0, 0)))])
    scores, labels = draw(48, (2, 3, 1, 2, 1, 2, 1), -2, 2), Array((2, 1, 2, 1, 2, 1), [0, 1, 2, -5, 1, 0, 2, 2])
    lines = log_softmax(scores, 1)
    each = make(labels.shape, lambda n, *rest: -lines[(n, int(labels[(n, *rest)]), *rest)] if labels[(n, *rest)] != -5 else Scalar(0))
    folder.onnx("sce_seven_axes", "SoftmaxCrossEntropyLoss", 13, {"reduction": "none", "ignore_index": -5}, [("scores", scores), ("labels", labels, "int64")],
                [("output", each), ("log_prob", lines)])
    folder.onnx("rnn", "RNN", 22, {"hidden_size": 1}, [("X", draw(49, (1, 1, 1)))], [("Y", draw(50, (1, 1, 1)))])
    folder.write()


def wrong_cases():
    """One right, one with a wrong element in y, one with a wrong gradient, one that ventral does not have."""
    folder = Folder(os.path.join(HERE, "wrong"))
    for name, array, error in (("right", None, 0), ("wrong_y", "y", 1e-3), ("wrong_dx", "dx", 1e-3)):
        x, dy = draw(1, (2, 3)), draw(2, (2, 3))
        positive = [v > 0 for v in x.values()]
        arrays = {"x": x, "y": Array((2, 3), [v * p for v, p in zip(x.values(), positive)]), "dy": dy, "dx": Array((2, 3), [v * p for v, p in zip(dy.values(), positive)])}
        if array:
            arrays[array].flat[positive.index(True)] += error
        folder.grad(name, "ReLU", {}, arrays)
    folder.grad("unknown", "Telepathy", {}, {"x": x})
    folder.grad("unknown_attribute", "ReLU", {"ceiling": 6}, {"x": x, "y": arrays["y"]})
    folder.write()


if __name__ == "__main__":
    grad_cases()
    onnx_cases()
    wrong_cases()
