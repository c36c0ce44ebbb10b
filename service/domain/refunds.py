"""The pauses between payouts that the payment rail could not carry out.

What is owed back to a person goes out by itself, after the policy's time. If the rail cannot pay it
out, it is owed again, and goes out once more after the next pause. After the last pause it waits
for PayOutRefund, which begins the pauses anew.
"""

from __future__ import annotations

from service.domain.dunning import DAY_US, HOUR_US

PAUSES_US = (HOUR_US, DAY_US, 3 * DAY_US, 7 * DAY_US)
"""The pause after each failed payout, in microseconds; a further failure waits for a call."""
