"""Sources of market data: the contract, replayed files and synthetic markets."""

from feeds.contract import BarFeed, Group
from feeds.errors import BadInput, ExtraMissing, FeedError, FeedSettingError, SourceUnavailable
from feeds.file import FileFeed
from feeds.fixtures import FIXTURES, fixture_path
from feeds.memory import MemoryFeed
from feeds.report import FeedReport, FileReport
from feeds.synthetic import SyntheticFeed
from feeds.timeframe import format_timeframe, parse_timeframe
from feeds.timeline import Gap

__all__ = [
    "FIXTURES",
    "BadInput",
    "BarFeed",
    "ExtraMissing",
    "FeedError",
    "FeedReport",
    "FeedSettingError",
    "FileFeed",
    "FileReport",
    "Gap",
    "Group",
    "MemoryFeed",
    "SourceUnavailable",
    "SyntheticFeed",
    "fixture_path",
    "format_timeframe",
    "parse_timeframe",
]
