"""What a pod's memory holds: its limit, the plan made for it, and the swaps that stay within it."""
