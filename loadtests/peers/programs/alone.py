"""`inplace_predict` in a loop: `python alone.py MODEL CANDIDATES.npy SECONDS` prints calls per second."""

import sys
import time

import numpy as np
import xgboost

if __name__ == "__main__":
    booster = xgboost.Booster(model_file=sys.argv[1])
    booster.set_param({"nthread": 1})
    candidates = np.load(sys.argv[2])
    for _ in range(20):
        booster.inplace_predict(candidates)
    calls, started = 0, time.perf_counter()
    while time.perf_counter() - started < float(sys.argv[3]):
        booster.inplace_predict(candidates)
        calls += 1
    print(calls / (time.perf_counter() - started))
