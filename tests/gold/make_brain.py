#!/usr/bin/env python3
"""Reference values of tests/gold/brain (right) and brain_wrong (must fail): brute force in NumPy (SciPy for ranks). Run in this folder: ./make_brain.py"""
import itertools, os
import numpy as np
from scipy import stats

r = np.random.default_rng(20261122)
rows = []


def save(case, **arrays):
    for name, value in arrays.items():
        value = np.ascontiguousarray(value)
        value = value.reshape(1) if value.ndim == 0 else value
        np.save(f"{'brain_wrong' if case.endswith('_wrong') else 'brain'}/{case}.{name}.npy", value)
        rows.append((case, name, value.dtype.name, "x".join(map(str, value.shape))))


def pairs(f, n):
    return np.array([f(i, j) for i, j in itertools.combinations(range(n), 2)])


def distances(x):
    x = x.astype(np.float64)
    n, p = x.shape
    square = pairs(lambda i, j: np.sum((x[i] - x[j]) ** 2), n)
    return dict(correlation=pairs(lambda i, j: 1 - np.corrcoef(x[i], x[j])[0, 1], n), cosine=pairs(lambda i, j: 1 - x[i] @ x[j] / np.linalg.norm(x[i]) / np.linalg.norm(x[j]), n),
                sqeuclidean=square, sqeuclidean_per_channel=square / p, euclidean=np.sqrt(square))


def counts(x, y):
    keep = ~(np.isnan(x) | np.isnan(y))
    x, y = x[keep], y[keep]
    a, b = np.sign(pairs(lambda i, j: x[i] - x[j], len(x))), np.sign(pairs(lambda i, j: y[i] - y[j], len(x)))
    return np.array([np.sum(a * b > 0), np.sum(a * b < 0), np.sum((a == 0) & (b != 0)), np.sum((a != 0) & (b == 0)), np.sum((a == 0) & (b == 0))], dtype=np.int64)


def coefficient(name, x, y):
    keep = ~(np.isnan(x) | np.isnan(y))
    x, y = x[keep], y[keep]
    n = len(x)
    c, d, tx, ty, txy = counts(x, y)
    rx, ry = stats.rankdata(x), stats.rankdata(y)
    return {"tau_a": lambda: (c - d) / (n * (n - 1) / 2), "tau_b": lambda: (c - d) / np.sqrt(float(c + d + tx) * float(c + d + ty)), "spearman": lambda: np.corrcoef(rx, ry)[0, 1],
            "rho_a": lambda: 12 * np.sum((rx - rx.mean()) * (ry - ry.mean())) / (n ** 3 - n), "pearson": lambda: np.corrcoef(x, y)[0, 1],
            "cosine": lambda: x @ y / np.linalg.norm(x) / np.linalg.norm(y)}[name]()


NAMES = ["tau_a", "tau_b", "spearman", "rho_a", "pearson", "cosine"]
NORMALISE = {"tau_a": stats.rankdata, "tau_b": stats.rankdata, "spearman": stats.rankdata, "rho_a": stats.rankdata, "pearson": lambda v: (v - v.mean()) / v.std(),
             "cosine": lambda v: v / np.sqrt(np.mean(v ** 2))}


def ceiling(name, subjects, groups):
    normal = np.array([NORMALISE[name](s) for s in subjects])
    lower, upper = [], []
    for g in np.unique(groups):
        mine = groups == g
        lower.append(np.mean([coefficient(name, normal[~mine].mean(0), s) for s in subjects[mine]]))
        upper.append(np.mean([coefficient(name, normal.mean(0), s) for s in subjects[mine]]))
    return np.array([np.mean(lower), np.mean(upper)])


def ridge(x, y, alpha):
    mx, my = x.mean(0), y.mean(0)
    w = np.linalg.solve((x - mx).T @ (x - mx) + alpha * np.eye(x.shape[1]), (x - mx).T @ (y - my))
    return w, my - mx @ w


def pls(x, y, components):
    mx, my = x.mean(0), y.mean(0)
    a, b, w, p, q = x - mx, y - my, [], [], []
    for _ in range(components):
        u = np.linalg.svd(a.T @ b)[0][:, 0]
        t = a @ u
        p.append(a.T @ t / (t @ t)), q.append(b.T @ t / (t @ t)), w.append(u)
        a, b = a - np.outer(t, p[-1]), b - np.outer(t, q[-1])
    w, p, q = np.array(w).T, np.array(p).T, np.array(q).T
    return w @ np.linalg.solve(p.T @ w, q.T), mx, my


for folder in ["brain", "brain_wrong"]:
    os.makedirs(folder, exist_ok=True)
x = r.normal(size=(7, 5))
save("rdm_own", X=x, **distances(x))
x = (r.normal(size=(6, 33)) + 3).astype(np.float32)
save("rdm_own_f32", X=x, **distances(x))
y, half = r.normal(size=(4, 5, 6)), r.normal(size=(6, 6))
precision = half @ half.T + np.eye(6)
contrast = lambda a, i, j: y[a, i] - y[a, j]
save("rdm_own_crossnobis", Y=y, precision=precision,
     crossnobis_per_channel=pairs(lambda i, j: sum(contrast(a, i, j) @ precision @ contrast(b, i, j) for a in range(4) for b in range(4) if a != b) / (12 * 6), 5))
save("rdm_own_mahalanobis", X=y[0], precision=precision, sqmahalanobis_per_channel=pairs(lambda i, j: contrast(0, i, j) @ precision @ contrast(0, i, j) / 6, 5))
x = r.poisson(4, size=(4, 7)).astype(float)
z = (x + 0.1) / 1.1
save("rdm_own_poisson", X=x, poisson_kl_per_channel=pairs(lambda i, j: np.sum((z[i] - z[j]) * (np.log(z[i]) - np.log(z[j]))) / 7, 4))
for case, x, y in [("corr_own", r.normal(size=50), r.normal(size=50)), ("corr_own_ties", r.integers(0, 4, 60).astype(float), r.integers(0, 3, 60).astype(float))]:
    save(case, x=x, y=y, **{"__".join(NAMES): np.array([coefficient(n, x, y) for n in NAMES]), "concordant__discordant__tie_x_only__tie_y_only__tie_both": counts(x, y)})
x, y = r.normal(size=40), r.normal(size=40)
x[[3, 7]], y[[7, 11]] = np.nan, np.nan
save("corr_own_nan", x=x, y=y, n_used=np.array([37]), tau_a__spearman=np.array([coefficient(n, x, y) for n in ["tau_a", "spearman"]]))
subjects, groups = r.normal(size=15) + r.normal(size=(5, 15)), np.array([0, 0, 1, 2, 2])
subjects -= subjects.min() - 0.1
save("ceiling_own", subject_rdms=subjects, **{n + "__lower_upper": ceiling(n, subjects, np.arange(5)) for n in NAMES})
save("ceiling_own_grouped", subject_rdms=subjects, group=groups, **{n + "__lower_upper": ceiling(n, subjects, groups) for n in NAMES})
x, y, alphas = r.normal(size=(14, 5)), r.normal(size=(14, 2)), np.array([0.1, 1.0, 10.0, 100.0])
loo = np.zeros((4, 2))
for k, i in itertools.product(range(4), range(14)):
    w, b = ridge(np.delete(x, i, 0), np.delete(y, i, 0), alphas[k])
    loo[k] += (y[i] - b - x[i] @ w) ** 2 / 14
w, b = ridge(x, y, 10.0)
save("ridge_own", X=x, Y=y, Xtest=x[:3] + 1, alphas=alphas, alpha10_coef=w, alpha10_intercept=b, alpha10_pred_test=(x[:3] + 1) @ w + b, loo_mse=loo,
     best_alpha_global=alphas[np.argmin(loo.mean(1))], best_alpha_per_target=alphas[np.argmin(loo, 0)])
x, y = r.normal(size=(20, 30)), r.normal(size=(20, 3))
coefficients, mx, my = pls(x, y, 4)
save("pls_own", X=x, Y=y, Xtest=x[:4] + 0.5, n4_coef=coefficients, n4_pred_test=(x[:4] + 0.5 - mx) @ coefficients + my)
a, b = r.normal(size=(8, 20)), r.normal(size=(8, 3))
ca, cb = a - a.mean(0), b - b.mean(0)
save("cka_own", A=a, B=b, linear_cka=np.linalg.norm(ca.T @ cb) ** 2 / np.linalg.norm(ca.T @ ca) / np.linalg.norm(cb.T @ cb))


def write_manifest(folder):
    with open(folder + "/manifest.tsv", "w") as out:
        for row in [("case", "array", "dtype", "shape"), *rows]:
            out.write("\t".join(row) + "\n")


write_manifest("brain")

# What must fail: a value that is off, an array that nothing computes, a case without its input.
rows.clear()
x = r.normal(size=(4, 5))
wrong = distances(x)["correlation"]
wrong[1] += 1e-6
save("rdm_wrong", X=x, correlation=wrong, unknown=np.zeros(2))
save("corr_wrong", x=np.arange(4.0), tau_a=np.ones(1))
write_manifest("brain_wrong")
