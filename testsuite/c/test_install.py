"""What ffi/install installs: libraries, header, and that other people's builds find them."""

import os
import re
import shutil
import sys
from pathlib import Path

import debian_packages
import pytest
from conftest import EXAMPLES, INSTALL, ROOT, STRICT, Installed, built_library, cxx, run

SYMBOLS = Path(__file__).parent / "symbols.txt"
HEADER = ROOT / "include" / "ringmq.h"
OUTPUTS = {
    "embedded_broker": r"listening on mqtt://127\.0\.0\.1:\d+\npublished to 1\nhome/kitchen: 21\.5\n"
                       r"stopped, 0 clients cut off\n",
    "epoll_loop": r"received 1000\n",
    "sensor_client": r"published 5\n(sensor/1: [0-4]\.5\n){5}",
    "auth_hook": r"port \d+\nstopped\n",
    "embedded_broker_cpp": r"listening on mqtt://127\.0\.0\.1:\d+\npublished to 1\nhome/kitchen: 21\.5\n"
                           r"room = kitchen\nstopped, 0 clients cut off\n",
}
OUTPUTS["sensor_client_cpp"] = OUTPUTS["sensor_client"]
C_EXAMPLES = sorted(path.stem for path in EXAMPLES.glob("*.c"))
CPP_EXAMPLES = sorted(path.stem for path in EXAMPLES.glob("*.cpp"))


def check(installed, name, program):
    """An example does what it is for."""
    assert re.fullmatch(OUTPUTS[name], installed.run(program))


def declared():
    """The functions of the header."""
    return sorted(re.findall(r"\b(ringmq_\w+)\(", HEADER.read_text()))


@pytest.mark.parametrize("static", [False, True], ids=["shared", "static"])
@pytest.mark.parametrize("language", ["c11", "c++17"])
@pytest.mark.parametrize("name", C_EXAMPLES)
def test_c_examples(installed, tmp_path, compiler, name, language, static):
    """Every example compiles by pkg-config as C and as C++, and runs."""
    arguments = [f"-std={language}", *(["-x", "c++"] if language == "c++17" else [])]
    chosen = cxx(compiler) if language == "c++17" else compiler
    program = installed.compile(EXAMPLES / f"{name}.c", tmp_path / name, *arguments, compiler=chosen, static=static)
    check(installed, name, program)


@pytest.mark.parametrize("language", ["c++17", "c++20"])
@pytest.mark.parametrize("name", CPP_EXAMPLES)
def test_cpp_examples(installed, tmp_path, compiler, name, language):
    """The C++ header, and the examples of it."""
    program = installed.compile(EXAMPLES / f"{name}.cpp", tmp_path / "program", f"-std={language}",
                                compiler=cxx(compiler))
    check(installed, f"{name}_cpp", program)


def test_make(installed, tmp_path):
    """The Makefile of the examples."""
    folder = shutil.copytree(EXAMPLES, tmp_path / "examples")
    path = os.pathsep.join([str(Path(debian_packages.program("pkg-config")).parent), os.environ["PATH"]])
    run("make", "-C", folder, env={**installed.environment, "PATH": path})
    for name in OUTPUTS:
        check(installed, name, folder / name)


def cmake(installed, source, folder, *arguments):
    """Configures and builds with CMake."""
    program = debian_packages.program("cmake")
    run(program, "-S", source, "-B", folder, f"-DCMAKE_PREFIX_PATH={installed.prefix}",
        f"-DCMAKE_C_FLAGS={' '.join(STRICT)}", f"-DCMAKE_CXX_FLAGS={' '.join(STRICT)}", *arguments)
    run(program, "--build", folder)


def test_cmake(installed, tmp_path):
    """The CMakeLists.txt of the examples, shared and static."""
    cmake(installed, EXAMPLES, tmp_path / "build")
    for name in OUTPUTS:
        check(installed, name, tmp_path / "build" / name)
        check(installed, name, tmp_path / "build" / f"{name}_static")


@pytest.mark.parametrize("wanted, found", [("", True), ("0.1", True), ("0.1.0", True), ("0.0", False), ("0.1.1", False),
                                           ("0.2", False), ("1.0", False)])
def test_cmake_versions(installed, tmp_path, wanted, found):
    """A version is good for another when the first two numbers are the same and it is not older."""
    (tmp_path / "CMakeLists.txt").write_text(
        f"cmake_minimum_required(VERSION 3.16)\nproject(wants NONE)\nfind_package(ringmq {wanted} QUIET)\n"
        'message("found: ${ringmq_FOUND}")\n')
    said = run(debian_packages.program("cmake"), "-S", tmp_path, "-B", tmp_path / "build",
               f"-DCMAKE_PREFIX_PATH={installed.prefix}")
    assert f"found: {1 if found else 0}\n" in said


def test_other_places(tmp_path):
    """A package is staged with --destdir and another libdir, and what is in it holds wherever it is put."""
    run(sys.executable, INSTALL, "--prefix", "/opt/mqtt", "--destdir", tmp_path / "staged", "--libdir", "lib/triplet",
        "--archive", built_library())
    moved = Installed((tmp_path / "staged" / "opt" / "mqtt").rename(tmp_path / "moved"), "lib/triplet")
    for file in (moved.libraries / "pkgconfig", moved.libraries / "cmake" / "ringmq"):
        assert not any(str(tmp_path) in text.read_text() or "/opt" in text.read_text() for text in file.iterdir())
    check(moved, "epoll_loop", moved.compile(EXAMPLES / "epoll_loop.c", tmp_path / "program", "-std=c11"))
    cmake(moved, EXAMPLES, tmp_path / "build", f"-Dringmq_DIR={moved.libraries / 'cmake' / 'ringmq'}")
    check(moved, "epoll_loop", tmp_path / "build" / "epoll_loop_static")


@pytest.mark.parametrize("language", ["c11", "c17", "c++17", "c++20"])
@pytest.mark.parametrize("header", ["ringmq.h", "ringmq.hpp"])
def test_headers_stand_alone(installed, tmp_path, compiler, header, language):
    """The headers need nothing before them, and every macro of theirs compiles."""
    if header.endswith("hpp") and not language.startswith("c++"):
        language = language.replace("c1", "c++1").replace("c++11", "c++17")
    source = tmp_path / ("alone.cpp" if "++" in language else "alone.c")
    source.write_text(
        f"#include <{header}>\n#include <{header}>\n"
        "ringmq_publish message = RINGMQ_PUBLISH_INIT;\nringmq_subscribe how = RINGMQ_SUBSCRIBE_INIT;\n"
        "ringmq_fault fault = RINGMQ_FAULT_INIT;\n"
        'void use(void);\nvoid use(void) { message.topic = RINGMQ_STR("a"); message.payload = RINGMQ_BYTES("b", 1); }\n')
    chosen = cxx(compiler) if "++" in language else compiler
    run(chosen, f"-std={language}", *STRICT, "-Wshadow", "-Wconversion", "-c", source, "-o", tmp_path / "alone.o",
        *installed.flags("--cflags"))


def test_shared_symbols(installed):
    """The shared library has what the header declares, and nothing else. RINGMQ_ACCEPT=1 writes the list anew."""
    said = run("nm", "-D", "--defined-only", installed.libraries / "libringmq.so")
    found = sorted(line.split()[2] for line in said.splitlines())
    functions = [name for name in found if "@" in name and name != "RINGMQ_0@@RINGMQ_0"]
    if os.environ.get("RINGMQ_ACCEPT"):
        SYMBOLS.write_text("\n".join(functions) + "\n")
    assert functions == SYMBOLS.read_text().split()
    assert functions == [f"{name}@@RINGMQ_0" for name in declared()]
    assert set(found) - set(functions) <= {"RINGMQ_0", "RINGMQ_0@@RINGMQ_0"}


def test_static_symbols(installed):
    """The static library shows nothing else either, so that it meets no other Rust library's symbols."""
    said = run("nm", "-g", "--defined-only", installed.libraries / "libringmq.a")
    assert sorted(line.split()[2] for line in said.splitlines() if len(line.split()) == 3) == declared()


def test_shared_library(installed):
    """Its name, what it needs, and that it cannot be unloaded under its threads."""
    said = run("readelf", "-d", installed.libraries / "libringmq.so")
    assert "Library soname: [libringmq.so.0]" in said
    assert "NODELETE" in said
    assert os.readlink(installed.libraries / "libringmq.so") == "libringmq.so.0"
    assert os.readlink(installed.libraries / "libringmq.so.0") == "libringmq.so.0.1.0"
    needed = re.findall(r"Shared library: \[(.*?)\.so", said)
    assert set(needed) <= {"libc", "libm", "libgcc_s", "ld-linux-x86-64", "ld-linux-aarch64"}
