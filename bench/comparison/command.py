"""The command `bench/compare`: arguments, builds, what is run and what is written."""

import argparse
import json
import os
import platform
import resource
import sys
import time
from pathlib import Path

from . import brokers, plots, runs, scenarios, tables
from .install import install
from .processes import OUTPUT, Failed, build, first_line

ABOUT = """RingMQ beside other brokers on the same load, and beside a relay that only passes bytes on.

Each round runs every scenario against every broker, one after the other, each broker freshly started on one core
with the load on the others; so what else the machine does hits all of them alike. Medians over the rounds are
printed as Markdown, a picture of each scenario and the figures of every run land below build/bench. A message that
is lost, duplicated or out of order, and a run that fails, is named in the table and makes the exit code 1.

  bench/compare --install      gets mosquitto, rumqttd, nats-server and aedes below build/, once
  bench/compare                everything; about an hour and a half
  bench/compare --only fan-out --rounds 3 --brokers ringmq-uring ringmq-epoll relay-epoll mosquitto
"""


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--install", action="store_true", help="get the brokers to compare with, and nothing else")
    parser.add_argument("--list", action="store_true", help="print the scenarios and nothing else")
    parser.add_argument("--binary", help="the ringmq to measure; without it a release build is made")
    parser.add_argument("--load-binary", help="the ringmq whose `bench` is the load; without it the one measured")
    parser.add_argument("--relay-binary", help="the ringmq-relay to use; without it a release build is made")
    parser.add_argument("--mosquitto", help="the mosquitto to compare with")
    parser.add_argument("--brokers", nargs="+", choices=brokers.NAMES, default=brokers.DEFAULT_NAMES,
                        help="whom to compare; what is not installed is left out and named")
    parser.add_argument("--pace-by", nargs="+", choices=brokers.NAMES, default=["ringmq", "mosquitto"],
                        help="the weakest of these sets the rate of open loops; if none is compared, of all")
    parser.add_argument("--only", nargs="+", metavar="PART", default=[""],
                        help="only scenarios whose names contain one of these")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="measured in each run")
    parser.add_argument("--warmup-seconds", type=float, default=0.5)
    parser.add_argument("--driver", choices=["uring", "epoll"], help="RingMQ's driver, when not its own choice")
    parser.add_argument("--quick", action="store_true", help="small and short: shows that everything works")
    parser.add_argument("--json", type=Path, help="where the figures go; default build/bench/compare-TIME.json")
    parser.add_argument("--markdown", type=Path, help="where the table goes beside standard output")
    parser.add_argument("--plots", type=Path, default=OUTPUT / "plots", help="where the pictures go")
    return parser.parse_args()


def prepare(options):
    """Binaries, cores and descriptors."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    # Brokers and load inherit it: thousands of connections need more descriptors than the usual soft limit.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    options.cores = sorted(os.sched_getaffinity(0))
    options.load_cores = set(options.cores[1:]) or set(options.cores)
    if len(options.cores) == 1:
        print("one CPU only: broker and load share it, so throughput says little", file=sys.stderr)
    if not options.binary:
        options.binary = str(build("-p", "ringmq") / "ringmq")
    if not options.relay_binary and any("relay" in name for name in options.brokers):
        options.relay_binary = str(build("-p", "ringmq-bench", "--bin", "ringmq-relay") / "ringmq-relay")
    options.load_binary = options.load_binary or options.binary
    if options.quick:
        options.rounds, options.seconds, options.warmup_seconds = 1, 0.2, 0.05


def compare(options):
    """Runs, prints, writes; the exit code."""
    chosen = scenarios.quick() if options.quick else scenarios.everything()
    chosen = [scenario for scenario in chosen if any(part in scenario.name for part in options.only)]
    if not chosen or options.rounds < 1:
        raise Failed(f"nothing to do: no scenario contains one of {options.only}, or no round; see --list")
    prepare(options)
    present, absent = brokers.find(options.brokers, options)
    for name in absent:
        print(f"{name} is not installed and left out; `bench/compare --install` gets it", file=sys.stderr)
    if any(broker.kind == "ringmq" for broker in present):
        present += brokers.shard_brokers(options)
    chosen = [scenario for scenario in chosen if any(broker.can(scenario) for broker in present)]
    started = time.strftime("%Y%m%d-%H%M%S")
    limits = runs.limits(options, present, chosen)
    results = runs.run_rounds(options, present, chosen, limits)
    rows = tables.summary(results, chosen, present, os.cpu_count() or 1)
    text = tables.markdown(rows)
    print(text, end="")
    if options.markdown:
        options.markdown.write_text(text)
    pictures = plots.write(rows, options.plots)
    path = options.json or OUTPUT / f"compare-{started}.json"
    path.write_text(json.dumps(report(options, started, present, absent, limits, rows, results), indent=1) + "\n")
    print(f"\nfigures of every run: {path}\n{len(pictures)} pictures: {options.plots}")
    return 1 if any(row["wrong"] or not row["rounds"] for row in rows) else 0


def report(options, started, present, absent, limits, rows, results):
    """Everything about this comparison, for programs."""
    return {
        "started": started, "rounds": options.rounds, "seconds": options.seconds, "kernel": platform.release(),
        "cpus": len(options.cores), "absent": absent, "limits": limits,
        "versions": {broker.name: first_line(broker.version_command, broker.environment) for broker in present},
        "ringmq_settings": brokers.RINGMQ_SETTINGS, "mosquitto_conf": brokers.MOSQUITTO_CONF,
        "nats_conf": brokers.NATS_CONF, "rumqttd_conf": brokers.RUMQTTD_CONF, "rows": rows, "runs": results,
    }


def main():
    """Does what was asked; the exit code."""
    options = arguments()
    try:
        if options.list:
            print("\n".join(scenario.name for scenario in scenarios.everything()))
            return 0
        return install() if options.install else compare(options)
    except Failed as failed:
        return f"compare: {failed}"
    except KeyboardInterrupt:
        return 130
