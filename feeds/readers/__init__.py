"""Readers of bar files: one per form, chosen by the file's first bytes and not by its name."""

from feeds.readers.base import Peek, Reader, open_binary
from feeds.readers.folder import content_sha256
from feeds.readers.opening import open_reader

__all__ = ["Peek", "Reader", "content_sha256", "open_binary", "open_reader"]
