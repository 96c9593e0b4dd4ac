"""C programs with a sanitizer in them and in the library: no wrong access, nothing lost, no race.

testsuite/run builds the library with the address sanitizer in our own crates; sanitized/run has it in what is not ours as
well, or the thread sanitizer. Both sides use the one runtime that comes with the Rust toolchain.
"""

import functools
import os
import subprocess
from pathlib import Path

import debian_packages
import pytest

import standard_library

ROOT = debian_packages.ROOT
HERE = Path(__file__).parent
PROGRAMS = ROOT / "testsuite" / "c" / "programs"
SANITIZER = os.environ.get("RINGMQ_SANITIZER", "address")
# Wrong values are looked for in C with the address sanitizer: its runtime has that part as well.
FLAGS = {"address": ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"], "thread": ["-fsanitize=thread"]}
OPTIONS = {
    "address": {"ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1"},
    # A program of the tests starts threads in the child of a fork.
    "thread": {"TSAN_OPTIONS": f"suppressions={HERE / 'thread.supp'}:die_after_fork=0"},
}
SAYS = {"leak": "LeakSanitizer: detected memory leaks", "overflow": "AddressSanitizer: heap-buffer-overflow",
        "race": "ThreadSanitizer: data race"}


def archive():
    """The library; by default what core/fuzz/run has built."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    built = Path(os.environ.get("RINGMQ_SANITIZED_ARCHIVE", target / "tests" / "examples" / "libringmq_c.a"))
    assert built.is_file(), f"there is no {built}: testsuite/run --only fuzz-build builds it"
    return built


def runtime():
    """The sanitizer's runtime that comes with the Rust toolchain."""
    root = subprocess.run(["rustc", "--print", "sysroot"], check=True, capture_output=True, text=True).stdout.strip()
    found = list(Path(root).glob(f"lib/rustlib/*/lib/librustc-*_rt.{SANITIZER[0]}san.a"))
    assert len(found) == 1, f"the Rust toolchain has {found} for a runtime"
    return found[0]


def call(*command):
    """Runs a compiler."""
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, env=debian_packages.environment())
    assert done.returncode == 0, done.stdout


def order(folder):
    """What is linked besides, so that the standard library's order is known."""
    if SANITIZER != "thread":
        return []
    source, flags = standard_library.wrappers(archive())
    (folder / "standard_library.c").write_text(source)
    call("cc", "-O1", "-c", folder / "standard_library.c", "-o", folder / "standard_library.o")
    return [folder / "standard_library.o", *flags]


@pytest.fixture(scope="session")
def build(tmp_path_factory):
    """`build(source)` makes a program, each only once for tests of one group. The compiler of C++ links, because the
    runtime is C++."""
    @functools.cache
    def built(source):
        folder = tmp_path_factory.mktemp(source.stem)
        compiled, program = folder / "program.o", folder / "program"
        call(debian_packages.program("clang"), "-std=c11", "-g", "-pthread", "-I", ROOT / "include", *FLAGS[SANITIZER],
             "-c", source, "-o", compiled)
        call("c++", "-pthread", "-rdynamic", compiled, *order(folder), archive(), "-Wl,--whole-archive", runtime(),
             "-Wl,--no-whole-archive", "-lm", "-ldl", "-lrt", "-o", program)
        return program
    return built


@pytest.fixture
def run(build):
    """`run(source, argument, ...)`: a program's exit code, and what it said."""
    def built_and_run(source, *arguments):
        done = subprocess.run([build(source), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", timeout=300,
                              env={**os.environ, **OPTIONS[SANITIZER]})
        return done.returncode, done.stdout
    return built_and_run


@pytest.mark.xdist_group("everything")
@pytest.mark.parametrize("driver", ["auto", "epoll"])
def test_everything(run, driver):
    """Each part of the library."""
    assert run(PROGRAMS / "everything.c", driver) == (0, "done\n")


@pytest.mark.xdist_group("cycles")
@pytest.mark.parametrize("driver", ["auto", "epoll"])
def test_cycles(run, driver):
    """Brokers, subscriptions and clients that come and go."""
    code, said = run(PROGRAMS / "cycles.c", "50", driver)
    assert code == 0 and len(said.splitlines()) == 6, said


@pytest.mark.xdist_group("misuse")
def test_misuse(run):
    """What wrong use can be told apart is refused without a wrong access, on eight threads too."""
    assert run(PROGRAMS / "misuse.c") == (0, "0 calls said another thing\n")


@pytest.mark.xdist_group("wrong")
@pytest.mark.parametrize("what", ["leak", "overflow"] if SANITIZER == "address" else ["race"])
def test_what_is_wrong_is_found(run, what):
    """In the library's own code, so it is part of what is watched."""
    code, said = run(HERE / "programs" / "wrong.c", what)
    assert code != 0 and SAYS[what] in said, said
