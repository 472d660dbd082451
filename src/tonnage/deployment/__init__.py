"""Clusters: access, Helm, and the embedded Kubernetes."""
