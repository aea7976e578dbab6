#!/usr/bin/env python3
"""ventral's brain headers against NumPy, SciPy, scikit-learn and rsatoolbox, in one run.

usage: bench/brain/compare.py PROGRAM [--only NAME,...] [--rounds N] [--json FILE]
PROGRAM is the benchmark ventral_bench_brain (cmake --preset release && cmake --build --preset release --target ventral_bench_brain).
Each row: the same arrays for both, results compared first, then timed in turns A-B-B-A; the ratio is peer time over ventral time, median of all rounds.
Needs numpy, scipy, scikit-learn, rsatoolbox (from PyPI). Both sides use all cores they are allowed to.
"""
import argparse, json, os, subprocess, sys, tempfile, time, warnings

os.environ.pop("OPENBLAS_CORETYPE", None)
os.environ["TQDM_DISABLE"] = "1"
warnings.filterwarnings("ignore")
import numpy as np


class Ventral:
    """The benchmark program: `load NAME FILE...`, then `run` prints seconds, `save FILE` writes the last result."""

    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, *words):
        print(*words, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline().split()
        if not answer or answer[0] != "ok":
            sys.exit(f"ventral_bench_brain: {' '.join(words)}: {' '.join(answer)}")
        return float(answer[1]) if len(answer) > 1 else None


def rng(seed=1):
    return np.random.default_rng(seed)


def patterns(n, p, dtype):
    """Activations as of a layer: rectified, with common structure."""
    r = rng()
    return np.maximum(r.normal(size=(n, 20)) @ r.normal(size=(20, p)) + r.normal(size=(n, p)), 0).astype(dtype)


def rdm_pairs(conditions):
    r = rng(2)
    length = conditions * (conditions - 1) // 2
    x = r.normal(size=length)
    return x, 0.5 * x + r.normal(size=length)


def correlation_rdm(dtype):
    x = patterns(1000, 4096, dtype)
    upper = np.triu_indices(1000, 1)
    return dict(arrays=[x], peer=lambda: np.corrcoef(x), expected=lambda c: 1 - c[upper], tolerance=1e-10 if dtype == np.float64 else 5e-6, peer_name="numpy.corrcoef")


def rsatoolbox_rdm():
    import rsatoolbox
    data = rsatoolbox.data.Dataset(patterns(1000, 4096, np.float64))
    return dict(arrays=[data.measurements], peer=lambda: rsatoolbox.rdm.calc_rdm(data, method="correlation"), expected=lambda r: r.dissimilarities[0], tolerance=1e-10,
                peer_name="rsatoolbox.calc_rdm", load="rdm_correlation_double")


def tau(conditions, rounds=None):
    from scipy.stats import kendalltau
    x, y = rdm_pairs(conditions)
    return dict(arrays=[x, y], peer=lambda: kendalltau(x, y)[0], expected=lambda t: np.array([t]), tolerance=1e-9, peer_name="scipy.stats.kendalltau", load="tau_a", rounds=rounds)


def dual_bootstrap():
    import rsatoolbox
    from rsatoolbox.inference import eval_dual_bootstrap
    from rsatoolbox.model import ModelFixed
    r = rng(3)
    truth = r.normal(size=4186)
    subjects, models = truth + r.normal(size=(4, 4186)), 0.7 * truth + r.normal(size=(5, 4186))
    subjects, models = subjects - subjects.min() + 0.1, models - models.min() + 0.1
    stack = rsatoolbox.rdm.RDMs(subjects)
    fixed = [ModelFixed(f"m{i}", m) for i, m in enumerate(models)]
    peer = lambda: eval_dual_bootstrap(fixed, stack, method="tau-a", N=1000, k_pattern=1, k_rdm=1)
    # resampling is random on both sides: the means over samples agree within their error
    return dict(arrays=[models, subjects], peer=peer, expected=lambda e: np.nanmean(e.evaluations[:, :, 0, 0, 0], axis=0), tolerance=0.01, peer_name="rsatoolbox.eval_dual_bootstrap", rounds=1)


def regression_data():
    r = rng(4)
    x = patterns(2000, 4096, np.float64)
    w = r.normal(size=(4096, 168)) / 64
    return x, x @ w + 2 * r.normal(size=(2000, 168))


def pls():
    from sklearn.cross_decomposition import PLSRegression
    x, y = regression_data()
    fit = lambda: PLSRegression(n_components=25, scale=False).fit(x, y)
    return dict(arrays=[x, y], peer=fit, expected=lambda m: m.predict(x[:50]), tolerance=0.2, peer_name="sklearn PLSRegression", rounds=3)


def ridge(kind):
    from sklearn.linear_model import RidgeCV
    x, y = regression_data()
    alphas = np.logspace(-1, 6, 20)
    fit = lambda: RidgeCV(alphas=alphas).fit(x, y)
    return dict(arrays=[x, y, alphas], peer=fit, expected=lambda m: m.predict(x[:50]), tolerance=1e-6, peer_name="sklearn RidgeCV", rounds=3, load=kind)


ROWS = {
    "rdm_correlation_double": lambda: correlation_rdm(np.float64),
    "rdm_correlation_float": lambda: correlation_rdm(np.float32),
    "rdm_rsatoolbox": rsatoolbox_rdm,
    "tau_a_500k": lambda: tau(1000),
    "tau_a_50M": lambda: tau(10000, rounds=1),
    "dual_bootstrap": dual_bootstrap,
    "pls25": pls,
    "ridge_lapack": lambda: ridge("ridge_eigen"),
    "ridge_cholesky": lambda: ridge("ridge_cholesky"),
}


def seconds(f):
    start = time.perf_counter()
    f()
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("program")
    parser.add_argument("--only", default=",".join(ROWS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json")
    options = parser.parse_args()
    table = []
    print(f"{'row':24} {'peer':32} {'peer s':>9} {'ventral s':>10} {'ratio':>7}  {'quartiles':>13}  largest difference")
    for name in options.only.split(","):
        row = ROWS[name]()
        with tempfile.TemporaryDirectory() as folder:
            ventral = Ventral(options.program)
            files = []
            for i, array in enumerate(row["arrays"]):
                files.append(os.path.join(folder, f"{i}.npy"))
                np.save(files[-1], array)
            ventral.ask("load", row.get("load", name), *files)
            ventral.ask("run")
            result = os.path.join(folder, "result.npy")
            ventral.ask("save", result)
            got, expected = np.load(result).ravel(), np.asarray(row["expected"](row["peer"]())).ravel()
            difference = float(np.max(np.abs(got - expected))) / max(1.0, float(np.std(expected)))
            if not difference <= row["tolerance"]:
                sys.exit(f"{name}: ventral and {row['peer_name']} differ by {difference:.3g}; {row['tolerance']} allowed")
            ours, theirs = [], []
            for round in range(row.get("rounds") or options.rounds):
                for side in ("ABBA" if round % 2 == 0 else "BAAB"):
                    if "scipy" not in row["peer_name"]:
                        time.sleep(0.2)  # OpenBLAS's threads go on spinning for a while after a product, on the other side's time
                    if side == "A":
                        ours.append(ventral.ask("run"))
                    else:
                        theirs.append(seconds(row["peer"]))
            ratios = np.array(theirs) / np.array(ours)
            quartiles = np.percentile(ratios, [25, 50, 75])
            table.append(dict(row=name, peer=row["peer_name"], peer_s=float(np.median(theirs)), ventral_s=float(np.median(ours)), ratio=float(quartiles[1]), quartiles=quartiles[[0, 2]].tolist(), difference=difference))
            print(f"{name:24} {row['peer_name']:32} {table[-1]['peer_s']:9.4f} {table[-1]['ventral_s']:10.4f} {quartiles[1]:7.2f}  {quartiles[0]:6.2f}-{quartiles[2]:6.2f}  {difference:.2g}", flush=True)
    if options.json:
        with open(options.json, "w") as out:
            json.dump(table, out, indent=1)


if __name__ == "__main__":
    main()
