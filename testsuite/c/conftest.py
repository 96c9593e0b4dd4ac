"""Fixtures of the C library's tests: an installed library, and programs that are built with it."""

import fcntl
import mmap
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import debian_packages
import pytest

ROOT = debian_packages.ROOT
INSTALL = ROOT / "ffi" / "install"
EXAMPLES = ROOT / "ffi" / "examples"
PROGRAMS = Path(__file__).parent / "programs"
STRICT = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-pthread"]


def built_library():
    """The static library that `cargo test` has built, the last of them; the fuzz targets' stands beside it and is none."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    found = (target / "tests" / "deps").glob("libringmq_ffi-*.a")
    for file in sorted(found, key=lambda file: file.stat().st_mtime, reverse=True):
        if not is_instrumented(file):
            return file
    raise AssertionError("there is no libringmq_ffi.a: testsuite/run --only binary builds it")


def is_instrumented(archive):
    """Whether a library was built with the address sanitizer."""
    with archive.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(b"__asan_report_load") >= 0


def run(*command, timeout=120, **options):
    """Runs a command, which succeeds; what it said."""
    options = {"stdin": subprocess.DEVNULL, "env": debian_packages.environment(), **options}
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=timeout, **options)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout}"
    return done.stdout


def cxx(compiler):
    """The C++ compiler beside a C compiler."""
    return "g++" if compiler == "gcc" else f"{compiler}++"


@dataclass
class Installed:
    """The library at a prefix."""

    prefix: Path
    libdir: str = "lib"

    @property
    def libraries(self):
        """Where the libraries are."""
        return self.prefix / self.libdir

    @property
    def environment(self):
        """Where pkg-config looks, and the dynamic linker."""
        found = debian_packages.environment()
        found["PKG_CONFIG_PATH"] = str(self.libraries / "pkgconfig")
        found["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, [str(self.libraries), found.get("LD_LIBRARY_PATH")]))
        return found

    def flags(self, *arguments):
        """What pkg-config says."""
        return run(debian_packages.program("pkg-config"), *arguments, "ringmq", env=self.environment).split()

    def compile(self, source, output, *arguments, compiler="gcc", static=False):
        """Compiles a program as strictly as can be."""
        flags = self.flags("--cflags", "--libs", *(["--static"] if static else []))
        if static:
            flags = [str(self.libraries / "libringmq.a") if flag == "-lringmq" else flag for flag in flags]
        run(compiler, *STRICT, *arguments, source, "-x", "none", "-o", output, *flags)
        return output

    def run(self, *command, **options):
        """Runs a program that was built with it."""
        return run(*command, env=self.environment, **options)


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """The library, installed once for all processes of the tests."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    prefix = shared / "prefix"
    with (shared / "prefix.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "prefix.done").exists():
            run(sys.executable, INSTALL, "--prefix", prefix, "--archive", built_library())
            (shared / "prefix.done").touch()
    return Installed(prefix)


@pytest.fixture(params=["gcc", "clang"])
def compiler(request):
    """Both C compilers; clang is a package's."""
    return "gcc" if request.param == "gcc" else debian_packages.program(request.param)
