"""What runs in the pods: retrieval, ranking, slates, fallbacks, and the Open Inference Protocol."""
