"""Topic names and filters (MQTT 5.0, 4.7)."""

from __future__ import annotations

__all__ = ["matches"]


def matches(filter: str, topic: str) -> bool:
    """Whether a topic matches a topic filter."""
    levels, names = filter.split("/"), topic.split("/")
    if topic.startswith("$") and levels[0] in ("#", "+"):
        return False
    for index, level in enumerate(levels):
        if level == "#":
            return True
        if index >= len(names) or level not in ("+", names[index]):
            return False
    return len(levels) == len(names)
