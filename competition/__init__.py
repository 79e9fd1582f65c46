"""Telltale: was this image made by AI or by a person?"""

__version__ = "0.1.0"
