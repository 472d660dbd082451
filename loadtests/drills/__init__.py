"""Rollouts on purpose good and bad: simulated, and on the embedded cluster."""
