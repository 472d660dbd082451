"""Tonnage: real-time recommenders on Kubernetes, from interactions to measured load."""

__version__ = "0.1.0"
