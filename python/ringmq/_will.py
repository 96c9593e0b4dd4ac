"""The message that a server publishes when a connection ends without a goodbye."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from ringmq._properties import Pairs, Payload

__all__ = ["Will"]


@dataclass(frozen=True, kw_only=True)
class Will:
    """A will (MQTT 5.0, 3.1.2.5). Everything from `delay_interval` on is for 5.0 only.

    Attributes:
        topic: Where it is published.
        payload: At most 65,535 bytes; text is sent as UTF-8.
        qos: 0, 1 or 2.
        retain: Whether it becomes the topic's retained message.
        delay_interval: Seconds between the end of the connection and the will; a client that is back by then prevents it.
        payload_format_indicator: 1 says that the payload is UTF-8 text.
        message_expiry_interval: Seconds after which it is no longer delivered.
        content_type: What the payload is.
        response_topic: Where an answer is expected.
        correlation_data: What an answer is to carry.
        user_properties: Names and values, in order.
    """

    topic: str
    payload: Payload = b""
    qos: int = 0
    retain: bool = False
    delay_interval: int | None = None
    payload_format_indicator: int | None = None
    message_expiry_interval: int | None = None
    content_type: str | None = None
    response_topic: str | None = None
    correlation_data: Payload | None = None
    user_properties: Pairs | None = None

    def fields(self) -> dict[str, Any]:
        """What it is made of, by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}
