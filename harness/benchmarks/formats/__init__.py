"""Readers of official benchmark files: file in, plain numpy arrays out.

Each module knows one published format, checks it by content and executes nothing of it.
"""
