"""From tables and feature rows to models with measured gains over baselines."""
