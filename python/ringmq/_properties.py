"""Properties of messages, as keyword arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias, TypedDict

__all__ = ["Pairs", "Payload", "PublishProperties"]

Pairs: TypeAlias = Sequence[tuple[str, str]] | Mapping[str, str]
"""Names and values; a sequence keeps names that occur twice."""

Payload: TypeAlias = bytes | bytearray | memoryview | str
"""What a message says; text is sent as UTF-8."""


class PublishProperties(TypedDict, total=False):
    """Properties of a PUBLISH (MQTT 5.0, 3.3.2.3)."""

    payload_format_indicator: int | None
    """1 says that the payload is UTF-8 text."""
    message_expiry_interval: int | None
    """Seconds after which the message is no longer delivered, 0 to 4,294,967,295."""
    content_type: str | None
    """What the payload is, usually a MIME type; at most 65,535 bytes of UTF-8."""
    response_topic: str | None
    """Where an answer is expected; a topic name."""
    correlation_data: Payload | None
    """What an answer is to carry, so that it is recognised; at most 65,535 bytes."""
    user_properties: Pairs | None
    """Names and values of the application's own, at most 65,535 bytes each."""
