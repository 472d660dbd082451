"""The Open Inference Protocol, version 2: messages, tensors, and the doors they come through."""
