"""A sensor that publishes, a dashboard that shows, and the broker between them, all in one program.

python sensor_and_dashboard.py [READINGS]
"""

from __future__ import annotations

import json
import random
import sys
import threading

import ringmq


def sensor(url: str, readings: int) -> None:
    """Publishes readings, each kept as the topic's last; its will says when it is gone."""
    offline = ringmq.Will(topic="home/kitchen/status", payload="offline", qos=1, retain=True)
    with ringmq.Client(url, client_id="kitchen-sensor", will=offline) as client:
        client.publish("home/kitchen/status", "online", qos=1, retain=True)
        for _ in range(readings):
            reading = {"celsius": round(random.uniform(18, 24), 1)}
            client.publish("home/kitchen/climate", json.dumps(reading), qos=1, retain=True).wait()


def main() -> None:
    """The dashboard."""
    readings = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with ringmq.Broker() as broker, ringmq.Client(broker.url) as dashboard:
        dashboard.subscribe("home/#", qos=1)
        thread = threading.Thread(target=sensor, args=(broker.url, readings))
        thread.start()
        for _ in range(readings + 1):
            message = dashboard.get(timeout=10)
            print(f"{message.topic:<24} {message.text}")
        thread.join()
        print("kept:", {topic: kept.text for topic, kept in broker.retained("home/+/status").items()})


if __name__ == "__main__":
    main()
