"""The device nodes of the NPU and of shared buffers, and whether edged may open them.

In:  /sys/class/drm, /dev; nothing is opened.     Out: `Nodes`, two findings.
"""

from __future__ import annotations

from dataclasses import dataclass

from edged.doctor.finding import Finding, trouble, well
from edged.doctor.person import Guard, Person, guard_of
from edged.doctor.root import Root
from edged.engine.rkllm.npu_node import npu_names

RULES = (
    "sudo cp firmware-config/common/all/etc/udev/rules.d/70-edged-npu.rules /etc/udev/rules.d/ && "
    "sudo udevadm control --reload && sudo udevadm trigger"
)
# Source: rknpu_drv.c: the misc device exists in builds without DRM only, which share buffers
# through /dev/dma_heap.
MISC, HEAP = "/dev/rknpu", "/dev/dma_heap/system"


@dataclass(frozen=True, slots=True)
class Nodes:
    """What is there.

    Attributes:
        npu: nodes of the NPU's driver.
        awaited: names that sysfs has and /dev has not.
        heap: the heap of shared buffers; None: this kernel offers none.
        is_misc: the NPU is a misc device, and shares buffers through the heap.
    """

    npu: tuple[Guard, ...]
    awaited: tuple[str, ...]
    heap: Guard | None
    is_misc: bool


def look(root: Root) -> Nodes:
    """Return the nodes of this machine."""
    names = npu_names(root.sys / "class/drm")
    guards = {name: guard_of(root.at(f"/dev/dri/{name}")) for name in names}
    misc = guard_of(root.at(MISC))
    there = [*guards.values(), misc]
    return Nodes(
        npu=tuple(guard for guard in there if guard is not None),
        awaited=tuple(name for name, guard in guards.items() if guard is None),
        heap=guard_of(root.at(HEAP)),
        is_misc=misc is not None,
    )


def judge(nodes: Nodes, person: Person, *, needs_npu: bool) -> list[Finding]:
    """Return whether the person may open what the NPU needs."""
    return [_npu(nodes, person, needs_npu=needs_npu), _heap(nodes, person, needs_npu=needs_npu)]


def _npu(nodes: Nodes, person: Person, *, needs_npu: bool) -> Finding:
    if nodes.awaited:
        says = f"the kernel has {nodes.awaited[0]}, and /dev/dri has no such node"
        mend = "sudo udevadm trigger --subsystem-match=drm; in a container, pass /dev/dri in"
        return trouble("npu-node", says, mend, is_needed=needs_npu)
    if not nodes.npu:
        says = "the NPU has no device node"
        mend = "`sudo dmesg | grep -i rknpu` tells why; nothing: boot the vendor's kernel"
        return (
            trouble("npu-node", says, mend, is_needed=True) if needs_npu else well("npu-node", says)
        )
    closed = next((guard for guard in nodes.npu if not guard.admits(person)), None)
    if closed is not None:
        says = f"{person.name} may not open the NPU, {closed.path} of the group {closed.group}"
        return trouble("npu-node", says, opening(closed, person), is_needed=needs_npu)
    return well(
        "npu-node", f"{person.name} may open {', '.join(str(one.path) for one in nodes.npu)}"
    )


def _heap(nodes: Nodes, person: Person, *, needs_npu: bool) -> Finding:
    is_needed = needs_npu and nodes.is_misc
    if nodes.heap is None:
        says = f"no {HEAP}"
        if not is_needed:
            return well("dma-heap", f"{says}; the DRM driver does not need it")
        mend = "boot a kernel with CONFIG_DMABUF_HEAPS_SYSTEM, as the vendor's is built"
        return trouble("dma-heap", says, mend, is_needed=True)
    if nodes.heap.admits(person):
        return well("dma-heap", f"{person.name} may open {nodes.heap.path}")
    says = f"{person.name} may not open {nodes.heap.path} of the group {nodes.heap.group}"
    mend = opening(nodes.heap, person)
    if is_needed or needs_npu:
        return trouble("dma-heap", says, mend, is_needed=is_needed)
    return well("dma-heap", f"{says}; nothing configured needs it")


def opening(guard: Guard, person: Person) -> str:
    """Return the command that lets the person open it: join its group, else give it one."""
    if guard.admits_its_group:
        return f"sudo usermod -aG {guard.group} {person.name}, then log in or restart edged-engine"
    return RULES
