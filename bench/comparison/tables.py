"""Medians over the rounds, ratios, and the table of them in Markdown."""

import statistics

from .runs import faults

LATENCIES = {"p50": "latency_p50_us", "p99": "latency_p99_us", "p99.9": "latency_p999_us", "max": "latency_max_us"}
RATES = {"messages_per_second": "messages/s", "connects_per_second": "connects/s"}
UNITS = {
    "broker_us_per_message": "us/message", "broker_us_per_publish": "us/publish", "broker_us_per_connect": "us/connect",
    "broker_bytes_per_connection": "B/connection",
}
# Other figures that a scenario is about, printed behind the row's name where they are there.
DETAILS = {
    "broker_us_per_subscription": "{:.2f} us/subscription", "broker_bytes_per_subscription": "{:.0f} B/subscription",
    "changes_per_second": "{:,.0f} changes/s", "broker_us_per_retained": "{:.2f} us/retained",
    "broker_bytes_per_retained": "{:.0f} B/retained", "broker_cpu_percent_idle": "{:.2f} % CPU at rest",
    "not_published_in_time": "{:,.0f} not published in time", "rate": "{:,.0f} publishes/s",
}


def summary(results, scenarios, brokers, cpus):
    """One row for each scenario and broker: medians, ratios, and everything that went wrong."""
    rows = []
    for scenario in scenarios:
        of_scenario = [row(results, scenario, broker, cpus) for broker in brokers if broker.can(scenario)]
        add_ratios(of_scenario, [broker for broker in brokers if broker.can(scenario)])
        rows += of_scenario
    return rows


def row(results, scenario, broker, cpus):
    """The row of one broker in one scenario."""
    cells = [cell for cell in results if (cell["scenario"], cell["broker"]) == (scenario.name, broker.name)]
    good = [cell for cell in cells if "failure" not in cell]
    wrong = [cell["failure"] for cell in cells if "failure" in cell] + [faults(cell) for cell in good]
    found = {"scenario": scenario.name, "broker": broker.name, "kind": broker.kind, "rounds": len(good),
             "cost_figure": scenario.cost, "plotted_figure": scenario.plotted,
             "wrong": sorted(set(filter(None, wrong)))}
    return {**found, **medians(good, scenario, cpus)} if good else found


def medians(cells, scenario, cpus):
    """The figures of one row."""
    def median(figure):
        values = [cell[figure] for cell in cells if figure in cell]
        return statistics.median(values) if values else None

    def share(seconds):
        return statistics.median(max(0, seconds(cell)) / cell["seconds"] if cell["seconds"] else 0 for cell in cells)

    def broker_seconds(cell):
        return cell["broker_user_seconds"] + cell["broker_system_seconds"]

    costs = [cell[scenario.cost] for cell in cells if scenario.cost in cell]
    found = {figure: median(figure) for figure in [*RATES, *LATENCIES.values(), *DETAILS]}
    found["latency_max_us"] = max((cell["latency_max_us"] for cell in cells if "latency_max_us" in cell), default=None)
    found |= {
        "cost": statistics.median(costs) if costs else None, "cost_min": min(costs, default=None),
        "cost_max": max(costs, default=None),
        "longest_wait_ms": max(cell.get("longest_wait_seconds", 0) * 1000 for cell in cells),
        "resident_mib": median("broker_resident_bytes") / 2**20,
        "broker_cores_busy": share(broker_seconds),
        "load_cores_busy": share(lambda cell: cell["load_cpu_seconds"]),
        "others_busy": share(lambda cell: (cell["machine_busy_seconds"] - broker_seconds(cell)
                                           - cell["load_cpu_seconds"]) / cpus),
    }
    return {name: value for name, value in found.items() if value is not None}


def add_ratios(rows, brokers):
    """To each row its cost as a multiple of the cheaper relay's, and RingMQ's as a multiple of its."""
    kinds = {broker.name: broker.kind for broker in brokers}
    relays = [row["cost"] for row in rows if kinds[row["broker"]] == "relay" and row.get("cost")]
    ours = [row for row in rows if kinds[row["broker"]] == "ringmq" and row.get("cost")]
    for row in rows:
        if row.get("cost") and relays:
            row["to_relay"] = row["cost"] / min(relays)
        if row.get("cost") and ours:
            row["ringmq_to_this"] = ours[0]["cost"] / row["cost"]


HEAD = ("| scenario | broker | rate | broker's cost (min-max) | to relay | RingMQ to this | p50 us | p99 us | p99.9 us "
        "| max us | longest wait ms | RSS MiB | busy: broker, load, others |\n"
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|\n")


def markdown(rows):
    """The table."""
    return HEAD + "".join(f"| {' | '.join(line(row))} |\n" for row in rows)


def line(row):
    """The cells of one line."""
    wrong = f" **{'; '.join(row['wrong'])}**" if row["wrong"] else ""
    details = "; ".join(text.format(row[name]) for name, text in DETAILS.items() if row.get(name))
    head = [row["scenario"] + (f" ({details})" if details else ""), row["broker"] + wrong]
    if not row["rounds"]:
        return head + ["-"] * 11
    rate = next((f"{row[name]:,.0f} {unit}" for name, unit in RATES.items() if name in row), "-")
    cost = "-"
    if "cost" in row:
        digits = 0 if "bytes" in row["cost_figure"] else 3 if row["cost"] < 1 else 2
        cost = (f"{row['cost']:,.{digits}f} {UNITS[row['cost_figure']]} "
                f"({row['cost_min']:,.{digits}f}-{row['cost_max']:,.{digits}f})")
    latencies = [number(row.get(name), 0 if row.get(name, 0) >= 100 else 1) for name in LATENCIES.values()]
    busy = f"{row['broker_cores_busy']:.0%}, {row['load_cores_busy']:.0%}, {row['others_busy']:.0%}"
    return [*head, rate, cost, number(row.get("to_relay")), number(row.get("ringmq_to_this")), *latencies,
            number(row["longest_wait_ms"], 0), number(row["resident_mib"], 1), busy]


def number(value, digits=2):
    """A number, if there is one."""
    return "-" if value is None else f"{value:,.{digits}f}"
