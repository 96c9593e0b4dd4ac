"""What a program that was compiled with ringmq.h has built in: sizes, offsets, numbers, and the types of functions.

The header's text says what there is; what it comes to, a compiler says. A line of the header that is not understood is
an error, so that nothing is left out.
"""

import re
from dataclasses import dataclass, field

from conftest import STRICT, run

# It changes with every version; that it is the library's own is another test's.
VERSION = "RINGMQ_VERSION_NUMBER"
PREPROCESSOR = re.compile(r"^#.*$", re.MULTILINE)
CONSTANT = re.compile(r"^#define (\w+) (-?\w+)$", re.MULTILINE)
INITIAL = re.compile(r"^#define (\w+)_INIT \{", re.MULTILINE)
STRUCT = re.compile(r"typedef struct \{([^}]*)\} (\w+);")
ENUM = re.compile(r"typedef enum \{([^}]*)\} (\w+);")
OPAQUE = re.compile(r"typedef struct (\w+) \1;")
CALLBACK = re.compile(r"typedef (\w+) \(\*(\w+)\)\(([^)]*)\);")
FUNCTION = re.compile(r"(\w[\w *]*?[ *])(\w+)\(([^)]*)\);")
FIELD = re.compile(r"([^;]*?)(\w+);")

PROGRAM = """#include <stddef.h>
#include <stdio.h>
#include <ringmq.h>
#ifdef __cplusplus
#define ALIGNMENT alignof
extern "C" {
#else
#define ALIGNMENT _Alignof
#endif
%s
#ifdef __cplusplus
}
#endif

/* A value of any type, as a number where it is not too long. */
void say(const void *value, size_t size);
void say(const void *value, size_t size)
{
    const unsigned char *bytes = (const unsigned char *)value;
    unsigned long long number = 0;
    for (size_t index = size; index > 0; index--)
        number = number << 8 | bytes[index - 1];
    if (size <= sizeof number)
        printf(" %%llu", number);
    else
        for (size_t index = 0; index < size; index++)
            printf("%%s%%02x", index ? "" : " 0x", bytes[index]);
    printf("\\n");
}

int main(void)
{
%s
    return 0;
}
"""


def without_name(parameter):
    """The type of a parameter."""
    parameter = " ".join(parameter.split())
    return parameter if parameter == "void" else re.sub(r"\s*\w+$", "", parameter)


def types(parameters):
    """The types of a parameter list."""
    return ", ".join(map(without_name, parameters.split(",")))


@dataclass
class Declared:
    """What a header declares, as text."""

    constants: list = field(default_factory=list)
    initials: list = field(default_factory=list)
    structs: dict = field(default_factory=dict)
    enums: dict = field(default_factory=dict)
    opaque: list = field(default_factory=list)
    callbacks: dict = field(default_factory=dict)
    functions: dict = field(default_factory=dict)

    @classmethod
    def read(cls, header):
        """Reads a header, all of it."""
        text = re.sub(r"//[^\n]*|/\*.*?\*/", "", header, flags=re.DOTALL)
        found = cls(constants=[name for name, _ in CONSTANT.findall(text) if name != VERSION],
                    initials=[name.lower() for name in INITIAL.findall(text)])
        text = PREPROCESSOR.sub("", text)
        for pattern, keep in ((STRUCT, found.keep_struct), (ENUM, found.keep_enum), (OPAQUE, found.keep_opaque),
                              (CALLBACK, found.keep_callback), (FUNCTION, found.keep_function)):
            text = pattern.sub(keep, text)
        rest = text.replace('extern "C" {', "").replace("}", "").strip()
        assert not rest, f"this is not understood: {rest}"
        return found

    def keep_struct(self, match):
        """A struct, and its fields with their types."""
        fields = [(name, " ".join(kind.split())) for kind, name in FIELD.findall(match[1])]
        assert FIELD.sub("", match[1]).strip() == "", f"a field of {match[2]} is not understood"
        self.structs[match[2]] = fields
        return ""

    def keep_enum(self, match):
        """An enum, and the names of its values."""
        self.enums[match[2]] = [value.split("=")[0].strip() for value in match[1].split(",") if value.strip()]
        return ""

    def keep_opaque(self, match):
        """A type of which programs have pointers only."""
        self.opaque.append(match[1])
        return ""

    def keep_callback(self, match):
        """A function of the program's."""
        self.callbacks[match[2]] = f"{match[1]} (*)({types(match[3])})"
        return ""

    def keep_function(self, match):
        """A function of the library's; its result and its parameters."""
        self.functions[match[2]] = (match[1].strip(), types(match[3]))
        return ""

    def program(self):
        """A program that says what all of this comes to. Functions that were read wrongly do not compile."""
        again = [f"{result} {name}({parameters});" for name, (result, parameters) in self.functions.items()]
        return PROGRAM % ("\n".join(again), "\n".join(f"    {line}" for line in self.statements()))

    def statements(self):
        """What its main function does."""
        for name in self.constants:
            yield f'printf("constant {name}: %lld\\n", (long long){name});'
        for enum, names in self.enums.items():
            yield f'printf("enum {enum}: size %zu\\n", sizeof({enum}));'
            for name in names:
                yield f'printf("value {name}: %lld of {enum}\\n", (long long){name});'
        for struct, fields in self.structs.items():
            yield f'printf("struct {struct}: size %zu, alignment %zu\\n", sizeof({struct}), ALIGNMENT({struct}));'
            for name, kind in fields:
                where = f"offsetof({struct}, {name}), sizeof((({struct} *)0)->{name})"
                yield f'printf("field {struct}.{name}: offset %zu, size %zu, {kind}\\n", {where});'
        for struct in self.initials:
            yield from self.initial(struct)
        for kind, lines in (("opaque", dict.fromkeys(self.opaque, "pointers only")), ("callback", self.callbacks),
                            ("function", {name: f"{result} ({parameters})"
                                          for name, (result, parameters) in self.functions.items()})):
            yield from (f'printf("{kind} {name}: {said}\\n");' for name, said in lines.items())

    def initial(self, struct):
        """The values of a struct in which nothing was set; its own size grows with it."""
        yield f"{struct} initial_{struct} = {struct.upper()}_INIT;"
        for name, _ in self.structs[struct][1:]:
            value = f"initial_{struct}.{name}"
            yield f'printf("initial {struct}.{name}:"); say(&{value}, sizeof {value});'


def table(header, folder, compiler="gcc", language="c11"):
    """The layout of a header, a line for each thing, as a compiler has it."""
    include = folder / "include"
    include.mkdir(exist_ok=True)
    (include / "ringmq.h").write_text(header)
    source = folder / ("layout.cpp" if "++" in language else "layout.c")
    source.write_text(Declared.read(header).program())
    run(compiler, f"-std={language}", *STRICT, "-I", include, source, "-o", folder / "layout")
    return run(folder / "layout")


def numbers(said):
    """The numbers in what a line says."""
    return [int(number) for number in re.findall(r"\b\d+\b", said)]


class Difference:
    """What has become of a table: `breaks` is what programs that are there do not survive, `additions` what they do."""

    def __init__(self, old, new):
        self.old, self.new = (dict(line.split(": ", 1) for line in text.splitlines()) for text in (old, new))
        self.breaks, self.additions = [], []
        for name, said in self.old.items():
            if name not in self.new:
                self.breaks.append(f"{name}: is gone, was {said}")
            elif self.new[name] != said:
                found = self.additions if self.only_grew(name) else self.breaks
                found.append(f"{name}: was {said}, is {self.new[name]}")
        for name in self.new.keys() - self.old.keys():
            found = self.breaks if self.is_inside(name) else self.additions
            found.append(f"{name}: is new, {self.new[name]}")

    def only_grew(self, name):
        """Whether this is a struct that says its own size, and has become longer and nothing else."""
        if not name.startswith("struct ") or f"{name.replace('struct', 'field', 1)}.struct_size" not in self.old:
            return False
        (old_size, old_alignment), (size, alignment) = numbers(self.old[name]), numbers(self.new[name])
        return size > old_size and alignment == old_alignment

    def is_inside(self, name):
        """Whether this is a new field where the struct had room before: programs that are there did not set it, and the
        struct's size does not tell them from others."""
        struct = name.replace("field", "struct", 1).split(".")[0]
        if not name.startswith("field ") or struct not in self.old:
            return False
        return numbers(self.new[name])[0] < numbers(self.old[struct])[0]

    def __str__(self):
        parts = [("An ABI break, for which a new soname is due", self.breaks),
                 ("Additions: RINGMQ_ACCEPT=1 accepts them", self.additions)]
        return "\n".join("\n  ".join([title + ":", *sorted(found)]) for title, found in parts if found)

    def __bool__(self):
        return bool(self.breaks or self.additions)
