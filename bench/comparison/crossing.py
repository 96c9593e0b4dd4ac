"""What crossing between shards costs: where each client of the load lives, the runs, and the table of them.

A session lives on the shard that its ClientID and the broker's partition key name. So the key is fixed, `ringmq
shard-of` says where names live, and the load is given names that live where a variant wants its clients.
"""

import os
import statistics
import subprocess
from dataclasses import dataclass

from .brokers import RINGMQ_SETTINGS, Broker
from .processes import OUTPUT, Failed
from .runs import faults

PARTITION_KEY = "000102030405060708090a0b0c0d0e0f"
CROSSINGS = {"none": 0.0, "half": 0.5, "all": 1.0}
# Names asked about at once, and at most in all: 256 partitions are spread evenly over the shards, so each shard gets
# about its share of any names, and this is many times what the largest scenario needs.
NAMES_AT_ONCE, NAMES_MAX = 2000, 40_000
# Goals for two shards where a window lets messages be batched: cost as a multiple of one shard's.
GOALS = {"all": 1.25, "none": 1.05}


@dataclass(frozen=True)
class Load:
    """One kind of traffic."""

    name: str
    scenario: str
    count: int
    window: int
    qos: int
    bursts: bool = False

    @property
    def is_batched(self):
        """Whether a window lets messages be batched on their connection, as the goals assume."""
        return self.scenario == "p2p" and self.window >= 8

    def arguments(self, names):
        """The arguments of `ringmq bench`; `names` is the file with the ClientIDs."""
        return [self.scenario, "-c", str(self.count), "-w", str(self.window), "-q", str(self.qos),
                *(["--bursts"] if self.bursts else []), "--client-ids", str(names)]


@dataclass(frozen=True)
class Variant:
    """A broker of so many shards on so many cores, with so much of the traffic crossing between shards."""

    shards: int
    cores: int
    crossing: str

    @property
    def name(self):
        return f"{self.shards}-shards-{self.cores}-cores-{self.crossing}"


ONE_SHARD = Variant(1, 1, "none")


def loads(count=100):
    """All kinds of traffic."""
    few = [Load(f"p2p, {count} pairs, bursts of 8, QoS {qos}", "p2p", count, 8, qos, bursts=True) for qos in (0, 1)]
    few += [Load(f"p2p, {count} pairs, window {window}, QoS {qos}", "p2p", count, window, qos)
           for window in (8, 1) for qos in (0, 1)]
    alone = [Load(f"p2p, one pair, window 1, QoS {qos}", "p2p", 1, 1, qos) for qos in (0, 1)]
    fans = [Load(f"fan-in, {count} to one, window 8, QoS {qos}", "fan-in", count, 8, qos) for qos in (0, 1)]
    fans += [Load(f"fan-out, 1 to {count}, window 8, QoS {qos}", "fan-out", count, 8, qos) for qos in (0, 1)]
    return few + alone + fans


def variants(load, shards, cores):
    """One shard, and with each number of shards and cores none, half and all of the traffic crossing."""
    found = [ONE_SHARD]
    for count in shards:
        for width in cores:
            found += [Variant(count, width, crossing) for crossing in CROSSINGS
                      if load.count > 1 or crossing != "half"]
    return found


def places(load, shards, crossing):
    """The shard of each publisher, then of each reader. With pairs all shards have the same share of publishers and of
    readers, and a crossing pair's reader is on each of the other shards in turn; where there is one publisher or
    reader for all, it is on shard 0 and those that do not cross with it, and the others on the rest in turn."""
    cross = round(CROSSINGS[crossing] * load.count) if shards > 1 else 0
    if load.scenario == "p2p":
        publishers = [pair % shards for pair in range(load.count)]
        readers = [(home + 1 + pair // shards % (shards - 1)) % shards if pair < cross else home
                   for pair, home in enumerate(publishers)]
        return publishers + readers
    many = [1 + number % (shards - 1) if number < cross else 0 for number in range(load.count)]
    return [*many, 0] if load.scenario == "fan-in" else [0, *many]


def names_on(binary, shards, homes):
    """A ClientID for each of these shards, all different; `ringmq shard-of` says which live there."""
    free, asked, found = {shard: [] for shard in range(shards)}, 0, []
    for home in homes:
        while not free[home]:
            if asked >= NAMES_MAX:
                raise Failed(f"{asked} names gave too few on shard {home} of {shards}")
            names = [f"crossing-{number}" for number in range(asked, asked + NAMES_AT_ONCE)]
            asked += NAMES_AT_ONCE
            command = [binary, "shard-of", "--shards", str(shards), "--partition-key", PARTITION_KEY, *names]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
            if done.returncode:
                raise Failed(f"{binary} shard-of: {done.stderr.strip()}")
            for line in done.stdout.splitlines():
                name, shard = line.split()
                free[int(shard)].append(name)
        found.append(free[home].pop(0))
    return found


def names_file(binary, load, variant):
    """The file with the ClientIDs of a load for a variant."""
    shards, crossing = variant.shards, variant.crossing
    path = OUTPUT / f"crossing-{load.scenario}-{load.count}-{shards}-{crossing}.names"
    path.write_text("\n".join(names_on(binary, shards, places(load, shards, crossing))) + "\n")
    return path


def broker(options, variant):
    """RingMQ with the variant's shards, on the first of its cores."""
    def command(port, _folder):
        return [options.binary, "serve", "-p", str(port), *RINGMQ_SETTINGS, "--shards", str(variant.shards),
                "--set", f"partition_key={PARTITION_KEY}", *(["--driver", options.driver] if options.driver else [])]

    return Broker(f"crossing-{variant.name}", options.binary, command, [options.binary, "--version"],
                  dict(os.environ), kind="ringmq", cores=variant.cores)


def rows(results):
    """A row for each load and variant: the median cost over the rounds, and the median of each round's ratio to one
    shard's in the same round. Of variants in the order of their first run."""
    found = []
    for load, variant in dict.fromkeys((result["load"], result["variant"]) for result in results):
        cells = [result for result in results if (result["load"], result["variant"]) == (load, variant)]
        good = [cell for cell in cells if "failure" not in cell]
        row = {name: cells[0][name] for name in ("load", "variant", "shards", "cores", "crossing", "batched")}
        wrong = {cell["failure"] for cell in cells if "failure" in cell} | {faults(cell) for cell in good}
        wrong = sorted(wrong - {""})
        row |= {"rounds": len(good), "wrong": wrong}
        if good:
            row |= medians(good)
            row["to_one_shard"] = ratio(results, load, ONE_SHARD.name, good)
            alike = Variant(row["shards"], row["cores"], "none").name
            row["to_none"] = ratio(results, load, alike, good) if row["shards"] > 1 else None
        found.append(row)
    return found


def medians(cells):
    """The figures of a row's runs that went well."""
    costs = [cell["broker_us_per_message"] for cell in cells]
    middle = {
        "user_us": lambda cell: 1e6 * cell["broker_user_seconds"] / cell["delivered"],
        "system_us": lambda cell: 1e6 * cell["broker_system_seconds"] / cell["delivered"],
        "messages_per_start": lambda cell: cell["delivered"] / max(cell.get("broker_thread_starts", 0), 1),
        "messages_per_second": lambda cell: cell["messages_per_second"],
        "broker_cores_busy": lambda cell: broker_seconds(cell) / cell["seconds"],
        "load_cores_busy": lambda cell: cell["load_cpu_seconds"] / cell["seconds"],
        # The machine is counted in ticks and the others exactly, so the rest may come out below nothing.
        "others_cores_busy": lambda cell: max(0.0, cell["machine_busy_seconds"] - broker_seconds(cell)
                                              - cell["load_cpu_seconds"]) / cell["seconds"],
    }
    found = {name: statistics.median(figure(cell) for cell in cells) for name, figure in middle.items()}
    return {"us": statistics.median(costs), "us_min": min(costs), "us_max": max(costs), **found}


def broker_seconds(cell):
    """The broker's CPU time in a run."""
    return cell["broker_user_seconds"] + cell["broker_system_seconds"]


def ratio(results, load, variant, cells):
    """The median over the rounds of a cost as a multiple of another variant's; nothing where that was not measured."""
    others = {result["round"]: result["broker_us_per_message"] for result in results
              if result["load"] == load and result["variant"] == variant and "failure" not in result}
    ratios = [cell["broker_us_per_message"] / others[cell["round"]] for cell in cells if cell["round"] in others]
    return statistics.median(ratios) if ratios else None


def goal(row):
    """What the row's ratio should be at most, if that is said."""
    return GOALS.get(row["crossing"]) if row["batched"] and row["shards"] == 2 else None


HEAD = ("| traffic | shards | cores | crosses | CPU us/message (min-max) | user | system | messages/start | to none "
        "| to one shard | goal | messages/s | busy: broker, load, others |\n"
        "|---|---:|---:|---|---:|---:|---:|---:|---:|---:|---|---:|---|\n")


def markdown(table):
    """The table."""
    return HEAD + "".join(f"| {' | '.join(line(row))} |\n" for row in table)


def line(row):
    """The cells of one line."""
    wrong = f" **{'; '.join(row['wrong'])}**" if row["wrong"] else ""
    head = [row["load"] + wrong, str(row["shards"]), str(row["cores"]), row["crossing"] if row["shards"] > 1 else "-"]
    if not row["rounds"]:
        return head + ["-"] * 9
    to_none, to_one, most = row["to_none"], row["to_one_shard"], goal(row)
    return [
        *head, f"{row['us']:.2f} ({row['us_min']:.2f}-{row['us_max']:.2f})", f"{row['user_us']:.2f}",
        f"{row['system_us']:.2f}", f"{row['messages_per_start']:,.{0 if row['messages_per_start'] >= 10 else 1}f}",
        "-" if to_none is None else f"{to_none:.2f}", "-" if to_one is None else f"{to_one:.2f}",
        "" if most is None or to_one is None else f"{most:.2f}: {'met' if to_one <= most else 'missed'}",
        f"{row['messages_per_second']:,.0f}",
        f"{row['broker_cores_busy']:.0%}, {row['load_cores_busy']:.0%}, {row['others_cores_busy']:.0%}"]
