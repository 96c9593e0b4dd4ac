"""Runs: every scenario against every broker, round by round, interleaved."""

import json
import os
import subprocess
import sys

from .brokers import folder_of
from .processes import Failed, free_port, running

FAULTS = ["lost", "duplicated", "reordered", "late", "foreign", "acks_lost", "acks_unexpected", "sessions_wrong",
          "connections_lost", "not_marked_retained"]
# What a run may take beyond its measured time: opening connections, retained messages, waiting for what is lost.
SLACK_SECONDS = 120
CLOSED_LOOP_ONLY = {"--spin"}


def run_load(options, arguments, port, pid):
    """One run of the load against a broker: its figures, or what went wrong as `failure`."""
    command = [options.load_binary, "bench", *arguments, "-p", str(port), "--broker-pid", str(pid), "--json", "--quiet",
               "-s", str(options.seconds), "--warmup-seconds", str(options.warmup_seconds)]
    limit = options.seconds + options.warmup_seconds + SLACK_SECONDS
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit,
                              preexec_fn=lambda: os.sched_setaffinity(0, options.load_cores))
    except subprocess.TimeoutExpired:
        return {"failure": f"the load did not end within {limit:.0f} s"}
    if not done.stdout.startswith("{"):
        return {"failure": done.stderr.strip().splitlines()[-1] if done.stderr.strip() else str(done.returncode)}
    return json.loads(done.stdout)


def run_cell(options, broker, arguments):
    """One load against one broker, freshly started."""
    port = free_port()
    cores = set(options.cores[:broker.cores])
    relay = ["--relay"] if broker.kind == "relay" else []
    try:
        command = broker.command(port, folder_of(broker))
        with running(broker.name, command, broker.environment, port, cores) as process:
            figures = run_load(options, [*arguments, *relay], port, process.pid)
            if process.poll() is not None:
                figures = {"failure": f"{broker.name} ended during the run with exit code {process.returncode}"}
    except Failed as failure:
        figures = {"failure": str(failure)}
    return figures


def limits(options, brokers, scenarios):
    """For each open-loop scenario the publishes per second of which its rate is a share: what the weakest of
    those that set the pace takes in a closed loop of the same messages. A dictionary by scenario name."""
    measured, found = {}, {}
    pacing = [broker for broker in brokers if broker.name in options.pace_by] or brokers
    for scenario in [scenario for scenario in scenarios if scenario.share]:
        load = tuple(word for word in scenario.load() if word not in CLOSED_LOOP_ONLY)
        if load not in measured:
            measured[load] = weakest(options, [broker for broker in pacing if broker.can(scenario)], load)
        found[scenario.name] = measured[load]
    return found


def weakest(options, brokers, load):
    """The publishes per second of the slowest broker."""
    rates = {}
    for broker in brokers:
        figures = run_cell(options, broker, load)
        if "failure" in figures:
            print(f"limit of {broker.name} with {' '.join(load)}: {figures['failure']}", file=sys.stderr)
            continue
        rates[broker.name] = figures["published"] / figures["seconds"]
    if not rates:
        raise Failed(f"no broker could do {' '.join(load)}, so there is no limit to take a share of")
    print("limits " + " ".join(load) + ": " + ", ".join(f"{name} {rate:.0f}/s" for name, rate in rates.items()),
          file=sys.stderr, flush=True)
    return min(rates.values())


def run_rounds(options, brokers, scenarios, rates):
    """All cells; who goes first alternates. A list of results with round, scenario and broker."""
    results = []
    for number in range(options.rounds):
        for scenario in scenarios:
            able = [broker for broker in brokers if broker.can(scenario)]
            arguments = scenario.load()
            if scenario.share:
                arguments += ["-r", f"{rates[scenario.name] * scenario.share:.3f}"]
            for broker in able if number % 2 == 0 else reversed(able):
                figures = run_cell(options, broker, arguments)
                results.append({**figures, "round": number, "scenario": scenario.name, "broker": broker.name})
                print(progress(results[-1], scenario, options.rounds), file=sys.stderr, flush=True)
    return results


def progress(result, scenario, rounds):
    """One line about one cell."""
    head = f"round {result['round'] + 1}/{rounds}  {result['scenario']:44} {result['broker']:14}"
    if "failure" in result:
        return f"{head} FAILED: {result['failure']}"
    return (f"{head} {result.get(scenario.plotted, 0):12.0f} {scenario.plotted} {result.get(scenario.cost, 0):8.2f} "
            f"{scenario.cost}{'  ' + faults(result) if faults(result) else ''}")


def faults(result):
    """The faults of a run in words; empty for a clean one."""
    return ", ".join(f"{name} {result[name]:.0f}" for name in FAULTS if result.get(name))
