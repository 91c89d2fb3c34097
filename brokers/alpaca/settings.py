"""``[venue.alpaca]``: what is asked of Alpaca beyond what every venue is asked."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class AlpacaSettings(BaseModel):
    """The table's keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    extended_hours: bool = Field(
        default=False,
        description="limit orders that are good for the day may trade before and after the session",
    )
    data_feed: Literal["iex", "sip"] = Field(
        default="iex",
        description="whose trades bars are made of: one exchange's (iex, free) or all (sip)",
    )
    adjustment: Literal["raw", "split", "dividend", "all"] = Field(
        default="raw",
        description="how bars of the past are adjusted; what is streamed is as it traded, raw",
    )
