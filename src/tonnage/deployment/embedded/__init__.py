"""A real Kubernetes on one Linux machine, without Docker and without a registry.

All of it lives in a network and a mount namespace of its own (`namespaces`) and in one cgroup (`cgroups`):
host ports, firewall rules, kernel settings and mounts stay as they are, and what is in that cgroup is,
without a doubt, ours to end. `cluster` is the way in.
"""
