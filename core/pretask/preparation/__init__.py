"""Preparation: from what a user has, such as a photograph or a sentence, to a sample `t` as the data set yielded it.

Data sets of files decode by the same functions, so that a new image is cut and scaled as those were that the encoder
learned from.
"""
