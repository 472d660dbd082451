"""Load: what a deployment carries within its objective and its memory, measured and judged."""
