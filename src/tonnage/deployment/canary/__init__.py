"""A release on trial beside stable: its share of the users, step by step, up to a promotion or an abort."""
