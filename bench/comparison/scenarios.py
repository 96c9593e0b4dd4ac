"""What is measured: each scenario with the arguments of `ringmq bench` and the figure it is about."""

from dataclasses import dataclass, replace

MIB = 1 << 20


@dataclass(frozen=True)
class Scenario:
    """One row of the table for each broker."""

    name: str
    # of `ringmq bench`; payload, QoS and version are put behind them
    arguments: tuple
    qos: int = 0
    payload_bytes: int = 16
    mqtt: str = "3.1.1"
    # The figure that brokers are compared by, and the one plotted beside it.
    cost: str = "broker_us_per_message"
    plotted: str = "messages_per_second"
    # Open loop: the share of what the weakest broker that sets the pace can in a closed loop.
    share: float = 0.0
    # RingMQ with one shard against two, on as many cores; no peers.
    shards: bool = False

    @property
    def relay(self):
        """Whether the relay can do it: messages at QoS 0 in a closed loop, between those who asked for them."""
        kind_known = self.arguments[0] in ("p2p", "fan-in", "fan-out", "depth-1")
        return kind_known and "-r" not in self.arguments and self.qos == 0 and not self.share and not self.shards

    def load(self):
        """The arguments of `ringmq bench`, the rate of an open loop aside."""
        return [*self.arguments, "-q", str(self.qos), "-b", str(self.payload_bytes), "--mqtt", self.mqtt]


def throughput():
    """Closed loop: what goes through and what it costs."""
    hundred = ["-c", "100", "-w", "8"]
    kinds = {"p2p, 100 pairs, window 8": ("p2p", *hundred), "fan-in, 100 to one, window 8": ("fan-in", *hundred),
             "fan-out, 1 to 100, window 8": ("fan-out", *hundred)}
    rows = [Scenario(f"{name}, QoS {qos}", load, qos) for qos in (0, 1, 2) for name, load in kinds.items()]
    rows += [
        Scenario("fan-in, 100 to one, window 32, QoS 0", ("fan-in", "-c", "100", "-w", "32")),
        Scenario("fan-out, 1 to 100, window 16, QoS 0", ("fan-out", "-c", "100", "-w", "16")),
        Scenario("fan-in, 100 to one, window 128, QoS 0", ("fan-in", "-c", "100", "-w", "128")),
        Scenario("fan-out, 1 to 100, window 128, QoS 0", ("fan-out", "-c", "100", "-w", "128")),
        Scenario("p2p, 1000 pairs, window 1, QoS 0", ("p2p", "-c", "1000", "-w", "1")),
    ]
    rows += [Scenario(f"fan-out, 1 to {readers}, window 8, QoS 0", ("fan-out", "-c", str(readers), "-w", "8"))
             for readers in (1, 10, 1000)]
    for size, text, few in ((256, "256 B", hundred), (4096, "4 KiB", hundred), (MIB, "1 MiB", ["-c", "4", "-w", "2"])):
        many = f"{few[1]} pairs, window {few[3]}"
        rows += [Scenario(f"p2p, {many}, {text}, QoS {qos}", ("p2p", *few), qos, size) for qos in (0, 1, 2)]
        rows.append(Scenario(f"fan-out, 1 to {few[1]}, window {few[3]}, {text}, QoS 0", ("fan-out", *few),
                             payload_bytes=size))
    properties = ("--user-properties", "5")
    rows += [Scenario(f"{name}, 5.0 with 5 properties, QoS {qos}", (*load, *properties), qos, mqtt="5.0")
             for qos in (0, 1) for name, load in kinds.items() if "fan-in" not in name]
    return rows


def latency():
    """Open loop at two loads, and one message at a time."""
    rows = [Scenario(f"depth 1, one pair, QoS {qos}", ("depth-1", "--spin"), qos) for qos in (0, 1)]
    for qos in (0, 1):
        for share in (0.2, 0.8):
            rows.append(Scenario(f"latency, 100 pairs, QoS {qos}, {share:.0%} load",
                                 ("p2p", "-c", "100", "--spin"), qos, share=share))
    rows += [Scenario(f"latency, fan-out 1 to 100, QoS 0, {share:.0%} load", ("fan-out", "-c", "100", "--spin"),
                      share=share) for share in (0.2, 0.8)]
    rows += [
        Scenario("slow reader: without one, 100 pairs, 1 KiB, 5000/s",
                 ("p2p", "-c", "100", "-r", "5000"), payload_bytes=1024),
        Scenario("slow reader: with one, 100 pairs, 1 KiB, 5000/s",
                 ("slow-reader", "-c", "100", "-r", "5000"), payload_bytes=1024),
    ]
    return [replace(row, plotted="latency_p99_us") for row in rows]


def connections():
    """What connections, subscriptions and retained messages cost."""
    connects = {"cost": "broker_us_per_connect", "plotted": "connects_per_second"}
    idle = {"cost": "broker_bytes_per_connection", "plotted": "latency_p99_us"}
    publish = {"cost": "broker_us_per_publish"}
    return [
        Scenario("connects, 100 at once, clean sessions", ("connects", "-c", "100"), **connects),
        Scenario("connects, 100 at once, lasting sessions", ("connects", "-c", "100", "--persistent"), **connects),
        Scenario("idle, 15000 connections, a subscription each", ("idle", "-c", "15000"), **idle),
        Scenario("subscriptions, 1000000 of 100 clients", ("subscriptions", "--subscriptions", "1000000"), **publish),
        Scenario("subscriptions, 1000000 of 100 clients, churn",
                 ("subscriptions", "--subscriptions", "1000000", "--churn", "4"), **publish),
        Scenario("retained, 100000 to a reader", ("retained", "--retained", "100000", "-c", "1")),
        Scenario("retained, 100000 to a reader, QoS 1", ("retained", "--retained", "100000", "-c", "1"), 1),
    ]


def shards():
    """One shard against two."""
    return [Scenario(f"shards, p2p, 100 pairs, window 8, QoS {qos}", ("p2p", "-c", "100", "-w", "8"), qos,
                     shards=True) for qos in (0, 1)]


def everything():
    """All of them, in the order of the table."""
    return [*throughput(), *latency(), *connections(), *shards()]


def quick():
    """Small and short: shows that everything works, and says nothing about speed."""
    rows = [Scenario(f"{kind}, 10, window 4, QoS {qos}", (kind, "-c", "10", "-w", "4"), qos)
            for qos, kind in [(0, "p2p"), (0, "fan-in"), (0, "fan-out"), (1, "p2p"), (2, "fan-in"), (1, "fan-out")]]
    rows += [
        Scenario("p2p, 4, 1 MiB, QoS 1", ("p2p", "-c", "4", "-w", "2"), 1, MIB),
        Scenario("p2p, 10, 5.0 with properties, QoS 1", ("p2p", "-c", "10", "--user-properties", "5"), 1, mqtt="5.0"),
        Scenario("depth 1", ("depth-1",), plotted="latency_p99_us"),
        Scenario("latency, 10 pairs, 20% load", ("p2p", "-c", "10"), share=0.2, plotted="latency_p99_us"),
        Scenario("slow reader", ("slow-reader", "-c", "10", "-r", "500"), plotted="latency_p99_us"),
        Scenario("connects, lasting sessions", ("connects", "-c", "10", "--persistent"),
                 cost="broker_us_per_connect", plotted="connects_per_second"),
        Scenario("idle, 200", ("idle", "-c", "200"), cost="broker_bytes_per_connection", plotted="latency_p99_us"),
        Scenario("subscriptions, 1000", ("subscriptions", "--subscriptions", "1000", "-c", "10", "--churn", "1"),
                 cost="broker_us_per_publish"),
        Scenario("retained, 500", ("retained", "--retained", "500", "-c", "2")),
        Scenario("shards, p2p, 10", ("p2p", "-c", "10"), shards=True),
    ]
    return rows
