"""The derive function of the Taiwan credit-card set: 19 raw columns to 47 that the model sees.

The same bits for a row alone as inside any batch: only operations that IEEE 754 defines exactly
(+ - * /, comparisons, minimum, maximum), element by element, and sums written out from left to
right. No exponential, no logarithm, no reduction over an axis, whose order of summation may
follow the shape. Month 1 is the latest (September 2005), month 6 the oldest.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_NO_CONSUMPTION = -2.0
_PAID_IN_FULL = -1.0
# A payment is compared with the bill before it; above twice the bill more says nothing.
_RATIO_CAP = 2.0
_TOTAL_RATIO_CAP = 5.0
# Recent months weigh more. Chosen as round numbers, not fitted.
_RECENCY = np.array([1.0, 0.8, 0.6, 0.4, 0.3, 0.2])


def derive(raw: Floats) -> Floats:
    """(n, 19) raw values to (n, 47), in the order of the spec's [[derive.column]] tables.

    Raw: LIMIT_BAL (above 0), PAY_0, PAY_2..6, BILL_AMT1..6, PAY_AMT1..6; amounts in TWD.
    """
    n = raw.shape[0]
    clean = raw + 0.0  # -0.0 becomes 0.0: which zero a maximum returns is not defined
    limit = clean[:, 0:1]
    status = clean[:, 1:7]
    bill = clean[:, 7:13]
    paid = clean[:, 13:19]

    out = np.empty((n, 47))
    out[:, 0:7] = clean[:, 0:7]
    out[:, 7:13] = paid
    late = np.maximum(status, 0.0, out=out[:, 13:19])
    utilisation = np.divide(bill, limit, out=out[:, 19:25])
    utilisation += 0.0  # a tiny negative bill may underflow to -0.0
    due = np.maximum(bill, 1.0)
    ratio = np.divide(paid[:, 0:5], due[:, 1:6], out=out[:, 25:30])
    np.minimum(ratio, _RATIO_CAP, out=ratio)

    # Eight blocks of six months; one operation then sums, or compares, several blocks at once.
    month = np.empty((n, 8, 6))
    month[:, 0] = paid
    np.multiply(late, _RECENCY, out=month[:, 1])
    month[:, 2] = paid == 0.0
    month[:, 3] = status == _NO_CONSUMPTION
    month[:, 4] = status == _PAID_IN_FULL
    month[:, 5] = late
    month[:, 6] = bill
    month[:, 7] = utilisation
    summed = month[:, 0:7]
    total = summed[:, :, 0] + summed[:, :, 1]
    two_months_paid = total[:, 0].copy()
    for m in range(2, 6):
        total += summed[:, :, m]
    halves = np.maximum(month[:, 5:8, 0:3], month[:, 5:8, 3:6])
    highest = np.maximum(halves[:, :, 0], halves[:, :, 1])
    np.maximum(highest, halves[:, :, 2], out=highest)
    lower = np.minimum(paid[:, 0:3], paid[:, 3:6])

    out[:, 30:35] = total[:, 1:6]
    out[:, 35:38] = highest
    np.minimum(np.minimum(lower[:, 0], lower[:, 1]), lower[:, 2], out=out[:, 38])
    out[:, 39] = two_months_paid
    line = limit[:, 0]
    np.divide(paid[:, 0], line, out=out[:, 40])
    np.divide(total[:, 0], line, out=out[:, 41])
    all_ratio = np.divide(total[:, 0], np.maximum(total[:, 6], 1.0), out=out[:, 42])
    np.minimum(all_ratio, _TOTAL_RATIO_CAP, out=all_ratio)
    # What was spent in each of the last two months: the bill's change plus what was paid off.
    spent = bill[:, 0:2] - bill[:, 1:3]
    spent += paid[:, 0:2]
    np.divide(spent, limit, out=out[:, 43:45])
    np.subtract(utilisation[:, 0], utilisation[:, 1], out=out[:, 45])
    np.subtract(line, bill[:, 0], out=out[:, 46])
    return out
