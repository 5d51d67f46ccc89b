"""Compiling an encoder for the BPU with the vendor's tools, on x86."""
