"""What the standard library orders inside itself, told to the thread sanitizer.

It comes compiled, without a sanitizer. What of it is generic or small is compiled with our own crates and is seen; what
happens in functions of its own is not, and all that a lock guards would look like a race as soon as somebody waits for
that lock. Each of these functions is wrapped by the linker: the wrapper says what the function promises.
"""

import re
import subprocess

# How a function's name ends -> its result, its parameters, and which of them it lets go of before, takes and lets go of
# behind.
FUNCTIONS = {
    "mutex5futexNtB2_5Mutex14lock_contended": ("void", ["void *lock"], "", "lock", ""),
    "rwlock5futexNtB2_6RwLock14read_contended": ("void", ["void *lock"], "", "lock", ""),
    "rwlock5futexNtB2_6RwLock15write_contended": ("void", ["void *lock"], "", "lock", ""),
    # A wait lets go of the lock and takes it again.
    "condvar5futexNtB2_7Condvar4wait": ("void", ["void *condition", "void *lock"], "lock", "lock", ""),
    "condvar5futexNtB2_7Condvar12wait_timeout": (
        "_Bool", ["void *condition", "void *lock", "uint64_t seconds", "uint32_t nanoseconds"], "lock", "lock", ""),
    # Who comes later finds done what the first one did.
    "once5futexNtB5_4Once4call": (
        "void", ["void *once", "_Bool poisoned", "void *work", "void *table", "void *place"], "", "once", "once"),
}


def used(archive):
    """The functions that an archive calls: the whole name -> how it ends."""
    said = subprocess.run(["nm", "--undefined-only", archive], check=True, capture_output=True, text=True).stdout
    names = set(re.findall(r"\b_RNvM\w+3std3sys4sync\w+", said))
    found = {name: end for name in names for end in FUNCTIONS if name.endswith(end)}
    # Another toolchain may name them otherwise: better to hear it here than by a hundred races.
    assert any("lock_contended" in name for name in found), "the standard library's locks have other names"
    return found


def wrapper(name, end):
    """One function's wrapper in C."""
    result, parameters, before, taken, behind = FUNCTIONS[end]
    declared = ", ".join(parameters)
    call = f"__real_{name}({', '.join(re.split(r'[ *]', parameter)[-1] for parameter in parameters)})"
    lines = [f"__tsan_release({before})" if before else "",
             f"_Bool result = {call}" if result == "_Bool" else call,
             f"__tsan_acquire({taken})",
             f"__tsan_release({behind})" if behind else "",
             "return result" if result == "_Bool" else ""]
    body = "".join(f"    {line};\n" for line in lines if line)
    return f"{result} __real_{name}({declared});\n{result} __wrap_{name}({declared})\n{{\n{body}}}\n"


def wrappers(archive):
    """The source of all wrappers, and what the linker is told."""
    found = used(archive)
    source = "#include <stdint.h>\nvoid __tsan_acquire(void *);\nvoid __tsan_release(void *);\n"
    source += "".join(wrapper(name, end) for name, end in sorted(found.items()))
    return source, [f"-Wl,--wrap={name}" for name in sorted(found)]
