"""Triton kernels, installed as ``fastcam.kernels``."""
