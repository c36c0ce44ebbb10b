"""The pauses between payouts that the payment rail could not carry out.

Money owed back to a person is paid out by time, after the policy's time. If the rail cannot pay the
money out, Freehold owes it again, and tries again after the next pause. After the last pause the
money waits for PayOutRefund, and after that call the pauses begin anew.
"""

from __future__ import annotations

from service.domain.dunning import DAY_US, HOUR_US

PAUSES_US = (HOUR_US, DAY_US, 3 * DAY_US, 7 * DAY_US)
"""The pause after each failed payout, in microseconds; a further failure waits for a call."""
