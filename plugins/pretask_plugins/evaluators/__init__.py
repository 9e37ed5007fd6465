"""Evaluators: what an encoder, or a trained model, is worth, by what is measured."""
