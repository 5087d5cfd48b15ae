"""The catalogue of autograd semantics, stated once and run on the reference and on PyTorch."""
