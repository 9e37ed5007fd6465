"""Latent variables: the Gaussian code of an encoder, and what decodes it; an evaluator of densities reads both.

Source: Kingma and Welling, ICLR 2014.
Axes: see the modules.
"""
