"""The machines that a wheelhouse can be made for.

In: a name.  Out: a `Target`.
"""

from __future__ import annotations

from dataclasses import dataclass


class WheelhouseError(Exception):
    """The wheelhouse cannot be made; the text says what, why, and what to do."""


@dataclass(frozen=True, slots=True)
class Target:
    """A kind of machine.

    Attributes:
        name: also its folder in build/wheelhouse/.
        machine: as `uname -m` says.
        elf_machine: how ELF numbers it.
        compiler: what GCC's programs for it begin with.
        package: Debian's package of its C++ compiler.
        cmake: settings of ggml, for the processors that it shall run on.
        features: what those settings let the compiler use and not every such machine has, by the
            kernel's names. `edged.engine.processor` looks for them before it loads the library.
    """

    name: str
    machine: str
    elf_machine: int
    compiler: str
    package: str
    cmake: tuple[str, ...]
    features: tuple[str, ...] = ()


_ARM = ("aarch64", 183, "aarch64-linux-gnu", "g++-aarch64-linux-gnu")

# Source: GCC, AArch64 Options: armv8.2-a brings the atomics of 8.1. Cortex-A76 and A55 (RK3588)
# have it with dotprod and fp16; Cortex-A72 and A53 (RK3576) are Armv8.0-A and have neither.
# amd64: ggml's own choice where it may not ask the builder's processor: AVX2 and FMA.
TARGETS = {
    target.name: target
    for target in (
        Target(
            "arm64",
            *_ARM,
            ("-DGGML_CPU_ARM_ARCH=armv8.2-a+dotprod+fp16",),
            ("asimddp", "asimdhp", "atomics"),
        ),
        Target("arm64-v8.0", *_ARM, ("-DGGML_CPU_ARM_ARCH=armv8-a",)),
        Target("amd64", "x86_64", 62, "x86_64-linux-gnu", "g++-x86-64-linux-gnu", ()),
    )
}


def target_named(name: str) -> Target:
    """Return a target.

    Raises:
        WheelhouseError: there is none of this name.
    """
    if name not in TARGETS:
        raise WheelhouseError(f"unknown target {name!r}: choose one of {', '.join(TARGETS)}")
    return TARGETS[name]


def platform_tags(target: Target) -> list[str]:
    """Return the wheels' platform tags that the target takes, and our own builds' tag.

    glibc 2.36 is that of Debian 12, the oldest system here that has Python 3.11.
    Source: PEP 600; auditwheel began to count at glibc 2.17 on aarch64.
    """
    counted = [f"manylinux_2_{minor}_{target.machine}" for minor in range(36, 16, -1)]
    return [*counted, f"manylinux2014_{target.machine}", f"linux_{target.machine}"]
