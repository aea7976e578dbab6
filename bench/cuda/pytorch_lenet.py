#!/usr/bin/env python3
"""Training steps of LeNet-5 in PyTorch, eager and compiled, as bench/cuda/lenet.cpp takes them: forward, loss, backward, SGD with momentum 0.9, on batches that
are in the device's memory. Rows as the benchmarks write them: `bench/cuda/pytorch_lenet.py --json FILE`. Float is multiplied as float, TF32 is off.

Eager steps are queued one after another. In compiled ones torch.compile makes the network with its loss, forward and backward, in CUDA graphs (mode
"reduce-overhead"), and the optimizer's step.
"""
import argparse, json, statistics, sys, time

try:
    import torch
except ImportError:
    sys.exit("no PyTorch")
from torch import nn

BATCHES, SETS, RATE = (128, 64, 256), 8, 0.05


def lenet():
    """LeNet-5 of lenet5() in include/ventral/models/lenet.hpp."""
    layers = [nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
              nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)]
    net = nn.Sequential(*layers)
    for layer in layers:
        if hasattr(layer, "weight"):
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    return net


class Training:
    def __init__(self, batch, device, compiled):
        torch.manual_seed(7)
        self.net = lenet().to(device)
        self.loss = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=RATE, momentum=0.9)
        self.batches = [(torch.rand(batch, 1, 28, 28, device=device), torch.randint(10, (batch,), device=device)) for _ in range(SETS)]
        self.forward = torch.compile(self.loss_of, mode="reduce-overhead") if compiled else self.loss_of
        self.update = torch.compile(self.optimizer.step) if compiled else self.optimizer.step

    def loss_of(self, x, labels):
        return self.loss(self.net(x), labels)

    def step(self, i):
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.forward(*self.batches[i % SETS])
        loss.backward()
        self.update()
        return loss


def measure(training, device, seconds):
    """Seconds of a step: samples of many steps between two waits for the device; checks first that the loss falls."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    first = float(training.step(0))
    for _ in range(10):
        last = float(training.step(0))
    if not last < first:
        raise RuntimeError(f"the loss did not fall: {first} to {last}")
    for group in training.optimizer.param_groups:
        group["lr"] = 1e-6
    for i in range(3 * SETS):
        training.step(i)
    wait()
    samples, steps, end = [], 4 * SETS, time.perf_counter() + seconds
    while len(samples) < 5 or time.perf_counter() < end:
        start = time.perf_counter()
        for i in range(steps):
            training.step(i)
        wait()
        samples.append((time.perf_counter() - start) / steps)
    return samples


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json")
    parser.add_argument("--seconds", type=float, default=0.5, help="of a row")
    parser.add_argument("--limit", type=float, default=float("inf"), help="seconds after which no further row begins")
    parser.add_argument("--device", default="cuda")
    a = parser.parse_args()
    if a.device == "cuda" and not torch.cuda.is_available():
        sys.exit("PyTorch finds no GPU")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    print(f"PyTorch {torch.__version__}, {torch.cuda.get_device_name() if a.device == 'cuda' else a.device}")
    begin, results = time.perf_counter(), []
    for batch in BATCHES:
        for kind in ("eager", "compiled"):
            if time.perf_counter() - begin > a.limit:
                continue
            if kind == "compiled" and not hasattr(torch, "compile"):
                print(f"train-{kind}/b{batch}: skipped, this PyTorch does not compile")
                continue
            try:
                samples = measure(Training(batch, a.device, kind == "compiled"), a.device, a.seconds)
            except Exception as e:  # compiling needs a C++ compiler and Triton; the other rows count without
                print(f"train-{kind}/b{batch}: {type(e).__name__}: {str(e).splitlines()[0] if str(e) else ''}")
                continue
            median = statistics.median(samples)
            spread = statistics.median(abs(s - median) for s in samples)
            print(f"train-{kind}/b{batch:<4} {1e6 * median:10.1f} us +- {100 * spread / median:.1f}% {batch / median:12.0f} img/s", flush=True)
            results.append({"name": f"train-{kind}/b{batch}", "seconds": {"median": median, "mad": spread}, "items": batch})
    print(f"result: {len(results)} rows")
    if a.json:
        with open(a.json, "w") as out:
            json.dump({"program": "pytorch_lenet", "pytorch": torch.__version__, "results": results}, out, indent=1)
    return 0 if results else 1


if __name__ == "__main__":
    sys.exit(main())
